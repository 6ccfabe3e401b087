"""Small networks that look at portraits: one names their factors, one knows who it is.

They are what measures and lessons use where other courses borrow a classifier.  Both are trained
here, on drawn portraits whose every factor is known, so their mistakes are known as well.

    factors = features.load("factors")
    factors(images)                features [N, 64]: what distances are measured in
    factors.read(images)           {"yaw": [N], "glasses": indices [N], …}
    identity = features.load("identity")
    identity(images)               [N, 32] of length 1: near for one person, whatever the pose

Both see 32² pixels: larger pictures are averaged in blocks first, always in this one way.

Read first: `data/portraits.py`, `layers.py`.
Not here: a borrowed network.  Distances in these features are no FID, and are not called so.
"""

import dataclasses
import hashlib
import math

import numpy as np

from minigan import autograd, optim, progress, toy
from minigan.data import portraits
from minigan.layers import conv, dense
from minigan.networks import base

SIZE = 32


@dataclasses.dataclass(frozen=True)
class Config:
    """A trunk of convolutions, and what it is asked for."""

    task: str = "factors"  # or "identity"
    channels: tuple = (32, 48, 64, 96)  # at 32², 16², 8², 4²
    features: int = 64
    embedding: int = 32  # of an identity

    def __post_init__(self):
        base.check_fields(self, features=1, embedding=1)
        if self.task not in ("factors", "identity"):
            raise ValueError(f"Config: task is {self.task!r}; expected 'factors' or 'identity'")
        if len(self.channels) != 4 or any(type(n) is not int or n < 1 for n in self.channels):
            raise ValueError(f"Config: channels are {self.channels}; expected four whole numbers")

    @property
    def outputs(self):
        return self.embedding if self.task == "identity" else columns()[-1][2]


def columns():
    """[(factor, first, last)]: which outputs speak of which factor."""
    found, at = [], 0
    for factor in portraits.FACTORS:
        width = len(factor.choices) or (2 if _is_hue(factor) else 1)
        found.append((factor, at, at + width))
        at += width
    return found


def _is_hue(factor):
    return factor.name == "background"  # a circle: 0 and 1 are the same colour


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """config, and params as a flat dict: images [N, 3, R, R] -> features."""

    config: Config
    params: dict
    buffers: dict = dataclasses.field(default_factory=dict)

    config_class = Config

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        toy.check_rng(rng)
        params = {}

        def layer(name, *shape):
            params[f"{name}.weight"] = toy.normal(rng, *shape)
            params[f"{name}.bias"] = toy.zeros(shape[0])

        inside = 3
        for i, outside in enumerate(config.channels):
            layer(f"b{SIZE >> i}.conv", outside, inside, 3, 3)
            inside = outside
        layer("b16.conv1", config.channels[1], config.channels[1], 3, 3)
        layer("fc", config.features, 16 * inside)
        layer("out", config.outputs, config.features)
        return cls(config, params)

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def trunk(self, images):
        """images float [N, 3, R, R] in [−1, 1], R = 32·2ⁱ -> features [N, features].

        Raises: TypeError, ValueError for another dtype or shape, or numbers that are not finite.
        """
        p = self.params
        x = shrink(images)
        x = conv(p, "b32.conv", x, act="lrelu")
        # Halved without a low-pass filter: here details count, and nobody looks at the maps.
        x = conv(p, "b16.conv", x, down=2, act="lrelu")
        x = conv(p, "b16.conv1", x, act="lrelu")
        x = conv(p, "b8.conv", x, down=2, act="lrelu")
        x = conv(p, "b4.conv", x, down=2, act="lrelu")
        return dense(p, "fc", np.reshape(x, (x.shape[0], -1)), "lrelu")

    def outputs(self, images):
        """[N, outputs]: logits and values of the factors, or the embedding before its length is
        made 1."""
        return dense(self.params, "out", self.trunk(images))

    def __call__(self, images):
        """Features [N, features] of a network for factors, unit vectors [N, embedding] of one for
        identities.  Works through plain arrays in batches.  Raises: as `trunk`."""
        f = self.trunk if self.config.task == "factors" else lambda x: _unit(self.outputs(x))
        return in_batches(f, images)

    def read(self, images):
        """{factor: float32 [N] in the factor's own units, or int64 [N], the likeliest choice}.

        Values can lie a little outside the factor's range.  Raises: as `trunk`; ValueError for a
        network of another task.
        """
        if self.config.task != "factors":
            raise ValueError(f"read: this network's task is {self.config.task!r}; expected one "
                             "for 'factors'")  # fmt: skip
        y, found = in_batches(self.outputs, images), {}
        for f, first, last in columns():
            part = y[:, first:last]
            if f.choices:
                found[f.name] = part.argmax(axis=1)
            elif _is_hue(f):
                found[f.name] = np.arctan2(part[:, 1], part[:, 0]) / (2 * np.float32(np.pi)) % 1
            else:
                found[f.name] = (part[:, 0] + 1) * ((f.high - f.low) / 2) + f.low
        return found

    @property
    def fingerprint(self):
        """Eight letters that change with any weight: distances of other features do not compare."""
        digest = hashlib.sha256()
        for name in sorted(self.params):
            digest.update(self.params[name].astype(np.float16).tobytes())
        return digest.hexdigest()[:8]


def load(name_or_path):
    """A network of this room, by a shipped name or a path.  Raises: as `files.read`; ValueError."""
    from minigan import files

    networks = files.read_networks(name_or_path)
    for network in networks.values():
        if isinstance(network, Network):
            return network
    raise ValueError(f"{name_or_path} holds {sorted(networks)}; expected a network of features")


def shrink(images):
    """images [N, 3, R, R] averaged in blocks to 32².  Raises: ValueError for another R."""
    toy.check_array("images", images, (None, 3, None, None))
    n, c, height, width = images.shape
    times = height // SIZE
    if height != width or times < 1 or times * SIZE != height:
        raise ValueError(f"images have shape {images.shape}; expected [N, 3, R, R], R = 32, 64, …")
    if times == 1:
        return images
    return np.mean(np.reshape(images, (n, c, SIZE, times, SIZE, times)), axis=(3, 5))


def in_batches(f, x, size=128):
    """f over parts of x along its first axis, put together again."""
    return np.concatenate([f(x[i : i + size]) for i in range(0, max(len(x), 1), size)])


def _unit(x):
    return x / np.sqrt(np.sum(np.square(x), axis=1, keepdims=True) + 1e-8)


# ---- what they learn from ------------------------------------------------------------------------


def targets(factors):
    """What the outputs should be: [N, outputs], float32; choices as ones and zeros."""
    parts = []
    for f, _, _ in columns():
        value = factors[f.name]
        if f.choices:
            parts.append(np.eye(len(f.choices), dtype=np.float32)[value])
        elif _is_hue(f):
            angle = 2 * np.pi * value
            parts.append(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
        else:
            scaled = (value - f.low) * (2 / (f.high - f.low)) - 1
            parts.append(scaled[:, None].astype(np.float32))
    return np.concatenate(parts, axis=1)


def factors_loss(outputs, wanted):
    """Mean over factors of cross-entropy, for choices, or squared error.  Returns ()."""
    total = 0.0
    for f, first, last in columns():
        y, t = outputs[:, first:last], wanted[:, first:last]
        if f.choices:
            total = total - np.mean(np.sum(_log_softmax(y) * t, axis=1))
        else:
            total = total + np.mean(np.square(y - t))
    return total / len(portraits.FACTORS)


def identity_loss(embedded, temperature=0.1):
    """Whose other picture is it?  embedded [2·N, D], row i and row N + i of one person; returns ().

    Each picture is to be nearer to its partner than to all others: the normalised temperature-
    scaled cross-entropy of SimCLR (Chen et al. 2020, arXiv 2002.05709, Eq. 1).
    """
    n = embedded.shape[0] // 2
    z = _unit(embedded)
    scores = (z @ z.T) * (1 / temperature) - 1e4 * np.eye(2 * n, dtype=np.float32)  # not itself
    partner = np.roll(np.eye(2 * n, dtype=np.float32), n, axis=1)
    return -np.mean(np.sum(_log_softmax(scores) * partner, axis=1))


def _log_softmax(x):
    x = x - autograd.stop_gradient(np.max(x, axis=1, keepdims=True))
    return x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))


def people(n, rng, others=None):
    """Factors of n random pictures; of the people in `others`, if given: identity kept, the rest
    drawn anew."""
    drawn = portraits.sample_factors(n, rng)
    return drawn if others is None else drawn | {k: others[k] for k in portraits.IDENTITY}


def draw(factors, rng):
    """Their pictures at 32², with fresh chance."""
    return portraits.draw(factors, SIZE, rng.integers(1 << 40, size=len(factors["yaw"])))


def train(config, kimg, seed=0, batch=32, lr=0.03):
    """A network trained on kimg thousand freshly drawn portraits; the rate falls to 0 in a line.

    The rate is high because weights are equalised: they have size 1, whatever the layer's width.

    A progress bar is shown unless MINIGAN_QUIET=1.
    """
    rng = np.random.default_rng(seed)
    network = Network.init(config, rng)
    params, steps = network.params, math.ceil(1000 * kimg / batch)
    state = optim.Adam(lr, (0.9, 0.99)).init(params)
    bar = progress.bar(range(steps), config.task)
    for step in bar:
        if config.task == "factors":
            factors = people(batch, rng)
            images, wanted = draw(factors, rng), targets(factors)
        else:
            someone = people(batch // 2, rng)
            again = people(batch // 2, rng, someone)
            images = np.concatenate([draw(someone, rng), draw(again, rng)])

        def loss(params, images=images, wanted=None if config.task == "identity" else wanted):
            y = network.replace(params=params).outputs(images)
            return identity_loss(y) if wanted is None else factors_loss(y, wanted)

        value, grads = autograd.value_and_grad(loss)(params)
        adam = optim.Adam(lr * (1 - step / steps), (0.9, 0.99))
        params, state = adam.step(params, grads, state)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(value):.3f}")
    return network.replace(params=params)

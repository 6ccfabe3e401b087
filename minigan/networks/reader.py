"""Small networks that look at portraits: one names their factors, one knows who it is.

They are what measures and lessons use where other courses borrow a classifier.  Both are trained
here, on drawn portraits whose every factor is known, so their mistakes are known as well.

    factors = files.load_reader("factors")
    factors(images)                features [N, 64]: what distances are measured in
    factors.read(images)           {"yaw": [N], "glasses": indices [N], …}
    identity = files.load_reader("identity")
    identity(images)               [N, 32] of length 1: near for one person, whatever the pose

Each sees pictures of its own size, 32² or 64² pixels: larger ones are averaged in blocks first,
always in this one way.

Read first: `data/portraits.py`, `layers.py`.  Read next: `training/reader.py`.
Not here: a borrowed network.  Distances in these features are no FID, and are not called so.
"""

import dataclasses

import numpy as np

from minigan import check
from minigan.data import portraits
from minigan.layers import conv, dense, watch
from minigan.networks import base, init

# Of those that ship, at R², R/2², … 4².
CHANNELS = {32: (32, 48, 64, 96), 64: (16, 32, 48, 64, 96)}


@dataclasses.dataclass(frozen=True)
class Config:
    """A trunk of convolutions, and what it is asked for."""

    task: str = "factors"  # or "identity"
    channels: tuple = CHANNELS[32]
    features: int = 64
    embedding: int = 32  # of an identity
    resolution: int = 32  # of the pictures it sees

    def __post_init__(self):
        check.fields(self, features=1, embedding=1, resolution=32)
        check.choice(self, "task", ("factors", "identity"))
        wanted = self.resolution.bit_length() - 2
        if self.resolution != 2 << wanted:
            raise ValueError(f"Config: resolution is {self.resolution}; expected 32, 64, 128, …")
        if len(self.channels) != wanted or any(type(n) is not int or n < 1 for n in self.channels):
            raise ValueError(
                f"Config: channels are {self.channels}; expected {wanted} whole numbers, one each "
                f"for {self.resolution}² … 4²"
            )

    @property
    def sizes(self):
        """[R, R/2, …, 4]."""
        return [self.resolution >> i for i in range(len(self.channels))]

    def twice(self, size):
        """Whether there is a second convolution at this size."""
        return 8 < size < self.resolution

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


class Network(base.Network):
    """images [N, 3, R, R] -> features; no buffers."""

    config_class = Config

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params, inside, layer = {}, 3, init.layer
        for size, outside in zip(config.sizes, config.channels, strict=True):
            params |= layer(rng, f"b{size}.conv", outside, inside, 3, 3)
            inside = outside
        for size, width in zip(config.sizes, config.channels, strict=True):
            if config.twice(size):
                params |= layer(rng, f"b{size}.conv1", width, width, 3, 3)
        params |= layer(rng, "fc", config.features, 16 * inside)
        params |= layer(rng, "out", config.outputs, config.features)
        return cls(config, params)

    def trunk(self, images):
        """images float [N, 3, R, R] in [−1, 1], R = resolution·2ⁱ -> features [N, features].

        Raises: TypeError, ValueError for another dtype or shape, or numbers that are not finite.
        """
        p, config = self.params, self.config
        x = shrink(images, config.resolution)
        for size in config.sizes:
            # Halved without a low-pass filter: here details count, and nobody looks at the maps.
            x = conv(p, f"b{size}.conv", x, down=1 if size == config.resolution else 2, act="lrelu")
            if config.twice(size):
                x = conv(p, f"b{size}.conv1", x, act="lrelu")
        return dense(p, "fc", np.reshape(x, (x.shape[0], -1)), "lrelu")

    def maps(self, images):
        """What each convolution gives, [[N, C, H, W], …], the largest first.  As `trunk`."""
        found = []
        with watch(lambda name, y: found.append(y) if ".conv" in name else None):
            self.trunk(images)
        return found

    def outputs(self, images):
        """[N, outputs]: logits and values of the factors, or the embedding before its length is
        made 1."""
        return dense(self.params, "out", self.trunk(images))

    def __call__(self, images):
        """Features [N, features] of a network for factors, unit vectors [N, embedding] of one for
        identities.  Works through plain arrays in batches.  Raises: as `trunk`."""
        f = self.trunk if self.config.task == "factors" else lambda x: unit(self.outputs(x))
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

    def doubt(self, images):
        """How unsure `read` is of its choices: [N], the largest of 1 − the likeliest's probability,
        from 0 to 1, of all factors with choices.  Raises: as `read`."""
        y = in_batches(self.outputs, images)
        doubts = []
        for f, first, last in columns():
            if f.choices:
                p = np.exp(y[:, first:last] - y[:, first:last].max(axis=1, keepdims=True))
                doubts.append(1 - 1 / p.sum(axis=1))  # the likeliest's p is 1
        return np.max(doubts, axis=0)


def shrink(images, size):
    """images [N, 3, R, R] averaged in blocks to size².  Raises: ValueError for another R."""
    check.finite("images", images, (None, 3, None, None))
    n, c, height, width = images.shape
    times = height // size
    if height != width or times < 1 or times * size != height:
        raise ValueError(
            f"images have shape {images.shape}; expected [N, 3, R, R], R = {size}, {2 * size}, …"
        )
    if times == 1:
        return images
    return np.mean(np.reshape(images, (n, c, size, times, size, times)), axis=(3, 5))


def in_batches(f, x, size=128):
    """f over parts of x along its first axis, put together again."""
    return np.concatenate([f(x[i : i + size]) for i in range(0, max(len(x), 1), size)])


def unit(x):
    """x [N, D], each row divided by its length."""
    return x / np.sqrt(np.sum(np.square(x), axis=1, keepdims=True) + 1e-8)

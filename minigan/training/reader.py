"""How the networks that read portraits are trained: on drawings, each seen once.

Read first: `networks/reader.py`, `data/portraits.py`.
"""

import math

import numpy as np

from minigan import autograd, optim, progress
from minigan.data import portraits
from minigan.networks.reader import Network, columns, targets, unit


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
    z = unit(embedded)
    scores = (z @ z.T) * (1 / temperature) - 1e4 * np.eye(2 * n, dtype=np.float32)  # not itself
    partner = np.roll(np.eye(2 * n, dtype=np.float32), n, axis=1)
    return -np.mean(np.sum(_log_softmax(scores) * partner, axis=1))


def _log_softmax(x):
    x = x - autograd.stop_gradient(np.max(x, axis=1, keepdims=True))
    return x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))


def strangers_and_siblings(n, rng):
    """Factors of n people, each of the second half like one of the first but for one factor that
    makes the person.

    Strangers differ in everything, and the hair alone tells them apart; whether a pair has the same
    eyes and brows is asked by siblings only.
    """
    first = portraits.people(n // 2, rng)
    second = {
        name: value.copy() for name, value in portraits.people(n - n // 2, rng, first).items()
    }
    which = rng.integers(len(portraits.IDENTITY), size=n // 2)
    for i, name in enumerate(portraits.IDENTITY):
        f, rows = portraits.BY_NAME[name], np.flatnonzero(which == i)
        if f.choices:  # one of the others
            k = len(f.choices)
            second[name][rows] = (second[name][rows] + rng.integers(1, k, len(rows))) % k
        else:  # at least a quarter of the range away
            away = rng.uniform(0.25, 0.75, len(rows)) * (f.high - f.low)
            second[name][rows] = f.low + (second[name][rows] - f.low + away) % (f.high - f.low)
    return {name: np.concatenate([first[name], second[name]]) for name in first}


# Of pictures.  A person is told from the others of the batch: the more, the harder.
BATCH = {"factors": 32, "identity": 64}


def train(config, kimg, seed=0, trunk=None):
    """A network trained on kimg thousand freshly drawn portraits; the rate falls to 0 in a line.

    The rate is high because weights are equalised: they have size 1, whatever the layer's width; of
    a trunk that would soon be forgotten, and a third will do.
    trunk: a network of the same sizes, with whose weights it begins, but for the last layer's;
    None: fresh ones.

    A progress bar is shown unless MINIGAN_QUIET=1.
    """
    rng = np.random.default_rng(seed)
    network = Network.init(config, rng)
    size, params, batch = config.resolution, network.params, BATCH[config.task]
    lr = 0.03 if trunk is None else 0.01
    if trunk is not None:
        params = params | {k: v for k, v in trunk.params.items() if not k.startswith("out.")}
    steps = math.ceil(1000 * kimg / batch)
    state = optim.Adam(lr, (0.9, 0.99)).init(params)
    bar = progress.bar(range(steps), config.task)
    for step in bar:
        if config.task == "factors":
            factors = portraits.people(batch, rng)
            images, wanted = portraits.draw_randomly(factors, size, rng), targets(factors)
        else:
            someone = strangers_and_siblings(batch // 2, rng)
            again = portraits.people(batch // 2, rng, someone)
            images = np.concatenate(
                [portraits.draw_randomly(factors, size, rng) for factors in (someone, again)]
            )

        def loss(params, images=images, wanted=None if config.task == "identity" else wanted):
            y = network.replace(params=params).outputs(images)
            return identity_loss(y) if wanted is None else factors_loss(y, wanted)

        value, grads = autograd.value_and_grad(loss)(params)
        adam = optim.Adam(lr * (1 - step / steps), (0.9, 0.99))
        params, state = adam.step(params, grads, state)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(value):.3f}")
    return network.replace(params=params)

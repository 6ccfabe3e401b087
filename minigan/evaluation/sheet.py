"""The quality sheet: a generator of portraits in one line, in a minute or two.

    distance    of features to drawings' (`metrics.frechet_distance`), beside it precision, recall
    coverage    how many of 67 values of factors have shares within a factor of two of drawings'
    z_… w_…     share of a factor's variance that a linear map reads from z, from w
    broken      share of pictures that are no portrait of anybody: see `broken`
    odd_eyes    share of pictures whose two eyes have different colours: see `odd_eyes`

What a training stage buys, and what it costs, stands in two such lines, one above the other.

Read first: `measure.py`.
"""

import numpy as np

from minigan.data import portraits
from minigan.evaluation import measure, metrics
from minigan.networks import reader as readers

N = 6000  # pictures: what is read from latents falls with fewer, by (1 − R²)·w_dim/N
FACTORS = ("yaw", "pitch", "head_shape", "smile", "mouth_open", "eye_shape", "brow_shape", "age")
NUMBERS = ("distance", "precision", "recall", "coverage", "broken", "odd_eyes",
           *(f"z_{name}" for name in FACTORS), *(f"w_{name}" for name in FACTORS))  # fmt: skip
# A picture is broken beyond these; of 2,000 drawings at most two are (`tests/test_sheet.py`).
DOUBT, MISFIT, CELLS = 0.2, 0.4, 16


def quick(G, reader=None, n: int = N, seed: int = 0) -> dict[str, float]:
    """{name: number} of NUMBERS, from n pictures at ψ = 1.

    reader: a network for factors; None: the shipped one that sees as many pixels as G has.
    NaN: a factor that G never varies.
    """
    reader = reader or measure.reader_for(G)
    rng = np.random.default_rng([seed, 30])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    w = G.mapping(z)
    fake, real = measure.synthesise(G, w, rng), measure.drawings(n, G.img_resolution, rng)
    read = reader.read(fake)
    features = [reader(x) for x in (real, fake)]
    precision, recall = metrics.precision_recall(*(x[:2000] for x in features))
    shares = measure.shares(reader.read(real)), measure.shares(read)
    row = {
        "distance": metrics.frechet_distance(*features),
        "precision": precision,
        "recall": recall,
        "coverage": sum(int(measure.covered(*(s[name] for s in shares)).sum()) for name in read),
        "broken": float(np.mean(broken(fake, reader))),
        "odd_eyes": float(np.mean(odd_eyes(fake, reader))),
    }
    wanted = measure.by_factor(read)
    wanted = {name: wanted[name] for name in FACTORS}
    for space, x in (("z", z), ("w", w[:, 0])):
        found = measure.readabilities(x, wanted)
        row |= {f"{space}_{name}": found[name][0] for name in FACTORS}
    return row


def broken(images: np.ndarray, reader) -> np.ndarray:
    """Which pictures [N, 3, R, R] are no portrait of anybody: bool [N].

    Those of which the reader cannot choose, its second choice having more than DOUBT, as with half
    a pair of glasses or two colours of hair; and those unlike the portrait of what it reads: drawn
    again, they differ by more than MISFIT, mean square, in one of CELLS² parts, as where an eye is
    missing.  Faults of a few pixels escape: half a pair of glasses or a missing eye more often than
    not, and eyes of different colours always, for which there is `odd_eyes`.
    """
    doubts, again = reader.doubt(images), portraits.draw(_read(images, reader), images.shape[-1])
    a, b = (readers.shrink(x, CELLS) for x in (images, again))
    misfit = np.mean(np.square(a - b), axis=1).max(axis=(1, 2))
    return (doubts > DOUBT) | (misfit > MISFIT)


def odd_eyes(images: np.ndarray, reader) -> np.ndarray:
    """Which pictures [N, 3, R, R] have eyes of two colours: bool [N].

    A reader sees the colour of either eye.  So it is asked twice: once each eye, mirrored, is put
    in the place of the other.
    """
    size = images.shape[-1]
    at = np.round(portraits.landmarks(_read(images, reader), size)[:, :2]).astype(int)
    high, wide = -(-size // 24), -(-size // 12)  # half an eye and its lashes
    at = np.clip(at, [wide, high], [size - 1 - wide, size - 1 - high])
    said = []
    for eye in (0, 1):
        twice = images.copy()
        for picture, points in zip(twice, at, strict=True):
            (x, y), (to_x, to_y) = points[eye], points[1 - eye]
            seen = picture[:, y - high : y + high + 1, x - wide : x + wide + 1]
            there = slice(to_y - high, to_y + high + 1), slice(to_x - wide, to_x + wide + 1)
            picture[:, *there] = seen[:, :, ::-1].copy()
        said.append(reader.read(twice)["eye_color"])
    return said[0] != said[1]


def _read(images, reader):
    """What is read, as far as it can be drawn."""
    read = reader.read(images)
    for f in portraits.FACTORS:
        if not f.choices:
            read[f.name] = np.clip(read[f.name], f.low, f.high)
    return read

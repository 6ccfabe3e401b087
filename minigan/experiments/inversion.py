"""Which way of finding a picture's w is good, and at what?  Methods × sets of pictures × seeds.

    python -m minigan measure inversion --network portraits64

writes a row to a CSV file as soon as it is measured, and goes on after the rows that are there.
Losses see through the reader that teaches, rows are measured by another, since a method that is
judged by its own loss looks better than it is.

A method is a function Problem -> Found, a line in METHODS; a set of drawn pictures is a `Drawing`,
a line in SETS.

Read first: `evaluation/inversion.py`, which says what the columns mean.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from minigan import files, progress
from minigan.data import portraits
from minigan.data.images import to_uint8
from minigan.editing import align, inversion, tuning
from minigan.editing.perceptual import Perceptual
from minigan.evaluation import metrics, tables
from minigan.evaluation.inversion import CHANGED, EDITS, NUMBERS, Found, Judge, Targets, draw
from minigan.experiments.table import Table, mean_std
from minigan.networks.reader import shrink

# By the pixels that they see: who stands in the loss, who measures, who knows people.  At 32² one
# network does both, and its distances flatter the searches.
READERS = {
    32: ("factors32", "factors32", "identity32"),
    64: ("factors64-teach", "factors64", "identity64"),
}
BATCH = 8  # targets at once
PRIOR = 0.05  # of the whitened searches
_LARGER = 4  # photos that are not aligned, in each direction
_TURN, _ZOOM, _SHIFT = np.radians(15), 0.8, 0.08  # of the side, to the right and down


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    n: int = 64  # pictures of each set and seed
    steps: int = 200  # of a search
    updates: int = 100  # of a generator's weights
    gallery: int = 10_000  # generated pictures: for "nearest", and to find directions


# ---- sets ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How a set's pictures come from factors."""

    manner: str = "painted"
    place: Callable | None = None  # (photos, factors, R) -> images, of photos that are _LARGER
    look: Callable = lambda images: images
    known: bool = True  # whether the factors say what should be read

    def __call__(self, factors: dict, seeds, resolution: int, of: dict | None = None) -> np.ndarray:
        """[N, 3, R, R].  of: the factors that `place` looks at; None: these."""
        large = resolution if self.place is None else _LARGER * resolution
        images = portraits.draw(factors, large, seeds, self.manner)
        if self.place is not None:
            images = self.place(images, of or factors, resolution)
        return self.look(images)

    def face(self, factors: dict, seeds, resolution: int) -> np.ndarray:
        """bool [N, R, R]: where the colour of the skin shows, and what that encloses."""
        painted = dataclasses.replace(self, manner="painted", look=lambda images: images)
        light, dark = (painted(factors | {"skin": np.full_like(factors["skin"], v)}, seeds,
                               resolution, factors) for v in (0, 1))  # fmt: skip
        skin = np.abs(light - dark).max(axis=1) > CHANGED
        # A mouth may touch the outline of the face, which does not change: closed first.
        closed = [ndimage.binary_closing(one, iterations=2) | one for one in skin]
        return np.stack([ndimage.binary_fill_holes(one) for one in closed])


def unaligned(photos, factors, resolution):
    """Smaller, turned and off the middle."""
    return shrink(_misplaced(photos), resolution)


def aligned(photos, factors, resolution):
    """The same, put right by their true landmarks."""
    size = photos.shape[-1]
    middle = (size - 1) / 2
    turn = _ZOOM * np.array([[np.cos(_TURN), -np.sin(_TURN)], [np.sin(_TURN), np.cos(_TURN)]])
    points = (portraits.landmarks(factors, size) - middle) @ turn.T + middle + _SHIFT * size
    pairs = zip(to_uint8(_misplaced(photos)), points, strict=True)
    return np.concatenate([align.align(x, p, resolution, "portraits")[0] for x, p in pairs])


def _misplaced(photos):
    # Of (y, x), and from a pixel of the result to the photo's.
    back = np.array([[np.cos(_TURN), -np.sin(_TURN)], [np.sin(_TURN), np.cos(_TURN)]]) / _ZOOM
    middle, size = (photos.shape[-1] - 1) / 2, photos.shape[-1]
    offset = middle - back @ np.full(2, middle + _SHIFT * size)
    return np.stack([
        [ndimage.affine_transform(c, back, offset, order=1, mode="nearest") for c in photo]
        for photo in photos
    ])  # fmt: skip


def negative(images):
    """Grey, and light where it was dark."""
    return -np.repeat(images.mean(axis=1, keepdims=True), images.shape[1], axis=1)


SETS = {
    "generated": None,
    "drawn": Drawing(),
    "sketch": Drawing("sketch"),
    "night": Drawing("night"),
    "unaligned": Drawing(place=unaligned),
    "aligned": Drawing(place=aligned),
    "negative": Drawing(look=negative, known=False),
}


# ---- methods -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A set of one seed, and what methods may know of it."""

    G: object
    features: Perceptual  # of the reader that teaches
    gallery: tuple  # (w [M, w_dim], their pictures uint8 [M, R, R, 3])
    targets: Targets
    again: np.ndarray  # the same factors, or the same w, with other chance
    sizes: Sizes
    seed: int
    done: dict = dataclasses.field(default_factory=dict)

    def found(self, method: str) -> Found:
        """What a method of METHODS finds; looked for once, since others may begin there."""
        if method not in self.done:
            self.done[method] = METHODS[method](self)
        return self.done[method]


def problem(which: str, seed: int, G, features, reader, gallery, sizes: Sizes) -> Problem:
    """The pictures of a set of SETS.  reader: that which measures; it reads generated pictures."""
    rng, drawing = np.random.default_rng([seed, 41]), SETS[which]
    if drawing is None:
        ws = G.mapping(rng.standard_normal((sizes.n, G.z_dim), np.float32))
        images, again = draw((G,), ws), G.synthesis(ws, "random", rng)
        read = reader.read(images)
        inside = {f.name: read[f.name] if f.choices else np.clip(read[f.name], f.low, f.high)
                  for f in portraits.FACTORS}  # fmt: skip
        targets = Targets(images, Drawing().face(inside, None, G.img_resolution), read, ws)
    else:
        factors = portraits.sample_factors(sizes.n, rng)
        seeds, others = rng.integers(1 << 40, size=(2, sizes.n))

        def edited(name, change):
            f = portraits.BY_NAME[name]
            now = factors | {name: np.clip(factors[name] + change, f.low, f.high)}
            return drawing(now, seeds, G.img_resolution, factors)

        again = drawing(factors, others, G.img_resolution)
        targets = Targets(
            drawing(factors, seeds, G.img_resolution),
            drawing.face(factors, seeds, G.img_resolution),
            factors if drawing.known else None,
            edited=edited,
        )
    return Problem(G, features, gallery, targets, again, sizes, seed)


def _drawn(p, w, seconds, numbers):
    """w [N, w_dim], the same in all layers."""
    ws = np.repeat(w[:, None], p.G.num_ws, axis=1)
    return Found(draw((p.G,), ws), ws, (p.G,), seconds / len(w), numbers)


def mean(p: Problem) -> Found:
    """Where searches begin."""
    w = inversion.statistics(p.G).mean.astype(p.targets.images.dtype)
    return _drawn(p, np.repeat(w[None], len(p.targets.images), axis=0), 0.0, 0)


def nearest(p: Problem) -> Found:
    """Of the gallery, by the squared error of pixels."""
    w, pictures = p.gallery
    begun, squares, n = time.perf_counter(), [], len(p.targets.images)
    wanted = p.targets.images.reshape(n, -1)
    for first in range(0, len(w), 1000):
        part = pictures[first : first + 1000].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        squares.append(metrics._squares(wanted, part.reshape(len(part), -1)))
    best = np.concatenate(squares, axis=1).argmin(axis=1)
    return _drawn(p, w[best], time.perf_counter() - begun, p.G.w_dim)


def searched(space: str, **settings) -> Callable[[Problem], Found]:
    """A method: the search of `editing/inversion.py`."""

    def method(p):
        s = inversion.Settings(space, steps=p.sizes.steps, seed=p.seed, **settings)
        ws, seconds, images = [], 0.0, p.targets.images
        for first in range(0, len(images), BATCH):
            one = inversion.optimise(p.G, images[first : first + BATCH], p.features, s)
            if one.done < s.steps:  # Ctrl-C: what it kept is no row
                raise KeyboardInterrupt
            ws.append(one.best.ws)
            seconds += one.seconds
        ws = np.concatenate(ws)
        numbers = p.G.w_dim * (p.G.num_ws if space == "w+" else 1)
        return Found(draw((p.G,), ws), ws, (p.G,), seconds / len(images), numbers)

    return method


def tuned(locality: tuning.Locality | None) -> Callable[[Problem], Found]:
    """A method: PTI from what the search in W found, one generator for each picture."""

    def method(p):
        pivot, generators, seconds = p.found("W"), [], 0.0
        s = tuning.Settings(steps=p.sizes.updates, locality=locality, seed=p.seed)
        for image, w in zip(p.targets.images, pivot.ws, strict=True):
            one = tuning.tune(p.G, image[None], w[None], p.features, s)
            if one.updates < s.steps:
                raise KeyboardInterrupt
            generators.append(one.G)
            seconds += one.seconds
        # What was learnt is an array of its own; the rest is the first generator's.
        learnt = sum(a.size for k, a in generators[0].params.items() if a is not p.G.params[k])
        return Found(draw(tuple(generators), pivot.ws), pivot.ws, tuple(generators),
                     pivot.seconds + seconds / len(generators), learnt + p.G.w_dim)  # fmt: skip

    return method


def other_chance(p: Problem) -> Found:
    """The floor: nobody can be asked for the grain of the picture."""
    return Found(p.again, None, (p.G,), 0.0, None)


def itself(p: Problem) -> Found:
    """The ceiling: the picture, of generated ones with its own w."""
    images = p.targets.images
    return Found(images, p.targets.ws, (p.G,), 0.0, images[0].size)


METHODS = {
    "mean of W": mean,
    "nearest": nearest,
    "W": searched("w"),
    "W+": searched("w+"),
    "W whitened": searched("w", whitened=True, prior=PRIOR),
    "W+ whitened": searched("w+", whitened=True, prior=PRIOR),
    "PTI": tuned(None),
    "PTI, locality": tuned(tuning.Locality()),
    "other chance": other_chance,
    "itself": itself,
}


# ---- the table -----------------------------------------------------------------------------------

KEY = {"set": str, "method": str, "seed": int}
# What all rows of a file share; tau: the cosine of `identity_share`.
MADE_WITH = {"n": int, "steps": int, "updates": int, "gallery": int, "generator": str,
             "teach": str, "measure": str, "identity_by": str, "tau": float}  # fmt: skip


def run(problem: Problem, judge: Judge, method: str) -> dict:
    """The numbers of one row."""
    return judge.score(problem.targets, problem.found(method))


TABLE = Table(KEY | dict.fromkeys(NUMBERS, float) | {"numbers": int} | MADE_WITH, run)


def make(
    G,
    path: str | os.PathLike,
    seeds: list[int],
    sizes: Sizes = Sizes(),
) -> list[dict]:
    """Measure what the CSV file `path` does not have yet, row by row; returns all of its rows.

    Raises: ValueError for a file of other networks or sizes; OSError, before the work,
    if it cannot be written.
    """
    path, called = pathlib.Path(path), READERS[min(64, G.img_resolution)]
    readers = [files.load_reader(name) for name in called]
    names = ("generator", "teach", "measure", "identity_by")
    shared = dataclasses.asdict(sizes) | dict(
        zip(names, (network.fingerprint for network in (G, *readers)), strict=True)
    )
    rows = TABLE.read(path) if path.exists() else []
    differ = sorted({k for row in rows for k, v in shared.items() if row[k] != v})
    if differ:
        raise ValueError(
            f"{path} was measured with other {', '.join(differ)}; expected the same, or a path "
            "where no file is"
        )
    done = {tuple(row[k] for k in KEY) for row in rows}
    left = [(s, m, seed) for seed in seeds for s in SETS for m in METHODS]
    left = [key for key in left if key not in done]
    TABLE.write(rows, path)  # that it can be written is known before the work
    if not left:
        return rows
    teach, measure, identity = readers
    gallery, read = generated(G, teach, sizes.gallery)
    judge = Judge.of(G, measure, identity, gallery[0], read)
    features, at = Perceptual(teach, called[0]), None
    for key in progress.bar(left, "table", unit="row"):
        which, method, seed = key
        if at != (which, seed):
            at = which, seed
            now = problem(which, seed, G, features, measure, gallery, sizes)
        row = dict(zip(KEY, key, strict=True)) | run(now, judge, method)
        rows.append(row | shared | {"tau": judge.strict})
        TABLE.write(rows, path)
    return rows


def generated(G, reader, n: int) -> tuple[tuple, dict]:
    """((w [n, w_dim], their pictures, uint8 [n, R, R, 3]), their factors as reader reads them)."""
    z = np.random.default_rng(42).standard_normal((n, G.z_dim), np.float32)
    ws, pictures, read = G.mapping(z), [], []
    for first in progress.bar(range(0, n, 64), "gallery", unit="batch"):
        images = G.synthesis(ws[first : first + 64])
        pictures.append(to_uint8(images))
        read.append(reader.read(images))
    factors = {name: np.concatenate([part[name] for part in read]) for name in read[0]}
    return (ws[:, 0], np.concatenate(pictures)), factors


COLUMNS = {"mse": 4, "perceptual": 3, "identity": 3, "identity_share": 2, "factor_error": 2,
           "right": 2, "w_error": 2, "mahalanobis": 1, **{f"editability_{k}": 2 for k in EDITS},
           "identity_edited": 2, "edit_inside": 3, "edit_outside": 3, "others_moved": 4,
           "seconds": 2, "numbers": 0}  # fmt: skip


def summary(rows: list[dict]) -> str:
    """A table of each set as Markdown: mean ± standard deviation over the seeds."""
    parts = []
    for which in dict.fromkeys(row["set"] for row in rows):
        mine = [row for row in rows if row["set"] == which]
        lines = [
            [method, *(mean_std([row[name] for row in mine if row["method"] == method], digits)
                       for name, digits in COLUMNS.items())]
            for method in dict.fromkeys(row["method"] for row in mine)
        ]  # fmt: skip
        parts.append(f"### {which}\n\n" + tables.table(["method", *COLUMNS], lines))
    first = rows[0]
    parts.append(f"{first['n']} pictures for each seed; searches of {first['steps']} steps. "
                 f"identity_share: cosines from {first['tau']:.2f}.")  # fmt: skip
    return "\n\n".join(parts)

"""The generator, tuned until it draws a picture from the w that nearly did (PTI).

Roich et al. 2021 (arXiv 2106.05744).  The pivot, a w of `inversion.py` in W, is where edits work,
but its picture is not quite the target; so all weights but the mapping network's move a little.

    pivot = inversion.optimise(G, photo, features, Settings("w", steps=450, lr=0.01)).best.ws
    tuned = tune(G, photo, pivot, features).G          one generator for these pictures

What the weights learn for one picture shows in all others.  The locality regulariser holds those
near the pivot to what the first generator drew (§3.3).

Read first: `inversion.py`.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from minigan import autograd, check, optim, progress
from minigan.device import beside, moved
from minigan.editing.inversion import BETAS, _draw
from minigan.editing.space import statistics

# What stays: the mapping network, since w is given, and the Fourier features of StyleGAN3.
_FIXED = ("mapping.", "synthesis.input.")
_TYPICAL = 1.25  # in typical distances of a w from the middle


@dataclasses.dataclass(frozen=True)
class Locality:
    """Pictures that should stay: of the w at a distance from the pivot, towards that of a new z."""

    pixel: float = 0.1  # weights
    perceptual: float = 0.1
    distance: float | None = None  # over all layers and numbers; None: 1.25 times the typical one
    samples: int = 1  # new z for each target, each time
    interval: int = 1  # every so many updates
    psi: float = 0.5  # of the z's truncation

    def __post_init__(self):
        check.fields(self, pixel=0, perceptual=0, samples=1, interval=1, distance=0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The defaults are the authors'."""

    steps: int = 350  # updates, at most
    lr: float = 3e-4
    pixel: float = 1.0  # weight of the mean squared error
    perceptual: float = 1.0
    enough: float = (
        0.0  # stop when no target's perceptual distance is larger; theirs: 0.06 of LPIPS
    )
    batch: int | None = None  # targets for each update, in turn; None: all
    locality: Locality | None = None
    seed: int = 0

    def __post_init__(self):
        least = dict.fromkeys(("lr", "pixel", "perceptual", "enough", "seed"), 0)
        check.fields(self, steps=1, batch=1, **least)


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
    """What came of it."""

    G: object  # the tuned generator
    losses: dict  # {"loss", "pixel", "perceptual", "locality": [as often as it was computed]}
    updates: int  # one fewer if it stopped because it was enough
    seconds: float


def tune(
    G,
    targets: np.ndarray,
    ws: np.ndarray,
    features: Callable,
    settings: Settings = Settings(),
    c: np.ndarray | None = None,
) -> Tuning:
    """One generator that draws all N targets from their ws.

    targets float [N, C, R, R] in [−1, 1]; ws [N, num_ws, w_dim], the pivots; features: images ->
    [N, F], such as `Perceptual`.  c [N, c_dim]: labels, for conditional networks.  The noise maps
    are the generator's own.  Ctrl-C ends it early.
    Raises: TypeError, ValueError for targets, ws or labels that do not fit.
    """
    check.finite("ws", ws, (None, G.num_ws, G.w_dim), like=G.w_avg)
    shape = (len(ws), G.img_channels, G.img_resolution, G.img_resolution)
    check.finite("targets", targets, shape, like=G.w_avg)
    c, local = G._labels(c, len(ws), ws), settings.locality
    learned = {k: a for k, a in G.params.items() if not k.startswith(_FIXED)}
    adam = optim.Adam(settings.lr, BETAS)
    moments, rows, seen = adam.init(learned), [], features(targets)
    distances = np.full(len(ws), np.inf)  # perceptual, as last seen
    size, begun, updates = min(settings.batch or len(ws), len(ws)), time.perf_counter(), 0
    if local is not None and local.distance is None:
        typical = _TYPICAL * statistics(G).radius * G.num_ws**0.5
        local = dataclasses.replace(local, distance=typical)
    try:
        for step in progress.bar(range(settings.steps), "tune", unit="step"):
            some = (np.arange(size) + step * size) % len(ws)
            near = None
            if local is not None and step % local.interval == 0:
                z = _draw(settings.seed, step, (size * local.samples, G.z_dim))
                near = _near(G, ws[some], None if c is None else c[some], z, local, features)

            def loss(learned, some=some, near=near):
                tuned = G.replace(params=G.params | learned)
                parts = _apart(tuned.synthesis(ws[some]), targets[some], features, seen[some])
                pixel, perceptual = np.mean(parts[0]), np.mean(parts[1])
                total = settings.pixel * pixel + settings.perceptual * perceptual
                stay = 0.0 * total if near is None else _stay(tuned, near, local, features)
                return total + stay, (pixel, perceptual, stay, parts[1])

            (total, aux), grads = autograd.value_and_grad(loss, has_aux=True)(learned)
            rows.append([float(a) for a in (total, *aux[:3])])
            distances[some] = moved(aux[3], "cpu")
            if distances.max() <= settings.enough:
                break
            learned, moments = adam.step(learned, grads, moments)
            updates += 1
    except KeyboardInterrupt:
        pass
    table = np.array(rows).reshape(-1, 4)
    losses = dict(zip(("loss", "pixel", "perceptual", "locality"), table.T, strict=True))
    tuned = G.replace(params=G.params | learned)
    return Tuning(tuned, losses, updates, time.perf_counter() - begun)


def _near(G, ws, c, z, local, features):
    """(ws near the pivots, G's pictures of them, what features sees there)."""
    times = len(z) // len(ws)
    c = None if c is None else np.repeat(c, times, axis=0)
    others = G.mapping(beside(z.astype(ws.dtype), ws), c, local.psi)
    near = towards(np.repeat(ws, times, axis=0), others, local.distance)
    images = G.synthesis(near, "none")
    return near, images, features(images)


def _stay(tuned, near, local, features):
    """How far the pictures of `near` have moved, weighted."""
    ws, images, seen = near
    mse, perceptual = _apart(tuned.synthesis(ws, "none"), images, features, seen)
    return local.pixel * np.mean(mse) + local.perceptual * np.mean(perceptual)


def _apart(images, targets, features, seen):
    """(mean squared error, perceptual distance), each [N]."""
    mse = np.mean(np.square(images - targets), axis=(1, 2, 3))
    return mse, np.sum(np.square(features(images) - seen), axis=1)


def towards(ws: np.ndarray, others: np.ndarray, distance: float) -> np.ndarray:
    """The points at this distance from ws, on the way to others: all [N, num_ws, w_dim].

    The distance is one number over all layers (the paper's Eq. 5, and its code).
    """
    way = others - ws
    return ws + way * (distance / np.sqrt(np.sum(np.square(way), axis=(1, 2), keepdims=True)))

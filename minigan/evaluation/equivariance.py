"""Does the picture move as the canvas moves?  EQ-T, EQ-T_frac and EQ-R (StyleGAN3, App. E).

A generator is equivariant to g if G(g[input]) = g[G(input)].  Both sides are made, and their mean
squared difference is told in decibels: 10·log₁₀(2²/MSE), 2 for the range of pixel values, over the
pixels that both sides know.  No network judges, so a number means the same for a toy as for the
paper's networks, but for the resolution and the number of samples.

Read next: `evaluation/measure.py`, where these stand among the other measures.
"""

import math

import numpy as np
import scipy.ndimage

from minigan import check, ops
from minigan.networks import base

LANCZOS = 3  # a: lobes of the reference's interpolation
_REACH = 2 * LANCZOS  # of the filter of rotations, in pixels …
_FAR = 64  # … which is designed this far out
_UP = 4  # taps for each pixel in it
MOST = 1 / 8  # of the canvas: the largest translation


def eq_t(G, rng, n=1000, batch=8):
    """EQ-T: translations by whole pixels, up to ⅛ of the canvas each way.  In dB; inf if exact.

    G: a StyleGAN3 (its input is moved), a StyleGAN2 (`moved_constants`), or anything with their
    interface and `transformed(matrix)`.  n latents (the paper has 50,000) from rng, ψ = 1; all of a
    batch are moved alike.  Raises: TypeError for a G that cannot be moved; ValueError for n < 1.
    """

    def draw(size):
        tx, ty = (round(t * size) / size for t in rng.uniform(-MOST, MOST, 2))
        return _shift(tx, ty), lambda before, after: (*integer_translation(before, tx, ty), after)

    return _psnr(G, rng, n, batch, draw)


def eq_t_frac(G, rng, n=1000, batch=8):
    """EQ-T_frac: translations by any amount.  The reference is interpolated, and is itself right to
    some 50 dB only.  Otherwise as `eq_t`."""

    def draw(size):
        tx, ty = rng.uniform(-MOST, MOST, 2)
        return _shift(tx, ty), lambda before, after: (
            *fractional_translation(before, tx, ty), after,
        )  # fmt: skip

    return _psnr(G, rng, n, batch, draw)


def eq_r(G, rng, n=1000, batch=8):
    """EQ-R: rotations by any angle, among what both pictures' bands can hold.  As `eq_t`.

    Only pixels 6 from any edge count, on both sides: at 32² few of them.
    """

    def draw(size):
        angle = rng.uniform(0, 2 * math.pi)
        matrix = np.eye(3)
        matrix[:2, :2] = turn(angle)

        def compare(before, after):
            reference, known = rotation(before, angle)
            after, there = pseudo_rotation(after, angle)
            return reference, known & there, after

        return matrix, compare

    return _psnr(G, rng, n, batch, draw)


def _shift(tx, ty):
    return np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1.0]])


def _psnr(G, rng, n, batch, draw):
    """draw(size) -> (the canvas' matrix, (before, after) -> (reference, mask, after))."""
    check.rng(rng)
    check.setting("equivariance", "n", n, (int,), 1)
    transformed(G, np.eye(3))  # it can be
    total = count = 0
    for first in range(0, n, batch):
        some = min(batch, n - first)
        z = rng.standard_normal((some, G.z_dim), np.float32)
        labels = rng.integers(G.c_dim, size=some) if G.c_dim else None
        ws = G.mapping(z, None if labels is None else np.eye(G.c_dim, dtype=np.float32)[labels])
        matrix, compare = draw(G.img_resolution)
        after = transformed(G, matrix).synthesis(ws)
        reference, known, after = compare(G.synthesis(ws), after)
        error = np.square(after.astype(np.float64) - reference)[:, :, known]
        total, count = total + error.sum(), count + error.size
    if count == 0:
        raise ValueError(
            f"equivariance: no pixel of {G.img_resolution} × {G.img_resolution} is known on both "
            "sides; expected a larger picture"
        )
    return 10 * math.log10(4 * count / total) if total else math.inf


def transformed(G, matrix):
    """G with its canvas transformed; see `stylegan3.Generator.transformed`.

    Raises: TypeError if there is nothing in it to be transformed.
    """
    if hasattr(G, "transformed"):
        return G.transformed(matrix)
    images = isinstance(G, base.Generator) and hasattr(G, "img_channels")
    if images and "synthesis.b4.const" in G.params:
        return moved_constants(G, matrix)
    raise TypeError(f"equivariance: G is a {type(G).__module__}.{type(G).__qualname__}; expected "
                    "one with `transformed`, or a StyleGAN2")  # fmt: skip


def moved_constants(G, matrix):
    """A StyleGAN 1 or 2 whose learned constant and noise maps are transformed: all it has that
    stands for a place.

    The paper measures StyleGAN2 with a Fourier input in place of the constant; these networks keep
    their own, interpolated between its 4 × 4 samples and continued beyond the edge.
    """
    inverse = np.linalg.inv(np.asarray(matrix, np.float64))

    def resampled(plane):
        size = plane.shape[-1]
        middle = (size - 1) / 2
        m = inverse[1::-1, 1::-1]  # rows first
        offset = middle - m @ [middle, middle] + inverse[1::-1, 2] * size
        return scipy.ndimage.affine_transform(plane, m, offset, order=1, mode="nearest")

    params, buffers = dict(G.params), dict(G.buffers)
    const = params["synthesis.b4.const"]
    planes = const.reshape(-1, 4, 4)
    params["synthesis.b4.const"] = np.stack([resampled(p) for p in planes]).reshape(const.shape)
    for name, value in buffers.items():
        if name.endswith(".noise_const"):
            buffers[name] = resampled(value)
    return G.replace(params=params, buffers=buffers)


# ---- what is done to a finished picture ----------------------------------------------------------


def integer_translation(x, tx, ty):
    """x [N, C, H, W] moved right by tx·W and down by ty·H pixels, rounded: (y, where it is known).

    The mask [H, W] is False where what came in is not known.
    """
    h, w = x.shape[2:]
    dx, dy = round(tx * w), round(ty * h)
    y, known = np.zeros_like(x), np.zeros((h, w), bool)
    (to_y, from_y), (to_x, from_x) = _overlap(dy, h), _overlap(dx, w)
    y[:, :, to_y, to_x] = x[:, :, from_y, from_x]
    known[to_y, to_x] = True
    return y, known


def _overlap(shift, size):
    to = slice(max(shift, 0), max(size + min(shift, 0), 0))
    return to, slice(max(-shift, 0), max(size - max(shift, 0), 0))


def fractional_translation(x, tx, ty):
    """As `integer_translation`, without rounding: by Lanczos interpolation, a = 3."""
    known = np.ones(x.shape[2:], bool)
    for axis, shift in ((3, tx * x.shape[3]), (2, ty * x.shape[2])):
        whole = math.floor(shift)
        taps = np.arange(1 - LANCZOS, LANCZOS + 1)
        at = taps - (shift - whole)
        weights = np.sinc(at) * np.sinc(at / LANCZOS)
        total = 0.0
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            move = (0, whole + tap) if axis == 2 else (whole + tap, 0)
            moved, there = integer_translation(x, move[0] / x.shape[3], move[1] / x.shape[2])
            total = total + weight * moved
            known &= there
        x = total
    return x, known


def rotation(x, angle):
    """x [N, C, H, W] turned by `angle` radians about its middle, counterclockwise as it is seen.

    Its band is what both the old and the new grid can hold, and the filter `_two_grids`.
    """
    h, w = x.shape[2:]
    forth = turn(angle)
    f = _two_grids(forth, _UP)
    y = ops.upfirdn2d(x, f, up=_UP, padding=f.shape[0] // 2, gain=_UP**2)
    middle = np.array([(h - 1) / 2, (w - 1) / 2])
    rows, columns = np.meshgrid(np.arange(h) - middle[0], np.arange(w) - middle[1], indexing="ij")
    source = np.linalg.inv(forth) @ np.stack([columns.ravel(), rows.ravel()])  # x, y
    at = np.stack([source[1] + middle[0], source[0] + middle[1]]) * _UP  # y[4i] stands at x[i]
    planes = [scipy.ndimage.map_coordinates(p, at, order=1) for p in y.reshape(-1, *y.shape[2:])]
    # Where the filter saw no edge, to the sample as the official code has it.
    first, last = f.shape[0] // 2 - 1, np.array([[h], [w]]) * _UP - f.shape[0] // 2 - 4
    known = ((np.rint(at) >= first) & (np.rint(at) <= last)).all(axis=0).reshape(h, w)
    return np.stack(planes).reshape(x.shape), known


def pseudo_rotation(x, angle):
    """x under the filter that `rotation` by this angle has on the other side, and not turned."""
    f = _two_grids(turn(-angle), 1)
    reach = f.shape[0] // 2
    known = np.zeros(x.shape[2:], bool)
    known[reach:-reach, reach:-reach] = True
    return ops.filter2d(x, f), known


def turn(angle):
    """[2, 2]: points turned by `angle` radians, counterclockwise as it is seen."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])  # y points down


def _two_grids(matrix, up):
    """What a grid of pixels and its image under `matrix` both can hold: a low-pass filter, at `up`
    taps a pixel.

    Ideal and windowed alike are a convolution of two, one along the axes of each grid.
    """
    t = np.arange(1 - _FAR * up, _FAR * up) / up
    here = np.stack(np.meshgrid(t, t), axis=-1)
    there = here @ matrix.T

    def both(along):
        parts = [np.fft.ifftshift(np.prod(along(grid), axis=-1)) for grid in (here, there)]
        product = np.fft.fft2(parts[0]) * np.fft.fft2(parts[1])
        return np.fft.fftshift(np.fft.ifft2(product).real)

    def window(x):
        return np.where(np.abs(x) < LANCZOS, np.sinc(x / LANCZOS), 0.0)

    f = both(np.sinc) * both(window)
    cut = (_FAR - _REACH) * up
    f = f[cut:-cut, cut:-cut]  # odd, its middle at 0
    size = 2 * _REACH
    phases = np.pad(f, ((0, 1), (0, 1))).reshape(size, up, size, up)
    phases = phases / phases.sum(axis=(0, 2), keepdims=True) / up**2  # each phase keeps the mean
    return phases.reshape(size * up, size * up)[:-1, :-1]

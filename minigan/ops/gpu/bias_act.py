"""bias_act, what its derivatives need, and the dense layer, on the GPU (bias_act.cu)."""

import math

import numpy as np

from minigan.device import cupy
from minigan.ops.epilogue import Epilogue
from minigan.ops.gpu.launch import (
    PLANES,
    THREADS,
    blocks,
    contiguous,
    epilogue_arguments,
    launch,
)


def bias_act(x, dim, b, act, alpha, gain, clamp, scale=None, noise=None):
    """clamp(gain · act(x·scale + noise + b)) in one pass: see `minigan.ops.bias_act`."""
    return summed(x[None], Epilogue(b, act, alpha, gain, clamp, scale, noise), dim)


def summed(parts, epilogue=None, dim=1):
    """The sum of parts [parts, …], and its `Epilogue` or None, in one pass."""
    parts = contiguous(parts)
    y = cupy().empty(parts.shape[1:], parts.dtype)
    channels, inner = y.shape[dim], math.prod(y.shape[dim + 1 :])
    alike = epilogue is None or epilogue.b is epilogue.scale is epilogue.noise is None
    if alike and y.size < 1 << 31:
        channels, inner = 1, y.size
    if y.size:
        planes, (fours, each) = y.size // inner, _fours(inner, parts)
        grid = (blocks(inner, 4 * each * THREADS), min(planes, PLANES), 1)
        end = epilogue_arguments(epilogue, y, dim)
        args = (parts, y, len(parts), planes, channels, inner, *end)
        launch("bias_act", f"bias_act{fours}", grid, (THREADS, 1, 1), args, y.dtype)
    return y


def _fours(size, *arrays):
    """How the name of a kernel for contiguous rows of so many numbers ends, and how many it reads
    at once: four, if all rows begin at a multiple of 16 bytes."""
    aligned = size % 4 == 0 and all(a.data.ptr % 16 == 0 for a in arrays)
    return ("_fours", 4) if aligned else ("", 1)


def scale_noise_act(x, scale, noise, b, alpha, gain, clamp):
    """The piecewise linear ones, as the CPU's of this name: alpha is the slope below zero."""
    return bias_act(x, 1, b, "lrelu", alpha, gain, clamp, scale, noise)


def act_slope(g, y, alpha, gain, clamp):
    """g times the slope of a piecewise linear act whose result was y."""
    g, y = contiguous(g), contiguous(y)
    dx = cupy().empty(g.shape, g.dtype)
    if g.size:
        limit = -1.0 if clamp is None else float(clamp)
        args = (g, y, dx, np.int64(g.size), float(alpha), float(gain), limit)
        fours, each = _fours(g.size, g, y)
        grid = (blocks(g.size, 4 * each * THREADS), 1, 1)
        launch("bias_act", f"act_slope{fours}", grid, (THREADS, 1, 1), args, g.dtype)
    return dx


def pixel_dot(x, y):
    """[N, C]: Σ over the pixels of x·y, both [N, C, H, W]; of x, if y is None."""
    if y is None:
        return x.sum(axis=(2, 3))
    x, y = contiguous(x), contiguous(y)
    out = cupy().empty(x.shape[:2], x.dtype)
    if x.size:
        args = (x, y, out, x.shape[2] * x.shape[3])
        launch("bias_act", "pixel_dot", (out.size, 1, 1), (THREADS, 1, 1), args, x.dtype)
    return out


def square_sums(w):
    """[O, C]: Σ over the kernel of w², w [O, C, kh, kw]."""
    w, out = contiguous(w), cupy().empty(w.shape[:2], w.dtype)
    if w.size:
        args = (w, out, out.size, w.shape[2] * w.shape[3])
        launch("bias_act", "square_sums", (blocks(out.size, THREADS), 1, 1), (THREADS, 1, 1), args,
               w.dtype)  # fmt: skip
    return out


def dense(x, w, epilogue):
    """x [N, C], w [O, C] -> [N, O]: x @ w.T and its `Epilogue` or None, in one pass."""
    (N, C), O = x.shape, w.shape[0]
    x, w, y = contiguous(x), contiguous(w), cupy().empty((N, O), x.dtype)
    if y.size:
        grid = (blocks(O, THREADS // 32), blocks(N, 8), 1)
        args = (x, w, y, N, C, O, *epilogue_arguments(epilogue, y))
        launch("bias_act", "dense", grid, (THREADS, 1, 1), args, x.dtype)
    return y

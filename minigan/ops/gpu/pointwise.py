"""bias_act, what its derivatives need, and the dense layer, on the GPU (pointwise.cu)."""

import math

import numpy as np

from minigan.device import cupy
from minigan.ops.gpu.launch import (
    PLANES,
    THREADS,
    blocks,
    contiguous,
    finish_arguments,
    launch,
)


def bias_act(x, dim, b, act, alpha, gain, clamp, scale=None, noise=None):
    """clamp(gain · act(x·scale + noise + b)) in one pass: see `minigan.ops.bias_act`."""
    x = contiguous(x)
    y = cupy().empty(x.shape, x.dtype)
    channels, inner = x.shape[dim], math.prod(x.shape[dim + 1 :])
    if b is scale is noise is None:  # all numbers alike
        channels, inner = (1, x.size) if x.size < 1 << 31 else (channels, inner)
    if x.size:
        finish = {"b": b, "act": act, "alpha": alpha, "gain": gain, "clamp": clamp, "scale": scale,
                  "noise": noise}  # fmt: skip
        planes = x.size // inner
        grid = (blocks(inner, 4 * THREADS), min(planes, PLANES), 1)
        args = (x, y, planes, channels, inner, *finish_arguments(finish))
        launch("pointwise", "bias_act", grid, (THREADS, 1, 1), args, x.dtype)
    return y


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
        grid = (blocks(g.size, 4 * THREADS), 1, 1)
        launch("pointwise", "act_slope", grid, (THREADS, 1, 1), args, g.dtype)
    return dx


def pixel_dot(x, y):
    """[N, C]: Σ over the pixels of x·y, both [N, C, H, W]; of x, if y is None."""
    if y is None:
        return x.sum(axis=(2, 3))
    x, y = contiguous(x), contiguous(y)
    out = cupy().empty(x.shape[:2], x.dtype)
    if x.size:
        args = (x, y, out, x.shape[2] * x.shape[3])
        launch("pointwise", "pixel_dot", (out.size, 1, 1), (THREADS, 1, 1), args, x.dtype)
    return out


def dense(x, w, finish):
    """x [N, C], w [O, C] -> [N, O]: bias_act(x @ w.T, **finish) in one pass."""
    (N, C), O = x.shape, w.shape[0]
    x, w, y = contiguous(x), contiguous(w), cupy().empty((N, O), x.dtype)
    if y.size:
        grid = (blocks(O, THREADS // 32), blocks(N, 8), 1)
        args = (x, w, y, N, C, O, *finish_arguments(finish))
        launch("pointwise", "dense", grid, (THREADS, 1, 1), args, x.dtype)
    return y

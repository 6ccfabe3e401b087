"""The CPU engine: the functions of `loops.py`, with the same arguments, in Numba.

Read in this order: `simd.py` (registers), `jit.py` (compiling), `direct.py`, `winograd.py` and
`winograd_up.py` (convolution), `conv.py` (which of them, and the layout), `taps.py` (registers
again), `resample.py` (upfirdn2d), `filtered.py` (filtered_lrelu), `pointwise.py` (bias and
activation); then `memory.py` (what results are written to) and `team.py` (threads).
"""

import math

import numpy as np

from minigan.ops.cpu import conv, filtered, memory, pointwise, resample, team
from minigan.ops.cpu.conv import (
    contiguous,
    conv2d,
    conv2d_weight_grad,
    conv_transpose2d,
    images,
    innermost,
)
from minigan.ops.cpu.simd import BYTES
from minigan.ops.cpu.team import share
from minigan.ops.resampling import factors

__all__ = [
    "act_slope",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "filtered_lrelu",
    "free_memory",
    "pixel_dot",
    "masked",
    "scale_noise_act",
    "square_sums",
    "upfirdn2d",
]


def free_memory():
    """See `minigan.ops.free_memory`."""
    conv.forget()
    team.forget_scratch()
    memory.release()


_CACHED = 1 << 26  # bytes; results may stay in a cache up to here


def _none(x):
    return np.empty(0, x.dtype)


def scale_noise_act(x, scale, noise, b, alpha, gain, clamp):
    """clamp(gain·lrelu(x·scale + noise + b)) in one pass; x [N, C, H, W], scale [N, C],
    noise [1 or N, 1, H, W], b [C], each of the three or None; alpha is the slope below zero."""
    N, C, H, W = x.shape
    y, out = images(N, C, H, W, x.dtype)
    extra = [_none(x) if a is None else contiguous(a).reshape(-1) for a in (scale, noise, b)]
    height = max(1, (1 << 16) // C)
    numbers = (x.dtype.type(v) for v in (gain, alpha, -1.0 if clamp is None else clamp))
    args = (*extra, out, N, H * W, C, *numbers, height)
    share(pointwise.finish, -(-N * H * W // height), innermost(x), *args, work=x.size * 8)
    return y


def pixel_dot(x, y):
    """[N, C]: Σ over the pixels of x·y, both [N, C, H, W]; of x, if y is None."""
    N, C, H, W = x.shape
    out = np.empty((N, C), x.dtype)
    y = _none(x) if y is None else innermost(y)
    args = (y, out.reshape(-1), H * W, C)
    share(pointwise.pixel_dot, N, innermost(x), *args, work=x.size * 4)
    return out


def square_sums(w):
    """[O, C]: Σ over the kernel of w², w [O, C, kh, kw]."""
    out, size, rows = np.empty(w.shape[:2], w.dtype), w.shape[2] * w.shape[3], 1 << 14
    args = (out.reshape(-1), size, rows)
    share(
        pointwise.square_sums,
        -(-out.size // rows),
        contiguous(w).reshape(-1),
        *args,
        work=w.size * 4,
    )
    return out


def act_slope(g, y, alpha, gain, clamp):
    """g times the slope of a piecewise linear act whose result was y."""
    if g.ndim == 4:
        N, C, H, W = g.shape
        dx, out = images(N, C, H, W, g.dtype)
        g, y = innermost(g), innermost(y)
    else:
        g, y = contiguous(g), contiguous(y)
        dx = np.empty_like(g)
        g, y, out = g.reshape(-1), y.reshape(-1), dx.reshape(-1)
    numbers = (g.dtype.type(v) for v in (gain, alpha, -1.0 if clamp is None else clamp))
    tasks = -(-g.size // (1 << 16))
    share(pointwise.slopes, tasks, g, y, out, *numbers, 1 << 16, work=g.size * 8)
    return dx


def _taps(f):
    """The filter for the kernels, (fx [1, taps], fy [taps]), or (f [ty, tx], []) if it is no outer
    product; then its height and its width."""
    fx, fy = factors(f)
    return (fx[None], fy, fy.size, fx.size) if fy is not None else (fx, _none(fx), *fx.shape)


def upfirdn2d(x, f, up, down, padding):
    """See `minigan.ops.upfirdn2d`."""
    N, C, H, W = x.shape
    fx, fy, ty, tx = _taps(f)
    x0, x1, y0, y1 = padding
    OH = (H * up[1] + y0 + y1 - ty) // down[1] + 1
    OW = (W * up[0] + x0 + x1 - tx) // down[0] + 1
    y, out = images(N, C, OH, OW, x.dtype)
    across = resample.plan(0, OW, tx, up[0], down[0], x0)
    along = resample.rows(OH, H, ty, up[1], down[1], y0)
    first, end = resample.reach(0, OW, tx, up[0], down[0], x0)
    left, right = max(0, -first), max(0, end - W)
    # Four rows of each phase at a time, so that the rows of x that they share are read once.
    phases = up[1] // math.gcd(up[1], down[1])
    lines = min(OH, 4 * phases) if fy.size else 1
    long = (left + W + right) * C + resample.PAD
    # What they read is read again for the next.  Many rows, a power of two apart, would compete
    # for one set of the cache: then they are held elsewhere.
    many = (ty + (lines - 1) * down[1] - 1) // up[1] + 1
    deep = 2 * many if fy.size and many > 10 and W * C * x.itemsize % 4096 == 0 else 0
    # What no cache could hold goes past it, if most of the memory's work is to write.
    past = int(
        fy.size and out.nbytes > max(_CACHED, 2 * x.nbytes) and OW * C * x.itemsize % BYTES == 0
    )
    # Bands of some 4 MB, so that two threads seldom come to one page of new memory together.
    height = max(1, min(OH, -(-OH * N // 4), (1 << 20) // (OW * C)))
    height = -(-height // lines) * lines
    args = (fx, fy, out, across, left, long, along)
    sizes = (N, H, W, C, OH, OW, *up, height, phases, lines, past, deep)
    work = out.size * (ty // up[1] + tx // up[0] + 2)
    share(
        resample.upfirdn, N * -(-OH // height), innermost(x), *args, *sizes, work=work,
        scratch=(lines + deep) * long + past * OW * C,
    )  # fmt: skip
    return y


def filtered_lrelu(x, b, fu, fd, up, down, padding, gain, slope, clamp, keep=False):
    """See `minigan.ops.filtered_lrelu`.  With `keep`, returns (y, codes) for `masked`."""
    clamp = -1.0 if clamp is None else clamp
    mode = 1 if keep else 0
    y, codes = _filtered(
        x, b, None, fu, fd, up, down, padding, (0, 0, 0, 0), gain, slope, clamp, mode
    )
    return (y, codes) if keep else y


def masked(x, codes, fu, fd, up, down, padding, padding_down, gain, slope):
    """Up, times the slope that codes [N, MH, MW, …] stand for, down: linear in x, and its own
    transpose with filters, rates and paddings exchanged."""
    after, clamp, mode = padding_down, -1.0, 2
    y, _ = _filtered(x, None, codes, fu, fd, up, down, padding, after, gain, slope, clamp, mode)
    return y


def _filtered(x, b, codes, fu, fd, up, down, padding, after, gain, slope, clamp, mode):
    N, C, H, W = x.shape
    (fux, fuy, uty, utx), (fdx, fdy, dty, dtx) = _taps(fu), _taps(fd)
    x0, x1, y0, y1 = padding
    MH, MW = H * up[1] + y0 + y1 - uty + 1, W * up[0] + x0 + x1 - utx + 1
    OH = (MH + after[2] + after[3] - dty) // down[1] + 1
    OW = (MW + after[0] + after[1] - dtx) // down[0] + 1
    y, out = images(N, C, OH, OW, x.dtype)
    if mode != 2:
        codes = np.empty((N, MH, MW, -(-C // 32)) if mode else (0, 0, 0, 0), np.uint64)
    lanes = BYTES // x.itemsize
    wide = min(-(-C // lanes) * lanes, 32)
    # For a filter down that is no outer product, more of each row is held: so tiles are narrower.
    most = 96 if fdy.size else 64
    tiles, up_x, down_x = filtered.tiles(OW, MW, utx, dtx, up[0], down[0], x0, after[0], most)
    # One band an image, or more where images, tiles and channels would not occupy the cores.
    parts = N * len(tiles) * -(-C // wide)
    height = OH if parts >= 16 else max(4 * dty, -(-OH * parts // 16))
    tasks = parts * -(-OH // height)
    numbers = (x.dtype.type(v) for v in (gain, slope, clamp))
    up_y = resample.rows(MH, H, uty, up[1], 1, y0)
    down_y = resample.rows(OH, MH, dty, 1, down[1], after[2])
    together = 4 * up[1] if fuy.size else 1
    deep = 2 * ((uty + together - 2) // up[1] + 1)
    depth = (2 if fdy.size else 1) * dty + 3 * down[1] + together
    folded = int(fdx.shape == (12, 12) and down[0] == 2 and np.array_equal(fdx, fdx[::-1]))
    o, m, w = (tiles[:, i + 1] - tiles[:, i] for i in (0, 2, 4))
    row = o if fdy.size else m
    args = (
        _none(x) if b is None else contiguous(b), fux, fuy, fdx, fdy, out, codes.reshape(-1),
        tiles.reshape(-1), up_x, up_y, down_x, down_y, N, H, W, C, MH, MW, OH, OW, *up, *numbers,
        mode, height, wide, depth, deep, folded,
    )  # fmt: skip
    share(
        filtered.filtered_lrelu, tasks, innermost(x), *args,
        work=N * C * MH * MW * 8,
        scratch=int(((deep + together) * w + m + depth * row + 1).max()) * wide
        + (depth + deep + together) * resample.PAD,
    )  # fmt: skip
    return y, codes

"""One pass over an image: scale, noise, bias, activation, gain, clamp; and its derivative.

Arrays are flat, with channels innermost.  Empty arrays stand for what is not wanted.
"""

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.layout import absent, contiguous, images, innermost
from minigan.ops.cpu.runtime.simd import BYTES, choose, fma, load, sign_bits, store, zero
from minigan.ops.cpu.runtime.threads import share


@kernel
def _finish(first, last, memory, x, scale, noise, b, out, N, P, C, gain, slope, clamp, height):
    """out = clamp(gain · lrelu(x·scale[n, c] + noise[n, p] + b[c])), P pixels an image.

    scale [N, C]; noise [P], or [N, P]; b [C]; clamp < 0 is none.  Tasks: `height` pixels.
    """
    lanes = BYTES // x.itemsize
    for task in range(first, last):
        for p in range(task * height, min(N * P, (task + 1) * height)):
            n, at = p // P, p * C
            grain = noise[p % noise.size] if noise.size else x.dtype.type(0)
            for c in range(0, C // lanes * lanes, lanes):
                v = load(x, at + c)
                if scale.size:
                    v = v * load(scale, n * C + c)
                if noise.size:
                    v = v + grain
                if b.size:
                    v = v + load(b, c)
                v = choose(sign_bits(v), v * (gain * slope), v * gain)
                if clamp >= 0:
                    v = choose(sign_bits(v + clamp), zero(x) - clamp, v)
                    v = choose(sign_bits((zero(x) + clamp) - v), zero(x) + clamp, v)
                store(out, at + c, v)
            for c in range(C // lanes * lanes, C):
                s = x[at + c]
                if scale.size:
                    s *= scale[n * C + c]
                s += grain
                if b.size:
                    s += b[c]
                s *= gain * slope if s < 0 else gain
                if clamp >= 0:
                    s = -clamp if s < -clamp else clamp if s > clamp else s
                out[at + c] = s


@kernel
def _slopes(first, last, memory, g, y, out, gain, alpha, clamp, height):
    """out = g times the derivative of `_finish` where its result is y.  Tasks: `height` numbers."""
    lanes = BYTES // g.itemsize
    for task in range(first, last):
        begin, end = task * height, min(g.size, (task + 1) * height)
        whole = begin + (end - begin) // lanes * lanes
        for i in range(begin, whole, lanes):
            v, at = load(g, i), load(y, i)
            factor = choose(sign_bits(zero(g) - at), zero(g) + gain, zero(g) + gain * alpha)
            if clamp >= 0:
                inside = sign_bits(at - clamp) & sign_bits((zero(g) - clamp) - at)
                factor = choose(inside, factor, zero(g))
            store(out, i, v * factor)
        for i in range(whole, end):
            factor = gain if y[i] > 0 else gain * alpha
            if clamp >= 0 and abs(y[i]) >= clamp:
                factor = g.dtype.type(0)
            out[i] = g[i] * factor


@kernel
def _pixel_dot(first, last, memory, x, y, out, P, C):
    """out [N, C] = Σ over pixels of x·y, or x, 64 of them at a time.  Tasks: images."""
    lanes = BYTES // x.itemsize
    whole = C // lanes * lanes
    for n in range(first, last):
        for c in range(C):
            out[n * C + c] = 0
        for begin in range(n * P, (n + 1) * P, 64):
            end = min((n + 1) * P, begin + 64)
            for c in range(0, whole, lanes):
                total = zero(x)
                for at in range(begin * C + c, end * C, C):
                    total = fma(load(x, at), load(y, at), total) if y.size else total + load(x, at)
                store(out, n * C + c, load(out, n * C + c) + total)
            for c in range(whole, C):
                s = x.dtype.type(0)
                for at in range(begin * C + c, end * C, C):
                    s += x[at] * y[at] if y.size else x[at]
                out[n * C + c] += s


@kernel
def _square_sums(first, last, memory, w, out, size, rows):
    """out[r] = Σ of the squares of row r of w [R, size].  Tasks: `rows` of them."""
    for r in range(first * rows, min(out.size, last * rows)):
        total = w.dtype.type(0)
        for i in range(r * size, (r + 1) * size):
            total += w[i] * w[i]
        out[r] = total


def scale_noise_act(x, scale, noise, b, alpha, gain, clamp):
    """clamp(gain·lrelu(x·scale + noise + b)) in one pass; x [N, C, H, W], scale [N, C],
    noise [1 or N, 1, H, W], b [C], each of the three or None; alpha is the slope below zero."""
    N, C, H, W = x.shape
    y, out = images(N, C, H, W, x.dtype)
    extra = [absent(x) if a is None else contiguous(a).reshape(-1) for a in (scale, noise, b)]
    height = max(1, (1 << 16) // C)
    real, clamp = x.dtype.type, -1.0 if clamp is None else clamp
    args = (*extra, out, N, H * W, C, real(gain), real(alpha), real(clamp), height)
    share(_finish, -(-N * H * W // height), innermost(x), *args, work=x.size * 8)
    return y


def pixel_dot(x, y):
    """[N, C]: Σ over the pixels of x·y, both [N, C, H, W]; of x, if y is None."""
    N, C, H, W = x.shape
    out = np.empty((N, C), x.dtype)
    y = absent(x) if y is None else innermost(y)
    args = (y, out.reshape(-1), H * W, C)
    share(_pixel_dot, N, innermost(x), *args, work=x.size * 4)
    return out


def square_sums(w):
    """[O, C]: Σ over the kernel of w², w [O, C, kh, kw]."""
    out, size, rows = np.empty(w.shape[:2], w.dtype), w.shape[2] * w.shape[3], 1 << 14
    args = (out.reshape(-1), size, rows)
    share(
        _square_sums,
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
    share(_slopes, tasks, g, y, out, *numbers, 1 << 16, work=g.size * 8)
    return dx

"""One pass over an image: scale, noise, bias, activation, gain, clamp; and its derivative.

Arrays are flat, with channels innermost.  Empty arrays stand for what is not wanted.
"""

from minigan.ops.cpu.jit import kernel
from minigan.ops.cpu.simd import BYTES, choose, fma, load, sign_bits, store, zero


@kernel
def finish(first, last, memory, x, scale, noise, b, out, N, P, C, gain, slope, clamp, height):
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
def slopes(first, last, memory, g, y, out, gain, alpha, clamp, height):
    """out = g times the derivative of `finish` where its result is y.  Tasks: `height` numbers."""
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
def pixel_dot(first, last, memory, x, y, out, P, C):
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
def square_sums(first, last, memory, w, out, size, rows):
    """out[r] = Σ of the squares of row r of w [R, size].  Tasks: `rows` of them."""
    for r in range(first * rows, min(out.size, last * rows)):
        total = w.dtype.type(0)
        for i in range(r * size, (r + 1) * size):
            total += w[i] * w[i]
        out[r] = total

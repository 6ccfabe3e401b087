"""upfirdn2d and filtered_lrelu: no inserted zero is multiplied, no padded or stuffed array written.

Along one axis, output o of an up-FIR-down is Σ_j f[k + up·j] · x[i + j] over n terms: only every
up-th tap meets a sample.  `plan` works out k, i and n for each o once, with the terms that fall
outside the image left out; the kernels then follow it.  Arrays are flat, channels innermost, so one
loop serves both axes: a weighted sum of runs of memory.
"""

import numpy as np

from minigan.ops.cpu.jit import kernel
from minigan.ops.cpu.simd import BYTES, choose, fma, load, sign_bits, splat, store, zero


def plan(size, out, taps, up, down, before):
    """int64 [out, 3]: for each output the first tap k, the first sample i, and the terms n."""
    start = np.arange(out, dtype=np.int64) * down - before  # in the zero-stuffed, unpadded signal
    k = -start % up
    i = (start + k) // up
    n = -(-(taps - k) // up)
    skipped = np.maximum(0, -i)
    k, i, n = k + up * skipped, i + skipped, n - skipped
    return np.stack([k, i, np.clip(np.minimum(n, size - i), 0, None)], axis=1)


@kernel
def combine(out, o, x, i, run, taps, k, up, n, width, add):
    """out[o + c] = Σ_j taps[k + up·j] · x[i + j·run + c] for c < width; `add` adds to it."""
    lanes = BYTES // x.itemsize
    c = 0
    while c + 4 * lanes <= width:
        if add:
            s0, s1 = load(out, o + c), load(out, o + c + lanes)
            s2, s3 = load(out, o + c + 2 * lanes), load(out, o + c + 3 * lanes)
        else:
            s0 = s1 = s2 = s3 = zero(x)
        at = i + c
        for j in range(n):
            f = splat(taps, k + up * j)
            s0, s1 = fma(f, load(x, at), s0), fma(f, load(x, at + lanes), s1)
            s2, s3 = fma(f, load(x, at + 2 * lanes), s2), fma(f, load(x, at + 3 * lanes), s3)
            at += run
        store(out, o + c, s0)
        store(out, o + c + lanes, s1)
        store(out, o + c + 2 * lanes, s2)
        store(out, o + c + 3 * lanes, s3)
        c += 4 * lanes
    while c + lanes <= width:
        s0 = load(out, o + c) if add else zero(x)
        for j in range(n):
            s0 = fma(splat(taps, k + up * j), load(x, i + j * run + c), s0)
        store(out, o + c, s0)
        c += lanes
    while c < width:
        total = out[o + c] if add else x.dtype.type(0)
        for j in range(n):
            total += taps[k + up * j] * x[i + j * run + c]
        out[o + c] = total
        c += 1


@kernel
def upfirdn(first, last, line, x, fx, fy, out, across, along, N, H, W, C, OH, OW, ux, uy, height):
    """Tasks: bands of `height` output rows.  across, along: the plans of x and y.

    fx [1, taps] along x and fy [taps] along y; or, not separable, fx [taps, taps] and fy empty.
    line: memory for one row.
    """
    bands = (OH + height - 1) // height
    separable, taps = fy.size > 0, fx.shape[1]
    fx = fx.reshape(-1)
    for task in range(first, last):
        n, top = task // bands, task % bands * height
        for row in range(top, min(OH, top + height)):
            k, i, terms = along[row]
            to = (n * OH + row) * OW * C
            start = (n * H + i) * W * C
            if separable:
                combine(line, 0, x, start, W * C, fy, k, uy, terms, W * C, False)
                for p in range(OW):
                    a, b, m = across[p]
                    combine(out, to + p * C, line, b * C, C, fx, a, ux, m, C, False)
            else:
                out[to : to + OW * C] = 0
                for j in range(terms):
                    for p in range(OW):
                        a, b, m = across[p]
                        a += (k + uy * j) * taps
                        combine(
                            out, to + p * C, x, start + (j * W + b) * C, C, fx, a, ux, m, C, True
                        )


@kernel
def lrelu(line, size, gain, slope, clamp, codes, at, mode):
    """line ← clamp(gain·lrelu(line)) in place; a whole number of vectors.

    mode 1 also writes 2 bits a sample, negative and clamped, a 64-bit word for 32 samples; mode 2
    multiplies by the slope that such codes stand for, instead: gain, gain·slope or 0.
    """
    lanes = BYTES // line.itemsize
    for start in range(0, size, 32):
        low, high = np.uint64(0), np.uint64(0)
        word = codes[at + start // 32] if mode == 2 else np.uint64(0)
        for c in range(start, min(size, start + 32), lanes):
            shift = np.uint64(c - start)
            v = load(line, c)
            if mode == 2:
                v = choose(word >> shift, v * (gain * slope), v * gain)
                v = choose(word >> (shift + np.uint64(32)), zero(line), v)
            else:
                below = sign_bits(v)
                v = choose(below, v * (gain * slope), v * gain)
                if clamp >= 0:
                    above = sign_bits((zero(line) + clamp) - v)
                    under = sign_bits(v + clamp)
                    v = choose(above, zero(line) + clamp, choose(under, zero(line) - clamp, v))
                    high |= (above | under) << shift
                low |= below << shift
            store(line, c, v)
        if mode == 1:
            codes[at + start // 32] = low | (high << np.uint64(32))


@kernel
def filtered_lrelu(
    first, last, memory, x, b, ux_taps, uy_taps, dx_taps, dy_taps, out, codes,
    up_x, up_y, down_x, down_y, N, H, W, C, OH, OW, ux, uy, dx, dy, y0,
    gain, slope, clamp, mode, height, wide,
):  # fmt: skip
    """Up, leaky ReLU, down, a row of the upsampled image at a time: never more of it in memory.

    Tasks: images × bands of `height` output rows × blocks of `wide` channels.  up_x [MW, 3] and
    up_y [MH, 3] are the plans onto the upsampled image, down_x [OW, 3] and down_y [OH, 3] those
    from it.  Filters as for `upfirdn`.  codes [N, MH, MW, words]; y0 pads before down's rows.
    """
    MH, MW = up_y.shape[0], up_x.shape[0]
    bands, cuts = (OH + height - 1) // height, (C + wide - 1) // wide
    words = (C + 31) // 32
    lanes = BYTES // x.itemsize
    u_tx, d_tx, d_ty = ux_taps.shape[1], dx_taps.shape[1], max(dy_taps.size, dx_taps.shape[0])
    flat_u, flat_d = ux_taps.reshape(-1), dx_taps.reshape(-1)
    for task in range(first, last):
        n, top, c0 = task // (bands * cuts), task // cuts % bands * height, task % cuts * wide
        end, here = min(OH, top + height), min(wide, C - c0)
        whole = (here + lanes - 1) // lanes * lanes  # rows in memory hold whole vectors
        low = memory[: W * whole]
        mid = memory[low.size : low.size + MW * whole]
        thin = memory[low.size + mid.size : low.size + mid.size + OW * whole]
        low[:] = 0
        for row in range(top, end):
            for p in range(OW):
                to = ((n * OH + row) * OW + p) * C + c0
                out[to : to + here] = 0
        for m in range(max(0, top * dy - y0), min(MH, (end - 1) * dy - y0 + d_ty)):
            k, i, terms = up_y[m]
            start = (n * H + i) * W * C + c0
            if uy_taps.size:
                shift = x.dtype.type(0)
                for j in range(terms):
                    shift += uy_taps[k + uy * j]
                for p in range(W):
                    combine(
                        low, p * whole, x, start + p * C, W * C, uy_taps, k, uy, terms, here, False
                    )
                    if b.size:
                        for c in range(here):
                            low[p * whole + c] += shift * b[c0 + c]
                for p in range(MW):
                    a, i, terms = up_x[p]
                    combine(
                        mid, p * whole, low, i * whole, whole, flat_u, a, ux, terms, whole, False
                    )
            else:
                mid[:] = 0
                for j in range(terms):
                    for p in range(W):
                        for c in range(here):
                            at = start + (j * W + p) * C + c
                            low[p * whole + c] = x[at] + b[c0 + c] if b.size else x[at]
                    for p in range(MW):
                        a, i, count = up_x[p]
                        a += (k + uy * j) * u_tx
                        combine(
                            mid, p * whole, low, i * whole, whole, flat_u, a, ux, count, whole, True
                        )
            for p in range(MW):
                at = ((n * MH + m) * MW + p) * words + c0 // 32
                part = mid[p * whole : (p + 1) * whole]
                lrelu(part, whole, gain, slope, clamp, codes, at, mode)
            if dy_taps.size:
                for p in range(OW):
                    a, i, terms = down_x[p]
                    combine(
                        thin, p * whole, mid, i * whole, whole, flat_d, a, 1, terms, whole, False
                    )
            # Output rows r with 0 ≤ m + y0 − r·dy < taps meet this row.
            for row in range(max(top, (m + y0 - d_ty) // dy + 1), min(end, (m + y0) // dy + 1)):
                tap = m + y0 - row * dy
                for p in range(OW):
                    to = ((n * OH + row) * OW + p) * C + c0
                    if dy_taps.size:
                        combine(out, to, thin, p * whole, 0, dy_taps, tap, 1, 1, here, True)
                    else:
                        a, i, terms = down_x[p]
                        a += tap * d_tx
                        combine(out, to, mid, i * whole, whole, flat_d, a, 1, terms, here, True)

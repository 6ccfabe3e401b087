"""upfirdn2d and filtered_lrelu: no inserted zero is multiplied, no padded or stuffed array written.

Along one axis, output o of an up-FIR-down is Σ_j f[k + up·j] · x[i + j] over n terms: only every
up-th tap meets a sample.  Outputs of one phase share k and n, and their i advances evenly: a `plan`
lists these runs once, and the kernels follow it, a run's taps held in registers.  A line that is
read has zeros on both sides, as many as are needed.  Arrays are flat, channels innermost.
"""

import functools
import math

import numpy as np

from minigan.ops.cpu.jit import kernel
from minigan.ops.cpu.simd import (
    BYTES,
    choose,
    dot,
    dots,
    hold,
    load,
    never_inline,
    prefetch,
    runtime,
    sign_bits,
    store,
    zero,
)

# Between the rows held: without it they would compete for the same sets of the cache.
PAD = 16


def reach(first, count, taps, up, down, before):
    """The samples that so many outputs read: the first, and the one after the last.

    They may lie beyond both ends of the signal, in its padding.
    """
    start, last = first * down - before, (first + count - 1) * down - before
    return -(-start // up), (last + taps - 1) // up + 1


@functools.lru_cache(256)
def plan(first, count, taps, up, down, before):
    """Runs, int64 [runs · 7]: output o (0 for `first`) and its step, how many, k, sample i and its
    step, n."""
    phases, runs = up // math.gcd(up, down), []
    for phase in range(min(phases, count)):
        start = (first + phase) * down - before  # in the zero-stuffed signal
        k = -start % up
        n = max(0, -(-(taps - k) // up))
        many = -(-(count - phase) // phases)
        runs.append([phase, phases, many, k, (start + k) // up, phases * down // up, n])
    return np.array(runs, dtype=np.int64).reshape(-1)


@functools.lru_cache(256)
def rows(count, size, taps, up, down, before):
    """int64 [count · 3]: k, i and n of each output, without the terms outside the signal."""
    start = np.arange(count, dtype=np.int64) * down - before
    k = -start % up
    i, n = (start + k) // up, -(-(taps - k) // up)
    skipped = np.maximum(0, -i)
    k, i, n = k + up * skipped, i + skipped, n - skipped
    return np.stack([k, i, np.clip(np.minimum(n, size - i), 0, None)], axis=1).reshape(-1)


def _summing(count):
    """A kernel that sums `count` (a constant, so that its loop is unrolled) weighted vectors."""

    @kernel
    def sums(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, width, add):
        never_inline()
        lanes = BYTES // x.itemsize
        held = hold(taps, k, up, count)
        for begin in range(0, pixels, 64):
            end = min(pixels, begin + 64)
            for c in range(0, width, lanes):
                to, at = o + begin * o_step + c, i + begin * i_step + c
                fours = (end - begin) // 4 if i_step == run or i_step == 2 * run else 0
                for _ in range(fours):
                    if i_step == run:
                        dots(held, x, at, run, 1, out, to, o_step, add)
                    else:
                        dots(held, x, at, run, 2, out, to, o_step, add)
                    to += 4 * o_step
                    at += 4 * i_step
                for _ in range(begin + 4 * fours, end):
                    start = load(out, to) if add else zero(x)
                    store(out, to, dot(held, x, at, run, start))
                    to += o_step
                    at += i_step

    return sums


_one, _two, _four, _six, _twelve = (_summing(count) for count in (1, 2, 4, 6, 12))


@kernel
def clear(a, begin, end):
    for i in range(begin, end):
        a[i] = 0


@kernel
def copy(out, o, x, i, count):
    """out[o :] = x[i : i + count], from the first to the last."""
    lanes = BYTES // x.itemsize
    whole = count // lanes * lanes
    for c in range(0, whole, lanes):
        store(out, o + c, load(x, i + c))
    for c in range(whole, count):
        out[o + c] = x[i + c]


@kernel
def stretch(out, o, o_step, x, i, i_step, run, taps, k, up, n, pixels, width, add):
    """out[o + p·o_step + c] = Σ_{j<n} taps[k + up·j] · x[i + p·i_step + j·run + c], c < width.

    For each of so many pixels p; `add` (0 or not) adds to what is there.
    """
    never_inline()
    lanes = BYTES // x.itemsize
    if pixels == 1 or (o_step == width and i_step == width):  # one piece: a row of vectors
        total, o_step, i_step = pixels * width, lanes, lanes
        pixels, vectors, loose = total // lanes, lanes, total // lanes * lanes
        ends, width = 1, total
    else:
        vectors = loose = width // lanes * lanes
        ends = pixels
    for p in range(ends if loose < width else 0):  # what fills no vector
        for c in range(loose, width):
            value = out[o + p * o_step + c] if add else x.dtype.type(0)
            for j in range(n):
                value += taps[k + up * j] * x[i + p * i_step + c + j * run]
            out[o + p * o_step + c] = value
    if n == 0 and not add:
        for p in range(pixels):
            clear(out, o + p * o_step, o + p * o_step + vectors)
    while n > 0:
        if n >= 12:
            _twelve(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, vectors, add)
            done = 12
        elif n >= 6:
            _six(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, vectors, add)
            done = 6
        elif n >= 4:
            _four(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, vectors, add)
            done = 4
        elif n >= 2:
            _two(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, vectors, add)
            done = 2
        else:
            _one(out, o, o_step, x, i, i_step, run, taps, k, up, pixels, vectors, add)
            done = 1
        n, i, k, add = n - done, i + done * run, k + done * up, runtime(1)


@kernel
def follow(plan, begin, end, out, o, o_pixel, x, i, x_pixel, taps, k, up, width, add):
    """One line of pixels from another: the runs begin … end of a plan."""
    for r in range(begin * 7, end * 7, 7):
        stretch(
            out, o + plan[r] * o_pixel, plan[r + 1] * o_pixel, x, i + plan[r + 4] * x_pixel,
            plan[r + 5] * x_pixel, x_pixel, taps, k + plan[r + 3], up, plan[r + 6], plan[r + 2],
            width, add,
        )  # fmt: skip


@kernel
def alike(along, row, step, end):
    """4 if the rows row, row + step, … of one phase, so many, have one k and n; or else 1."""
    if row + 3 * step >= end:
        return 1
    for other in range(3 * (row + step), 3 * (row + 4 * step), 3 * step):
        if along[other] != along[3 * row] or along[other + 2] != along[3 * row + 2]:
            return 1
    return 4


@kernel
def upfirdn(
    first, last, memory, x, fx, fy, out, across, left, long, along,
    N, H, W, C, OH, OW, ux, uy, height, phases, lines, deep,
):  # fmt: skip
    """Tasks: images × bands of `height` output rows.  across is a `plan`, along are `rows`.

    fx [1, taps] along x and fy [taps] along y; or, not separable, fx [taps, taps] and fy empty.
    The filter along y makes `lines` rows at a time, four of one phase together where it can.
    memory [lines + deep, long]: these, each with zeros on both sides, `left` pixels on the left;
    and, if deep is not 0, the rows of x that they are made of.
    """
    bands, runs, taps = (OH + height - 1) // height, across.size // 7, fx.shape[1]
    flat, none, wide, low = fx.reshape(-1), runtime(0), W * C, left * C
    for task in range(first, last):
        n, top = task // bands, task % bands * height
        bottom = min(OH, top + height)
        for line in range(0, lines * long, long):
            clear(memory, line, line + low)
            clear(memory, line + low + wide, line + long)
        x_base = x_next = none
        for begin in range(top, bottom, lines):
            end = min(bottom, begin + lines)
            source, base, run = x, n * H * wide, wide
            if deep > 0:
                i, stop = along[3 * begin + 1], none
                for row in range(begin, end):
                    if along[3 * row + 2] > 0:
                        stop = max(stop, along[3 * row + 1] + along[3 * row + 2])
                x_next = max(x_next, i)
                if stop - x_base > deep:  # no room: those still wanted go to the front
                    a = lines * long
                    copy(memory, a, memory, a + (i - x_base) * long, (x_next - i) * long)
                    x_base = i
                for i in range(x_next, stop):
                    copy(memory, (lines + i - x_base) * long, x, base + i * wide, wide)
                x_next = max(x_next, stop)
                source, base, run = memory, (lines - x_base) * long, long
            for start in range(begin, min(end, begin + phases) if fy.size else begin):
                row = start
                while row < end:
                    k, i, count = along[3 * row], along[3 * row + 1], along[3 * row + 2]
                    many = alike(along, row, phases, end)
                    ahead = along[3 * (row + phases) + 1] - i if many > 1 else none
                    stretch(
                        memory, (row - begin) * long + low, phases * long, source, base + i * run,
                        ahead * run, run, fy, k, uy, count, many, wide, none,
                    )  # fmt: skip
                    row += many * phases
            for row in range(begin, end):
                to, at = (n * OH + row) * OW * C, (row - begin) * long + low
                if fy.size:
                    follow(across, none, runs, out, to, C, memory, at, C, flat, none, ux, C, none)
                    continue
                k, i, count = along[3 * row], along[3 * row + 1], along[3 * row + 2]
                for j in range(count):
                    copy(memory, low, x, (n * H + i + j) * wide, wide)
                    a = (k + uy * j) * taps
                    follow(across, none, runs, out, to, C, memory, low, C, flat, a, ux, C, j)
                if count == 0:
                    clear(out, to, to + OW * C)


@kernel
def lrelu(line, first, pixels, size, gain, slope, clamp, codes, at, words, mode):
    """line ← clamp(gain·lrelu(line)) in place: pixels of `size` ≤ 32 numbers, whole vectors.

    mode 1 also writes 2 bits a sample, negative and clamped, a 64-bit word for each pixel, `words`
    apart; mode 2 multiplies by the slope that such a code stands for, instead: gain, gain·slope, 0.
    """
    lanes = BYTES // line.itemsize
    steep, most, least = zero(line) + gain * slope, zero(line) + clamp, zero(line) - clamp
    for p in range(pixels):
        low, high = np.uint64(0), np.uint64(0)
        word = codes[at + p * words] if mode == 2 else np.uint64(0)
        for c in range(0, size, lanes):
            shift = np.uint64(c)
            v = load(line, first + p * size + c)
            if mode == 2:
                v = choose(word >> shift, v * steep, v * gain)
                v = choose(word >> (shift + np.uint64(32)), zero(line), v)
            else:
                below = sign_bits(v)
                v = choose(below, v * steep, v * gain)
                if clamp >= 0:
                    above, under = sign_bits(most - v), sign_bits(v - least)
                    v = choose(above, most, choose(under, least, v))
                    high |= (above | under) << shift
                low |= below << shift
            store(line, first + p * size + c, v)
        if mode == 1:
            codes[at + p * words] = low | (high << np.uint64(32))


@kernel
def filtered_lrelu(
    first, last, memory, x, b, fux, fuy, fdx, fdy, out, codes,
    tiles, up_x, up_y, down_x, down_y, N, H, W, C, MH, MW, OH, OW, ux, uy,
    gain, slope, clamp, mode, height, wide, depth, deep,
):  # fmt: skip
    """Up, leaky ReLU, down: a row of the upsampled image at a time, and only a tile's width of it.

    Tasks: images × bands of `height` output rows × column tiles × blocks of `wide` ≤ 32 channels.
    tiles [T · 10]: the columns of the output, of the upsampled image and of x that a tile reads
    (first and end each, beyond the images' edges where zeros are read), then its runs in the plans
    up_x and down_x.  up_y and down_y are `rows`.  Filters as for `upfirdn`.  codes [N, MH, MW,
    words].  `deep` rows of x + b are held for the filter up, `depth` upsampled ones for that down.
    """
    bands, cuts, columns = (OH + height - 1) // height, (C + wide - 1) // wide, tiles.size // 10
    words, lanes = (C + 31) // 32, BYTES // x.itemsize
    u_taps, d_taps, thin = fux.shape[1], fdx.shape[1], fdy.size > 0
    flat_u, flat_d, none, once = fux.reshape(-1), fdx.reshape(-1), runtime(0), runtime(1)
    for task in range(first, last):
        n, top = task // (cuts * columns * bands), task // (cuts * columns) % bands * height
        c0, t = task % cuts * wide, task // cuts % columns * 10
        o0, o1, m0, m1 = tiles[t], tiles[t + 1], tiles[t + 2], tiles[t + 3]
        x0, x1 = tiles[t + 4], tiles[t + 5]
        ups, upe, downs, downe = tiles[t + 6], tiles[t + 7], tiles[t + 8], tiles[t + 9]
        here = min(wide, C - c0)
        size = (here + lanes - 1) // lanes * lanes  # of a pixel in memory: whole vectors
        # Columns that exist; the others stay 0.
        xa, xb, ma, mb = max(0, x0), min(W, x1), max(0, m0), min(MW, m1)
        # In memory: a row of x; an upsampled one; `depth` of those, filtered along x if `thin`.
        mid, held = (x1 - x0) * size, (x1 - x0 + m1 - m0) * size
        long = ((o1 - o0) if thin else (m1 - m0)) * size + PAD
        shifts = held + depth * long  # the bias of these channels, and zeros
        near, far = shifts + size, max(0, xb - xa) * size + PAD  # and rows of x + b, `far` apart
        clear(memory, none, near + (deep * far if here < size else none))
        for c in range(here if b.size else 0):
            memory[shifts + c] = b[c0 + c]
        base = begun = down_y[3 * top + 1]  # the row held first, and the next to be made
        x_base = x_next = none
        for row in range(top, min(OH, top + height)):
            tap, start, count = down_y[3 * row], down_y[3 * row + 1], down_y[3 * row + 2]
            begun = max(begun, start)
            if start + count - base > depth:  # no room: those still wanted go to the front
                for at in range(held, held + (begun - start) * long, lanes):
                    store(memory, at, load(memory, at + (start - base) * long))
                base = start
            while begun < start + count:
                k, i, some = up_y[3 * begun], up_y[3 * begun + 1], up_y[3 * begun + 2]
                at, low = ((n * H + i) * W + xa) * C + c0, (xa - x0) * size
                slot = held + (begun - base) * long
                line = mid if thin else slot
                to = line + (ma - m0) * size
                if fuy.size:
                    x_next = max(x_next, i)
                    if i + some - x_base > deep:
                        for q in range(near, near + (x_next - i) * far, lanes):
                            store(memory, q, load(memory, q + (i - x_base) * far))
                        x_base = i
                    while x_next < i + some:
                        # The bias before the filter: b·Σtaps after it would lose digits.
                        q = near + (x_next - x_base) * far
                        for p in range(((n * H + x_next) * W + xa) * C + c0,
                                       ((n * H + x_next) * W + xb) * C + c0, C):  # fmt: skip
                            for c in range(0, here // lanes * lanes, lanes):
                                store(memory, q + c, load(x, p + c) + load(memory, shifts + c))
                                prefetch(x, p + c + W * C)  # of the next row
                            for c in range(here // lanes * lanes, here):
                                memory[q + c] = x[p + c] + memory[shifts + c]
                            q += size
                        x_next += 1
                    stretch(
                        memory, low, size, memory, near + (i - x_base) * far, size, far, fuy, k, uy,
                        some, xb - xa, size, none,
                    )  # fmt: skip
                    follow(
                        up_x, ups, upe, memory, to, size, memory, -x0 * size, size, flat_u, none,
                        ux, size, none,
                    )  # fmt: skip
                else:
                    clear(memory, to, to + (mb - ma) * size)
                    for j in range(some):
                        for p in range(xb - xa):
                            for c in range(here):
                                v = x[at + (j * W + p) * C + c]
                                memory[low + p * size + c] = v + b[c0 + c] if b.size else v
                        follow(
                            up_x, ups, upe, memory, to, size, memory, -x0 * size, size, flat_u,
                            (k + uy * j) * u_taps, ux, size, once,
                        )  # fmt: skip
                code = ((n * MH + begun) * MW + ma) * words + c0 // 32
                lrelu(memory, to, mb - ma, size, gain, slope, clamp, codes, code, words, mode)
                if thin:
                    follow(
                        down_x, downs, downe, memory, slot, size, memory, mid - m0 * size, size,
                        flat_d, none, once, size, none,
                    )  # fmt: skip
                begun += 1
            to, at = ((n * OH + row) * OW + o0) * C + c0, held + (start - base) * long
            if thin:
                stretch(
                    out, to, C, memory, at, size, long, fdy, tap, once, count, o1 - o0, here, none
                )
            else:
                clear(memory, mid, mid + (o1 - o0) * size)
                for j in range(count):
                    follow(
                        down_x, downs, downe, memory, mid, size, memory, at + j * long - m0 * size,
                        size, flat_d, (tap + j) * d_taps, once, size, once,
                    )  # fmt: skip
                for p in range(o1 - o0):
                    copy(out, to + p * C, memory, mid + p * size, here)

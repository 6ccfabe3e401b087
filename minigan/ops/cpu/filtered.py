"""filtered_lrelu: the upsampled image is never in memory, only some of its rows in the cache."""

import functools

import numpy as np

from minigan.ops.cpu.jit import kernel
from minigan.ops.cpu.resample import (
    PAD,
    clear,
    copy,
    end_of,
    follow,
    plan,
    reach,
    twelve_folded,
    vertical,
)
from minigan.ops.cpu.simd import BYTES, choose, load, prefetch, runtime, sign_bits, store, zero


@functools.lru_cache(64)
def tiles(OW, MW, up_taps, down_taps, up, down, before, after):
    """The column tiles of a filtered_lrelu [T, 10], and its plans along x: see `filtered_lrelu`."""
    cut, plans, runs = [], ([], []), [0, 0]
    wide = -(-OW // (-(-OW // 96) * 4)) * 4  # up to 96 columns, about as many in each
    for o0 in range(0, OW, wide):
        o1 = min(OW, o0 + wide)
        m0, m1 = reach(o0, o1 - o0, down_taps, 1, down, after)
        first, count = max(0, m0), max(0, min(MW, m1) - max(0, m0))
        x0, x1 = reach(first, max(1, count), up_taps, up, 1, before)
        cut.append([o0, o1, m0, m1, x0, max(x0, x1)])
        parts = (
            plan(first, count, up_taps, up, 1, before),
            plan(o0, o1 - o0, down_taps, 1, down, after),
        )
        for i, part in enumerate(parts):
            plans[i].append(part)
            cut[-1] += [runs[i], runs[i] + part.size // 7]
            runs[i] += part.size // 7
    return np.array(cut, dtype=np.int64), *(np.concatenate(p) for p in plans)


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
    gain, slope, clamp, mode, height, wide, depth, deep, folded,
):  # fmt: skip
    """Up, leaky ReLU, down: a few rows of the upsampled image at a time, of a tile's width.

    Tasks: images × bands of `height` output rows × column tiles × blocks of `wide` ≤ 32 channels.
    tiles [T · 10]: the columns of the output, of the upsampled image and of x that a tile reads
    (first and end each, beyond the images' edges where zeros are read), then its runs in the plans
    up_x and down_x.  up_y and down_y are `rows`.  Filters as for `upfirdn`.  codes [N, MH, MW,
    words].  `deep` rows of x + b are held for the filter up, `depth` upsampled ones for that down.
    folded: the filter down has twelve rows and columns, and reads the same from its last row up.
    """
    bands, cuts, columns = (OH + height - 1) // height, (C + wide - 1) // wide, tiles.size // 10
    words, lanes = (C + 31) // 32, BYTES // x.itemsize
    u_taps, d_taps, thin = fux.shape[1], fdx.shape[1], fdy.size > 0
    flat_u, flat_d, none, once = fux.reshape(-1), fdx.reshape(-1), runtime(0), runtime(1)
    together = 4 * uy if fuy.size else once  # upsampled rows
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
        low, across = (xa - x0) * size, max(0, xb - xa) * size
        # In memory: the bias of these channels; rows filtered up along y; one up along x as well;
        # `depth` of those, filtered down along x if `thin`; rows of x + b.
        line = (x1 - x0) * size + PAD
        mid = size + together * line
        held = mid + (m1 - m0) * size
        long = ((o1 - o0) if thin else (m1 - m0)) * size + PAD
        near, far = held + depth * long, across + PAD
        clear(memory, none, near + (deep * far if here < size else none))
        for c in range(here if b.size else 0):
            memory[c] = b[c0 + c]
        bottom = min(OH, top + height)
        base = begun = down_y[3 * top + 1]  # the row held first, and the next to be made
        limit = end_of(down_y, top, bottom)
        x_base = x_next = none
        for row in range(top, bottom, 4):
            last_row = min(bottom, row + 4)
            start, stop = down_y[3 * row + 1], end_of(down_y, row, last_row)
            begun = max(begun, start)
            while begun < stop:
                end = min(limit, begun + together)
                if end - base > depth:  # no room: those still wanted go to the front
                    copy(memory, held, memory, held + (start - base) * long, (begun - start) * long)
                    base = start
                if fuy.size:
                    i, x_stop = up_y[3 * begun + 1], end_of(up_y, begun, end)
                    x_next = max(x_next, i)
                    if x_stop - x_base > deep:
                        copy(memory, near, memory, near + (i - x_base) * far, (x_next - i) * far)
                        x_base = i
                    for i in range(x_next, x_stop):
                        # The bias before the filter: b·Σtaps after it would lose digits.
                        q, at = near + (i - x_base) * far, ((n * H + i) * W + xa) * C + c0
                        for p in range(at, at + (xb - xa) * C, C):
                            for c in range(0, here // lanes * lanes, lanes):
                                store(memory, q + c, load(x, p + c) + load(memory, c))
                                prefetch(x, p + c + W * C)  # of the next row
                            for c in range(here // lanes * lanes, here):
                                memory[q + c] = x[p + c] + memory[c]
                            q += size
                    x_next = max(x_next, x_stop)
                    vertical(
                        memory, size + low, line, none, memory, near - x_base * far, far, none,
                        fuy, uy, up_y, begun, end, uy, once, across,
                    )  # fmt: skip
                for m in range(begun, end):
                    slot = held + (m - base) * long
                    up = mid if thin else slot
                    to, at = up + (ma - m0) * size, size + (m - begun) * line - x0 * size
                    if fuy.size:
                        follow(
                            up_x, ups, upe, memory, to, size, memory, at, size, flat_u, none, ux,
                            size, none,
                        )  # fmt: skip
                    else:
                        clear(memory, to, to + (mb - ma) * size)
                        k, i = up_y[3 * m], up_y[3 * m + 1]
                        for j in range(up_y[3 * m + 2]):
                            for p in range(xb - xa):
                                q = (((n * H + i + j) * W + xa) + p) * C + c0
                                for c in range(here):
                                    memory[size + low + p * size + c] = x[q + c] + memory[c]
                            follow(
                                up_x, ups, upe, memory, to, size, memory, at, size, flat_u,
                                (k + uy * j) * u_taps, ux, size, once,
                            )  # fmt: skip
                    code = ((n * MH + m) * MW + ma) * words + c0 // 32
                    lrelu(memory, to, mb - ma, size, gain, slope, clamp, codes, code, words, mode)
                    if thin:
                        follow(
                            down_x, downs, downe, memory, slot, size, memory, mid - m0 * size, size,
                            flat_d, none, once, size, none,
                        )  # fmt: skip
                begun = end
            if thin:
                vertical(
                    out, ((n * OH + row) * OW + o0) * C + c0, OW * C, C, memory,
                    held - base * long, long, size, fdy, once, down_y, row, last_row, once,
                    o1 - o0, here,
                )  # fmt: skip
            for o in range(row, row if thin else last_row):
                clear(memory, mid, mid + (o1 - o0) * size)
                tap, start, many = down_y[3 * o], down_y[3 * o + 1], down_y[3 * o + 2]
                folds = 6 if folded and many == 12 else none  # pairs of rows
                for j in range(folds):
                    at = held + (start + j - base) * long + (down_x[7 * downs + 4] - m0) * size
                    twelve_folded(
                        memory, mid, memory, at, down_x[7 * downs + 5] * size, size,
                        (11 - 2 * j) * long, flat_d, j * d_taps, o1 - o0, size, j,
                    )  # fmt: skip
                for j in range(none if folds else many):
                    follow(
                        down_x, downs, downe, memory, mid, size, memory,
                        held + (start + j - base) * long - m0 * size, size, flat_d,
                        (tap + j) * d_taps, once, size, once,
                    )  # fmt: skip
                to = ((n * OH + o) * OW + o0) * C + c0
                for p in range(o1 - o0):
                    copy(out, to + p * C, memory, mid + p * size, here)

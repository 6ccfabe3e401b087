"""filtered_lrelu: the upsampled image is never in memory, only some of its rows in the cache."""

import functools

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.layout import absent, contiguous, images, innermost
from minigan.ops.cpu.runtime.simd import (
    BYTES,
    choose,
    load,
    never_inline,
    prefetch,
    runtime,
    sign_bits,
    store,
    where_less,
    zero,
)
from minigan.ops.cpu.runtime.taps import blank, folded_dots, hold, put_each
from minigan.ops.cpu.runtime.threads import share
from minigan.ops.cpu.upfirdn2d import (
    PAD,
    clear,
    copy,
    end_of,
    follow,
    plan,
    reach,
    rows,
    taps_of,
    vertical,
)


@functools.lru_cache(64)
def tiles(OW, MW, up_taps, down_taps, up, down, before, after, most):
    """The column tiles of a filtered_lrelu [T, 10], and its plans along x: see `filtered_lrelu`."""
    cut, plans, runs = [], ([], []), [0, 0]
    wide = -(-OW // (-(-OW // most) * 8)) * 8  # up to `most` columns, about as many in each
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
def lrelu(line, first, pixels, size, chunk, pitch, gain, slope, clamp, codes, at, words, mode):
    """line ← clamp(gain·lrelu(line)) in place: pixels of `size` ≤ 32 numbers, whole vectors.

    Their vector c lies at c·pitch, and so that of the next pixel `chunk` further on.  mode 1 also
    writes 2 bits a sample, negative and clamped, a 64-bit word for each pixel, `words` apart;
    mode 2 multiplies by the slope that such a code stands for, instead: gain, gain·slope, 0.
    """
    lanes = BYTES // line.itemsize
    plain, steep = zero(line) + gain, zero(line) + gain * slope
    most, least = zero(line) + clamp, zero(line) - clamp
    if mode == 0:
        for c in range(0, size, chunk):
            begin = first + c * pitch
            for i in range(begin, begin + pixels * chunk, lanes):
                v = load(line, i)
                v = v * choose(sign_bits(v), steep, plain)
                if clamp >= 0:
                    v = where_less(most, v, most, v)  # NaN stays
                    v = where_less(v, least, least, v)
                store(line, i, v)
        return
    for p in range(pixels):
        low, high = np.uint64(0), np.uint64(0)
        word = codes[at + p * words] if mode == 2 else np.uint64(0)
        for c in range(0, size, lanes):
            shift = np.uint64(c)
            i = first + p * chunk + c * pitch
            v = load(line, i)
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
            store(line, i, v)
        if mode == 1:
            codes[at + p * words] = low | (high << np.uint64(32))


@kernel
def radial(out, o, o_row, o_pixel, x, i, long, depth, along, begin, end, taps, pixels):
    """The filter down where it is of twelve rows and columns, the same from its last row up, and
    halves the width: one vector of each of `pixels` ≥ 8, in the rows begin … end of `rows`.

    The rows of x, from i on, go round: row m is in place m % depth, `long` numbers each.  Two rows
    with the same taps are added first; eight sums stay in registers, for even taps and for odd.
    """
    never_inline()
    lanes = BYTES // x.itemsize
    for block in range(0, pixels, 8):
        p = min(block, pixels - 8)
        for row in range(begin, end):
            first, sums = along[3 * row + 1] % depth, blank(x, 8)
            for j in range(6):
                near, far = first + j, first + 11 - j
                near = near - depth if near >= depth else near
                far = far - depth if far >= depth else far
                near, far = near * long + i + 2 * p * lanes, far * long + i + 2 * p * lanes
                sums = folded_dots(sums, hold(taps, 12 * j, 2, 6), x, near, far)
                near, far = near + lanes, far + lanes
                sums = folded_dots(sums, hold(taps, 12 * j + 1, 2, 6), x, near, far)
            put_each(sums, out, o + (row - begin) * o_row + p * o_pixel, o_pixel)


@kernel
def square(
    out, o, o_row, o_pixel, memory, spare, i, long, depth, across, first, last, along, begin, end,
    taps, side, folded, pixels, width,
):  # fmt: skip
    """The filter down that is no outer product: `width` numbers, of a vector, of each pixel.

    The rows in memory go round, as for `radial`; `folded` says whether the filter is one for it.
    taps has `side` numbers a row.  spare: where a row of vectors may be.
    """
    lanes, none, once = BYTES // memory.itemsize, runtime(0), runtime(1)
    folds = folded and pixels >= 8
    for row in range(begin, end):
        folds = folds and along[3 * row + 2] == 12
    left = i + across[7 * first + 4] * lanes
    if folds and width == lanes:
        radial(out, o, o_row, o_pixel, memory, left, long, depth, along, begin, end, taps, pixels)
        return
    for row in range(begin, end):
        k, start, many = along[3 * row], along[3 * row + 1], along[3 * row + 2]
        if folds:
            radial(
                memory, spare, none, lanes, memory, left, long, depth, along, row, row + 1, taps,
                pixels,
            )  # fmt: skip
        else:
            clear(memory, spare, spare + pixels * lanes)
        for j in range(none if folds else many):
            follow(
                across, first, last, memory, spare, lanes, memory, i + (start + j) % depth * long,
                lanes, taps, (k + j) * side, once, lanes, once,
            )  # fmt: skip
        for p in range(pixels):
            copy(out, o + (row - begin) * o_row + p * o_pixel, memory, spare + p * lanes, width)


@kernel
def _kernel(
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
    folded: the filter down is one for `radial`.
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
        # `depth` of those, filtered down along x if `thin`; rows of x + b.  Upsampled, a pixel's
        # numbers lie together if `thin`; or else one vector of all the row's pixels, then the next.
        chunk, pitch = (size, once) if thin else (lanes, m1 - m0)
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
                if thin and end - base > depth:  # no room: those still wanted go to the front
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
                    slot = held + ((m - base) if thin else m % depth) * long
                    to = (mid if thin else slot) + (ma - m0) * chunk
                    k, i, terms = up_y[3 * m] * u_taps, up_y[3 * m + 1], up_y[3 * m + 2]
                    if not fuy.size:
                        for c in range(0, size, chunk):
                            clear(memory, to + c * pitch, to + c * pitch + (mb - ma) * chunk)
                    for j in range(once if fuy.size else terms):
                        for p in range(none if fuy.size else xb - xa):
                            q = (((n * H + i + j) * W + xa) + p) * C + c0
                            for c in range(here):
                                memory[size + low + p * size + c] = x[q + c] + memory[c]
                        for c in range(0, size, chunk):
                            at = size + (m - begun if fuy.size else none) * line - x0 * size + c
                            follow(
                                up_x, ups, upe, memory, to + c * pitch, chunk, memory, at, size,
                                flat_u, none if fuy.size else k + uy * j * u_taps, ux, chunk,
                                none if fuy.size else once,
                            )  # fmt: skip
                    code = ((n * MH + m) * MW + ma) * words + c0 // 32
                    lrelu(
                        memory, to, mb - ma, size, chunk, pitch, gain, slope, clamp, codes, code,
                        words, mode,
                    )  # fmt: skip
                    if thin:
                        follow(
                            down_x, downs, downe, memory, slot, size, memory, mid - m0 * size, size,
                            flat_d, none, once, size, none,
                        )  # fmt: skip
                begun = end
            to = ((n * OH + row) * OW + o0) * C + c0
            if thin:
                vertical(
                    out, to, OW * C, C, memory, held - base * long, long, size, fdy, once, down_y,
                    row, last_row, once, o1 - o0, here,
                )  # fmt: skip
            for c in range(0, none if thin else here, lanes):
                square(
                    out, to + c, OW * C, C, memory, mid, held + c * pitch - m0 * lanes, long, depth,
                    down_x, downs, downe, down_y, row, last_row, flat_d, d_taps, folded, o1 - o0,
                    min(lanes, here - c),
                )  # fmt: skip


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
    (fux, fuy, uty, utx), (fdx, fdy, dty, dtx) = taps_of(fu), taps_of(fd)
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
    columns, up_x, down_x = tiles(OW, MW, utx, dtx, up[0], down[0], x0, after[0], most)
    # One band an image, or more where images, tiles and channels would not occupy the cores.
    parts = N * len(columns) * -(-C // wide)
    height = OH if parts >= 16 else max(4 * dty, -(-OH * parts // 16))
    tasks = parts * -(-OH // height)
    numbers = (x.dtype.type(v) for v in (gain, slope, clamp))
    up_y = rows(MH, H, uty, up[1], 1, y0)
    down_y = rows(OH, MH, dty, 1, down[1], after[2])
    together = 4 * up[1] if fuy.size else 1
    deep = 2 * ((uty + together - 2) // up[1] + 1)
    depth = (2 if fdy.size else 1) * dty + 3 * down[1] + together
    folded = int(fdx.shape == (12, 12) and down[0] == 2 and np.array_equal(fdx, fdx[::-1]))
    o, m, w = (columns[:, i + 1] - columns[:, i] for i in (0, 2, 4))
    row = o if fdy.size else m
    args = (
        absent(x) if b is None else contiguous(b), fux, fuy, fdx, fdy, out, codes.reshape(-1),
        columns.reshape(-1), up_x, up_y, down_x, down_y, N, H, W, C, MH, MW, OH, OW, *up, *numbers,
        mode, height, wide, depth, deep, folded,
    )  # fmt: skip
    share(
        _kernel, tasks, innermost(x), *args,
        work=N * C * MH * MW * 8,
        scratch=int(((deep + together) * w + m + depth * row + 1).max()) * wide
        + (depth + deep + together) * PAD,
    )  # fmt: skip
    return y, codes

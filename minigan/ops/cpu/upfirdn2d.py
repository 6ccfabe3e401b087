"""upfirdn2d: no inserted zero is multiplied, no padded or stuffed array written.

Along one axis, output o of an up-FIR-down is Σ_j f[k + up·j] · x[i + j] over n terms: only every
up-th tap meets a sample.  Outputs of one phase share k and n, and their i advances evenly: a `plan`
lists these runs once, and the kernels follow it, a run's taps held in registers.  A line that is
read has zeros on both sides, as many as are needed.  Arrays are flat, channels innermost.
"""

import functools
import math

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.layout import absent, images, innermost
from minigan.ops.cpu.runtime.simd import BYTES, load, never_inline, runtime, store, stream, zero
from minigan.ops.cpu.runtime.taps import dot, dots, hold
from minigan.ops.cpu.runtime.threads import share
from minigan.ops.upfirdn2d import factors

_CACHED = 1 << 26  # bytes; results may stay in a cache up to here

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

    # Of two processes that compile at once, each may load what the other compiled, and code goes by
    # its name: of one name, one would be run for another.
    sums.__qualname__ = f"sums_of_{count}"
    return kernel(sums)


_one, _two, _four, _six, _twelve = (_summing(count) for count in (1, 2, 4, 6, 12))


@kernel
def twelve_of_four(out, o, o_step, o_pixel, x, i, i_step, x_pixel, run, taps, k, up, pixels, width):
    """`stretch` of four rows, o_step and i_step apart, twelve taps, pixel by pixel."""
    never_inline()
    lanes = BYTES // x.itemsize
    held = hold(taps, k, up, 12)
    for p in range(pixels):
        for c in range(0, width, lanes):
            to, at = o + p * o_pixel + c, i + p * x_pixel + c
            if i_step == run:
                dots(held, x, at, run, 1, out, to, o_step, runtime(0))
            else:
                dots(held, x, at, run, 2, out, to, o_step, runtime(0))


@kernel
def clear(a, begin, end):
    for i in range(begin, end):
        a[i] = 0


@kernel
def copy_out(out, o, x, i, count):
    """`copy` of whole vectors, past the cache: what is written over is not read first."""
    for c in range(0, count, BYTES // x.itemsize):
        stream(out, o + c, load(x, i + c))


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
def vertical(
    out, o, o_step, o_pixel, x, i, run, x_pixel, taps, up, along, begin, end, phases, pixels, width
):  # fmt: skip
    """The filter along y: rows begin … end of `rows`, four of one phase together where it can.

    They are o_step apart in out, and the rows read are `run` apart in x.
    """
    none = runtime(0)
    for start in range(begin, min(end, begin + phases)):
        row = start
        while row < end:
            k, y, n = along[3 * row], along[3 * row + 1], along[3 * row + 2]
            to, at = o + (row - begin) * o_step, i + y * run
            many = alike(along, row, phases, end)
            ahead = (along[3 * (row + phases) + 1] - y) * run if many > 1 else none
            if pixels == 1:
                stretch(
                    out, to, phases * o_step, x, at, ahead, run, taps, k, up, n, many, width, none
                )
            elif n == 12 and 0 < ahead <= 2 * run and width % (BYTES // x.itemsize) == 0:
                twelve_of_four(
                    out, to, o_step, o_pixel, x, at, ahead, x_pixel, run, taps, k, up, pixels, width
                )
            else:
                stretch(out, to, o_pixel, x, at, x_pixel, run, taps, k, up, n, pixels, width, none)
                many = 1
            row += many * phases


@kernel
def end_of(along, begin, end):
    """The row after the last one that rows begin … end of `rows` read."""
    stop = runtime(0)
    for row in range(begin, end):
        if along[3 * row + 2] > 0:
            stop = max(stop, along[3 * row + 1] + along[3 * row + 2])
    return stop


@kernel
def _upfirdn(
    first, last, memory, x, fx, fy, out, across, left, long, along,
    N, H, W, C, OH, OW, ux, uy, height, phases, lines, past, deep,
):  # fmt: skip
    """Tasks: images × bands of `height` output rows.  across is a `plan`, along are `rows`.

    fx [1, taps] along x and fy [taps] along y; or, not separable, fx [taps, taps] and fy empty.
    The filter along y makes `lines` rows at a time, four of one phase together where it can.
    memory [lines + deep, long]: these, each with zeros on both sides, `left` pixels on the left;
    and, if deep is not 0, the rows of x that they are made of.  If `past`, a row of the output
    is made in memory, after all these, and goes to its place past the cache.
    """
    bands, runs, taps = (OH + height - 1) // height, across.size // 7, fx.shape[1]
    flat, none, once, wide, low = fx.reshape(-1), runtime(0), runtime(1), W * C, left * C
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
                i, stop = along[3 * begin + 1], end_of(along, begin, end)
                x_next = max(x_next, i)
                if stop - x_base > deep:  # no room: those still wanted go to the front
                    a = lines * long
                    copy(memory, a, memory, a + (i - x_base) * long, (x_next - i) * long)
                    x_base = i
                for i in range(x_next, stop):
                    copy(memory, (lines + i - x_base) * long, x, base + i * wide, wide)
                x_next = max(x_next, stop)
                source, base, run = memory, (lines - x_base) * long, long
            if fy.size:
                vertical(
                    memory, low, long, none, source, base, run, none, fy, uy, along, begin, end,
                    phases, once, wide,
                )  # fmt: skip
            for row in range(begin, end):
                to, at = (n * OH + row) * OW * C, (row - begin) * long + low
                if fy.size:
                    if past:
                        a = (lines + deep) * long
                        follow(
                            across, none, runs, memory, a, C, memory, at, C, flat, none, ux, C, none
                        )  # fmt: skip
                        copy_out(out, to, memory, a, OW * C)
                    else:
                        follow(
                            across, none, runs, out, to, C, memory, at, C, flat, none, ux, C, none
                        )  # fmt: skip
                    continue
                k, i, count = along[3 * row], along[3 * row + 1], along[3 * row + 2]
                for j in range(count):
                    copy(memory, low, x, (n * H + i + j) * wide, wide)
                    a = (k + uy * j) * taps
                    follow(across, none, runs, out, to, C, memory, low, C, flat, a, ux, C, j)
                if count == 0:
                    clear(out, to, to + OW * C)


def taps_of(f):
    """The filter for the kernels, (fx [1, taps], fy [taps]), or (f [ty, tx], []) if it is no outer
    product; then its height and its width."""
    fx, fy = factors(f)
    return (fx[None], fy, fy.size, fx.size) if fy is not None else (fx, absent(fx), *fx.shape)


def upfirdn2d(x, f, up, down, padding):
    """See `minigan.ops.upfirdn2d`."""
    N, C, H, W = x.shape
    fx, fy, ty, tx = taps_of(f)
    x0, x1, y0, y1 = padding
    OH = (H * up[1] + y0 + y1 - ty) // down[1] + 1
    OW = (W * up[0] + x0 + x1 - tx) // down[0] + 1
    y, out = images(N, C, OH, OW, x.dtype)
    across = plan(0, OW, tx, up[0], down[0], x0)
    along = rows(OH, H, ty, up[1], down[1], y0)
    first, end = reach(0, OW, tx, up[0], down[0], x0)
    left, right = max(0, -first), max(0, end - W)
    # Four rows of each phase at a time, so that the rows of x that they share are read once.
    phases = up[1] // math.gcd(up[1], down[1])
    lines = min(OH, 4 * phases) if fy.size else 1
    long = (left + W + right) * C + PAD
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
        _upfirdn, N * -(-OH // height), innermost(x), *args, *sizes, work=work,
        scratch=(lines + deep) * long + past * OW * C,
    )  # fmt: skip
    return y

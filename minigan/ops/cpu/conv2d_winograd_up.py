"""Winograd's filtering for the transposed 3×3 convolution of stride 2: 121 products for 225.

Along one axis, the outputs of even place are x[i]·g0 + x[i − 1]·g2: a filter of two taps, and
F(5, 2) (Lavin & Gray 2016) gives 5 of them from 6 inputs d by 6 products.  Its points are those of
F(4, 3), so Bᵀ is `conv2d_winograd.py`'s.  Those of odd place are x[i]·g1, one product each.  So a
tile of 6×6 inputs gives 10×10 outputs by 11×11 products, where the definition takes 15×15.  An
image of 2^k rows gives 2^k + 1 of even place, which fill tiles of 5 well.

The kernel has 7×7 places, 6 points and g1 along either axis; to place (i, j) belong 1, 5 or 25
products of a tile, those of the outputs of odd place, which are rows of one matrix product.
Arrays are as in `conv2d_winograd.py`.
"""

from minigan.ops.cpu.conv2d_winograd import DEEP, PAD, bt, piece, place, six, styled, window
from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.simd import (
    LANES,
    ROWS,
    add_tile,
    load,
    rank1,
    store,
    store_tile,
    zeros,
)


@kernel
def _at(m0, m1, m2, m3, m4, m5):
    """Aᵀ m of F(5, 2)."""
    p, q, r, s = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + p + r, q + 2 * s, p + 4 * r, q + 8 * s, p + 16 * r + m5


@kernel
def _row(i, j, k, here, tiles):
    """Where the products (k, 0), for j = 6 (k, j'), of place (i, j) begin: a row of v, or of m."""
    before = (11 * i + j if i < 6 else 66 + 5 * j) * tiles
    return before + k * (5 if j == 6 else 1) * here


@kernel
def forward(
    first, last, memory, x, u, width, styles, out, N, H, W, C, TH, TW, O, Y0, X0, tiles, tasks
):
    """Tasks: equal shares of the output's tiles, image after image; `tiles` of them at most.

    u [49, O'/width, C, width] as `conv2d_winograd.transform_weights` makes it; the output
    [N, TH, TW, O] begins at row Y0 and column X0 of the whole one; styles [N, C'] scales the input.
    """
    down, across = H // 5 + 1, W // 5 + 1
    count = N * down * across
    C_ = (C + LANES - 1) // LANES * LANES
    blocks = (O + width - 1) // width
    O_ = blocks * width
    v_size, m_size = 121 * tiles * C_ + 49 * PAD, 121 * tiles * O_ + 49 * PAD
    v, m = memory[:v_size], memory[v_size : v_size + m_size]
    half = memory[v_size + m_size : v_size + m_size + 110 * LANES]
    end = v_size + m_size + 110 * LANES
    patch = memory[end : end + 36 * C_]
    for task in range(first, last):
        start, here = piece(task, tasks, count)
        for t in range(here):
            n, ty, tx = place(start + t, down, across)
            y, xx = 5 * ty - 1, 5 * tx - 1
            source, at, row, pixel = window(x, n, y, xx, H, W, C, 0, C, patch, C_)
            for c in range(0, C, LANES):
                for j in range(6):
                    d = styled(six(source, at + j * pixel + c, row), styles, n * C_ + c)
                    column = bt(*d)
                    for i in range(6):
                        store(half, (i * 6 + j) * LANES, column[i])
                    for i in range(1, 6):
                        store(half, ((5 + i) * 6 + j) * LANES, d[i])
                for i in range(11):
                    d = six(half, i * 6 * LANES, LANES)
                    line = bt(*d)
                    py, k = min(i, 6), max(0, i - 6)
                    for j in range(6):
                        to = _row(py, j, k, here, tiles) + t
                        store(v, to * C_ + (py * 7 + j) * PAD + c, line[j])
                    to = _row(py, 6, k, here, tiles) + t
                    for j in range(5):
                        store(v, (to + j * here) * C_ + (py * 7 + 6) * PAD + c, d[1 + j])
        for f in range(49):
            a = _row(f // 7, f % 7, 0, here, tiles)
            rows = (5 if f // 7 == 6 else 1) * (5 if f % 7 == 6 else 1) * here
            for block in range(blocks):
                b = (f * blocks + block) * C * width
                for c0 in range(0, C, DEEP):
                    for r in range(a, a + rows, ROWS):
                        sums = zeros(x)
                        for c in range(c0, min(C, c0 + DEEP)):
                            sums = rank1(sums, v, r * C_ + f * PAD + c, C_, u, b + c * width)
                        to = r * O_ + f * PAD + block * width
                        if c0 == 0:
                            store_tile(sums, m, to, O_)
                        else:
                            add_tile(sums, m, to, O_)
        for t in range(here):
            n, ty, tx = place(start + t, down, across)
            for o in range(0, O, LANES):
                for j in range(11):
                    px, k = min(j, 6), max(0, j - 6) * here + t
                    at = _row(0, px, 0, here, tiles) + k
                    column = _at(*six(m, at * O_ + px * PAD + o, 11 * tiles * O_ + 7 * PAD))
                    for i in range(5):
                        store(half, (2 * i * 11 + j) * LANES, column[i])
                        at = _row(6, px, i, here, tiles) + k
                        odd = load(m, at * O_ + (42 + px) * PAD + o)
                        store(half, ((2 * i + 1) * 11 + j) * LANES, odd)
                for i in range(max(0, Y0 - 10 * ty), min(10, TH + Y0 - 10 * ty)):
                    line = _at(*six(half, i * 11 * LANES, LANES))
                    for j in range(5):
                        store(half, (i * 11 + j) * LANES, line[j])
                    base = (n * TH + 10 * ty + i - Y0) * TW + 10 * tx - X0
                    for j in range(max(0, X0 - 10 * tx), min(10, TW + X0 - 10 * tx)):
                        at, to = (i * 11 + j // 2 + j % 2 * 6) * LANES, (base + j) * O + o
                        if o + LANES <= O:
                            store(out, to, load(half, at))
                        else:
                            for q in range(O - o):
                                out[to + q] = half[at + q]

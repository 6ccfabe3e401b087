"""Winograd's minimal filtering F(4×4, 3×3): a quarter of the direct convolution's products.

A tile of 6×6 inputs d and a 3×3 kernel g give 4×4 outputs (Lavin & Gray 2016, arXiv 1509.09308):

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        36 products, where the definition takes 144

Summed over input channels, each of the 36 places is a matrix product [tiles, C] × [C, O].  A task
takes a block of tiles through all three steps while they lie in the cache; nothing of full size is
written in between.  The weight gradient is the same identity read backwards:

    ∂g = Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A ∂Y Aᵀ) ] G

The constants (up to 8) cost a digit: float32 errors are ≲ 2e-5 of the largest output, and a test
holds them to that.  Arrays are flat, with channels innermost.  C' and O' are C and O rounded up to
whole vectors and to `width`, the channels of a register tile.
"""

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.simd import (
    LANES,
    ROWS,
    add_tile,
    load,
    prefetch,
    rank1,
    store,
    store_tile,
    zeros,
)

# Between the 36 places of an array: without it, all 36 would compete for one set of the cache.
PAD = 16
# So many channels are summed at a time, and then their sums: one long sum would round worse.
DEEP = 256


@kernel
def bt(d0, d1, d2, d3, d4, d5):
    """A column of Bᵀ d."""
    p, q, r, s = d4 - 4 * d2, d3 - 4 * d1, d4 - d2, 2 * (d3 - d1)
    return 4 * d0 - 5 * d2 + d4, p + q, p - q, r + s, r - s, 4 * d1 - 5 * d3 + d5


@kernel
def _at(m0, m1, m2, m3, m4, m5):
    """A column of Aᵀ m."""
    p, q, r, s = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + p + r, q + 2 * s, p + 4 * r, q + 8 * s + m5


@kernel
def _a(y0, y1, y2, y3):
    """A column of A y."""
    p, q, r, s = y0 + y2, y1 + y3, y0 + 4 * y2, 2 * y1 + 8 * y3
    return y0, p + q, p - q, r + s, r - s, y3


@kernel
def _g(g0, g1, g2, up):
    """A column of G g; for `up`, that of (g2, g0), and g1; else g1 is idle."""
    a, b, c = (g2, g0, g0 - g0) if up else (g0, g1, g2)
    p, q, s, t = a + c, a + 4 * c, -1 / 6, 1 / 24
    last = b if up else c
    return 0.25 * a, s * (p + b), s * (p - b), t * (q + 2 * b), t * (q - 2 * b), last, g1


@kernel
def _gt(u0, u1, u2, u3, u4, u5):
    """A column of Gᵀ u."""
    p, q = u1 + u2, u3 + u4
    a, b = 1 / 6, 1 / 24
    return (
        0.25 * u0 - a * p + b * q,
        a * (u2 - u1) + (2 * b) * (u3 - u4),
        a * (q - p) + u5,
    )


@kernel
def transform_weights(first, last, memory, out, w, start, steps, shape, width, up):
    """out [36, O'/width, C, width] = G g Gᵀ; w as in `conv2d_direct.pack`.  Tasks: `width` of O.

    If `up` is not 0, for `conv2d_winograd_up.py`: 49 instead of 36.
    """
    _, _, C, O = shape
    blocks, size = (O + width - 1) // width, 7 if up else 6
    taps, half = memory[: 9 * width], memory[9 * width : 9 * width + 21 * LANES]
    taps[:] = 0
    for block in range(first, last):
        valid = min(width, O - block * width)
        for c in range(C):
            for k in range(9):
                at = start + k // 3 * steps[0] + k % 3 * steps[1] + c * steps[2]
                at += block * width * steps[3]
                for o in range(valid):
                    taps[k * width + o] = w[at + o * steps[3]]
            for o in range(0, width, LANES):
                for kx in range(3):
                    column = _g(
                        load(taps, kx * width + o),
                        load(taps, (3 + kx) * width + o),
                        load(taps, (6 + kx) * width + o),
                        up,
                    )
                    for i in range(size):
                        store(half, (i * 3 + kx) * LANES, column[i])
                for i in range(size):
                    row = _g(
                        load(half, i * 3 * LANES),
                        load(half, (i * 3 + 1) * LANES),
                        load(half, (i * 3 + 2) * LANES),
                        up,
                    )
                    for j in range(size):
                        at = ((i * size + j) * blocks + block) * C + c
                        store(out, at * width + o, row[j])


@kernel
def six(a, i, step):
    """Six vectors, `step` apart."""
    return (
        load(a, i),
        load(a, i + step),
        load(a, i + 2 * step),
        load(a, i + 3 * step),
        load(a, i + 4 * step),
        load(a, i + 5 * step),
    )


@kernel
def window(x, n, y, xx, H, W, C, c0, c1, patch, wide):
    """Where the 6×6 window at (y, xx) is to be read: an array, its start, a row's and a pixel's
    step.  In x itself, or, where that is not whole, copied to patch [36, wide].

    Vectors may reach beyond channel c1, to numbers that nobody uses; not beyond the end of x.
    """
    at = ((n * H + y) * W + xx) * C + c0
    last = at + (5 * W + 5) * C + (c1 - c0 + LANES - 1) // LANES * LANES
    if 0 <= y and y + 6 <= H and 0 <= xx and xx + 6 <= W and last <= x.size:
        return x, at, W * C, C
    for i in range(6):
        for j in range(6):
            p = (i * 6 + j) * wide
            inside = 0 <= y + i < H and 0 <= xx + j < W
            base = ((n * H + y + i) * W + xx + j) * C + c0
            for c in range(c1 - c0 if inside else 0):
                patch[p + c] = x[base + c]
            for c in range(c1 - c0 if inside else 0, wide):
                patch[p + c] = 0
    return patch, 0, 6 * wide, wide


@kernel
def styled(d, styles, i):
    """Six vectors times styles[i :]."""
    s = load(styles, i)
    return d[0] * s, d[1] * s, d[2] * s, d[3] * s, d[4] * s, d[5] * s


@kernel
def _transform_input(x, n, y, xx, H, W, C, c0, c1, styles, patch, half, out, at_f, at_c, to, wide):
    """out[to + f·at_f + c/LANES·at_c :] = Bᵀ d B of the 6×6 window at (y, xx), channels c0…c1."""
    source, at, row, pixel = window(x, n, y, xx, H, W, C, c0, c1, patch, wide)
    for c in range(0, c1 - c0, LANES):
        for j in range(6):
            d = styled(six(source, at + j * pixel + c, row), styles, n * wide + c)
            column = bt(*d)
            for i in range(6):
                store(half, (i * 6 + j) * LANES, column[i])
        for i in range(6):
            line = bt(*six(half, i * 6 * LANES, LANES))
            for j in range(6):
                store(out, to + (i * 6 + j) * at_f + c // LANES * at_c, line[j])


@kernel
def forward(
    first, last, memory, x, u, width, styles, scale, out, N, H, W, C, OH, OW, O, Y0, X0, tiles,
    tasks,
):  # fmt: skip
    """Tasks: equal shares of the output's tiles, image after image; `tiles` of them at most.

    u as `transform_weights` makes it; styles [N, C'] scales the input
    on the way in, scale [N, O'] the output.
    """
    down, across = (OH + 3) // 4, (OW + 3) // 4
    count = N * down * across
    C_ = (C + LANES - 1) // LANES * LANES
    blocks = (O + width - 1) // width
    O_ = blocks * width
    v_step, m_step = tiles * C_ + PAD, tiles * O_ + PAD
    v = memory[: 36 * v_step]
    m = memory[36 * v_step : 36 * (v_step + m_step)]
    half = memory[36 * (v_step + m_step) : 36 * (v_step + m_step + LANES)]
    patch = memory[36 * (v_step + m_step + LANES) : 36 * (v_step + m_step + LANES + C_)]
    ahead = DEEP * width // tiles if C > DEEP else 0
    for task in range(first, last):
        start, here = piece(task, tasks, count)
        for t in range(here):
            n, ty, tx = place(start + t, down, across)
            y, xx = 4 * ty + Y0, 4 * tx + X0
            _transform_input(
                x, n, y, xx, H, W, C, 0, C, styles, patch, half, v, v_step, LANES, t * C_, C_
            )
        for f in range(36):
            for block in range(blocks):
                for c0 in range(0, C, DEEP):
                    for t in range(0, here, ROWS):
                        sums = zeros(x)
                        a = f * v_step + t * C_
                        b = (f * blocks + block) * C * width
                        for c in range(c0, min(C, c0 + DEEP)):
                            sums = rank1(sums, v, a + c, C_, u, b + c * width)
                        # Weights that no cache holds are fetched while those before them are used.
                        for q in range(t * ahead, (t + ROWS) * ahead, 16):
                            prefetch(u, b + (c0 + DEEP) * width + q)
                        to = f * m_step + t * O_ + block * width
                        if c0 == 0:
                            store_tile(sums, m, to, O_)
                        else:
                            add_tile(sums, m, to, O_)
        for t in range(here):
            n, ty, tx = place(start + t, down, across)
            rows, columns = min(4, OH - 4 * ty), min(4, OW - 4 * tx)
            base = ((n * OH + 4 * ty) * OW + 4 * tx) * O
            for o in range(0, O, LANES):
                for j in range(6):
                    products = six(m, j * m_step + t * O_ + o, 6 * m_step)
                    column = _at(*styled(products, scale, n * O_ + o))
                    for i in range(4):
                        store(half, (i * 6 + j) * LANES, column[i])
                for i in range(rows):
                    line = _at(*six(half, i * 6 * LANES, LANES))
                    if o + LANES <= O and columns == 4:
                        for j in range(4):
                            store(out, base + (i * OW + j) * O + o, line[j])
                    else:
                        for j in range(4):
                            store(patch, j * LANES, line[j])
                        for j in range(columns):
                            for q in range(min(LANES, O - o)):
                                out[base + (i * OW + j) * O + o + q] = patch[j * LANES + q]


@kernel
def piece(task, tasks, count):
    """The first of a task's tiles, and how many they are: but for the last, a multiple of ROWS."""
    rows = (count + ROWS - 1) // ROWS
    start, end = task * rows // tasks * ROWS, (task + 1) * rows // tasks * ROWS
    return start, min(end, count) - start


@kernel
def place(t, down, across):
    """Image, row and column of a tile."""
    return t // (down * across), t // across % down, t % across


@kernel
def weight_gradient(
    first, last, memory, x, g, width, du, ones, N, H, W, C, OH, OW, O, Y0, X0, tiles, shares, wide
):
    """du [shares, 36, C'', O'] = Σ (Bᵀ d B) ⊙ (A ∂Y Aᵀ) over a share of the tiles.

    Tasks: shares × blocks of `wide` channels of x (a multiple of ROWS and LANES); C'' is C rounded
    up to `wide`.
    """
    down, across = (OH + 3) // 4, (OW + 3) // 4
    count = N * down * across
    cuts = (C + wide - 1) // wide
    O_ = (O + width - 1) // width * width
    v_step, s_step = tiles * wide + PAD, tiles * O_ + PAD
    v = memory[: 36 * v_step]
    s = memory[36 * v_step : 36 * (v_step + s_step)]
    half = memory[36 * (v_step + s_step) : 36 * (v_step + s_step + LANES)]
    patch = memory[36 * (v_step + s_step + LANES) : 36 * (v_step + s_step + LANES + wide)]
    end = 36 * (v_step + s_step + LANES + wide)
    flat = memory[end : end + 16 * O_]
    flat[:] = 0
    for task in range(first, last):
        share, cut = task // cuts, task % cuts
        c0, c1 = cut * wide, min(C, cut * wide + wide)
        begin, end = share * count // shares, (share + 1) * count // shares
        for start in range(begin, end, tiles):
            here = min(tiles, end - start)
            for t in range(here):
                n, ty, tx = place(start + t, down, across)
                y, xx = 4 * ty + Y0, 4 * tx + X0
                _transform_input(
                    x, n, y, xx, H, W, C, c0, c1, ones, patch, half, v, v_step, tiles * LANES,
                    t * LANES, wide,
                )  # fmt: skip
                for i in range(4):
                    for j in range(4):
                        at = ((n * OH + 4 * ty + i) * OW + 4 * tx + j) * O
                        to = (i * 4 + j) * O_
                        if 4 * ty + i < OH and 4 * tx + j < OW:
                            for o in range(O):
                                flat[to + o] = g[at + o]
                        else:
                            for o in range(O):
                                flat[to + o] = 0
                for o in range(0, O_, LANES):
                    for j in range(4):
                        column = _a(
                            load(flat, j * O_ + o),
                            load(flat, (4 + j) * O_ + o),
                            load(flat, (8 + j) * O_ + o),
                            load(flat, (12 + j) * O_ + o),
                        )
                        for i in range(6):
                            store(half, (i * 4 + j) * LANES, column[i])
                    for i in range(6):
                        line = _a(
                            load(half, i * 4 * LANES),
                            load(half, (i * 4 + 1) * LANES),
                            load(half, (i * 4 + 2) * LANES),
                            load(half, (i * 4 + 3) * LANES),
                        )
                        for j in range(6):
                            at = (i * 6 + j) * s_step + o // width * width * tiles
                            store(s, at + t * width + o % width, line[j])
            for f in range(36):
                for c in range(0, c1 - c0, ROWS):
                    for o in range(0, O_, width):
                        sums = zeros(x)
                        a = f * v_step + c // LANES * LANES * tiles + c % LANES
                        b = f * s_step + o * tiles
                        for t in range(here):
                            sums = rank1(sums, v, a + t * LANES, 1, s, b + t * width)
                        to = ((share * 36 + f) * cuts * wide + c0 + c) * O_ + o
                        if start > begin:
                            add_tile(sums, du, to, O_)
                        else:
                            store_tile(sums, du, to, O_)


@kernel
def finish_weight_gradient(first, last, memory, du, shares, C, C_, O, O_, out):
    """out [O, C, 3, 3] = Gᵀ (Σ of the shares) G.  Tasks: LANES channels of O."""
    begin = 9 * C * LANES  # after the taps
    total = memory[begin : begin + 36 * LANES]
    half = memory[begin + 36 * LANES : begin + 54 * LANES]
    for block in range(first, last):
        o = block * LANES
        for c in range(C):
            for f in range(36):
                one = load(du, (f * C_ + c) * O_ + o)
                for k in range(1, shares):
                    one = one + load(du, ((k * 36 + f) * C_ + c) * O_ + o)
                store(total, f * LANES, one)
            for j in range(6):
                column = _gt(*six(total, j * LANES, 6 * LANES))
                for i in range(3):
                    store(half, (i * 6 + j) * LANES, column[i])
            for i in range(3):
                line = _gt(*six(half, i * 6 * LANES, LANES))
                for j in range(3):
                    store(memory, (c * 9 + i * 3 + j) * LANES, line[j])
        for q in range(min(LANES, O - o)):
            for k in range(C * 9):
                out[(o + q) * C * 9 + k] = memory[k * LANES + q]

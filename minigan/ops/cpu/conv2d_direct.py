"""The direct convolution: every product once, the sums in registers.

Arrays here have channels innermost, x [N, H, W, C], and are passed flat.  A register tile holds
ROWS neighbouring pixels × `width` output channels.  Along a row of the kernel, the kw·C numbers
that a pixel meets lie side by side in x and in the packed weights, so the innermost loop is one
rank-1 update after another.

What is summed where is told by a geometry, 19 whole numbers:
    N, H, W, C          x
    OH, OW, O           the sums of one image
    KH, KW              the kernel
    SY, SX, Y0, X0      sum (i, j) starts at row i·SY + Y0 and column j·SX + X0 of x; outside is 0
    TH, TW, TY, TX      the output image; sum (i, j) goes to row i·DY + TY, column j·DX + TX of it
    DY, DX
The last six serve the transposed convolution: it is DY·DX ordinary ones whose outputs interleave.
"""

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.simd import (
    BYTES,
    ROWS,
    add_tile,
    load,
    rank1,
    store,
    store_tile,
    zeros,
)


@kernel
def pack(first, last, memory, out, w, start, steps, shape, width, styles, scale):
    """out [O/width, kh, kw·C, width] from kernels [kh, kw, C, O], times styles [C] and scale [O] if
    they are not empty; 0 beyond O.  Tasks: `width` of O.

    They lie in the flat w from `start` on, `steps` apart along each axis: flipped, transposed or
    thinned out as the caller wants.
    """
    KH, KW, C, O = shape
    for block in range(first, last):
        to = block * KH * KW * C * width
        valid = min(width, O - block * width)
        for ky in range(KH):
            for kx in range(KW):
                at = start + ky * steps[0] + kx * steps[1] + block * width * steps[3]
                for c0 in range(0, C, 16):  # rows of w may compete for one set of the cache
                    for o in range(valid):
                        for c in range(c0, min(C, c0 + 16)):
                            out[to + c * width + o] = w[at + c * steps[2] + o * steps[3]]
                for c in range(C):
                    for o in range(valid if styles.size else 0):
                        out[to + o] *= styles[c] * scale[block * width + o]
                    for o in range(valid, width):
                        out[to + o] = 0
                    to += width


@kernel
def window(x, n, y0, rows, x0, columns, H, W, C, c0, c1, styles, out, lanes):
    """Copy a window of image n, channels c0…c1, times styles [N, C] if any; 0 outside the image.

    out is [(c1 − c0)/lanes, rows, columns, lanes]: `lanes` channels of neighbouring pixels.
    """
    vector = BYTES // x.itemsize
    plane = rows * columns * lanes
    plain = styles.size == 0 and (c1 - c0) % lanes == 0 and lanes % vector == 0
    for r in range(rows):
        inside = 0 <= y0 + r < H
        a = max(0, min(-x0, columns)) if inside else columns
        b = max(a, min(W - x0, columns))
        for line in range(r * columns * lanes, (c1 - c0 + lanes - 1) // lanes * plane, plane):
            out[line : line + a * lanes] = 0
            out[line + b * lanes : line + columns * lanes] = 0
        for s in range(a, b):
            to, at = (r * columns + s) * lanes, ((n * H + y0 + r) * W + x0 + s) * C + c0
            for _ in range(c0, c1 if plain else c0, lanes):
                for v in range(0, lanes, vector):
                    store(out, to + v, load(x, at + v))
                to += plane
                at += lanes
            for c in range(c1 if plain else c0, c1, lanes):
                here = min(lanes, c1 - c)
                for v in range(0, here - vector + 1, vector):
                    store(out, to + v, load(x, at + v))
                for v in range(here // vector * vector, here):
                    out[to + v] = x[at + v]
                if styles.size:
                    for v in range(here):
                        out[to + v] *= styles[n * C + c + v]
                to += plane
                at += lanes


@kernel
def put(tile, spare, out, at, step, rows, lanes, width):
    """Write the first `rows` × `lanes` of a tile to out[at + row·step :]."""
    if rows >= ROWS and lanes >= width:
        store_tile(tile, out, at, step)
    else:
        store_tile(tile, spare, 0, width)
        for m in range(min(rows, ROWS)):
            for o in range(min(lanes, width)):
                out[at + m * step + o] = spare[m * width + o]


@kernel
def put_around(tile, spare, out, at, step, turn, j, line, OW, rows, lanes, width):
    """Write the sums among a tile's rows, from j of a line on and, after `turn`, of those below."""
    store_tile(tile, spare, 0, width)
    for m in range(ROWS):
        if j == line:
            at += turn
            rows, j = rows - 1, 0
        for o in range(min(lanes, width) if rows > 0 and j < OW else 0):
            out[at + o] = spare[m * width + o]
        at += step
        j += 1


@kernel
def pitch(OW, KW, SY, SX):
    """How `forward` lays out a band: columns of x, and sums (or none) from one row to the next."""
    if SY == SX == 1:
        return OW + KW - 1, OW + KW - 1
    line = (OW + ROWS - 1) // ROWS * ROWS
    return (line - 1) * SX + KW, line


@kernel
def forward(first, last, memory, x, w, width, styles, out, geometry, height):
    """Tasks: bands of `height` rows of sums, image after image.  w as `pack` makes it.

    At stride 1 tiles run on from a row to the next, over the KW − 1 columns between that are no
    sums: on a small image the ends of the rows would waste more.
    """
    N, H, W, C, OH, OW, O, KH, KW, SY, SX, Y0, X0, TH, TW, TY, TX, DY, DX = geometry
    bands = (OH + height - 1) // height
    columns, line = pitch(OW, KW, SY, SX)
    end = (((height - 1) * SY + KH) * columns + ROWS) * C  # a tile reads on
    held, spare = memory[:end], memory[end : end + ROWS * width]
    for task in range(first, last):
        n, top = task // bands, task % bands * height
        rows = min(height, OH - top)
        window(
            x, n, top * SY + Y0, (rows - 1) * SY + KH, X0, columns, H, W, C, 0, C, styles, held, C
        )
        for o in range(0, O, width):
            for p in range(0, (rows - 1) * line + OW, ROWS):
                i, j = p // line, p % line
                sums = zeros(x)
                for ky in range(KH):
                    a = ((i * SY + ky) * columns + j * SX) * C
                    b = (o // width * KH + ky) * KW * C * width
                    for k in range(KW * C):
                        sums = rank1(sums, held, a + k, SX * C, w, b + k * width)
                at = ((n * TH + (top + i) * DY + TY) * TW + j * DX + TX) * O + o
                if j + ROWS <= OW and o + width <= O:
                    store_tile(sums, out, at, DX * O)
                else:
                    turn = (DY * TW - line * DX) * O
                    put_around(
                        sums, spare, out, at, DX * O, turn, j, line, OW, rows - i, O - o, width
                    )


@kernel
def pointwise(first, last, memory, x, w, width, out, pixels, C, O, height):
    """A 1×1 convolution, unpadded: a matrix product.  Tasks: `height` pixels, whole tiles."""
    tail, spare = memory[: ROWS * C], memory[ROWS * C : ROWS * (C + width)]
    near = max(1, (1 << 14) // (C + O) // ROWS) * ROWS  # so many pixels stay in the cache
    for start in range(first * height, min(pixels, last * height), near):
        end = min(pixels, last * height, start + near)
        for o in range(0, O, width):
            for p in range(start, end, ROWS):
                held, a = x, p * C
                if p + ROWS > pixels:  # reading on would leave x
                    held, a = tail, 0
                    for k in range((pixels - p) * C):
                        tail[k] = x[p * C + k]
                sums = zeros(x)
                for k in range(C):
                    sums = rank1(sums, held, a + k, C, w, o * C + k * width)
                put(sums, spare, out, p * O + o, O, end - p, O - o, width)


@kernel
def weight_gradient(
    first, last, memory, x, g, lanes, width, sums_out, geometry, height, splits, wide
):
    """sums_out [splits, kh, kw, C', O']: Σ x·g over a share of the images' rows.

    Tasks: shares × blocks of `wide` channels of x.  C' and O' are C and O rounded up, to `lanes`
    and `width`.  A tile holds ROWS channels of x × `width` channels of g.
    """
    N, H, W, C, OH, OW, O, KH, KW, SY, SX, Y0, X0, TH, TW, TY, TX, DY, DX = geometry
    blocks = (C + wide - 1) // wide
    C_, O_ = (C + lanes - 1) // lanes * lanes, (O + width - 1) // width * width
    bands = (OH + height - 1) // height
    columns = (OW - 1) * SX + KW
    held = memory[: ((height - 1) * SY + KH) * columns * wide]
    slopes = memory[held.size : held.size + height * OW * O_]
    none = memory[:0]
    for task in range(first, last):
        share, c0 = task // blocks, task % blocks * wide
        c1 = min(C, c0 + wide)
        for part in range(share * N * bands // splits, (share + 1) * N * bands // splits):
            n, top = part // bands, part % bands * height
            rows = min(height, OH - top)
            deep, y0 = (rows - 1) * SY + KH, top * SY + Y0
            window(x, n, y0, deep, X0, columns, H, W, C, c0, c1, none, held, lanes)
            window(g, n, top, rows, 0, OW, OH, OW, O, 0, O, none, slopes, width)
            for ky in range(KH):
                for kx in range(KW):
                    for o in range(0, O, width):
                        for c in range(0, c1 - c0, ROWS):
                            sums = zeros(x)
                            b = o * rows * OW
                            for i in range(rows):
                                a = (c // lanes * deep + i * SY + ky) * columns + kx
                                a = a * lanes + c % lanes
                                for j in range(OW):
                                    sums = rank1(sums, held, a + j * SX * lanes, 1, slopes, b)
                                    b += width
                            to = (((share * KH + ky) * KW + kx) * C_ + c0 + c) * O_ + o
                            add_tile(sums, sums_out, to, O_)


@kernel
def unpack(first, last, memory, sums, splits, C_, O_, width, out, O, C, K):
    """out [O, C, K] = Σ of the shares' [K, C', O'].  Tasks: `width` of O."""
    for block in range(first, last):
        for c in range(C):
            for k in range(K):
                for o in range(block * width, min(O, block * width + width)):
                    total = sums[(k * C_ + c) * O_ + o]
                    for s in range(1, splits):
                        total += sums[((s * K + k) * C_ + c) * O_ + o]
                    out[(o * C + c) * K + k] = total

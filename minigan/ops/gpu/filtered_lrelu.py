"""filtered_lrelu on the GPU (filtered_lrelu.cu): kernels and tiles."""

import dataclasses
import math

import numpy as np

from minigan.device import cupy
from minigan.ops.gpu.launch import (
    PLANES,
    THREADS,
    blocks,
    constant,
    contiguous,
    launch,
    most_shared,
)
from minigan.ops.gpu.upfirdn2d import reach, tile_of
from minigan.ops.upfirdn2d import factors

# filtered_lrelu, float32: (up, down, taps of both) -> name, size of a tile, Tile::numbers of it.
FILTERED = {
    (2, 2, 12, 12): ("filtered_lrelu_2_2", 32, 12976),
    (4, 2, 24, 12): ("filtered_lrelu_4_2", 32, 9632),
    (2, 4, 12, 24): ("filtered_lrelu_2_4", 16, 16800),
}


@dataclasses.dataclass(frozen=True)
class Codes:
    """The slopes that a filtered_lrelu took: 2 bits each, 16 in a word, [planes, MH, words]."""

    words: object
    shape: tuple  # of the upsampled images: N, MH, MW, C


def filtered_lrelu(x, b, fu, fd, up, down, padding, gain, slope, clamp, keep=False):
    """See `minigan.ops.filtered_lrelu`.  With `keep`, returns (y, codes) for `masked`."""
    clamp, mode, after = -1.0 if clamp is None else clamp, 1 if keep else 0, (0, 0, 0, 0)
    y, codes = _filtered(x, b, None, fu, fd, up, down, padding, after, gain, slope, clamp, mode)
    return (y, codes) if keep else y


def masked(x, codes, fu, fd, up, down, padding, after, gain, slope):
    """Up, times the slope that codes stand for, down: linear in x, and its own transpose."""
    y, _ = _filtered(x, None, codes, fu, fd, up, down, padding, after, gain, slope, -1.0, 2)
    return y


def _filtered(x, b, codes, fu, fd, up, down, padding, after, gain, slope, clamp, mode):
    (N, C, H, W), (ux, uy), (dx, dy), (x0, x1, y0, y1) = x.shape, up, down, padding
    (uty, utx), (dty, dtx) = ((f.shape[0], f.shape[-1]) for f in (fu, fd))
    MH, MW = H * uy + y0 + y1 - uty + 1, W * ux + x0 + x1 - utx + 1
    OH = (MH + after[2] + after[3] - dty) // dy + 1
    OW = (MW + after[0] + after[1] - dtx) // dx + 1
    y = cupy().empty((N, C, OH, OW), x.dtype)
    words = blocks(MW, 16)
    if mode == 1:
        codes = Codes(cupy().empty((N * C, MH, words), np.uint32), (N, MH, MW, C))
    if y.size == 0:
        return y, codes

    def memory(w, h):
        mw, mh = reach(w, dx, dtx, 1), reach(h, dy, dty, 1)
        iw, ih = reach(mw, 1, utx, ux), reach(mh, 1, uty, uy)
        return (mh * mw + max(ih * (iw + mw), mh * w)) * x.itemsize

    (fux, fuy), (fdx, fdy) = factors(fu), factors(fd)
    along_x, along_y = (ux, dx, utx, dtx), (uy, dy, uty, dty)
    known = x.dtype == np.float32 and fuy is not None and fdy is not None and along_x == along_y
    if known and along_x in FILTERED and 4 * FILTERED[along_x][2] <= most_shared():
        kernel, w, numbers = FILTERED[along_x]
        h, shared = w, 4 * numbers
    else:
        # A tile that writes codes begins at a whole word of them.
        narrowest = 16 // math.gcd(16, dx) if mode == 1 else 1
        kernel, (w, h, shared) = "filtered_lrelu", tile_of("filtered_lrelu", memory, narrowest)
    taps = [None if f is None else constant(f) for f in (fux, fuy, fdx, fdy)]
    args = (
        contiguous(x), contiguous(b), *taps,
        codes.words if mode == 1 else None, codes.words if mode == 2 else None, y,
        N * C, C, H, W, MH, MW, OH, OW, ux, uy, dx, dy, x0, y0, after[0], after[2],
        utx, uty, dtx, dty, w, h, words, mode, float(gain), float(slope), float(clamp),
    )  # fmt: skip
    grid = (blocks(OW, w), blocks(OH, h), min(N * C, PLANES))
    launch("filtered_lrelu", kernel, grid, (THREADS, 1, 1), args, x.dtype, shared)
    return y, codes

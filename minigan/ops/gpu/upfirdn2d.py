"""upfirdn2d on the GPU (upfirdn2d.cu): kernels and tiles."""

import numpy as np

from minigan.device import cupy
from minigan.ops.gpu.launch import (
    PLANES,
    THREADS,
    UNASKED,
    blocks,
    constant,
    contiguous,
    epilogue_arguments,
    launch,
    most_shared,
)
from minigan.ops.upfirdn2d import factors

# Kernels for known rates and taps: (up, down, taps) -> name, size of a tile, numbers it shares.
FIXED = {
    (2, 1, 4): ("upfirdn2d_up2_4", 128, 64, 4352),
    (2, 1, 12): ("upfirdn2d_up2_12", 128, 64, 4608),
    (1, 2, 4): ("upfirdn2d_down2_4", 128, 16, 4608),
    (1, 2, 12): ("upfirdn2d_down2_12", 64, 32, 5120),
    (1, 1, 4): ("upfirdn2d_same_4", 128, 32, 4224),
    (1, 1, 12): ("upfirdn2d_same_12", 128, 64, 8960),
}


def reach(outputs, step, taps, up):
    """How many samples so many outputs read, along one axis."""
    return ((outputs - 1) * step + taps - 1) // up + 1


def tile_of(who, memory, narrowest=1):
    """The largest tile (w, h), at most 32², for which memory(w, h) bytes of shared memory are
    there unasked; the smallest, if the GPU gives as much when asked."""
    w = h = max(32, narrowest)
    while memory(w, h) > UNASKED and (h > 1 or w > narrowest):
        if h > 1 and (h >= w or w <= narrowest):
            h //= 2
        else:
            w = max(narrowest, w // 2)
    needed = memory(w, h)
    if needed > UNASKED and needed > most_shared():
        raise ValueError(
            f"{who}: filters and rates so large need {needed >> 10} KB of shared memory a block; "
            f"this GPU has {most_shared() >> 10}.  On the CPU there is no such limit"
        )
    return w, h, needed


def upfirdn2d(x, f, up, down, padding, epilogue=None):
    """See `minigan.ops.upfirdn2d`; epilogue, an `Epilogue` or None, is done on the way out."""
    (N, C, H, W), (ux, uy), (dx, dy), (x0, x1, y0, y1) = x.shape, up, down, padding
    ty, tx = f.shape[0], f.shape[-1]
    OH, OW = (H * uy + y0 + y1 - ty) // dy + 1, (W * ux + x0 + x1 - tx) // dx + 1
    y = cupy().empty((N, C, OH, OW), x.dtype)
    if y.size == 0:
        return y
    fx, fy = factors(f)
    fixed = FIXED.get((ux, dx, tx)) if fy is not None and (ux, dx, tx) == (uy, dy, ty) else None
    # Two short sums instead of a long one, where that spares products.
    separable = fy is not None and blocks(tx, ux) + blocks(ty, uy) < blocks(tx, ux) * blocks(ty, uy)
    if fixed and fixed[3] * x.itemsize <= most_shared():
        kernel, w, h, numbers = fixed
        shared = numbers * x.itemsize
    else:
        fixed = None
        kernel = "upfirdn2d_separable" if separable else "upfirdn2d"

        def memory(w, h):
            rows, columns = reach(h, dy, ty, uy), reach(w, dx, tx, ux)
            return rows * (columns + (w if separable else 0)) * x.itemsize

        w, h, shared = tile_of("upfirdn2d", memory)
    taps = (fx, fy) if fixed or separable else (f if f.ndim == 2 else np.outer(f, f),)
    sizes = (N * C, H, W, OH, OW, ux, uy, dx, dy, x0, y0, tx, ty, C, w, h)
    args = (contiguous(x), *map(constant, taps), y, *sizes, *epilogue_arguments(epilogue, y))
    grid = (blocks(OW, w), blocks(OH, h), min(N * C, PLANES))
    launch("upfirdn2d", kernel, grid, (THREADS, 1, 1), args, x.dtype, shared)
    return y

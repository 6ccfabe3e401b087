"""How images lie in memory: channels innermost, which is what the kernels want."""

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.memory import empty
from minigan.ops.cpu.runtime.threads import share


def images(N, C, H, W, dtype):
    """A new array [N, C, H, W] with channels innermost, and the flat memory under it."""
    flat = empty(N * C * H * W, dtype)
    return flat.reshape(N, H, W, C).transpose(0, 3, 1, 2), flat


def absent(x):
    """What a kernel takes for an array that is not there."""
    return np.empty(0, x.dtype)


def contiguous(a):
    """a as a kernel takes it: contiguous, and writeable, or Numba would compile another kernel."""
    a = np.ascontiguousarray(a)
    return a if a.flags.writeable else a.copy()


def innermost(x):
    """x [N, C, H, W] as a flat array [N, H, W, C]: a view if its memory is so, else a copy."""
    flat = x.transpose(0, 2, 3, 1)
    if not flat.flags.c_contiguous:
        N, C, H, W = x.shape
        flat = empty(x.size, x.dtype).reshape(N, H, W, C)
        rows = max(1, 4096 // W)
        tasks = N * (-(-H // rows))
        x = contiguous(x).reshape(-1)
        share(_transpose, tasks, x, flat.reshape(-1), N, C, H, W, rows, work=x.size * 4)
    return (flat if flat.flags.writeable else flat.copy()).reshape(-1)


@kernel
def _transpose(first, last, memory, x, out, N, C, H, W, rows):
    """Tasks: `rows` rows of an image, from [C, H, W] to [H, W, C]."""
    bands = (H + rows - 1) // rows
    for task in range(first, last):
        n, top = task // bands, task % bands * rows
        start, end = top * W, min(H, top + rows) * W
        for p0 in range(start, end, 16):  # 16 pixels × 16 channels stay in the cache
            for c0 in range(0, C, 16):
                for p in range(p0, min(end, p0 + 16)):
                    for c in range(c0, min(C, c0 + 16)):
                        out[(n * H * W + p) * C + c] = x[(n * C + c) * H * W + p]

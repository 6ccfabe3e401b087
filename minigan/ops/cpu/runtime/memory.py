"""Memory for results, handed out again once no array uses it.

The system gives fresh memory page by page and clears each when it is first touched.  To save that,
large blocks are kept, and the next array that fits gets the same pages.
"""

import bisect
import os
import sys
import threading

import numpy as np

_LEAST = 1 << 20  # bytes; what is smaller is left to NumPy
_IDLE = 1 << 28  # so many bytes may lie idle when a new block is needed
_blocks = []  # arrays of bytes, the smallest first
_guard = threading.RLock()


def _references(blocks, i):
    return sys.getrefcount(blocks[i])


_NONE = _references([np.empty(1, np.uint8)], 0)  # as many as a block has that no array uses


def aligned(size, dtype, block=None):
    """A flat array that starts on a cache line: a vector need not straddle two."""
    count = size * dtype.itemsize
    block = np.empty(count + 64, np.uint8) if block is None else block
    start = -block.ctypes.data % 64
    return block[start : start + count].view(dtype)


def empty(size, dtype):
    """`aligned`, for what lives as shortly as the results of a step or a picture."""
    count = size * dtype.itemsize + 64
    return aligned(size, dtype, None if count < _LEAST else _block(count))


def _block(count):
    """A block of so many bytes, or up to twice as many: the smallest unused one, or a new one."""
    with _guard:
        i = bisect.bisect_left(_blocks, count, key=len)
        while i < len(_blocks) and len(_blocks[i]) <= 2 * count:
            if _references(_blocks, i) == _NONE:
                return _blocks[i]
            i += 1
        release(_IDLE)
        block = np.empty(count + count // 8, np.uint8)  # for what is a little larger, too
        bisect.insort(_blocks, block, key=len)
        return block


def release(most=0):
    """Give unused blocks back to the system, the smallest first, until `most` bytes remain."""
    with _guard:
        unused = [i for i in range(len(_blocks)) if _references(_blocks, i) == _NONE]
        excess = sum(len(_blocks[i]) for i in unused) - most
        for gone, i in enumerate(unused):
            if excess <= 0:
                return
            excess -= len(_blocks.pop(i - gone))


def _forget():
    global _guard
    _guard = threading.RLock()  # whoever held it does not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

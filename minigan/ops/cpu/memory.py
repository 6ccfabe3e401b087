"""Memory for results, handed out again once no array uses it.

The system gives fresh memory page by page and clears each when it is first touched: for a large
image that can take as long as the work that fills it.  So large blocks are kept, and the next array
of about the same size gets the same pages.
"""

import os
import sys
import threading

import numpy as np

_LEAST = 1 << 20  # bytes; what is smaller costs the system little
_IDLE = 1 << 28  # so many bytes may lie idle when a new block is needed
_blocks = {}  # number of bytes -> blocks of that size; the size used last is at the end
_guard = threading.Lock()


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
    """A block of so many bytes, or an eighth more so that similar sizes share: unused, or new."""
    grain = 1 << (count.bit_length() - 4)
    count = -(-count // grain) * grain
    with _guard:
        blocks = _blocks[count] = _blocks.pop(count, [])
        for i in range(len(blocks)):
            if _references(blocks, i) == _NONE:
                return blocks[i]
        release(_IDLE)
        blocks.append(np.empty(count, np.uint8))
        return blocks[-1]


def release(most=0):
    """Give unused blocks back to the system, the oldest sizes first, until `most` bytes remain."""
    unused = [
        (count, blocks)
        for count, blocks in _blocks.items()
        for i in range(len(blocks))
        if _references(blocks, i) == _NONE
    ]
    excess = sum(count for count, _ in unused) - most
    for count, blocks in unused:
        if excess <= 0:
            return
        del blocks[next(i for i in range(len(blocks)) if _references(blocks, i) == _NONE)]
        excess -= count


def _forget():
    global _guard
    _guard = threading.Lock()  # whoever held it does not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

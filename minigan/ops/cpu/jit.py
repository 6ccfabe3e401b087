"""How kernels are compiled, kept on disk, and shared among threads.

A kernel is a Numba function `kernel(first, last, memory, …)`: it does tasks first … last−1 of a
job whose tasks touch no common output.  `share` hands the tasks to a few threads of our own.
Numba's `prange` is not used: its default threading layer crashes when two threads of a program
enter it at once, as widgets do.  What a task computes does not depend on who runs it: results are
the same, bit for bit, on any number of threads.
"""

import concurrent.futures
import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import pathlib
import sys
import threading

import numba
import numpy as np
from numba.core import caching, event

_HERE = pathlib.Path(__file__).parent


@functools.cache
def _sources():
    """A digest of this folder: kernels inline each other, so a change of one file concerns all."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Cache(caching.FunctionCache):
    def _index_key(self, signature, codegen):
        return (*super()._index_key(signature, codegen), _sources())


def kernel(function):
    """Compile on first use, for the types it meets; keep the result on disk if that can be."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})(function)
    # No folder to write to is no error: then each process compiles for itself.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = _Cache(function)
    return dispatcher


class _Notice(event.Listener):
    """Says that a kernel is being compiled, when that takes more than a second."""

    def __init__(self, wait=1.0):
        self.wait, self.said, self.timer, self.depth = wait, False, None, 0

    def on_start(self, event):
        self.depth += 1  # a kernel's compilation contains those of the kernels it calls
        if self.depth == 1 and not self.said and not os.environ.get("MINIGAN_QUIET"):
            self.timer = threading.Timer(self.wait, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0 and self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def say(self):
        self.said = True
        print("minigan: compiling kernels for this machine, once …", file=sys.stderr)


event.register("numba:compile", _Notice())

_guard = threading.Lock()
_pool = None
_helpers = []  # the operating system's numbers of the pool's threads


def threads():
    """How many threads share a job: MINIGAN_NUM_THREADS, or the cores this process may use."""
    asked = os.environ.get("MINIGAN_NUM_THREADS")
    if asked is not None:
        if not asked.isdigit() or int(asked) < 1:
            raise ValueError(f"MINIGAN_NUM_THREADS is {asked!r}; expected a whole number from 1")
        return int(asked)
    return len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count() or 1


def _forget():
    global _pool, _guard
    _pool, _guard = None, threading.Lock()  # threads do not survive a fork
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

_LINUX = sys.platform == "linux"
_this_core = ctypes.CDLL(None).sched_getcpu if _LINUX else None


def _make_room():
    """Ask Linux to run the helpers on other cores than ours.

    It may wake a thread on the core of the one that woke it, and leave both there for the job.
    """
    others = os.sched_getaffinity(0) - {_this_core()}
    for helper in _helpers if others else ():
        with contextlib.suppress(OSError):  # not allowed here, or the thread has ended: no harm
            os.sched_setaffinity(helper, others)


def empty(size, dtype):
    """A flat array that starts on a cache line: a vector need not straddle two."""
    dtype = np.dtype(dtype)
    memory = np.empty(size * dtype.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size * dtype.itemsize].view(dtype)


_own = threading.local()


def _scratch(size, dtype):
    """This thread's own memory, kept, not asked for anew at each job."""
    size *= dtype.itemsize
    if not hasattr(_own, "memory") or _own.memory.size < size:
        _own.memory = empty(size, np.uint8)
    return _own.memory[:size].view(dtype)


def share(kernel, tasks, *args, work, scratch=0):
    """Run kernel(i, i + 1, memory, *args) for each of `tasks` i, on several threads if it pays.

    memory: `scratch` numbers of the type of args[0], for a thread's intermediate results.
    work: about how many multiplications in all; a helper is woken for each million.
    """
    global _pool
    helpers = min(threads(), tasks, max(1, work >> 20)) - 1
    if helpers < 1:
        kernel(0, tasks, _scratch(scratch, args[0].dtype), *args)
        return
    with _guard:
        if _pool is None:
            _pool = concurrent.futures.ThreadPoolExecutor(
                max(1, threads() - 1), "minigan", lambda: _helpers.append(threading.get_native_id())
            )
    turn = itertools.count()

    def take():
        memory = _scratch(scratch, args[0].dtype)
        for i in turn:
            if i >= tasks:
                return
            kernel(i, i + 1, memory, *args)

    if _LINUX:
        _make_room()
    others = [_pool.submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        for other in others:
            if not other.cancel():  # one that never started has nothing left to do
                other.result()

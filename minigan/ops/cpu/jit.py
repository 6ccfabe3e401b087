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
import os
import pathlib
import platform
import queue
import sys
import threading

import numba
import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import caching, cgutils, event

from minigan.ops.cpu.memory import aligned

_HERE = pathlib.Path(__file__).parent


@functools.cache
def _sources():
    """A digest of this folder: kernels inline each other, so a change of one file concerns all."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Files(caching.IndexDataCacheFile):
    """Numba's files on disk, but each named for its content.

    Numba numbers them: of two processes that compile at the same time, both take the next number,
    and a function may then be answered with another's code.
    """

    def save(self, key, data):
        overloads = self._load_index()
        content = repr((key, self._source_stamp)).encode()
        number = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
        overloads[key] = self._data_name(number)
        self._save_data(overloads[key], data)
        self._save_index(overloads)


class _Cache(caching.FunctionCache):
    def __init__(self, function):
        super().__init__(function)
        files = self._cache_file
        base = files._index_name.removesuffix(".nbi")
        self._cache_file = _Files(files._cache_path, base, files._source_stamp)

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
_jobs = None  # a queue of (future, what to do), once there are helpers
_helpers = []  # the operating system's numbers of their threads
_awake = set()  # helpers that wait without sleeping
# Bells, counters that a thread rings by adding one: a job is there; a helper is at its kernel, or
# back and waiting.  Python's threads take turns (the GIL), and one that must wait for its turn
# falls asleep.  So the bells are rung, and waited for, in compiled code, where a thread has given
# up its turn.
_called, _begun, _waiting = (np.zeros(1, np.int64) for _ in range(3))


@extending.intrinsic
def _glance(typing_context, a):
    """a[0] as other threads see it; and a short rest for the core."""

    def code(context, builder, signature, args):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
        if platform.machine() in ("x86_64", "AMD64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), []
            )
        return builder.load_atomic(data, "acquire", 8)

    return a.dtype(a), code


@kernel
def _linger(bell, heard, turns):
    """Wait for a bell, awake for so many turns: a thread that sleeps is slow to wake."""
    while turns > 0 and _glance(bell) == heard:
        turns -= 1


@kernel
def _rest(waiting, called, heard, turns):
    """A helper's: say that it waits, and wait for the next call."""
    waiting[0] += 1
    _linger(called, heard, turns)


@kernel
def _call(called, begun, heard, turns, more):
    """Wake the helpers and let the first begin: `more` turns from its bell to its kernel."""
    called[0] += 1
    _linger(begun, heard, turns)
    _linger(begun, heard + 1, more)


def threads():
    """How many threads share a job: MINIGAN_NUM_THREADS, or the cores this process may use."""
    asked = os.environ.get("MINIGAN_NUM_THREADS")
    if asked is not None:
        if not asked.isdigit() or int(asked) < 1:
            raise ValueError(f"MINIGAN_NUM_THREADS is {asked!r}; expected a whole number from 1")
        return int(asked)
    return len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count() or 1


def _forget():
    global _jobs, _guard
    _jobs, _guard = None, threading.Lock()  # threads do not survive a fork
    _helpers.clear()
    _awake.clear()


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


_own = threading.local()


def _scratch(size, dtype):
    """This thread's own memory, kept, not asked for anew at each job."""
    size *= dtype.itemsize
    if not hasattr(_own, "memory") or _own.memory.size < size:
        _own.memory = aligned(size, np.dtype(np.uint8))
    return _own.memory[:size].view(dtype)


_TURNS = 1 << 12  # enough for the Python between two operations
_FEW, _GRACE = 1 << 9, 1 << 6  # for a helper's Python until it rings, and from there to its kernel


def _serve(jobs):
    me = threading.get_native_id()
    _helpers.append(me)
    while True:
        heard = _called[0]
        if jobs.empty():
            _awake.add(me)
            _rest(_waiting, _called, heard, _TURNS)
            _awake.discard(me)
        future, work = jobs.get()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(helping=True))
            except BaseException as error:
                future.set_exception(error)
        del future, work  # they hold arrays


def _hire():
    """Start the helpers, if there are none."""
    global _jobs
    with _guard:
        if _jobs is None:
            _jobs = queue.SimpleQueue()
            for i in range(max(1, threads() - 1)):
                name = f"minigan-{i}"
                threading.Thread(target=_serve, args=(_jobs,), name=name, daemon=True).start()


@functools.lru_cache(1024)
def _portions(tasks, workers):
    """(first, last) of portions of the tasks, ever smaller, for whoever is free to take the next.

    Few calls of the kernel, because the threads' Python runs one at a time; the last portions are
    small so that all finish together.
    """
    portions, first = [], 0
    while first < tasks:
        last = first + max(1, (tasks - first) // (2 * workers))
        portions.append((first, last))
        first = last
    return portions


def share(kernel, tasks, *args, work, scratch=0):
    """Run kernel(first, last, memory, *args) for all of 0 … tasks, on several threads if it pays.

    memory: `scratch` numbers of the type of args[0], for a thread's intermediate results.
    work: about how many multiplications in all; a helper is woken for each million.
    """
    useful = min(tasks, work >> 20)
    helpers = min(threads(), useful) - 1 if useful > 1 else 0
    if helpers < 1:
        kernel(0, tasks, _scratch(scratch, args[0].dtype), *args)
        return
    _hire()
    turns = iter(_portions(tasks, helpers + 1))  # one iterator: each portion comes to one thread

    def take(helping=False):
        memory = _scratch(scratch, args[0].dtype)
        if helping:
            _begun[0] += 1
        for first, last in turns:
            kernel(first, last, memory, *args)

    if _LINUX:
        _make_room()
    others = [concurrent.futures.Future() for _ in range(helpers)]
    heard = _begun[0]
    for other in others:
        _jobs.put((other, take))
    _call(_called, _begun, heard, _FEW if _awake else 0, _GRACE)
    try:
        take()
    finally:
        for other in others:
            heard = _waiting[0]
            if not other.cancel():  # one that never started has nothing left to do
                if not other.done():
                    _linger(_waiting, heard, _TURNS)
                other.result()

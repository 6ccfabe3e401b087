"""How kernels are shared among threads.

A kernel is a compiled function kernel(first, last, memory, …): it does tasks first … last−1 of a
job whose tasks touch no common output.  `share` has a few threads of our own do them, which stay
in compiled code all their life: they neither wait for Python's turns (the GIL) nor take them.
Numba's `prange` is not used: its default threading layer crashes when two threads of a program
enter it at once, as widgets do.  What a task computes does not depend on who runs it: results are
the same, bit for bit, on any number of threads.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import queue
import sys
import threading

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

from minigan.ops.cpu.runtime.compile import Cache, compiled, kernel
from minigan.ops.cpu.runtime.memory import aligned

# The board on which a job is put up: whole numbers that all threads see.
# Seats: how many helpers may still join.  Asleep: helpers that must be woken first.  Left: those
# that joined and are done.  Failed: whether a task failed.  Job: where its code and its arguments
# are, how many tasks it has, and in how many shares.  System: where the system's functions are
# that read and write a pipe and let another thread run; then the pipe's two ends, and where a byte
# of it goes.  Next: for the thread whose job it is, and for each seat, the next task of its share.
# What threads change lies on cache lines of its own.
_SEATS, _ASLEEP, _LEFT, _FAILED, _JOB, _SYSTEM, _NEXT = range(0, 56, 8)
_CODE, _ARGUMENTS, _TASKS, _SHARES = range(_JOB, _JOB + 4)
_READ, _WRITE, _YIELD, _OUT, _IN, _BYTE = range(_SYSTEM, _SYSTEM + 6)
_WORD = ir.IntType(64)


def _place(context, builder, kind, board, i):
    """Pointer to board[i]."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=board).data
    return builder.gep(data, [i])


@extending.intrinsic
def _glance(typing_context, board, i):
    """board[i] as it is now, and with it all that its writer wrote before."""

    def code(context, builder, signature, args):
        return builder.load_atomic(_place(context, builder, board, *args), "seq_cst", 8)

    return types.int64(board, types.intp), code


@extending.intrinsic
def _add(typing_context, board, i, n):
    """board[i] += n, in one step for all threads; returns what it was."""

    def code(context, builder, signature, args):
        place = _place(context, builder, board, *args[:2])
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(board, types.intp, types.int64), code


@extending.intrinsic
def _swap(typing_context, board, i, old, new):
    """board[i] = new if it is `old`, in one step for all threads; returns whether it was."""

    def code(context, builder, signature, args):
        place = _place(context, builder, board, *args[:2])
        pair = builder.cmpxchg(place, *args[2:], "seq_cst", "seq_cst")
        return builder.zext(builder.extract_value(pair, 1), context.get_value_type(types.boolean))

    return types.boolean(board, types.intp, types.int64, types.int64), code


@extending.intrinsic
def _pause(typing_context):
    """A short rest for the core."""

    def code(context, builder, signature, args):
        if platform.machine() in ("x86_64", "AMD64"):
            nothing = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, name), [])
        return context.get_dummy_value()

    return types.void(), code


@extending.intrinsic
def _run(typing_context, function, a, b, c):
    """Call the function at an address."""

    def code(context, builder, signature, args):
        kind = ir.FunctionType(_WORD, [_WORD] * 3).as_pointer()
        builder.call(builder.inttoptr(args[0], kind), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), code


@functools.cache
def _symbol(function, signature):
    """A name by which other compiled code finds that of a kernel for these types."""
    code = function.get_compile_result(signature)
    who = (function.py_func.__module__, function.py_func.__qualname__, signature.args)
    name = f"minigan.{hashlib.sha256(repr(who).encode()).hexdigest()}"
    llvm.add_symbol(name, code.library.get_pointer_to_function(code.fndesc.llvm_func_name))
    return name


def _call(context, builder, function, signature, values):
    """Call a kernel, without a copy of its code here; returns its status."""
    calls = context.call_conv
    kind = calls.get_function_type(signature.return_type, signature.args)
    code = cgutils.get_or_insert_function(builder.module, kind, _symbol(function, signature))
    return calls.call_function(builder, code, signature.return_type, signature.args, values)[0]


def _signature(*args):
    return types.none(*args)


@extending.intrinsic
def _put_up(typing_context, kernel, board, memory, scratch, args):
    """Write to the board where the code is that does a task of a kernel, and its arguments.

    They lie on the caller's stack: it must not return while a helper is at work.
    """
    inner = _signature(types.int64, types.int64, memory, *args.types)

    def code(context, builder, signature, values):
        given = cgutils.pack_struct(builder, values[1:])
        kept = cgutils.alloca_once_value(builder, given)
        # The code is a function of (arguments, task, seat).
        kind = ir.FunctionType(_WORD, [_WORD] * 3)
        function = ir.Function(builder.module, kind, f"{builder.function.name}.task")
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        where, task, seat = function.args
        found = inside.load(inside.inttoptr(where, kept.type))
        its_board, its_memory, size, its_args = cgutils.unpack_tuple(inside, found, 4)
        mine = cgutils.create_struct_proxy(memory)(context, inside, value=its_memory)
        mine.data = inside.gep(mine.data, [inside.mul(seat, size)])
        both = (task, inside.add(task, _WORD(1)))
        its_args = cgutils.unpack_tuple(inside, its_args, len(args.types))
        all_args = (*both, mine._getvalue(), *its_args)
        status = _call(context, inside, kernel.dispatcher, inner, all_args)
        with inside.if_then(status.is_error):
            place = _place(context, inside, board, its_board, _WORD(_FAILED))
            inside.store_atomic(_WORD(1), place, "release", 8)
        inside.ret(_WORD(0))
        for i, pointer in ((_CODE, function), (_ARGUMENTS, kept)):
            place = _place(context, builder, board, values[1], _WORD(i))
            builder.store(builder.ptrtoint(pointer, _WORD), place)
        return context.get_dummy_value()

    return types.void(kernel, board, memory, types.int64, args), code


@extending.intrinsic
def _take_part(typing_context, board, seats):
    """Call `_lead`."""

    def code(context, builder, signature, values):
        _call(context, builder, _lead, _signature(*signature.args), values)
        return context.get_dummy_value()

    return types.void(board, types.int64), code


_TURNS = 1 << 14  # that a helper looks at the board before it sleeps: the Python of an operation


@kernel
def _less(board, i, most):
    """Take up to `most` from board[i], which stays ≥ 0; returns how many."""
    while True:
        there = _glance(board, i)
        taken = min(there, most)
        if taken == 0 or _swap(board, i, there, there - taken):
            return taken


@kernel
def _work(board, seat):
    """Do tasks until all are taken: first those of our share, then what is left of the others'.

    A share's tasks lie together, and in this core's cache if those of the job before did.
    """
    tasks, shares = board[_TASKS], board[_SHARES]
    for i in range(seat, seat + shares):
        whose = i % shares
        end = (whose + 1) * tasks // shares
        task = _add(board, _NEXT + 8 * whose, 1)
        while task < end:
            _run(board[_CODE], board[_ARGUMENTS], task, seat)
            task = _add(board, _NEXT + 8 * whose, 1)


@kernel
def _help(board):
    """A helper's life: join each job, and sleep when none has come for a while."""
    idle = 0
    while True:
        seats = _glance(board, _SEATS)
        if seats > 0 and _swap(board, _SEATS, seats, seats - 1):
            _work(board, seats)
            _add(board, _LEFT, 1)
            idle = 0
        elif idle < _TURNS:
            idle += 1
            _pause()
        else:
            _add(board, _ASLEEP, 1)
            # A job may have come just now, by someone who did not see us asleep.
            if _glance(board, _SEATS) == 0 or _less(board, _ASLEEP, 1) == 0:
                _run(board[_READ], board[_OUT], board[_BYTE], 1)
            idle = 0


_PATIENCE = 1 << 10  # turns that we wait for helpers before we let other threads run


@kernel
def _lead(board, seats):
    """Do the job on the board, with those who take a seat; return when all have left."""
    board[_LEFT] = board[_FAILED] = 0
    tasks, shares = board[_TASKS], seats + 1
    board[_SHARES] = shares
    for i in range(shares):
        board[_NEXT + 8 * i] = i * tasks // shares
    _add(board, _SEATS, seats)  # from here on helpers may join
    for _ in range(_less(board, _ASLEEP, seats)):
        _run(board[_WRITE], board[_IN], board[_BYTE], 1)
    _work(board, 0)
    joined = seats - _less(board, _SEATS, seats)  # and from here on no more
    patience = _PATIENCE
    while _glance(board, _LEFT) < joined:
        patience -= 1
        if patience < 0:
            _run(board[_YIELD], 0, 0, 0)
        _pause()


class _Launches(Cache):
    """Compiled launchers, which look for other compiled code by its name."""

    def __init__(self, kernel):
        super().__init__(kernel.py_func, "-launch")
        self.kernel = kernel

    def load_overload(self, signature, target_context):
        board, seats, memory, _, args = signature
        _symbol(_lead, _signature(board, seats))
        _symbol(self.kernel, _signature(seats, seats, memory, *args.types))
        return super().load_overload(signature, target_context)


@functools.cache
def _launcher(kernel):
    """launch(board, seats, memory, scratch, *args): do the tasks that the board tells of.

    Arguments as in `share`, but memory for each seat and for us.
    """

    def launch(board, seats, memory, scratch, *args):
        _put_up(kernel, board, memory, scratch, args)
        _take_part(board, seats)

    launch.__module__ = kernel.py_func.__module__  # compiled code has names, too
    launch.__qualname__ = f"{kernel.py_func.__qualname__}.launch"
    return compiled(launch, lambda: _Launches(kernel))


_LINUX, _WINDOWS = sys.platform == "linux", sys.platform == "win32"
_this_core = ctypes.CDLL(None).sched_getcpu if _LINUX else None
_own = threading.local()  # each thread's memory, and a board for what it does alone


def _board(seats):
    board = aligned(_NEXT + 8 * (seats + 1), np.dtype(np.int64))
    board[:] = 0
    if _WINDOWS:
        c, system = ctypes.CDLL("ucrtbase"), ctypes.WinDLL("kernel32")
        functions = c._read, c._write, system.SwitchToThread
    else:
        c = ctypes.CDLL(None)
        functions = c.read, c.write, c.sched_yield
    board[_READ : _YIELD + 1] = [ctypes.cast(f, ctypes.c_void_p).value for f in functions]
    return board


class _Pool:
    """Threads that help, and their board."""

    def __init__(self, size):
        self.board = _board(size)
        self.board[_OUT : _BYTE + 1] = *os.pipe(), self.board[_BYTE + 1 :].ctypes.data
        self.busy = threading.Lock()  # held by the thread whose job is on the board
        self.core = None  # where the thread ran that last put up a job
        arrived = queue.SimpleQueue()
        for i in range(size):
            args = (self.board, arrived)
            threading.Thread(target=self.help, args=args, name=f"minigan-{i}", daemon=True).start()
        self.workers = [arrived.get() for _ in range(size)]  # the system's numbers of their threads

    @staticmethod
    def help(board, arrived):
        arrived.put(threading.get_native_id())
        _help(board)

    def make_room(self):
        """Ask Linux to run the helpers on other cores than ours.

        It may wake a thread on the core of the one that woke it, and leave both there for the job.
        """
        if _LINUX and self.core != (core := _this_core()):
            self.core = core
            others = os.sched_getaffinity(0) - {core}
            for worker in self.workers if others else ():
                with contextlib.suppress(OSError):  # not allowed here: no harm
                    os.sched_setaffinity(worker, others)


_pool = None
_guard = threading.Lock()


def _shared_pool():
    global _pool
    with _guard:
        if _pool is None:
            _pool = _Pool(max(1, threads() - 1))
        return _pool


def _forget():
    global _pool, _guard
    _pool, _guard = None, threading.Lock()  # threads do not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def threads():
    """How many threads share a job: MINIGAN_NUM_THREADS, or the cores this process may use."""
    asked = os.environ.get("MINIGAN_NUM_THREADS")
    if asked is not None:
        if not asked.isdigit() or int(asked) < 1:
            raise ValueError(f"MINIGAN_NUM_THREADS is {asked!r}; expected a whole number from 1")
        return int(asked)
    return len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count() or 1


def share(kernel, tasks, *args, work, scratch=0):
    """Run kernel(first, last, memory, *args) for all of 0 … tasks, on several threads if it pays.

    memory: `scratch` numbers of the type of args[0], for a thread's intermediate results.
    work: about how many multiplications in all; a helper joins for each quarter of a million.
    """
    scratch = -(-scratch // 64) * 64  # each thread's begins on a cache line
    useful = min(tasks, work >> 18)
    seats = min(threads(), useful) - 1 if useful > 1 else 0
    pool = _shared_pool() if seats > 0 else None
    if pool is None or not pool.busy.acquire(blocking=False):  # then their help is another's
        pool = None
    try:
        seats = 0 if pool is None else min(seats, len(pool.workers))
        memory = _scratch(scratch * (seats + 1), args[0].dtype)
        board = _own.board if pool is None else pool.board
        if pool is not None:
            pool.make_room()
        board[_TASKS] = tasks
        _launcher(kernel)(board, seats, memory, scratch, *args)
        failed = board[_FAILED]
    finally:
        if pool is not None:
            pool.busy.release()
    if failed:  # once more, where its error is ours
        kernel(0, tasks, memory, *args)


def _scratch(size, dtype):
    """This thread's own memory, kept, not asked for anew at each job."""
    size *= dtype.itemsize
    if not hasattr(_own, "board"):
        _own.board, _own.memory = _board(0), np.empty(0, np.uint8)
    if _own.memory.size < size:
        _own.memory = aligned(size, np.dtype(np.uint8))
    return _own.memory[:size].view(dtype)


def forget_scratch():
    """Free this thread's."""
    _own.memory = np.empty(0, np.uint8)

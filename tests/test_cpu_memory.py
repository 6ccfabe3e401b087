"""Memory that is handed out again: never while an array uses it, and not without end."""

import collections
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from minigan import ops
from minigan.ops.cpu import conv2d
from minigan.ops.cpu.runtime import memory

BIG = 1 << 19  # float32 numbers: 2 MB
F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(memory, "_blocks", [])


def address(a):
    return a.__array_interface__["data"][0]


def held():
    return sum(map(len, memory._blocks))


def test_what_no_array_uses_is_handed_out_again():
    a = memory.empty(BIG, F32)
    first = address(a)
    del a
    assert address(memory.empty(BIG, F32)) == first
    assert address(memory.empty(BIG + 1000, F32)) == first  # a similar size
    assert held() <= 1.2 * 4 * BIG


USES = {
    "itself": lambda a: a,
    "view": lambda a: a[5:],
    "reshaped": lambda a: a.reshape(2, -1).T,
    "inside another": lambda a: {"x": [a.view(np.int32)]},
    "buffer": memoryview,
}


@pytest.mark.parametrize("use", USES)
def test_what_an_array_uses_is_not(use):
    a = memory.empty(BIG, F32)
    first, kept = address(a), USES[use](a)
    a[:] = 7
    del a
    others = [memory.empty(BIG, F32) for _ in range(3)]
    assert len({first, *map(address, others)}) == 4
    for other in others:
        other[:] = 0
    assert use != "view" or (kept == 7).all()
    del kept
    assert address(memory.empty(BIG, F32)) == first


def test_every_array_starts_on_a_cache_line():
    for size in (1, 100, BIG, BIG + 1, 3 * BIG + 17):
        for dtype in (np.float32, np.float64):
            a = memory.empty(size, np.dtype(dtype))
            assert a.shape == (size,) and a.dtype == dtype and address(a) % 64 == 0
            assert a.flags.writeable and a.flags.c_contiguous


def test_little_lies_idle_when_more_is_needed(monkeypatch):
    monkeypatch.setattr(memory, "_IDLE", 10 * 4 * BIG)
    arrays = [memory.empty(BIG, F32) for _ in range(20)]
    assert held() >= 20 * 4 * BIG
    used = arrays[0]
    used[:] = 3
    del arrays
    big = memory.empty(8 * BIG, F32)
    assert held() <= (1.2 * 8 + 10 + 1.2) * 4 * BIG  # the two in use, and what may lie idle
    big[:] = 0
    assert (used == 3).all()
    memory.release()
    assert held() <= 1.2 * 9 * 4 * BIG
    del big, used
    memory.release()
    assert held() == 0


def test_all_that_is_kept_can_be_freed(monkeypatch):
    monkeypatch.setattr(conv2d, "_kept", collections.OrderedDict())
    monkeypatch.setattr(conv2d, "_kept_now", 0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 256, 64, 64), np.float32)
    w = rng.standard_normal((256, 256, 3, 3), np.float32)

    def run(x, w):
        y = ops.conv2d(ops.conv2d(x, w, padding=1), w, padding=1)  # Winograd's, with his weights
        return y + ops.conv2d(y, w[:, :, :2], padding=[1, 1, 0, 1])  # direct

    run(x[:, :64, :32, :32], w[:64, :64])  # so that all is compiled, and the threads hired
    tracemalloc.start()
    try:
        first = float(run(x, w).sum())
        kept, _ = tracemalloc.get_traced_memory()
        assert kept > 256 * 256 * 36 * 4 and conv2d._kept and held() > 0
        ops.free_memory()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000 and conv2d._kept_now == held() == 0
    assert float(run(x, w).sum()) == first


def test_freeing_loads_no_engine():
    code = "import sys; from minigan import ops; ops.free_memory(); print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_small_arrays_are_not_kept():
    memory.empty(1000, F32)
    assert held() == 0


def test_threads_never_get_the_same_memory():
    wrong = []

    def work(number):
        for _ in range(300):
            a = memory.empty(BIG // 2, F32)
            a[::4096] = number
            b = memory.empty(BIG // 2, F32)
            b[::4096] = -number
            if not ((a[::4096] == number).all() and (b[::4096] == -number).all()):
                wrong.append(number)
            del a, b  # or the next a would be a third block of this thread's

    workers = [threading.Thread(target=work, args=(i + 1,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert held() <= 1.2 * 8 * 2 * BIG

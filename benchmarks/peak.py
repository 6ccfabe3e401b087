"""How many multiply-adds the processor is capable of; `generators.py` prints it."""

import time

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.simd import LANES, fma, load, store
from minigan.ops.cpu.runtime.threads import share, threads


@kernel
def chains(first, last, memory, out, turns):
    """Twelve chains of `turns` multiply-adds of vectors, in registers.  Tasks: a thread's each."""
    for task in range(first, last):
        x, y = load(out, 0), load(out, LANES)
        a = b = c = d = e = f = g = h = i = j = k = l = y
        for _ in range(turns):
            a, b, c, d = fma(a, x, y), fma(b, x, y), fma(c, x, y), fma(d, x, y)
            e, f, g, h = fma(e, x, y), fma(f, x, y), fma(g, x, y), fma(h, x, y)
            i, j, k, l = fma(i, x, y), fma(j, x, y), fma(k, x, y), fma(l, x, y)
        store(out, (2 + task) * LANES, a + b + c + d + e + f + g + h + i + j + k + l)


def peak_rate(turns=1 << 25):
    """float32 multiply-adds a second of which all threads together are capable, at best of five."""
    out = np.full((2 + threads()) * LANES, 0.5, np.float32)
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        share(chains, threads(), out, turns, work=1 << 40)
        times.append(time.perf_counter() - begun)
    return threads() * turns * 12 * LANES / min(times[1:])  # the first compiles

"""Where a test's arrays are: one test for the CPU, for the emulator and for a GPU.

`device` (conftest.py) runs a module's tests on each; they make arrays by `rng`, `put` and `like`, and
look at them by `get`.
"""

import numpy as np

from minigan.device import moved, on_gpu, use
from minigan.ops.gpu.emulator import cupy

current = "cpu"  # or "emulator", "gpu"


def move_to(device):
    """Let later arrays be there; the emulator takes CuPy's place."""
    global current
    current = device
    use(cupy if device == "emulator" else None)
    cupy.settings.__init__()


def put(a):
    """A NumPy array, on the current device."""
    if current == "cpu":
        return a
    return moved(a, "gpu")


def get(a):
    """As a NumPy array."""
    return a.get() if on_gpu(a) else a


class Rng:
    """A numpy Generator whose arrays are on the current device."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def standard_normal(self, *args, **kwargs):
        return put(self._rng.standard_normal(*args, **kwargs))

"""Where a test's arrays are: one test for the CPU, for the emulator and for a GPU.

`device` (conftest.py) runs a module's tests on each; they make arrays by `rng`, `put` and `like`, and
look at them by `get`.
"""

import sys

import numpy as np

from minigan.device import on_gpu

current = "cpu"  # or "emulator", "gpu"


def move_to(device):
    """Let later arrays be there; the emulator takes CuPy's place among the imported modules."""
    global current
    current = device
    forget = [name for name in sys.modules if name.startswith("minigan.ops.gpu")]
    if device == "emulator":
        from emulator import cupy

        sys.modules["cupy"] = cupy
        cupy.settings.__init__()
    elif getattr(sys.modules.get("cupy"), "__name__", "") == "emulator.cupy":
        del sys.modules["cupy"]
        for name in forget:  # what they compiled was for the emulator
            del sys.modules[name]


def put(a):
    """A NumPy array, on the current device."""
    if current == "cpu":
        return a
    import cupy

    return cupy.asarray(a)


def get(a):
    """As a NumPy array."""
    return a.get() if on_gpu(a) else a


class Rng:
    """A numpy Generator whose arrays are on the current device."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def standard_normal(self, *args, **kwargs):
        return put(self._rng.standard_normal(*args, **kwargs))

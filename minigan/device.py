"""Where arrays are: in the computer's memory (NumPy) or in a GPU's (CuPy).

Nothing is computed here.  CuPy is imported only when somebody asks for the GPU.
"""

import dataclasses
import importlib
import os
import platform

import numpy as np

DEVICES = ("cpu", "gpu")
_instead = None


def on_gpu(a):
    """Whether `a` is a CuPy array, without importing CuPy to find out."""
    kind = type(a)
    return kind.__module__.partition(".")[0] == "cupy" and kind.__name__ == "ndarray"


def kind_of(a):
    """Its type's full name, for errors: numpy.ndarray, cupy.ndarray."""
    return f"{type(a).__module__}.{type(a).__qualname__}"


def use(module):
    """Let `module` take CuPy's place (None: CuPy itself); returns what had it before.

    For the emulator, which computes what a GPU would.  sys.modules stays as it is: parts of CuPy
    that are imported later would find a stranger there.
    """
    global _instead
    before, _instead = _instead, module
    return before


def cupy():
    """The CuPy module, ready to use.

    Raises: RuntimeError that says what is missing: the package, or a GPU and its driver.
    """
    try:
        module = importlib.import_module("cupy") if _instead is None else _instead
    except ImportError as error:
        raise RuntimeError(
            "the GPU needs CuPy, which cannot be imported here; install it with "
            "pip install 'minigan[cuda13]', or 'minigan[cuda12]' for an older driver"
        ) from error
    if not module.is_available():
        raise RuntimeError(
            "the GPU cannot be used: CuPy is installed, but finds no NVIDIA GPU with a driver"
        )
    return module


def machine(device="cpu"):
    """This machine, and the device that computes, in words."""
    computes = f"{platform.machine()}, {os.cpu_count()} cores"
    if device == "gpu":
        computes += f", a GPU of compute capability {cupy().cuda.Device().compute_capability}"
    return f"{computes}; Python {platform.python_version()}, NumPy {np.__version__}"


def moved(a, device):
    """An array, on "cpu" or "gpu"; itself if it is there.  Raises: ValueError, RuntimeError."""
    if device not in DEVICES:
        raise ValueError(f"to: device is {device!r}; expected 'cpu' or 'gpu'")
    if device == "gpu":
        return cupy().asarray(a)
    return a.get() if on_gpu(a) else a


def beside(a, like):
    """A NumPy array or None, where `like` is; anything else as it is."""
    return cupy().asarray(a) if on_gpu(like) and a is not None and not on_gpu(a) else a


def with_arrays_on(network, device):
    """A copy of a network with its arrays on "cpu" or "gpu".

    Resampling filters stay NumPy arrays: their few taps are arguments, checked on the CPU.
    Raises: ValueError for another device; RuntimeError where there is no GPU.
    """
    if device not in DEVICES:
        raise ValueError(f"to: device is {device!r}; expected 'cpu' or 'gpu'")
    changed = {}
    for field in dataclasses.fields(network):
        if field.name in ("params", "buffers"):
            changed[field.name] = {
                name: a if name.endswith("_filter") else moved(a, device)
                for name, a in getattr(network, field.name).items()
            }
    return dataclasses.replace(network, **changed)

"""Which engine computes: the array's own type says, and `engine` can say otherwise for a while."""

import contextlib
import contextvars
import functools
import importlib
import sys

import numpy as np

from minigan.device import on_gpu
from minigan.ops import reference

_engine = contextvars.ContextVar("engine", default="auto")
_precision = contextvars.ContextVar("precision", default="fp32")
chosen = _engine.get
chosen_precision = _precision.get
ENGINES = ("auto", "direct", "reference")
PRECISIONS = ("fp32", "tf32", "fp16")


@contextlib.contextmanager
def engine(name):
    """Compute otherwise, inside a `with` block of this thread.

    "auto": the fast kernels, on the CPU Winograd's algorithm among them where it pays (float32,
    3×3; its error is ≲ 2e-5 of the largest output).  "direct": without Winograd's.
    "reference": the definitions, on NumPy or CuPy arrays.
    Raises: ValueError for another name.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: name is {name!r}; expected one of {', '.join(ENGINES)}")
    with _set(_engine, name):
        yield


@contextlib.contextmanager
def precision(name):
    """Round float32 factors of convolutions on a GPU, inside a `with` block of this thread.

    "fp32": not at all, the default.  "tf32": to 10 bits of mantissa.  "fp16": to half precision,
    after scaling to at most 1.  The sums stay float32, and the last two run on tensor cores; they
    change nothing for NumPy arrays and for float64.  "tf32" needs compute capability 8.0.
    Raises: ValueError for another name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision: name is {name!r}; expected one of {', '.join(PRECISIONS)}")
    with _set(_precision, name):
        yield


@contextlib.contextmanager
def _set(variable, value):
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def fast(x):
    """The chosen engine for arrays such as x."""
    return reference if chosen() == "reference" else kernels(x)


def kernels(x):
    """The compiled engine for arrays such as x, imported at its first use: Numba takes a while.

    Whatever is chosen: for the backward pass of what it computed forward.
    """
    return _engine_of("gpu" if type(x) is not np.ndarray and on_gpu(x) else "cpu")


@functools.cache
def _engine_of(device):
    return importlib.import_module(f"minigan.ops.{device}.engine")


def free_memory():
    """Give back what the CPU engine keeps for its next calls: transformed weights of convolutions,
    up to 512 MiB; memory for results, up to 256 MiB of it unused; this thread's scratch memory.

    Results stay as they are; the next calls are slower.  A GPU's memory is CuPy's:
    cupy.get_default_memory_pool().free_all_blocks().
    """
    if "minigan.ops.cpu.engine" in sys.modules:
        sys.modules["minigan.ops.cpu.engine"].free_memory()


def native(*arrays):
    """Arrays and None as the kernels want them, which do not look: in this machine's byte order.

    Raises: TypeError if they are not of one dtype.
    """
    dtype = arrays[0].dtype
    for a in arrays:
        if a is not None and not (a.dtype == dtype and dtype.isnative):
            break
    else:
        return arrays
    arrays = [a if a is None else a.astype(a.dtype.newbyteorder("="), copy=False) for a in arrays]
    found = sorted({str(a.dtype) for a in arrays if a is not None})
    if len(found) > 1:
        raise TypeError(f"ops: arrays of {' and '.join(found)}; expected one dtype")
    return arrays

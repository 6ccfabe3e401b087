"""Which engine computes: the array's own type says, and `engine` can say otherwise for a while."""

import contextlib
import contextvars
import importlib

from minigan.ops import loops

_chosen = contextvars.ContextVar("engine", default="auto")
chosen = _chosen.get
ENGINES = ("auto", "direct", "loops")


@contextlib.contextmanager
def engine(name):
    """Compute NumPy arrays otherwise, inside a `with` block of this thread.

    "auto": the fast kernels, Winograd's algorithm among them where it pays (float32, 3×3; its error
    is ≲ 2e-5 of the largest output).  "direct": without Winograd's.  "loops": the definitions.
    Raises: ValueError for another name.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: name is {name!r}; expected one of {', '.join(ENGINES)}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def fast():
    """The chosen engine for NumPy arrays, imported at its first use: Numba takes a while."""
    return loops if chosen() == "loops" else cpu()


def cpu():
    """The Numba engine, whatever is chosen: for the backward pass of what it computed forward."""
    return importlib.import_module("minigan.ops.cpu")


def native(*arrays):
    """In this machine's byte order, which the kernels want."""
    return [a.astype(a.dtype.newbyteorder("="), copy=False) for a in arrays]

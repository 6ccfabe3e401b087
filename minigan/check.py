"""Arguments, checked at the door and brought into one form; the kernels behind it check nothing.

Every error names the operation and the argument, what came, and what was expected.
"""

import numbers

import numpy as np

from minigan.autograd.variable import Variable, plain
from minigan.device import kind_of, on_gpu


def describe(value):
    if hasattr(value, "dtype"):
        return f"an array of {value.dtype} and shape {value.shape}"
    return f"{type(value).__name__} {value!r}"


def array(who, name, value, ndim, like=None):
    """A float32 or float64 NumPy or CuPy array, or a variable of one, with so many axes (None:
    any); of the dtype and on the device of `like`, if that is given."""
    inside = plain(value)
    if not isinstance(inside, np.ndarray) and not on_gpu(inside):
        raise TypeError(
            f"{who}: {name} is a {kind_of(inside)}; expected a NumPy array, or a CuPy one"
        )
    if like is not None and on_gpu(inside) != on_gpu(plain(like)):
        wanted = "a CuPy" if on_gpu(plain(like)) else "a NumPy"
        raise TypeError(
            f"{who}: {name} is a {kind_of(inside)}; expected {wanted} array, as x is a "
            f"{kind_of(plain(like))}"
        )
    if inside.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise TypeError(f"{who}: {name} has dtype {inside.dtype}; expected float32 or float64")
    if ndim is not None and inside.ndim != ndim:
        axes = {1: "[C]", 2: "[N, C]", 4: "[N, C, H, W]"}[ndim]
        raise ValueError(f"{who}: {name} has shape {inside.shape}; expected {ndim} axes, {axes}")
    if like is not None and inside.dtype.newbyteorder("=") != plain(like).dtype.newbyteorder("="):
        raise TypeError(
            f"{who}: {name} has dtype {inside.dtype} and x {plain(like).dtype}; expected the same"
        )
    if ndim == 4 and 0 in inside.shape[1:]:
        raise ValueError(
            f"{who}: {name} has shape {inside.shape}; expected no empty axis but the first"
        )
    return value


def whole(who, name, value, least):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected a whole number")
    if not least <= value < 1 << 31:
        raise ValueError(f"{who}: {name} is {value}; expected at least {least}, and below 2³¹")
    return int(value)


def pair(who, name, value):
    """(x, y), each at least 1, from an int or [x, y]."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{who}: {name} is {value!r}; expected an int or [x, y]")
        return whole(who, f"{name}[0]", value[0], 1), whole(who, f"{name}[1]", value[1], 1)
    return (whole(who, name, value, 1),) * 2


def padding(who, value, name="padding"):
    """(x0, x1, y0, y1) from an int, [x, y] or [x0, x1, y0, y1]; negative crops."""
    least = -(1 << 31)
    if not isinstance(value, (tuple, list)):
        return (whole(who, name, value, least),) * 4
    if len(value) not in (2, 4):
        raise ValueError(f"{who}: {name} is {value!r}; expected an int, [x, y] or [x0, x1, y0, y1]")
    p = [whole(who, f"{name}[{i}]", v, least) for i, v in enumerate(value)]
    return tuple(p) if len(p) == 4 else (p[0], p[0], p[1], p[1])


def number(who, name, value, least=None):
    """A finite Python float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected a number")
    if not np.isfinite(value) or (least is not None and value < least):
        wanted = "a finite number" if least is None else f"a finite number, at least {least}"
        raise ValueError(f"{who}: {name} is {value}; expected {wanted}")
    return float(value)


def fir(who, name, f):
    """A filter as float64, [taps] or [ty, tx]; None is the identity."""
    if f is None:
        return np.ones(1)
    if isinstance(f, Variable) or not isinstance(f, np.ndarray):
        kind = kind_of(f) if on_gpu(f) else type(f).__qualname__
        raise TypeError(
            f"{who}: {name} is a {kind}; expected a NumPy array (on a GPU, too) that is not "
            "differentiated, or None; `filters.setup_filter` makes one of a list"
        )
    if f.dtype.kind != "f":
        raise TypeError(f"{who}: {name} has dtype {f.dtype}; expected floating")
    if f.ndim not in (1, 2) or f.size == 0:
        raise ValueError(f"{who}: {name} has shape {f.shape}; expected [taps] or [ty, tx]")
    bad = int(np.size(f) - np.isfinite(f).sum())
    if bad:
        raise ValueError(f"{who}: {name} holds {bad} NaN or infinite among {f.size} taps")
    return f.astype(np.float64)


def size(who, H, W, what):
    """Refuse an output without pixels, or with more than an index can count."""
    if H < 1 or W < 1:
        raise ValueError(f"{who}: {what} would have {H} × {W} pixels; expected at least 1 × 1")
    if H * W >= 1 << 40:
        raise ValueError(f"{who}: {what} would have {H} × {W} pixels; expected fewer than 2⁴⁰")


def flag(who, name, value):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected True or False")
    return bool(value)

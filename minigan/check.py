"""Arguments, checked at the door and brought into one form; what lies behind it checks nothing.

Every error names the argument, what came, and what was expected.  First the checks of operations,
then those of networks and of their configurations.
"""

import dataclasses
import math
import numbers
import typing

import numpy as np

from minigan.autograd.variable import Variable, plain
from minigan.device import kind_of, on_gpu


def describe(value) -> str:
    if hasattr(value, "dtype"):
        return f"an array of {value.dtype} and shape {value.shape}"
    return f"{type(value).__name__} {value!r}"


def array(who: str, name: str, value, ndim: int | None, like=None):
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


def whole(who: str, name: str, value, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected a whole number")
    if not least <= value < 1 << 31:
        raise ValueError(f"{who}: {name} is {value}; expected at least {least}, and below 2³¹")
    return int(value)


def pair(who: str, name: str, value) -> tuple[int, int]:
    """(x, y), each at least 1, from an int or [x, y]."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{who}: {name} is {value!r}; expected an int or [x, y]")
        return whole(who, f"{name}[0]", value[0], 1), whole(who, f"{name}[1]", value[1], 1)
    return (whole(who, name, value, 1),) * 2


def padding(who: str, value, name: str = "padding") -> tuple[int, int, int, int]:
    """(x0, x1, y0, y1) from an int, [x, y] or [x0, x1, y0, y1]; negative crops."""
    least = -(1 << 31)
    if not isinstance(value, (tuple, list)):
        return (whole(who, name, value, least),) * 4
    if len(value) not in (2, 4):
        raise ValueError(f"{who}: {name} is {value!r}; expected an int, [x, y] or [x0, x1, y0, y1]")
    p = [whole(who, f"{name}[{i}]", v, least) for i, v in enumerate(value)]
    return tuple(p) if len(p) == 4 else (p[0], p[0], p[1], p[1])


def number(who: str, name: str, value, least: float | None = None) -> float:
    """A finite Python float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected a number")
    if not np.isfinite(value) or (least is not None and value < least):
        wanted = "a finite number" if least is None else f"a finite number, at least {least}"
        raise ValueError(f"{who}: {name} is {value}; expected {wanted}")
    return float(value)


def fir(who: str, name: str, f: np.ndarray | None) -> np.ndarray:
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


def size(who: str, H: int, W: int, what: str) -> None:
    """Refuse an output without pixels, or with more than an index can count."""
    if H < 1 or W < 1:
        raise ValueError(f"{who}: {what} would have {H} × {W} pixels; expected at least 1 × 1")
    if H * W >= 1 << 40:
        raise ValueError(f"{who}: {what} would have {H} × {W} pixels; expected fewer than 2⁴⁰")


def flag(who: str, name: str, value) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{who}: {name} is {describe(value)}; expected True or False")
    return bool(value)


def within(who: str, name: str, value, low: float, high: float, whole: bool = False) -> None:
    """Raises: TypeError, ValueError unless value is a number (a whole one) from low to high."""
    expected = f"expected a {'whole ' * whole}number from {low:g} to {high:g}"
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{who}: {name} is {value!r}; {expected}")
    if not low <= value <= high:
        raise ValueError(f"{who}: {name} is {value!r}; {expected}")


# ---- what networks are given ---------------------------------------------------------------------


class NotFinite(ValueError):
    """NaN or infinity where numbers are expected."""


def finite(name: str, x, shape: tuple, like=None) -> None:
    """Raise unless x is a floating array of `shape` (None: any length), all finite (on the CPU: a
    GPU would be kept waiting), and where the network's array `like` is."""
    dtype = getattr(x, "dtype", None)
    if dtype not in (np.float32, np.float64):
        came = type(x).__name__ if dtype is None else f"an array of {dtype}"
        raise TypeError(f"{name} is {came}; expected an array of float32 or float64")
    if len(x.shape) != len(shape) or any(
        want not in (None, n) for want, n in zip(shape, x.shape, strict=True)
    ):
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {x.shape}; expected [{wanted}]")
    x = plain(x)
    if like is not None and on_gpu(x) != on_gpu(plain(like)):
        raise TypeError(
            f"{name} is a {kind_of(x)}, the network's arrays are {kind_of(plain(like))}; move one: "
            "G.to('gpu'), cupy.asarray(z)"
        )
    if on_gpu(x):
        return
    if not np.isfinite(np.sum(x)) and not np.isfinite(x).all():
        nan = int(np.isnan(x).sum())
        odd = f"{nan} NaN" if nan else f"{int(np.isinf(x).sum())} infinite"
        raise NotFinite(f"{name} holds {odd}; expected numbers")


def rng(value) -> None:
    """Raises: TypeError unless it is a numpy.random.Generator."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(f"rng is {type(value).__name__}; expected a numpy.random.Generator, such "
                        "as numpy.random.default_rng(0)")  # fmt: skip


# ---- settings ------------------------------------------------------------------------------------

_KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a word",
          tuple: "a list of numbers", type(None): "None"}  # fmt: skip


def _is(value, kind):
    if kind is tuple:
        return isinstance(value, tuple) and all(_is(one, float) for one in value)
    if kind in (int, float):
        kinds = (int, float) if kind is float else int
        return isinstance(value, kinds) and type(value) is not bool and math.isfinite(value)
    return isinstance(value, kind)


def setting(who: str, name: str, value, kinds: tuple, least: float | None = None) -> None:
    """Raises: ValueError unless value is of one of these types, and if a number, not below
    `least`."""
    small = least is not None and _is(value, float) and value < least
    if small or not any(_is(value, kind) for kind in kinds):
        words = [_KINDS.get(kind, f"a {kind.__name__}") for kind in kinds]
        words[0] += "" if least is None else f" from {least}"
        raise ValueError(f"{who}: {name} is {value!r:.60}; expected " + " or ".join(words))


def fields(config, **at_least: float) -> None:
    """Raise ValueError unless each field is what its annotation says, and these no smaller.

    Lists become tuples and dicts configurations: JSON has only the former.
    """
    for name, hint in typing.get_type_hints(type(config)).items():
        value, kinds = getattr(config, name), typing.get_args(hint) or (hint,)
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, dict) and dataclasses.is_dataclass(hint):
            value = dataclasses.replace(getattr(type(config), name), **value)
        object.__setattr__(config, name, value)
        setting(type(config).__qualname__, name, value, kinds, at_least.get(name))


def image_fields(config, **at_least: float) -> None:
    """`fields` of a network of images, whose resolution blocks of ×2 can reach."""
    fields(config, **at_least)
    who, res = type(config).__qualname__, config.img_resolution
    if res < 8 or res & (res - 1):
        raise ValueError(f"{who}: img_resolution is {res}; expected a power of two from 8")
    clamp = getattr(config, "conv_clamp", None)
    if clamp is not None and clamp <= 0:
        raise ValueError(f"{who}: conv_clamp is {clamp}; expected a number above 0, or None")


def choice(config, name: str, choices) -> None:
    """Raises: ValueError unless the field of this name is one of the choices."""
    if getattr(config, name) not in choices:
        raise ValueError(
            f"{type(config).__qualname__}: {name} is {getattr(config, name)!r}; expected "
            + ", ".join(map(repr, choices))
        )

"""bias_act as the epilogue of another operation: done on its results before they are written."""

import typing

import numpy as np

from minigan import check
from minigan.autograd.variable import Variable
from minigan.device import on_gpu
from minigan.ops.bias_act import _bias_act, check_bias_act
from minigan.ops.dispatch import chosen


class Epilogue(typing.NamedTuple):
    """Arguments of bias_act, checked."""

    b: np.ndarray | None = None
    act: str = "linear"
    alpha: float | None = None
    gain: float | None = None
    clamp: float | None = None
    scale: np.ndarray | None = None
    noise: np.ndarray | None = None


def parse_epilogue(who, shape, x, epilogue):
    """A dict of bias_act's arguments, or None, for a result of this shape and of x's dtype.

    Raises: TypeError, ValueError as `bias_act`.
    """
    if epilogue is None:
        return None
    names = Epilogue._fields
    if not isinstance(epilogue, dict) or not epilogue.keys() <= set(names):
        came = sorted(epilogue) if isinstance(epilogue, dict) else check.describe(epilogue)
        raise TypeError(
            f"{who}: epilogue is {came}; expected a dict of bias_act's {', '.join(names)}"
        )
    return Epilogue(**check_bias_act(f"{who}, epilogue", shape, x, **epilogue))


def fusible(x, *others):
    """Whether one kernel does an operation on x and others with its epilogue: on a GPU, if nothing
    is being recorded."""
    return on_gpu(x) and chosen() != "reference" and Variable not in map(type, others)


def scale_only(epilogue):
    """The scale of an epilogue that does nothing else, if it is a plain array; or None."""
    if epilogue is None:
        return None
    b, act, _, gain, clamp, scale, noise = epilogue
    alone = b is noise is clamp is None and act == "linear" and gain in (None, 1)
    return scale if alone and type(scale) is not Variable else None


def apply_epilogue(y, epilogue):
    """bias_act of y, if there is an epilogue."""
    return y if epilogue is None else _bias_act(y, epilogue.b, 1, *epilogue[1:])

"""Networks as files describe them: outlined from a configuration, then filled with a file's arrays.

A made-up description must cost nothing: it is refused before anything large is made of it.

Read first: `reading.py`.  Read next: `npz.py`, `nvidia.py`.
"""

import dataclasses
import math

import numpy as np

from minigan.files.reading import Refused, shown
from minigan.networks.base import Mapping

# Of numbers in a configuration, before anything is made of it: a made-up one could ask for all the
# memory there is.
_MOST = 16384
_LIMITS = {"channel_base": 1 << 20, "num_layers": 64, "filter_size": 64, "lrelu_upsampling": 8}


def check_values(values):
    """Refuse a configuration whose values, {name: value}, are no plain numbers and words."""
    for name, value in values.items():
        if name == "mapping_kwargs" and isinstance(value, dict):
            check_values(value)
            continue
        for one in value if type(value) in (list, tuple) and len(value) <= 64 else [value]:
            most = _LIMITS.get(name, _MOST)
            if isinstance(one, (int, float)):
                if not -most <= one <= most:  # NaN neither
                    raise Refused(f"{shown(name)} is out of range; expected numbers up to {most}")
            elif not isinstance(one, (str, type(None), Mapping)):
                raise Refused(f"{shown(name)} is {shown(one)}; expected a number or a word")


class _Unknown(np.ndarray):
    """Numbers that nobody will look at: reckoning with them takes no memory."""

    def __mul__(self, other):
        return self

    __truediv__ = __sub__ = __mul__


class Shapes(np.random.Generator):
    """A random generator that draws nothing: its arrays have the right shape and take no memory.

    What an `init` makes of them shows the names and shapes of a network's arrays.
    """

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.broadcast_to(dtype(1), size).view(_Unknown)

    random = standard_normal


def outline(cls, config):
    """cls's network of this configuration without numbers.  Raises: Refused, if one picture would
    need too much memory."""
    most = min(1 << 28, (1 << 24) + 256 * getattr(config, "img_resolution", 0) ** 2)
    if getattr(config, "largest", 0) > most:
        raise Refused(
            f"one picture would need arrays of {config.largest:,} numbers between its layers; "
            f"expected at most {most:,}"
        )
    return cls.init(config, Shapes())


def filled(fresh, params, buffers, budget, unfit):
    """`outline`'s network with these arrays of a file, which have shape, dtype and array().

    All float64 stay so, others become float32.  They are charged before one is read.
    Raises: Refused, saying what does not fit, after the words `unfit`.
    """
    wanted, given = fresh.params | fresh.buffers, params | buffers
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape:
            there, here = (a[name].shape if name in a else None for a in (given, wanted))
            what = f"{shown(name)} ({there or 'absent'}, expected {here or 'none'})"
        elif given[name].dtype.kind != "f":
            what = f"{shown(name)} (numbers of kind {given[name].dtype}, expected float32)"
        elif (name in params) != (name in fresh.params):
            what = f"{shown(name)} (a parameter among the buffers, or the other way round)"
        else:
            continue
        raise Refused(f"{unfit} in {what}")
    doubles = all(a.dtype == np.float64 for a in given.values())
    dtype = np.dtype(np.float64 if doubles else np.float32)
    sizes = (math.prod(a.shape) for a in given.values())
    budget.charge("bytes of numbers", dtype.itemsize * sum(sizes))
    arrays = {name: given[name].array().astype(dtype, copy=False) for name in wanted}
    return dataclasses.replace(
        fresh, params={name: arrays[name] for name in fresh.params},
        buffers={name: arrays[name] for name in fresh.buffers},
    )  # fmt: skip

"""Pickles read without running them.  Read first: `machine.py`, then `built.py`."""

import os

from minigan.pickles.built import NAMES, Module, Tensor
from minigan.pickles.machine import Machine, Refused

__all__ = ["NAMES", "Module", "Refused", "Tensor", "load"]


def load(file):
    """The object in an open binary file of one pickle; its tensors read from it when asked.

    Raises: Refused, saying at which byte.
    """
    size = os.fstat(file.fileno()).st_size
    machine = Machine(file, 0, size, NAMES)
    try:
        found = machine.run()
        if machine.at != size:
            raise Refused(f"{size - machine.at} bytes follow the pickle's end")
    except (Refused, UnicodeDecodeError, OverflowError, RecursionError, MemoryError) as error:
        raise Refused(f"at byte {machine.at}: {error}") from None
    return found

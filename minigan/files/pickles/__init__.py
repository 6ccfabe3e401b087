"""Pickles read without running them.  Read first: `unpickler.py`, then `objects.py`."""

import os

from minigan.files.pickles.objects import NAMES, Module, Tensor
from minigan.files.pickles.unpickler import Machine
from minigan.files.reading import Budget, Refused, shown

__all__ = ["NAMES", "Module", "Refused", "Tensor", "load"]


def load(file, budget=None):
    """The object in an open binary file of one pickle; its tensors read from it when asked.

    budget: what it may cost; None: that of a file of this size.
    Raises: Refused, saying at which byte.
    """
    size = os.fstat(file.fileno()).st_size
    machine = Machine(file, 0, size, NAMES, budget or Budget(size))
    try:
        found = machine.run()
        if machine.at != size:
            raise Refused(f"{size - machine.at} bytes follow the pickle's end")
    except Exception as error:  # decoding, overflow, memory: whatever a program brings about
        raise Refused(f"at byte {machine.at}: {shown(error, 300)}") from None
    return found

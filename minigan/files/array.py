"""One array in a file: a `.npy`, or a tensor as `torch.save` writes it, read without running it.

Read first: `pickles/objects.py`.
"""

import dataclasses
import os
import zlib

import numpy as np

from minigan.files.pickles import objects
from minigan.files.pickles.unpickler import Machine
from minigan.files.reading import Array, Budget, Refused, Region, expect, shown

_NAMES = {key: objects.NAMES[key] for key in (
    ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"),
    ("collections", "OrderedDict"),
)} | objects._INNER  # fmt: skip


def read_array(path: str | os.PathLike) -> np.ndarray:
    """The numbers of a `.npy` or of a `.pt` of one tensor, whatever the file is called.

    Raises: FileNotFoundError; ValueError for a file that is damaged, of another kind, or hostile.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        whole = Region(file, 0, size, Budget(size))
        try:
            whole.budget.charge("bytes of numbers", size)
            if whole.read(0, 6) == b"\x93NUMPY":
                found = Array.of(whole, zlib.crc32(whole.read()))
            else:
                found = _tensor(whole)
            if found.dtype.kind not in "fiu":
                raise Refused(f"its numbers are of kind {found.dtype}")
            return found.array()
        except Exception as error:  # there are many kinds of damage
            raise ValueError(
                f"{path} is no .npy, and no .pt of one tensor, or is damaged ({shown(error, 300)})"
            ) from None


class _Tensor:
    """A pickle of one tensor, whose numbers lie somewhere else in the file."""

    def __init__(self, region, at=0):
        self.file, self.about = region.file, None
        end = region.start + region.size
        machine = Machine(region.file, region.start + at, end, _NAMES, region.budget, self.storage)
        self.found = machine.run()
        self.end = machine.at - region.start
        expect(isinstance(self.found, objects.Tensor), "what it holds, one tensor,")

    def storage(self, pid):
        expect(self.about is None, "a single tensor's data")
        self.about = objects._persistent(pid)
        dtype = np.dtype(objects._STORAGES[self.about.kind])
        storage = objects.Storage(self.file, 0, dtype, self.about.count)
        return storage, self.about.kind == "BFloat16Storage"


def _tensor(whole):
    """In the newer form, a zip archive, or in the one before PyTorch 1.6."""
    if whole.read(0, 2) == b"PK":
        found = objects.archived(whole)
        tensor = _Tensor(found["data.pkl"])
        storage, _ = objects.zipped(found, tensor.about)
    else:
        tensor = _Tensor(whole, objects.header(whole))
        storage, _ = objects.stored(whole, tensor.end, tensor.about)
    return dataclasses.replace(tensor.found, storage=storage)

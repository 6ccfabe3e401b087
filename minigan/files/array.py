"""One array in a file: a `.npy`, or a tensor as `torch.save` writes it, read without running it.

Read first: `pickles/objects.py`.
"""

import dataclasses
import os
import struct
import zlib

import numpy as np

from minigan.files.pickles import objects
from minigan.files.pickles.unpickler import Machine
from minigan.files.reading import Array, Budget, Refused, Region, expect, members, shown

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
            start = whole.read(0, min(size, 6))
            if start != b"\x93NUMPY":
                found = (_zipped if start[:2] == b"PK" else _legacy)(whole)
            else:
                whole.budget.charge("bytes of numbers", size)
                found = Array.of(whole, zlib.crc32(whole.read()))
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
        self.region, self.about = region, None
        end = region.start + region.size
        machine = Machine(region.file, region.start + at, end, _NAMES, region.budget, self.storage)
        self.found = machine.run()
        self.end = machine.at - region.start
        expect(isinstance(self.found, objects.Tensor), "what it holds, one tensor,")

    def storage(self, pid):
        expect(self.about is None, "a single tensor's data")
        self.about = objects._persistent(pid)
        dtype = np.dtype(objects._STORAGES[self.about.kind])
        count, bfloat16 = self.about.count, self.about.kind == "BFloat16Storage"
        return objects.Storage(self.region.file, 0, dtype, count), bfloat16

    def at(self, region, first, stored):
        """The tensor, its numbers being at region[first:]."""
        storage, _ = objects._checked(self.about, region, first, region.size - first, stored)
        region.budget.charge("bytes of numbers", region.size)
        return dataclasses.replace(self.found, storage=storage)


def _zipped(whole):
    found = {name.partition("/")[2]: one for name, (one, _) in members(whole, 16, "it").items()}
    order = found.get("byteorder")
    expect(order is None or order.read(0, 6) == b"little", "its byte order")
    expect("data.pkl" in found, "a zipped tensor")
    tensor = _Tensor(found["data.pkl"])
    data = found.get(f"data/{tensor.about.key}")
    expect(data is not None, "a zipped tensor's data")
    return tensor.at(data, 0, tensor.about.count)


def _legacy(whole):
    """Before PyTorch 1.6: three pickles of a header, the tensor, its storage's key, its numbers."""
    at, found = 0, []
    for _ in range(3):
        value, at = objects._inner(whole, at, whole.size)
        found.append(value)
    magic, protocol, system = found
    expect(magic == 0x1950A86A20F9469CFC6C and protocol == 1001, "its header")
    little = isinstance(system, dict) and system.get("little_endian") is True
    expect(little, "its byte order")
    tensor = _Tensor(whole, at)
    keys, at = objects._inner(whole, tensor.end, whole.size)
    expect(keys == [tensor.about.key], "its storage's key")
    return tensor.at(whole, at + 8, struct.unpack("<q", whole.read(at, 8))[0])

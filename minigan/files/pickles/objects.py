"""What a network's file may build: modules, tensors, NumPy scalars and arrays, plain containers.

PyTorch writes a tensor as a view of a storage, and a storage as bytes that hold pickles again: they
run on the same machine, with the storages' names only.  Tensors stay on the disk until someone asks
for their array.
"""

import dataclasses
import math
import struct

import numpy as np

from minigan.files.pickles.unpickler import Buildable, Machine, Name, as_key
from minigan.files.reading import Refused, Region, expect, members, shown


@dataclasses.dataclass(frozen=True)
class Module:
    """A network or a part of one: the name of its class, and its attributes."""

    class_name: str
    state: dict


@dataclasses.dataclass(frozen=True)
class Storage:
    """`count` numbers in a row in a file."""

    file: object
    start: int
    dtype: np.dtype
    count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple
    bfloat16: bool

    @property
    def dtype(self):
        return np.dtype(np.float32) if self.bfloat16 else self.storage.dtype

    def array(self):
        """Its numbers in an array of its own; bfloat16 as float32."""
        first, dtype = self.storage, self.storage.dtype
        if math.prod(self.shape) == 0:
            return np.empty(self.shape, self.dtype)
        span = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        first.file.seek(first.start + self.offset * dtype.itemsize)
        flat = np.empty(span, dtype)
        if first.file.readinto(flat.view(np.uint8)) != flat.nbytes:
            raise Refused("the file ends within a tensor")
        strides = [s * dtype.itemsize for s in self.strides]
        view = np.lib.stride_tricks.as_strided(flat, self.shape, strides)
        if self.bfloat16:  # the upper half of a float32
            return (view.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return view if view.flags.c_contiguous else view.copy(order="C")


_LARGEST = 1024  # bytes in a NumPy array: official ones have two elements; weights are tensors


class _Dtype(Buildable):
    def __init__(self, code):
        expect(isinstance(code, str), "a NumPy type")
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise Refused(f"a NumPy array of kind '{shown(code)}'; expected plain numbers")
        self.value = np.dtype(code)

    def build(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", "|", "=") or any(x is not None for x in state[2:5]):
            raise Refused(
                "a NumPy type of another byte order, or of records; expected plain numbers"
            )


class _Array(Buildable):
    """A NumPy array: made empty, filled by BUILD."""

    def __init__(self):
        self.value = np.empty(0)

    def build(self, state):
        expect(isinstance(state, tuple) and len(state) == 5, "a NumPy array's state")
        _, shape, dtype, fortran, data = state
        self.value = _filled(data, dtype, shape, "F" if fortran else "C")


def _whole(*values):
    return all(type(v) is int and 0 <= v < 1 << 48 for v in values)


def _filled(data, dtype, shape, order):
    fits = isinstance(data, Region) and isinstance(dtype, _Dtype) and isinstance(shape, tuple)
    fits = fits and len(shape) <= 8 and _whole(*shape) and order in ("C", "F")
    expect(fits and data.size == math.prod(shape) * dtype.value.itemsize, "a NumPy array")
    data.budget.charge("steps", 20)  # as large as twenty small objects
    if data.size > _LARGEST:
        raise Refused(f"a NumPy array of {data.size} bytes; expected at most {_LARGEST}")
    return np.frombuffer(data.read(), dtype.value).reshape(shape, order=order)


def _frombuffer(data, dtype, shape, order):
    array = _Array()
    array.value = _filled(data, dtype, shape, order)
    return array


def _scalar(dtype, data):
    return _filled(data, dtype, (), "C").item()


def _reconstruct(cls, shape, kind):
    expect(cls is NAMES["numpy", "ndarray"] and shape == (0,), "a NumPy array")
    return _Array()


def _module(meta):
    expect(isinstance(meta, dict) and meta.get("type") == "class", "a network's description")
    name, state = meta.get("class_name"), meta.get("state")
    expect(isinstance(name, str) and isinstance(state, dict), "a network's description")
    return Module(name, state)  # meta["module_src"], Python code, is not looked at


def _parameter(data, requires_grad, hooks):
    expect(isinstance(data, Tensor) and not hooks, "a parameter")
    return data


def _tensor(storage, offset, shape, strides, requires_grad, hooks, metadata=None):
    expect(isinstance(storage, tuple) and not hooks and not metadata, "a tensor")
    storage, bfloat16 = storage
    fits = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    expect(fits and len(shape) <= 8 and _whole(offset, *shape, *strides), "a tensor's shape")
    count = math.prod(shape)
    if count:
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        # All between its first and last number is read.
        far = last - offset > 2 * count + 4096
        if last >= storage.count or count > storage.count + 4096 or far:
            raise Refused(
                f"a tensor of shape {shape} and strides {strides} at {offset} does not fit its "
                f"storage of {storage.count} numbers, or leaves out most of them"
            )
    return Tensor(storage, offset, shape, strides, bfloat16)


_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "b1",
}  # fmt: skip


def _storage(payload):
    """What `torch.save` wrote of a storage: (Storage, whether it is bfloat16)."""
    expect(isinstance(payload, Region), "a tensor's data")
    payload.budget.enter(payload)
    if payload.read(0, min(4, payload.size)) == b"PK\x03\x04":
        return _zipped(payload)
    about, at = _inner(payload, header(payload), payload.size)
    expect(isinstance(about, _About), "a tensor's header")
    return stored(payload, at, about)


def header(payload):
    """Where the three pickles end that `torch.save` began with before PyTorch 1.6."""
    at, found = 0, []
    for _ in range(3):
        value, at = _inner(payload, at, payload.size)
        found.append(value)
    magic, protocol, system = found
    expect(magic == 0x1950A86A20F9469CFC6C and protocol == 1001, "a tensor's header")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("a tensor's bytes are in big-endian order; expected little-endian")
    return at


def stored(payload, at, about):
    """What those files end with: the storage's key, and its numbers."""
    keys, at = _inner(payload, at, payload.size)
    expect(keys == [about.key], "a tensor's header")
    count = struct.unpack("<q", payload.read(at, 8))[0]
    return _checked(about, payload, at + 8, payload.size - at - 8, count)


def _inner(payload, first, last):
    """(what the pickle at payload[first:last] holds, where it ends)."""
    start = payload.start
    machine = Machine(payload.file, start + first, start + last, _INNER, payload.budget,
                      _persistent)  # fmt: skip
    value = machine.run()
    return value, machine.at - start


def _zipped(payload):
    """The same in PyTorch's newer form."""
    found = archived(payload)
    about, _ = _inner(found["data.pkl"], 0, found["data.pkl"].size)
    expect(isinstance(about, _About), "a zipped tensor")
    return zipped(found, about)


def archived(payload):
    """The members of PyTorch's newer form, all stored: data.pkl, data/<key>, …"""
    found = members(payload, 16, "a zipped tensor")
    found = {name.partition("/")[2]: region for name, (region, _) in found.items()}
    order = found.get("byteorder")
    if order is not None and order.read(0, min(order.size, 16)) != b"little":
        raise Refused("a tensor's bytes are in big-endian order; expected little-endian")
    expect("data.pkl" in found, "a zipped tensor")
    return found


def zipped(found, about):
    """The storage among these members."""
    expect(f"data/{about.key}" in found, "a zipped tensor")
    data = found[f"data/{about.key}"]
    return _checked(about, data, 0, data.size, about.count)


def _checked(about, payload, at, size, stored):
    dtype = np.dtype(_STORAGES[about.kind])
    if not stored == about.count == size / dtype.itemsize:
        raise Refused(
            f"a tensor's storage says {about.count} and {stored} numbers and has {size} bytes"
        )
    storage = Storage(payload.file, payload.start + at, dtype, about.count)
    return storage, about.kind == "BFloat16Storage"


@dataclasses.dataclass(frozen=True)
class _About:
    kind: str
    key: str
    count: int


def _persistent(pid):
    fits = isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"
    fits = fits and isinstance(pid[1], Name) and (len(pid) == 5 or pid[5] is None)
    fits = fits and isinstance(pid[2], str) and len(pid[2]) < 100 and _whole(pid[4])
    expect(fits, "a tensor's header")
    return _About(pid[1].name, pid[2], pid[4])


NAMES = {
    (module, name): Name(module, name, call, new)
    for modules, name, call, new in (
        ("torch_utils.persistence", "_reconstruct_persistent_obj", _module, None),
        ("dnnlib.util", "EasyDict", None, dict),
        ("torch._utils", "_rebuild_tensor_v2", _tensor, None),
        ("torch._utils", "_rebuild_parameter", _parameter, None),
        ("torch.storage", "_load_from_bytes", _storage, None),
        ("collections", "OrderedDict", lambda: {}, None),
        ("builtins", "set", lambda items=(): _set(items), None),
        ("numpy", "dtype", lambda code, align, copy: _Dtype(code), None),
        ("numpy", "ndarray", None, None),
        ("numpy.core.multiarray numpy._core.multiarray", "scalar", _scalar, None),
        ("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", _reconstruct, None),
        ("numpy.core.numeric numpy._core.numeric", "_frombuffer", _frombuffer, None),
    )
    for module in modules.split()
}
_INNER = {("torch", name): Name("torch", name) for name in _STORAGES}


def _set(items):
    expect(isinstance(items, (list, tuple)), "a set")
    return {as_key(item) for item in items}

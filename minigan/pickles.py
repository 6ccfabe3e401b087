"""A pickle machine that builds data and can do nothing else.

A pickle is a program for a small stack machine; `pickle.load` lets it import and call anything.
This one knows a fixed list of names, each with a harmless constructor of our own (`NAMES`), and
never imports, compiles or runs what a file names or carries.  It reads what PyTorch wrote of
NVIDIA's networks: modules, tensors, NumPy scalars, plain containers.  Tensors stay on the disk
until someone asks for one.

Read next: `official.py`, which makes networks of it.
"""

import dataclasses
import io
import math
import os
import struct
import zipfile

import numpy as np

MOST_STEPS = 5_000_000  # a file of NVIDIA's has about 30,000
MOST_TEXT = 1 << 24  # bytes in one string
_SMALL = 1024  # longer byte strings stay on the disk


class Refused(ValueError):
    """The file is damaged, or wants something that is not on the list."""


# ---- what a file may build -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes on the disk, not read yet."""

    file: object
    start: int
    size: int

    def read(self):
        self.file.seek(self.start)
        return self.file.read(self.size)


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

    def array(self):
        """Its numbers in an array of its own; bfloat16 as float32."""
        first, dtype = self.storage, self.storage.dtype
        if math.prod(self.shape) == 0:
            return np.empty(self.shape, np.float32 if self.bfloat16 else dtype)
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


class _Dtype:
    def __init__(self, code):
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise Refused(f"a NumPy array of kind {code!r}; expected plain numbers")
        self.value = np.dtype(code)

    def build(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", "|", "=") or any(x is not None for x in state[2:5]):
            raise Refused(f"a NumPy type with the state {str(state)[:60]}; expected plain numbers")


class _Array:
    """A NumPy array: made empty, filled by BUILD."""

    def __init__(self):
        self.value = np.empty(0)

    def build(self, state):
        _expect(isinstance(state, tuple) and len(state) == 5, "a NumPy array's state")
        _, shape, dtype, fortran, data = state
        self.value = _filled(data, dtype, shape, "F" if fortran else "C")


def _expect(fits, what):
    if not fits:
        raise Refused(f"{what} is not as it should be")


def _whole(*values):
    return all(type(v) is int and 0 <= v < 1 << 48 for v in values)


def _filled(data, dtype, shape, order):
    data = data.read() if isinstance(data, Region) else data
    fits = isinstance(data, bytes) and isinstance(dtype, _Dtype) and isinstance(shape, tuple)
    fits = fits and len(shape) <= 8 and _whole(*shape) and order in ("C", "F")
    _expect(fits and len(data) == math.prod(shape) * dtype.value.itemsize, "a NumPy array")
    return np.frombuffer(data, dtype.value).reshape(shape, order=order)


def _frombuffer(data, dtype, shape, order):
    array = _Array()
    array.value = _filled(data, dtype, shape, order)
    return array


def _scalar(dtype, data):
    return _filled(data, dtype, (), "C").item()


def _reconstruct(cls, shape, kind):
    _expect(cls is NAMES["numpy", "ndarray"] and shape == (0,), "a NumPy array")
    return _Array()


def _module(meta):
    _expect(isinstance(meta, dict) and meta.get("type") == "class", "a network's description")
    name, state = meta.get("class_name"), meta.get("state")
    _expect(isinstance(name, str) and isinstance(state, dict), "a network's description")
    return Module(name, state)  # meta["module_src"], Python code, is not looked at


def _parameter(data, requires_grad, hooks):
    _expect(isinstance(data, Tensor) and not hooks, "a parameter")
    return data


def _tensor(storage, offset, shape, strides, requires_grad, hooks, metadata=None):
    _expect(isinstance(storage, tuple) and not hooks and not metadata, "a tensor")
    storage, bfloat16 = storage
    fits = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    _expect(fits and len(shape) <= 8 and _whole(offset, *shape, *strides), "a tensor's shape")
    count = math.prod(shape)
    if count:
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if last >= storage.count or count > storage.count + 4096:
            raise Refused(
                f"a tensor of shape {shape} and strides {strides} at {offset} does not fit its "
                f"storage of {storage.count} numbers"
            )
    return Tensor(storage, offset, shape, strides, bfloat16)


_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "b1",
}  # fmt: skip


def _storage(payload):
    """What `torch.save` wrote of a storage: (Storage, whether it is bfloat16)."""
    if isinstance(payload, bytes):
        payload = Region(io.BytesIO(payload), 0, len(payload))
    _expect(isinstance(payload, Region), "a tensor's data")
    payload.file.seek(payload.start)
    if payload.file.read(4) == b"PK\x03\x04":
        return _zipped(payload)
    at, found = payload.start, []
    for _ in range(5):
        machine = Machine(payload.file, at, payload.start + payload.size, _INNER, _persistent)
        found.append(machine.run())
        at = machine.at
    magic, protocol, system, about, keys = found
    _expect(magic == 0x1950A86A20F9469CFC6C and protocol == 1001, "a tensor's header")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("a tensor's bytes are in big-endian order; expected little-endian")
    _expect(isinstance(about, _About) and keys == [about.key], "a tensor's header")
    payload.file.seek(at)
    stored = struct.unpack("<q", _exactly(payload.file, 8))[0]
    size = payload.start + payload.size - at - 8
    return _checked(about, payload.file, at + 8, size, stored)


def _zipped(payload):
    """The same in PyTorch's newer form: members <root>/data.pkl, <root>/data/<key>, all stored."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload.read())) as archive:
            members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
            _expect(len(members) <= 16, "a zipped tensor")
            plain = all(i.compress_type == zipfile.ZIP_STORED for i in members.values())
            _expect(plain and "data.pkl" in members, "a zipped tensor")
            _expect(members["data.pkl"].file_size <= 4096, "a zipped tensor's header")
            if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
                raise Refused("a tensor's bytes are in big-endian order; expected little-endian")
            header = archive.read(members["data.pkl"])
            about = Machine(io.BytesIO(header), 0, len(header), _INNER, _persistent).run()
            _expect(isinstance(about, _About), "a zipped tensor's header")
            data = members.get(f"data/{about.key}")
            _expect(data is not None, "a zipped tensor")
            numbers = archive.read(data)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise Refused(f"a zipped tensor is damaged ({error})") from None
    return _checked(about, payload.file, _find(payload, data), len(numbers), about.count)


def _find(payload, member):
    """Where a stored member's bytes begin: after its local header, two lengths of which it has."""
    at = payload.start + member.header_offset
    payload.file.seek(at + 26)
    name, extra = struct.unpack("<HH", _exactly(payload.file, 4))
    return at + 30 + name + extra


def _exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise Refused("the file ends too early")
    return data


def _checked(about, file, start, size, stored):
    dtype = np.dtype(_STORAGES[about.kind])
    if not stored == about.count == size / dtype.itemsize:
        raise Refused(
            f"a tensor's storage says {about.count} and {stored} numbers and has {size} bytes"
        )
    return Storage(file, start, dtype, about.count), about.kind == "BFloat16Storage"


@dataclasses.dataclass(frozen=True)
class _About:
    kind: str
    key: str
    count: int


def _persistent(pid):
    fits = isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"
    fits = fits and isinstance(pid[1], Name) and (len(pid) == 5 or pid[5] is None)
    _expect(fits and isinstance(pid[2], str) and _whole(pid[4]), "a tensor's header")
    return _About(pid[1].name, pid[2], pid[4])


@dataclasses.dataclass(frozen=True)
class Name:
    """A name that a file may use: what calling it does here (REDUCE), what its NEWOBJ makes."""

    module: str
    name: str
    call: object = None
    new: object = None


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
    _expect(isinstance(items, (list, tuple)), "a set")
    return {_key(item) for item in items}


def _key(value):
    # A tuple of tuples of … would be hashed on a stack as deep as the file likes; large integers
    # may be chosen so that all have one hash, and each new key must pass all before it.
    if not isinstance(value, str) and not (isinstance(value, int) and abs(value) < 1 << 31):
        raise Refused(f"a {type(value).__name__} as a key; expected text or a small number")
    return value


# ---- the machine ---------------------------------------------------------------------------------


class Machine:
    """Runs one pickle in file[start:end]; `at` is then behind it."""

    def __init__(self, file, start, end, names, persistent=None):
        self.file, self.at, self.end = file, start, end
        self.names, self.persistent = names, persistent
        self.stack, self.below, self.memo = [], [], {}

    def run(self):
        """The object.  Raises: Refused."""
        self.file.seek(self.at)
        for _ in range(MOST_STEPS):
            code = self.take(1)
            step = _STEPS.get(code)
            if step is None:
                if code == b".":
                    _expect(len(self.stack) == 1 and not self.below, "the pickle's end")
                    return self.stack[0]
                raise Refused(f"the opcode {code!r} is not one that a network's file needs")
            step(self)
        raise Refused(f"more than {MOST_STEPS} steps")

    def take(self, count):
        if count > self.end - self.at:
            raise Refused("the file ends too early")
        self.at += count
        return _exactly(self.file, count)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, count):
        if count > MOST_TEXT:
            raise Refused(f"a text of {count} bytes; expected at most {MOST_TEXT}")
        return self.take(count).decode("utf-8", "surrogatepass")

    def line(self):
        """Text up to a line's end: the operands of GLOBAL."""
        data = self.file.readline(min(256, self.end - self.at))
        self.at += len(data)
        _expect(data.endswith(b"\n"), "a name")
        return data[:-1].decode()

    def data(self, count):
        if count <= _SMALL:
            return self.take(count)
        if count > self.end - self.at:
            raise Refused("the file ends too early")
        region = Region(self.file, self.at, count)
        self.at += count
        self.file.seek(self.at)
        return region

    def pop(self):
        if not self.stack:
            raise Refused("the stack is empty")
        return self.stack.pop()

    def top(self, kind):
        if not self.stack or type(self.stack[-1]) is not kind:
            raise Refused(f"there is no {kind.__name__} to add to")
        return self.stack[-1]

    def since_mark(self):
        if not self.below:
            raise Refused("there is no mark")
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self):
        self.below.append(self.stack)
        self.stack = []

    def push_name(self, module, name):
        found = self.names.get((module, name))
        if found is None:
            raise Refused(_unlisted(module, name))
        self.stack.append(found)

    def stack_global(self):
        name, module = self.pop(), self.pop()
        _expect(isinstance(name, str) and isinstance(module, str), "a name")
        self.push_name(module, name)

    def reduce(self):
        args, name = self.pop(), self.pop()
        callable_ = isinstance(name, Name) and name.call is not None and isinstance(args, tuple)
        _expect(callable_, "what is to be called")
        here = self.at
        try:
            made = name.call(*args)
        except TypeError as error:  # the number of arguments
            raise Refused(f"{name.module}.{name.name} with other arguments ({error})") from None
        self.file.seek(here)  # a constructor may have read elsewhere
        self.stack.append(made)

    def new_object(self):
        args, name = self.pop(), self.pop()
        _expect(isinstance(name, Name) and name.new is not None and args == (), "a new object")
        self.stack.append(name.new())

    def build(self):
        state = self.pop()
        _expect(self.stack and isinstance(self.stack[-1], (_Dtype, _Array)), "a state to build")
        self.stack[-1].build(state)

    def set_items(self, items):
        held = self.top(dict)
        _expect(len(items) % 2 == 0, "a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            held[_key(key)] = value

    def get(self, index):
        if index not in self.memo:
            raise Refused(f"the memo has no entry {index}")
        self.stack.append(self.memo[index])

    def put(self, index):
        _expect(self.stack, "what is to be remembered")
        self.memo[index] = self.stack[-1]

    def tuple_of(self, count):
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def person(self):
        _expect(self.persistent is not None, "a persistent id")
        self.stack.append(self.persistent(self.pop()))

    def protocol(self):
        version = self.number("<B")
        if version > 5:
            raise Refused(f"pickle protocol {version}; expected at most 5")


def _unlisted(module, name):
    what = f"it names {module[:80]}.{name[:80]}, which a network's file has no need of"
    if module.startswith("dnnlib.tflib"):
        what = ("it is a file for TensorFlow, as StyleGAN and StyleGAN2 came; the official PyTorch "
                "repositories convert StyleGAN2's")  # fmt: skip
    elif module.startswith(("training.networks", "R3GAN")):
        what = f"it holds networks of R3GAN ({module[:80]}.{name[:80]}), which are not read here"
    elif module.startswith("torch.nn.modules.sparse"):
        what = f"it holds networks of StyleGAN-XL ({module}.{name[:80]}), which are not read here"
    return f"{what}; nothing was run"


def _push(form):
    return lambda m: m.stack.append(m.number(form))


def _constant(value):
    return lambda m: m.stack.append(value)


def _long(m):
    m.stack.append(int.from_bytes(m.take(m.number("<B")), "little", signed=True))


_STEPS = {
    b"\x80": Machine.protocol, b"\x95": lambda m: m.take(8) and None,  # FRAME: its length
    b"(": Machine.mark, b"0": lambda m: m.pop() and None, b"1": lambda m: m.since_mark() and None,
    b"N": _constant(None), b"\x88": _constant(True), b"\x89": _constant(False),
    b"J": _push("<i"), b"K": _push("<B"), b"M": _push("<H"), b"G": _push(">d"), b"\x8a": _long,
    b"X": lambda m: m.stack.append(m.text(m.number("<I"))),
    b"\x8c": lambda m: m.stack.append(m.text(m.number("<B"))),
    b"\x8d": lambda m: m.stack.append(m.text(m.number("<Q"))),
    b"B": lambda m: m.stack.append(m.data(m.number("<I"))),
    b"C": lambda m: m.stack.append(m.data(m.number("<B"))),
    b"\x8e": lambda m: m.stack.append(m.data(m.number("<Q"))),
    b"\x96": lambda m: m.stack.append(m.data(m.number("<Q"))),  # a bytearray
    b")": _constant(()), b"\x85": lambda m: m.tuple_of(1), b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3), b"t": lambda m: _mark_to(m, tuple),
    b"]": lambda m: m.stack.append([]), b"l": lambda m: _mark_to(m, list),
    b"}": lambda m: m.stack.append({}), b"\x8f": lambda m: m.stack.append(set()),
    b"a": lambda m: _append(m, [m.pop()]), b"e": lambda m: _append(m, m.since_mark()),
    b"s": lambda m: m.set_items([*reversed([m.pop(), m.pop()])]),
    b"u": lambda m: m.set_items(m.since_mark()), b"\x90": lambda m: _add(m, m.since_mark()),
    b"c": lambda m: m.push_name(m.line(), m.line()), b"\x93": Machine.stack_global,
    b"R": Machine.reduce, b"\x81": Machine.new_object, b"b": Machine.build,
    b"q": lambda m: m.put(m.number("<B")), b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)), b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")), b"Q": Machine.person,
}  # fmt: skip


def _mark_to(m, kind):
    items = m.since_mark()
    m.stack.append(kind(items))


def _append(m, items):
    m.top(list).extend(items)


def _add(m, items):
    m.top(set).update(_key(item) for item in items)


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

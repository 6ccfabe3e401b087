"""What goes between the grader and a student's kernel: plain values and arrays, nothing that runs.

A frame is 8 bytes of length, 4 bytes of length of a JSON text, the text, and the arrays' bytes one
after another; there is no pickle in it and nothing to decompress.  Reading one trusts nothing: what
is not of this form raises `ValueError`, and no more than `most` bytes are read.  An answer may hold
large arrays, but not a large structure: at most `TEXT` bytes of JSON and `NODES` values.

Identity is kept within a call, so that "the argument was changed in place" and "the result is a
view of the argument" can be seen from the other side: each mutable object has a number,
`{"again": 3}` names one that was sent before, and `{"view": …}` an array that lies in its memory.
"""

import functools
import json
import math
import re
import struct

import numpy as np

_PLAIN = (type(None), bool, int, float, str)
_KINDS = "biufc"  # booleans, integers, floats, complex numbers: no objects, no strings
_DTYPE = re.compile(rf"[<>|]?[{_KINDS}]\d{{1,2}}")
TEXT = 1 << 18
NODES = 10_000


class Foreign:
    """Stands for a value that is not plain data; its type has the name of that value's type."""


@functools.lru_cache(maxsize=256)  # a type each would be a kilobyte for every value sent
def foreign(name):
    """A `Foreign` whose type is called `name`."""
    name = "".join(c for c in name[:60] if c.isprintable()) or "object"
    return type(name, (Foreign,), {})()


def _mutable(value):
    """Whether a value is one that can be sent and can change: these are numbered."""
    kind = type(value)
    if kind is np.ndarray:
        return value.dtype.kind in _KINDS
    if kind is dict:
        return all(type(key) is str for key in value)
    if kind is np.random.Generator:
        return type(value.bit_generator) is np.random.PCG64
    return kind is list


class Packer:
    """Encodes values.  known: the mutable objects that the other side can be referred to.

    `special(value)` may return a JSON value for what is not plain; None makes it foreign.
    With `learn`, mutable objects met on the way are added to `known`.
    """

    def __init__(self, known=None, special=lambda value: None, learn=False):
        self.known = [] if known is None else known
        self.numbers = {id(value): i for i, value in enumerate(self.known)}
        self.special, self.learn, self.arrays, self.nodes = special, learn, [], 0

    def encode(self, value):
        """A JSON value for `value`; its arrays are appended to `self.arrays`."""
        self.nodes += 1
        if type(value) in _PLAIN:
            return value
        if id(value) in self.numbers:
            return {"again": self.numbers[id(value)]}
        if self.learn and _mutable(value):
            self.numbers[id(value)] = len(self.known)
            self.known.append(value)
        return self._content(value)

    def _content(self, value):
        kind = type(value)
        if isinstance(value, np.generic) and value.dtype.kind in _KINDS:
            return {"scalar": self._array(np.asarray(value))}
        if kind is np.ndarray and _mutable(value):
            out = {"array": self._array(value)}
            if not value.flags.writeable:
                out["fixed"] = True
            for number, base in enumerate(() if self.learn else self.known):
                if type(base) is np.ndarray and np.may_share_memory(base, value):
                    start = value.__array_interface__["data"][0]
                    offset = start - base.__array_interface__["data"][0]
                    out["view"] = [number, offset, list(value.strides)]
            return out
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        for plain in (tuple, list):  # a named tuple is a tuple, too
            if isinstance(value, plain):
                return {plain.__name__: [self.encode(v) for v in value]}
        if isinstance(value, dict) and all(type(key) is str for key in value):
            return {"dict": {key: self.encode(v) for key, v in value.items()}}
        if kind is np.random.Generator and _mutable(value):
            return {"rng": state(value)}
        special = self.special(value)
        return {"foreign": kind.__name__} if special is None else special

    def _array(self, value):
        self.arrays.append(np.ascontiguousarray(value).reshape(value.shape))
        return len(self.arrays) - 1

    def frame(self, message, most=None):
        """The bytes of a message: a dict of names to values that `encode` or plain JSON made.

        Raises: ValueError if it is an answer, of at most `most` bytes of arrays, and too large.
        """
        head = {"arrays": [[a.dtype.str, a.shape] for a in self.arrays], "message": message}
        text = json.dumps(head).encode("utf-8", "surrogatepass")
        if most is not None:
            size = sum(array.nbytes for array in self.arrays)
            for count, allowed, what in (
                (size, most, "bytes of arrays"),
                (self.nodes, NODES, "values outside of arrays"),
                (len(text), TEXT, "bytes outside of arrays"),
            ):
                if count > allowed:
                    raise ValueError(f"too large to send: {count:,} {what}, at most {allowed:,}")
        body = b"".join(a.tobytes() for a in self.arrays)
        return struct.pack("<QI", 4 + len(text) + len(body), len(text)) + text + body


class Unpacker:
    """Decodes values.  Raises: ValueError for whatever `Packer` would not have written.

    known: the mutable objects that `again` and `view` refer to; with `learn`, those that arrive are
    added.  `special(key, value)` decodes what is not plain.
    """

    def __init__(self, arrays, known=None, special=None, learn=False):
        self.arrays, self.known = arrays, [] if known is None else known
        self.special, self.learn, self.nodes = special, learn, 0

    def decode(self, node):
        """The value of a JSON value."""
        self.nodes += 1
        if self.nodes > NODES:
            raise ValueError(f"more than {NODES:,} values")
        if type(node) in _PLAIN:
            return node
        if type(node) is not dict or not node:
            raise ValueError("not a value")
        key, value = next(iter(node.items()))
        if key == "again":
            return self._of(self.known, value)
        if key == "array":
            return self._learned(self._view(node, self._of(self.arrays, value)))
        if key == "scalar":
            return self._of(self.arrays, value)[()]
        if key == "complex":
            return complex(*value)
        if key in ("tuple", "list"):
            values = self._learned([]) if key == "list" else []
            values.extend(self.decode(v) for v in self._is(value, list))
            return tuple(values) if key == "tuple" else values
        if key == "dict":
            out = self._learned({})
            out.update((k, self.decode(v)) for k, v in self._is(value, dict).items())
            return out
        if key == "foreign":
            return foreign(self._is(value, str))
        if self.special is None:
            raise ValueError(f"a value of an unknown kind, {key!r}")
        return self._learned(self.special(key, value))

    def _learned(self, value):
        if self.learn and type(value) in (np.ndarray, list, dict, np.random.Generator):
            self.known.append(value)
        return value

    def _view(self, node, array):
        if "view" not in node:
            array.flags.writeable = not node.get("fixed", False)
            return array
        number, offset, strides = self._is(node["view"], list)
        base = self._of(self.known, number)
        if type(base) is not np.ndarray or not base.flags.c_contiguous:
            return array
        return np.ndarray(array.shape, array.dtype, base, offset, tuple(strides))

    @staticmethod
    def _of(values, number):
        if type(number) is not int or not 0 <= number < len(values):
            raise ValueError("a number of nothing that was sent")
        return values[number]

    @staticmethod
    def _is(value, *kinds):
        if type(value) not in kinds:
            raise ValueError(f"a {type(value).__name__} where none belongs")
        return value


def read(stream, most, most_text=None):
    """(message, arrays) of the next frame of a binary stream.

    Raises: EOFError at its end, ValueError if the frame is malformed, longer than `most` bytes, or
    its text than `most_text`.
    """
    size, text_size = struct.unpack("<QI", _exactly(stream, 12))
    for count, allowed in ((size, most), (text_size, most_text or most)):
        if count > allowed:
            raise ValueError(f"too large: {count:,} bytes, at most {allowed:,}")
    if not 4 + text_size <= size:
        raise ValueError("its lengths contradict each other")
    text, body = _exactly(stream, text_size), _exactly(stream, size - 4 - text_size)
    try:
        head = json.loads(text.decode("utf-8", "surrogatepass"))
        arrays, at = [], 0
        for name, shape in head["arrays"]:
            if not _DTYPE.fullmatch(Unpacker._is(name, str)) or len(shape) > 32:
                raise ValueError(f"an array of {name}")
            dtype = np.dtype(name)
            if not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError("an impossible shape")
            count = math.prod(shape)
            flat = np.frombuffer(body, dtype, count, at) if count else np.empty(0, dtype)
            arrays.append(flat.reshape(shape).copy())
            at += count * dtype.itemsize
        return head["message"], arrays
    except (TypeError, KeyError, RecursionError, SyntaxError, OverflowError) as error:
        raise ValueError(f"malformed: {error}") from error


def _exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("the stream has ended")
    return data


def state(rng):
    """The state of a PCG64 generator as JSON; its 128-bit numbers as text."""
    whole = rng.bit_generator.state
    inner = {name: str(number) for name, number in whole["state"].items()}
    return inner | {"has_uint32": whole["has_uint32"], "uinteger": whole["uinteger"]}


def set_state(rng, state):
    """Bring a PCG64 generator into a state that `state` gave.  Raises: ValueError."""
    try:
        rng.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {name: int(state[name]) for name in ("state", "inc")},
            "has_uint32": int(state["has_uint32"]),
            "uinteger": int(state["uinteger"]),
        }
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError("not the state of a generator") from error
    return rng

"""A pickle machine that builds data and can do nothing else.

A pickle is a program for a small stack machine; `pickle.load` lets it import and call anything.
This one knows a fixed list of names, each with a harmless constructor of our own; it never imports,
compiles or runs what a file names or carries.  It is iterative: no nesting is too deep for it.

Read next: `objects.py`, the names and what they build.
"""

import dataclasses
import struct

from minigan.files.reading import Refused, Region, exactly, expect, shown


@dataclasses.dataclass(frozen=True)
class Name:
    """A name that a file may use: what calling it does here (REDUCE), what its NEWOBJ makes."""

    module: str
    name: str
    call: object = None
    new: object = None


class Buildable:
    """What BUILD may fill: `build(state)`."""


def as_key(value):
    # A tuple of tuples of … would be hashed on a stack as deep as the file likes; large integers
    # may be chosen so that all have one hash, and each new key must pass all before it.
    # No value is ever turned into text: of tuples that share their parts it could be endless.
    if not isinstance(value, str) and not (isinstance(value, int) and abs(value) < 1 << 31):
        raise Refused(f"a {type(value).__name__} as a key; expected text or a small number")
    return value


# ---- the machine ---------------------------------------------------------------------------------


class Machine:
    """Runs one pickle in file[start:end]; `at` is then behind it.

    names: {(module, name): `Name`}, all that the pickle may use.  persistent: what a persistent id
    stands for, a function; None refuses them.  budget: the file's.
    """

    def __init__(self, file, start, end, names, budget, persistent=None):
        self.file, self.at, self.end = file, start, end
        self.names, self.persistent = names, persistent
        self.budget, self.stack, self.below, self.memo = budget, [], [], {}

    def run(self):
        """The object.  Raises: Refused."""
        self.file.seek(self.at)
        while True:
            self.budget.charge("steps")
            code = self.take(1)
            step = _STEPS.get(code)
            if step is None:
                if code == b".":
                    expect(len(self.stack) == 1 and not self.below, "the pickle's end")
                    return self.stack[0]
                raise Refused(f"the opcode {code!r} is not one that a network's file needs")
            step(self)

    def take(self, count):
        if count > self.end - self.at:
            raise Refused("the file ends too early")
        self.at += count
        return exactly(self.file, count)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, count):
        self.budget.charge("letters of text", count)
        return self.take(count).decode("utf-8", "surrogatepass")

    def line(self):
        """Text up to a line's end: the operands of GLOBAL."""
        data = self.file.readline(min(256, self.end - self.at))
        self.at += len(data)
        expect(data.endswith(b"\n"), "a name")
        return data[:-1].decode()

    def data(self, count):
        if count > self.end - self.at:
            raise Refused("the file ends too early")
        region = Region(self.file, self.at, count, self.budget)
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
        expect(isinstance(name, str) and isinstance(module, str), "a name")
        self.push_name(module, name)

    def reduce(self):
        args, name = self.pop(), self.pop()
        callable_ = isinstance(name, Name) and name.call is not None and isinstance(args, tuple)
        expect(callable_, "what is to be called")
        # Arguments may be remembered ones: whatever goes through them again costs again.
        self.budget.charge("steps", sum(len(a) for a in args if isinstance(a, (list, tuple))))
        try:
            made = name.call(*args)
        except TypeError as error:  # the number of arguments
            raise Refused(
                f"{name.module}.{name.name} with other arguments ({shown(error)})"
            ) from None
        self.file.seek(self.at)  # a constructor may have read elsewhere
        self.stack.append(made)

    def new_object(self):
        args, name = self.pop(), self.pop()
        expect(isinstance(name, Name) and name.new is not None and args == (), "a new object")
        self.stack.append(name.new())

    def build(self):
        state = self.pop()
        expect(self.stack and isinstance(self.stack[-1], Buildable), "a state to build")
        self.stack[-1].build(state)
        self.file.seek(self.at)

    def set_items(self, items):
        held = self.top(dict)
        expect(len(items) % 2 == 0, "a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            held[as_key(key)] = value

    def get(self, index):
        if index not in self.memo:
            raise Refused(f"the memo has no entry {index}")
        self.stack.append(self.memo[index])

    def put(self, index):
        expect(self.stack, "what is to be remembered")
        self.memo[index] = self.stack[-1]

    def tuple_of(self, count):
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def person(self):
        expect(self.persistent is not None, "a persistent id")
        self.stack.append(self.persistent(self.pop()))

    def protocol(self):
        version = self.number("<B")
        if version > 5:
            raise Refused(f"pickle protocol {version}; expected at most 5")


def _unlisted(module, name):
    both = f"{shown(module)}.{shown(name)}"
    what = f"it names {both}, which a network's file has no need of"
    if module.startswith("dnnlib.tflib"):
        what = ("it is a file for TensorFlow, as StyleGAN and StyleGAN2 came; the official PyTorch "
                "repositories convert StyleGAN2's")  # fmt: skip
    elif module.startswith(("training.networks", "R3GAN")):
        what = f"it holds networks of R3GAN ({both}), which are not read here"
    elif module.startswith("torch.nn.modules.sparse"):
        what = f"it holds networks of StyleGAN-XL ({both}), which are not read here"
    return f"{what}; nothing was run"


def _push(form):
    return lambda m: m.stack.append(m.number(form))


def _constant(value):
    return lambda m: m.stack.append(value)


def _long(m):
    m.budget.charge("steps", 5)  # as large as five small objects
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
    m.top(set).update(as_key(item) for item in items)

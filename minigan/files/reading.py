"""What all reading of files has in common: a budget, bytes on the disk, stored archives, words.

A file is read as a stranger wrote it: what it says of itself costs nothing until it is charged.
Read next: `pickles/unpickler.py`, `files/npz.py`.
"""

import dataclasses
import math
import re
import struct
import zlib

import numpy as np

MOST_STEPS = 500_000  # official networks need 30,000
MOST_TEXT = 1 << 24
MOST_BYTES = 850_000_000  # a checkpoint of StyleGAN2 at 1024² has 816 MB


class Refused(ValueError):
    """The file is damaged, or wants something that is not on the list."""


class Budget:
    """What reading one file of `size` bytes may cost; all that is within it draws on this one."""

    def __init__(self, size):
        self.entered = set()
        self.most = {
            "steps": MOST_STEPS,
            "letters of text": MOST_TEXT,
            "bytes of numbers": min(4 * size, MOST_BYTES),  # numbers of two bytes become four
        }
        self.left = dict(self.most)

    def charge(self, what, amount=1):
        self.left[what] -= amount
        if self.left[what] < 0:
            raise Refused(f"it asks for more than {self.most[what]} {what}")

    def enter(self, region):
        """A region's own program is run once: a file could else name a long one again and again."""
        if region.start in self.entered:
            raise Refused("a tensor's data are used twice")
        self.entered.add(region.start)


def shown(value, most=60):
    """A text, number or error from a file, for a message: cut, on one line, no terminal's codes."""
    if not isinstance(value, (str, int, float, Exception)):
        return f"a {type(value).__name__}"  # of tuples that share their parts no text would end
    text = str(value)
    if isinstance(value, Exception) and not text:
        text = type(value).__name__
    letters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:most])
    return "".join(letters) + "…" * (len(text) > most)


def expect(fits, what):
    if not fits:
        raise Refused(f"{what} is not as it should be")


def exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise Refused("the file ends too early")
    return data


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes on the disk, not read yet."""

    file: object
    start: int
    size: int
    budget: Budget

    def read(self, at=0, count=None):
        """`count` bytes from `at` on, all if None.  Raises: Refused where it has not so many."""
        count = self.size if count is None else count
        if at < 0 or at + count > self.size:
            raise Refused("the file ends too early")
        self.file.seek(self.start + at)
        return exactly(self.file, count)


def members(archive, most, what):
    """{name: (region, CRC-32)} of a zip archive of at most so many members, all stored (APPNOTE
    6.3.10).

    Read here, since Python's zipfile would read a directory of any length into memory.
    """
    end = archive.read(archive.size - 22, 22)
    signature, _, _, _, count, size, at, comment = struct.unpack("<4s4H2LH", end)
    fits = signature == b"PK\x05\x06" and comment == 0 and count <= most and size <= 256 * most
    expect(fits, f"{what}'s directory")
    directory, found, here, total = archive.read(at, size), {}, 0, 0
    for _ in range(count):
        expect(len(directory) >= here + 46, f"{what}'s directory")
        entry = struct.unpack_from("<4s6H3L5H2L", directory, here)
        flags, method, (crc, packed, plain, named, extra, comment) = entry[3], entry[4], entry[7:13]
        name = directory[here + 46 : here + 46 + named].decode("utf-8", "replace")
        here += 46 + named + extra + comment
        # Its local header has lengths of its own.
        start = entry[16] + 30 + sum(struct.unpack("<HH", archive.read(entry[16] + 26, 4)))
        total += plain
        stored = method == 0 and not flags & 1 and packed == plain and start + plain <= archive.size
        expect(entry[0] == b"PK\x01\x02" and stored and name not in found, what)
        found[name] = Region(archive.file, archive.start + start, plain, archive.budget), crc
    expect(total <= archive.size, what)
    return found


_HEAD = re.compile(
    rb"\{'descr': '([<|][biufcSU]\d{1,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12},? ?){0,32})\), \} *\n"
)


@dataclasses.dataclass(frozen=True)
class Array:
    """An array of an `.npz` archive, on the disk."""

    region: Region
    crc: int
    head: bytes
    dtype: np.dtype
    shape: tuple
    order: str

    @classmethod
    def of(cls, region, crc):
        """What a `.npy` file's header says.  Raises: Refused."""
        magic, length = struct.unpack("<8sH", region.read(0, 10))
        head = region.read(0, 10 + length)
        fields = _HEAD.fullmatch(head, 10)
        expect(magic == b"\x93NUMPY\x01\x00" and fields, "an array's header")
        kind, fortran, sizes = fields.groups()
        dtype, shape = np.dtype(kind.decode()), tuple(map(int, re.findall(rb"\d+", sizes)))
        count = math.prod(shape) * dtype.itemsize
        expect(dtype.itemsize and count == region.size - len(head), "an array's size")
        return cls(region, crc, head, dtype, shape, "F" if fortran == b"True" else "C")

    def array(self):
        """Its numbers.  Raises: Refused where they are not those that were written."""
        at, data = len(self.head), np.empty(self.region.size - len(self.head), np.uint8)
        self.region.file.seek(self.region.start + at)
        whole = self.region.file.readinto(data) == data.size
        if not whole or zlib.crc32(data, zlib.crc32(self.head)) != self.crc:
            raise Refused("an array's bytes are not those that were written (CRC-32)")
        return data.view(self.dtype).reshape(self.shape, order=self.order)

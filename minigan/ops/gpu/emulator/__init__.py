"""CUDA kernels on one core: compiled by the host's C++ compiler behind `cuda.h`, called by ctypes.

    kernels = emulator.build(source, "float")            # {name: Kernel}
    report = kernels["bias_act"]((2, 1, 1), (256, 1, 1), [x, y, 4, 64, …])

Arguments: NumPy arrays (checked at every index), None for a null pointer, and NumPy scalars.

Where there is no compiler, launches that were recorded are replayed: what they wrote and counted
comes from a file, which MINIGAN_RECORD=FILE makes, and which must be named by `replay_from`.
"""

import atexit
import ctypes
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np

HEADER = pathlib.Path(__file__).parent / "cuda.h"
MOST_KEPT = 33000  # numbers in an array; launches with larger ones are not recorded
CACHE = pathlib.Path.home() / ".cache" / "minigan" / "emulator"


class Fault(RuntimeError):
    """A kernel did what a GPU would not forgive: `cuda.h` says what is looked for."""


class _Array(ctypes.Structure):  # In and Out of cuda.h
    _fields_ = [("memory", ctypes.c_void_p), ("size", ctypes.c_int64), ("array", ctypes.c_int64)]


class _Report(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in (
            "global_reads", "global_writes", "shared_reads", "shared_writes", "barriers",
        )),
        ("reads_of", ctypes.c_int64 * 64), ("traced", ctypes.c_int64), ("room", ctypes.c_int64),
        ("trace", ctypes.c_void_p),
    ]  # fmt: skip


ACCESS = np.dtype(
    [("thread", "i4"), ("turn", "i4"), ("array", "i4"), ("written", "i4"), ("index", "i8")]
)


@dataclasses.dataclass(frozen=True)
class Report:
    """How often a launch touched memory, in numbers; barriers, counted once a block.

    reads_of: global reads by the argument's position.  trace: the first accesses of global memory
    by block (0, 0, 0): thread, how many it had made before (turn), the argument's position (array),
    whether it wrote, and the index in the array.
    """

    global_reads: int
    global_writes: int
    shared_reads: int
    shared_writes: int
    barriers: int
    reads_of: np.ndarray
    trace: np.ndarray


def compiler():
    """The host's C++ compiler, or None."""
    return next(filter(None, map(shutil.which, ("g++", "clang++"))), None)


def kernel_names(source):
    return re.findall(r"^KERNEL(?:_OF\(.*?\))? void (\w+)\(", source, re.MULTILINE)


class NotRecorded(RuntimeError):
    """There is no C++ compiler, and this launch is not among those that were recorded."""


_recorded = {}  # what launches wrote and counted, by `_key`
_record_to = os.environ.get("MINIGAN_RECORD")


def replay_from(file):
    """Take what cannot be run from a recording, a `.npz` that MINIGAN_RECORD has made."""
    if compiler() is None:
        with np.load(file) as kept:
            _recorded.update(kept)


if _record_to:
    atexit.register(lambda: np.savez_compressed(_record_to, **_recorded))


def _key(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()[:16]


def build(source, real):
    """{name: Kernel} of a source as `minigan.ops.gpu.launch.source` gives it; real: "float" or
    "double".  What is compiled stays in `CACHE`.
    Raises: RuntimeError with the compiler's words, if it refuses."""
    names = kernel_names(source)
    if compiler() is None:
        if not _recorded:
            raise NotRecorded("the emulator needs a C++ compiler: g++ or clang++")
        return {name: Kernel(None, name, _key(source, real)) for name in names}
    exports = "\n".join(f"EXPORT({name})" for name in names)
    text = f'#define real {real}\n#include "{HEADER}"\n{source}\n{exports}\n'
    key = hashlib.sha256((text + HEADER.read_text()).encode()).hexdigest()[:24]
    library = CACHE / f"{key}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = CACHE / f"{key}-{os.getpid()}"
        new.with_suffix(".cpp").write_text(text)
        # -Wno-unknown-pragmas: `unroll` is for the GPU's compiler.
        flags = [
            "-std=c++17",
            "-O2",
            "-shared",
            "-fPIC",
            "-ffp-contract=off",
            "-Wno-unknown-pragmas",
        ]
        command = [compiler(), *flags, new.with_suffix(".cpp"), "-o", new.with_suffix(".so")]
        run = subprocess.run(command, capture_output=True, text=True)
        new.with_suffix(".cpp").unlink()
        if run.returncode:
            raise RuntimeError(f"the compiler refuses a kernel's source:\n{_named(run.stderr)}")
        new.with_suffix(".so").rename(library)
    loaded = ctypes.CDLL(str(library))
    return {n: Kernel(getattr(loaded, f"run_{n}"), n, _key(source, real)) for n in names}


def _named(errors):
    """The compiler's lines without the folders of this machine."""
    return re.sub(r"(?:/[\w.+-]+)+/", "", errors)[:4000]


class Kernel:
    def __init__(self, function, name, source):
        if function is not None:
            function.restype = ctypes.c_char_p
        self._function, self.name, self._source = function, name, source

    def __call__(self, grid, block, arguments, shared=0, trace=0, backwards=False):
        """Run a grid.  shared: bytes of dynamic shared memory; trace: how many accesses to record;
        backwards: threads take their turns in the opposite order.  Returns a `Report`.
        Raises: Fault."""
        large = any(getattr(a, "size", 0) > MOST_KEPT for a in arguments)
        if self._function is not None and (not _record_to or large):
            return self._run(grid, block, arguments, shared, trace, backwards)
        key = _key(self._source, self.name, grid, block, shared, trace, backwards, *arguments)
        if self._function is None:
            return self._replay(key, arguments)
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        try:
            report = self._run(grid, block, arguments, shared, trace, backwards)
        except Fault as fault:
            _recorded[f"{key}.fault"] = np.array(str(fault))
            raise
        *counts, reads_of, accesses = dataclasses.astuple(report)
        _recorded[f"{key}.counts"] = np.array([*counts, *reads_of])
        if len(accesses):
            _recorded[f"{key}.trace"] = accesses
        for i, (old, new) in enumerate(zip(before, arguments, strict=True)):
            if isinstance(new, np.ndarray) and old.tobytes() != new.tobytes():
                _recorded[f"{key}.{i}"] = new.copy()
        return report

    def _replay(self, key, arguments):
        if f"{key}.fault" in _recorded:
            raise Fault(str(_recorded[f"{key}.fault"]))
        if f"{key}.counts" not in _recorded:
            raise NotRecorded(
                f"{self.name}: this launch was not recorded, and to run it the emulator needs a "
                "C++ compiler: g++ or clang++"
            )
        for i, a in enumerate(arguments):
            if f"{key}.{i}" in _recorded:
                a[...] = _recorded[f"{key}.{i}"]
        counts = _recorded[f"{key}.counts"]
        accesses = _recorded.get(f"{key}.trace", np.zeros(0, ACCESS))
        return Report(*counts[:5].tolist(), counts[5:], accesses)

    def _run(self, grid, block, arguments, shared, trace, backwards):
        given = [self._argument(i, a) for i, a in enumerate(arguments)]
        pointers = (ctypes.c_void_p * len(given))(*map(ctypes.addressof, given))
        accesses = np.zeros(trace, ACCESS)
        report = _Report(room=trace, trace=accesses.ctypes.data)
        shape = (ctypes.c_uint * 6)(*grid, *block)
        fault = self._function(
            shape, ctypes.c_size_t(shared), int(backwards), pointers, ctypes.byref(report)
        )
        if fault:
            raise Fault(f"{self.name}: {fault.decode()}")
        counts = [getattr(report, f.name) for f in dataclasses.fields(Report)[:-2]]
        reads_of = np.array(report.reads_of)[: len(arguments)]
        return Report(*counts, reads_of, accesses[: min(trace, report.traced)])

    @staticmethod
    def _argument(position, a):
        if a is None:
            return _Array(None, 0, position)
        if isinstance(a, np.ndarray):
            assert a.flags.c_contiguous
            return _Array(a.ctypes.data, a.size, position)
        kinds = {"int32": ctypes.c_int32, "int64": ctypes.c_int64, "float32": ctypes.c_float,
                 "float64": ctypes.c_double}  # fmt: skip
        return kinds[np.asarray(a).dtype.name](a.item())

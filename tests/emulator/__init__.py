"""CUDA kernels on one core: compiled by the host's C++ compiler behind `cuda.h`, called by ctypes.

    kernels = emulator.build(source, "float")            # {name: Kernel}
    report = kernels["bias_act"]((2, 1, 1), (256, 1, 1), [x, y, 4, 64, …])

Arguments: NumPy arrays (checked at every index), None for a null pointer, and NumPy scalars.
"""

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
CACHE = HEADER.parents[2] / "runs" / "emulator"


class Fault(RuntimeError):
    """A kernel did what a GPU would not forgive: `cuda.h` says what is looked for."""


class _Array(ctypes.Structure):  # In and Out of cuda.h
    _fields_ = [("memory", ctypes.c_void_p), ("size", ctypes.c_int64), ("array", ctypes.c_int64)]


class _Report(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in (
            "global_reads", "global_writes", "shared_reads", "shared_writes", "barriers", "traced",
            "room",
        )),
        ("trace", ctypes.c_void_p),
    ]  # fmt: skip


ACCESS = np.dtype(
    [("thread", "i4"), ("turn", "i4"), ("array", "i4"), ("written", "i4"), ("index", "i8")]
)


@dataclasses.dataclass(frozen=True)
class Report:
    """How often a launch touched memory, in numbers; barriers, counted once a block.

    trace: the first accesses of global memory by block (0, 0, 0): thread, its how manieth access
    (turn), the argument's position (array), whether written, and the index in the array.
    """

    global_reads: int
    global_writes: int
    shared_reads: int
    shared_writes: int
    barriers: int
    trace: np.ndarray


def compiler():
    """The host's C++ compiler, or None."""
    return next(filter(None, map(shutil.which, ("g++", "clang++"))), None)


def kernel_names(source):
    return re.findall(r"^KERNEL void (\w+)\(", source, re.MULTILINE)


def build(source, real):
    """{name: Kernel} of a source as `minigan.ops.gpu.launch.source` gives it; real: "float" or
    "double".  What is compiled stays under runs/emulator."""
    if compiler() is None:
        raise RuntimeError("the emulator needs a C++ compiler: g++ or clang++")
    names = kernel_names(source)
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
        if run.returncode:
            raise RuntimeError(f"{compiler()} refuses a kernel's source:\n{run.stderr[:4000]}")
        new.with_suffix(".cpp").unlink()
        new.with_suffix(".so").rename(library)
    loaded = ctypes.CDLL(str(library))
    return {name: Kernel(getattr(loaded, f"run_{name}"), name) for name in names}


class Kernel:
    def __init__(self, function, name):
        function.restype = ctypes.c_char_p
        self._function, self.name = function, name

    def __call__(self, grid, block, arguments, shared=0, trace=0, backwards=False):
        """Run a grid.  shared: bytes of dynamic shared memory; trace: how many accesses to record;
        backwards: threads take their turns in the opposite order.  Returns a `Report`.
        Raises: Fault."""
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
        counts = {f.name: getattr(report, f.name) for f in dataclasses.fields(Report)[:-1]}
        return Report(**counts, trace=accesses[: min(trace, report.traced)])

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

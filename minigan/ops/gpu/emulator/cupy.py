"""A stand-in for CuPy, so that the GPU engine runs where there is no GPU.

Arrays are NumPy arrays in disguise, which refuse what CuPy's refuse; kernels run on the emulator.
It is as strict as a GPU is in silence: fresh memory holds NaN, launches are held to a GPU's limits,
whatever would wait for the GPU is counted, and a stream that records a graph refuses what CUDA
refuses then.  `settings` makes it a GPU that fails.
"""

import contextlib
import dataclasses
import functools
import sys
import types

import numpy as np

from minigan import device
from minigan.ops.gpu import emulator

float32, float64 = np.float32, np.float64


@dataclasses.dataclass
class Settings:
    syncs: int = 0  # how often the CPU waited for the GPU
    launches: int = 0
    reports: list = dataclasses.field(default_factory=list)  # of the last 1000: (kernel, Report)
    capability: str = "80"
    shared: int = 99 << 10  # bytes of shared memory that a block can get
    memory: float = float("inf")  # the most bytes in one array
    backwards: bool = False  # in which order threads take turns
    available: bool = True
    recording: list | None = None  # by a stream, of (function, arguments, result)


settings = Settings()


class CUDADriverError(RuntimeError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


@contextlib.contextmanager
def instead():
    """Inside a `with` block this module takes CuPy's place in the package."""
    before = device.use(sys.modules[__name__])
    try:
        yield settings
    finally:
        device.use(before)


def is_available():
    return settings.available


def _waits(what):
    if settings.recording is not None:
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what}")
    settings.syncs += 1


# ---- arrays --------------------------------------------------------------------------------------

MATMUL = (np.matmul, np.dot, np.tensordot, np.einsum)  # by way of cuBLAS
# Functions of NumPy that CuPy has, too; tests compare this with CuPy where it is installed.
HAS = {
    "abs", "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "array",
    "array_equal", "asarray", "ascontiguousarray", "broadcast_to", "clip", "concatenate",
    "cumsum", "diff", "dot", "einsum", "empty", "empty_like", "expand_dims", "eye", "flip",
    "full", "full_like", "isfinite", "isnan", "linalg.norm", "linspace", "max", "mean", "min",
    "moveaxis", "ndim", "ones", "ones_like", "pad", "prod", "ravel", "repeat", "reshape",
    "roll", "shape", "size", "split", "squeeze", "stack", "std", "sum", "swapaxes", "take",
    "tensordot", "tile", "trace", "transpose", "var", "where", "zeros", "zeros_like",
}  # fmt: skip


def _inside(tree):
    if isinstance(tree, ndarray):
        return tree._a
    if isinstance(tree, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if type(tree) in (list, tuple):
        return type(tree)(_inside(t) for t in tree)
    if type(tree) is dict:
        return {k: _inside(v) for k, v in tree.items()}
    return tree


def _outside(result):
    if isinstance(result, (list, tuple)):
        return type(result)(_outside(r) for r in result)
    if isinstance(result, (np.ndarray, np.generic)):
        result = np.asarray(result)
        if result.nbytes > settings.memory:
            raise OutOfMemoryError(f"Out of memory allocating {result.nbytes:,} bytes")
        return ndarray(result)
    return result


def _leaves(tree):
    if isinstance(tree, (list, tuple)):
        return [leaf for t in tree for leaf in _leaves(t)]
    if isinstance(tree, dict):
        return _leaves(list(tree.values()))
    return [tree] if isinstance(tree, ndarray) else []


def _compute(function, args, kwargs):
    """function of the arrays inside; a recording stream keeps it, unless the result is a view."""
    if settings.recording is not None and function in MATMUL:
        raise NotImplementedError(
            "Calling cuBLAS API during stream capture is currently unsupported."
        )
    result = _outside(function(*_inside(args), **_inside(kwargs)))
    if settings.recording is not None:
        given = _leaves((args, kwargs))
        fresh = [
            r for r in _leaves([result]) if not any(np.shares_memory(r._a, g._a) for g in given)
        ]
        assert len(fresh) <= 1
        if fresh:
            settings.recording.append((function, args, kwargs, fresh[0]))
    return result


def _operator(ufunc, reflected=False):
    def operate(self, other):
        pair = (other, self) if reflected else (self, other)
        return ufunc(*pair)  # which asks both, as CuPy does: a variable answers itself

    return operate


class ndarray:
    __hash__ = None

    def __init__(self, a):
        self._a = a

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: ndarray(self._a.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._a.ctypes.data))
    flags = property(lambda self: types.SimpleNamespace(c_contiguous=self._a.flags.c_contiguous))

    def get(self):
        _waits("a copy to the CPU")
        return self._a.copy()

    def item(self):
        return self.get().item()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        return bool(self.get())

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        known = (ndarray, np.ndarray, np.generic, int, float)
        if (
            method != "__call__"
            or kwargs.get("out") is not None
            or not all(isinstance(a, known) for a in args)
        ):
            return NotImplemented
        return _compute(ufunc, args, kwargs)

    def __array_function__(self, function, kinds, args, kwargs):
        name = function.__module__.removeprefix("numpy").lstrip(".") + "." + function.__name__
        if name.lstrip(".") not in HAS or not set(kinds) <= {ndarray, np.ndarray}:
            return NotImplemented
        kwargs.pop("like", None)
        if function is np.asarray:
            return asarray(*args, **kwargs)
        return _compute(function, args, kwargs)

    def __getitem__(self, key):
        return (
            _compute(np.ndarray.__getitem__, (self, key), {})
            if _leaves([key])
            else _outside(self._a[key])
        )

    def __setitem__(self, key, value):
        settings.recording is None or settings.recording.append(
            (lambda a, v: a.__setitem__(key, v), (self, value), {}, None)
        )
        self._a[_inside(key)] = _inside(value)

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return repr(self.get())

    __add__, __radd__ = _operator(np.add), _operator(np.add, True)
    __sub__, __rsub__ = _operator(np.subtract), _operator(np.subtract, True)
    __mul__, __rmul__ = _operator(np.multiply), _operator(np.multiply, True)
    __truediv__, __rtruediv__ = _operator(np.divide), _operator(np.divide, True)
    __pow__, __matmul__ = _operator(np.power), _operator(np.matmul)
    __lt__, __le__, __gt__ = _operator(np.less), _operator(np.less_equal), _operator(np.greater)
    __ge__, __eq__, __ne__ = (
        _operator(np.greater_equal),
        _operator(np.equal),
        _operator(np.not_equal),
    )

    def __neg__(self):
        return _compute(np.negative, (self,), {})

    def __abs__(self):
        return _compute(np.abs, (self,), {})

    def astype(self, dtype, copy=True):
        return (
            self
            if not copy and dtype == self.dtype
            else _compute(np.ndarray.astype, (self, dtype), {})
        )

    def copy(self, order="C"):
        return _compute(np.ndarray.copy, (self, order), {})

    def reshape(self, *shape):
        return _compute(np.reshape, (self, shape[0] if len(shape) == 1 else shape), {})

    def transpose(self, *axes):
        return ndarray(self._a.transpose(*axes))

    def swapaxes(self, a, b):
        return ndarray(self._a.swapaxes(a, b))

    def sum(self, axis=None, keepdims=False):
        return _compute(np.sum, (self,), {"axis": axis, "keepdims": keepdims})

    def all(self, axis=None):
        return _compute(np.all, (self,), {"axis": axis})

    def max(self, axis=None):
        return _compute(np.max, (self,), {"axis": axis})


ndarray.__module__, ndarray.__qualname__ = "cupy", "ndarray"


def asarray(a, dtype=None):
    if isinstance(a, ndarray):
        return a if dtype in (None, a.dtype) else a.astype(dtype)
    if settings.recording is not None:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: a copy from the CPU")
    a = np.array(a, dtype)
    if a.dtype.byteorder not in "=|<":
        raise ValueError(f"Unsupported dtype {a.dtype}")
    return _outside(a)


def empty(shape, dtype):
    """Not empty: whoever reads it before it is written will see.  Words hold NaN, too, as tensor
    cores read them."""
    dtype = np.dtype(dtype)
    return _outside(np.full(shape, np.nan if dtype.kind == "f" else 0xFFFFFFFF, dtype))


def zeros(shape, dtype):
    return _outside(np.zeros(shape, dtype))


def ascontiguousarray(a):
    return a if a.flags.c_contiguous else _compute(np.ascontiguousarray, (a,), {})


def abs(a):
    return _compute(np.abs, (a,), {})


# ---- kernels -------------------------------------------------------------------------------------


class RawModule:
    def __init__(self, code, options):
        (real,) = (o.removeprefix("-Dreal=") for o in options if o.startswith("-Dreal="))
        self._kernels = emulator.build(code, real)

    def get_function(self, name):
        return RawKernel(self._kernels[name])


class RawKernel:
    max_dynamic_shared_size_bytes = 48 << 10

    def __init__(self, kernel):
        self._kernel = kernel

    def __call__(self, grid, block, args, shared_mem=0):
        if max(grid[1:]) > 65535 or grid[0] >= 1 << 31 or min(grid) < 1 or np.prod(block) > 1024:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        if shared_mem > min(self.max_dynamic_shared_size_bytes, settings.shared):
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        arguments = [self._argument(a) for a in args]

        def run():
            report = self._kernel(grid, block, arguments, shared_mem, backwards=settings.backwards)
            settings.reports = [*settings.reports[-999:], (self._kernel.name, report)]

        settings.launches += 1
        if settings.recording is not None:
            settings.recording.append((lambda *_: run(), args, {}, None))
        run()

    @staticmethod
    def _argument(a):
        if isinstance(a, ndarray):
            return a._a
        return None if isinstance(a, np.uintp) and a == 0 else a


# ---- streams -------------------------------------------------------------------------------------


class Stream:
    def __init__(self, non_blocking=False):
        self.null = not non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def record(self):
        return object()

    def wait_event(self, event):
        pass

    def synchronize(self):
        _waits("synchronize")

    def begin_capture(self):
        assert not self.null, "the default stream cannot record"
        settings.recording = []

    def end_capture(self):
        graph, settings.recording = Graph(settings.recording), None
        return graph


class Graph:
    def __init__(self, steps):
        self._steps = steps

    def launch(self, stream):
        settings.launches += 1
        for function, args, kwargs, result in self._steps:
            value = function(*_inside(args), **_inside(kwargs))
            if result is not None:
                result._a[...] = value


class MemoryPool:
    malloc = None


cuda = types.SimpleNamespace(
    Device=lambda number=0: types.SimpleNamespace(
        compute_capability=settings.capability,
        attributes={"MaxSharedMemoryPerBlockOptin": settings.shared},
    ),
    runtime=types.SimpleNamespace(getDevice=lambda: 0, CUDARuntimeError=CUDARuntimeError),
    driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
    Stream=Stream,
    get_current_stream=functools.partial(Stream),
    MemoryPool=MemoryPool,
    using_allocator=contextlib.nullcontext,
)

"""From a .cu file beside this one to a running kernel, by way of CuPy's RawModule.

A file is compiled when the first of its kernels is launched, for float or double; CuPy keeps the
result on disk.  Launches go to CuPy's current stream, and nobody waits for them.
"""

import functools
import pathlib

import numpy as np

from minigan.device import cupy
from minigan.ops.bias_act import ACTIVATIONS, check_fit
from minigan.ops.dispatch import native
from minigan.ops.epilogue import Epilogue

FOLDER = pathlib.Path(__file__).parent
CAPABILITY = 75  # the oldest GPUs for which the kernels are compiled in the tests: Turing
THREADS = 256  # of a block, unless a kernel says otherwise
# So many blocks are wanted at least: two for each multiprocessor of an H100.  A constant, so that
# all GPUs add in one order.
ENOUGH = 264
PLANES = 65535  # along a grid's second and third axis, at most: a block goes on to further planes
UNASKED = 48 << 10  # bytes of shared memory that a block may have on every GPU
ACTS = ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")


def source(file):
    """The CUDA C++ of a file, with what it shares with others in front."""
    shared = ["common.cuh"]
    shared += ["conv2d.cuh"] * file.startswith("conv2d_") + ["tensor.cuh"] * ("tensor" in file)
    shared += ["upfirdn2d.cuh"] * (file in ("upfirdn2d", "filtered_lrelu"))
    return "\n".join((FOLDER / name).read_text() for name in (*shared, f"{file}.cu"))


def options(dtype):
    return ("--std=c++17", f"-Dreal={'float' if dtype == np.float32 else 'double'}")


@functools.cache
def _kernel(cp, file, name, dtype, device):
    given = options(dtype)
    if "warpgroup" in name:  # NVRTC makes code for this chip alone, whatever CuPy asks for besides
        given += ("-arch=sm_90a",)
    return cp.RawModule(code=source(file), options=given).get_function(name)


@functools.cache
def _capability(cp, device):
    found = int(cp.cuda.Device(device).compute_capability)
    if found < CAPABILITY:
        raise RuntimeError(
            f"GPU {device} has compute capability {found / 10}; the kernels need "
            f"{CAPABILITY / 10}.  G.to('cpu') computes without it"
        )
    return found


def capability():
    """Of the current GPU: 80 for 8.0.  Raises: RuntimeError if it is too old."""
    cp = cupy()
    return _capability(cp, cp.cuda.runtime.getDevice())


def launch(file, name, grid, block, arguments, dtype, shared=0):
    """Start a kernel.  arguments: arrays, None (a null pointer), Python ints (int) and floats
    (real), or NumPy scalars as they are.  shared: bytes of dynamic shared memory.
    Whoever calls it has checked shapes and dtypes.  Raises: RuntimeError if the driver refuses."""
    cp = cupy()
    device = cp.cuda.runtime.getDevice()
    _capability(cp, device)
    kernel = _kernel(cp, file, name, np.dtype(dtype), device)
    if shared > UNASKED:
        kernel.max_dynamic_shared_size_bytes = shared
    number = np.dtype(dtype).type
    given = []
    for a in arguments:
        if a is None:
            a = np.uintp(0)
        elif type(a) is int:
            a = np.int32(a)
        elif type(a) is float:
            a = number(a)
        given.append(a)
    try:
        kernel(grid, block, tuple(given), shared_mem=shared)
    except (cp.cuda.driver.CUDADriverError, cp.cuda.runtime.CUDARuntimeError) as error:
        raise RuntimeError(
            f"the GPU did not start {name}: {error} (grid {grid}, {block[0]} threads a block, "
            f"{shared} bytes of shared memory)"
        ) from error


@functools.cache  # CuPy asks the driver for every attribute there is
def _most_shared(cp, device):
    return cp.cuda.Device(device).attributes["MaxSharedMemoryPerBlockOptin"]


def most_shared():
    """Bytes of shared memory that a block can ask for on this GPU."""
    cp = cupy()
    return _most_shared(cp, cp.cuda.runtime.getDevice())


def contiguous(a):
    """None, or a with its last axis innermost in memory: kernels compute addresses from sizes."""
    return None if a is None else cupy().ascontiguousarray(a)


def epilogue_arguments(epilogue, y, dim=1):
    """EPILOGUE_PARAMS of common.cuh, of an `Epilogue` or None for the result y."""
    b, act, alpha, gain, clamp, scale, noise = epilogue or Epilogue()
    check_fit("bias_act", y.shape, dim, b, noise)
    _, scale, noise, b = native(y, scale, noise, b)
    _, default_alpha, default_gain = ACTIVATIONS[act]
    alpha = default_alpha if alpha is None else alpha
    gain = default_gain if gain is None else gain
    noises = 1 if noise is None else noise.shape[0]
    clamp = -1.0 if clamp is None else float(clamp)
    arrays = map(contiguous, (scale, noise, b))
    return *arrays, noises, ACTS.index(act), float(alpha), float(gain), clamp


def blocks(work, each):
    """How many blocks do `work`, if one does `each`."""
    return -(-work // each)


@functools.cache  # for good: a graph may go on reading one
def _on_device(cp, device, content, shape, dtype):
    return cp.asarray(np.frombuffer(content, dtype).reshape(shape))


def constant(a):
    """A small NumPy array, on the GPU: copied the first time, kept for the next."""
    cp = cupy()
    return _on_device(cp, cp.cuda.runtime.getDevice(), a.tobytes(), a.shape, a.dtype)

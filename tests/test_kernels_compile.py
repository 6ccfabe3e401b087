"""Every kernel compiles for the GPUs of three generations, by NVRTC or nvcc, whichever is there;
and CuPy, where it is installed, has what the engine and the tests' stand-in take for granted."""

import functools
import shutil
import subprocess

import numpy as np
import pytest

from minigan.ops.gpu import launch
from minigan.ops.gpu.emulator import cupy as stand_in
from minigan.ops.gpu.emulator import kernel_names

pytestmark = pytest.mark.slow

FILES = sorted(p.stem for p in launch.FOLDER.glob("*.cu"))
# Kernels for tensor cores are for float only, and another text in each generation; the others know
# two: before sm_80, and from there on.
CASES = [
    pytest.param(file, dtype, arch, id=f"{file}-{dtype.__name__}-{arch}")
    for file in FILES
    for dtype in ([np.float32] if "tensor" in file else [np.float32, np.float64])
    for arch in (["sm_75", "sm_80", "sm_90", "sm_90a"] if "tensor" in file else ["sm_75", "sm_90a"])
]


@functools.cache
def nvrtc():
    """CuPy's door to NVRTC, which needs no driver, or None."""
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError):
        return None
    return nvrtc


def by_nvrtc(text, arch, options, kind="CUBIN"):
    program = nvrtc().createProgram(text, "kernels.cu", [], [])
    try:
        # With CuPy's own option, without which NVRTC 13.0 refuses lambdas
        always = ("--device-as-default-execution-space",)
        nvrtc().compileProgram(program, (f"-arch={arch}", *options, *always))
        made = getattr(nvrtc(), f"get{kind}")(program)
        return made if isinstance(made, bytes) else made.encode()
    except RuntimeError:
        raise AssertionError(nvrtc().getProgramLog(program)) from None
    finally:
        nvrtc().destroyProgram(program)


def by_nvcc(text, arch, options, folder, kind="cubin"):
    source, made = folder / "kernels.cu", folder / "kernels.out"
    source.write_text(text)
    command = ["nvcc", f"-arch={arch}", f"-{kind}", *options, str(source), "-o", str(made)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[:4000]
    return made.read_bytes()


@pytest.mark.parametrize("file, dtype, arch", CASES)
def test_kernels_compile(file, dtype, arch, tmp_path):
    text, options = launch.source(file), launch.options(dtype)
    if nvrtc():
        cubin = by_nvrtc(text, arch, options)
    elif shutil.which("nvcc"):
        cubin = by_nvcc(text, arch, options, tmp_path)
    else:
        pytest.skip("no NVRTC (pip install cupy-cuda13x nvidia-cuda-nvrtc) and no nvcc")
    names = kernel_names(text)
    assert names
    for name in names:  # those by warpgroups are there only where warpgroups are
        assert (name.encode() in cubin) == ("warpgroup" not in name or arch == "sm_90a")


@pytest.mark.parametrize("file, some", [("conv2d_tensor", 2), ("conv2d_tensor_gradient", 1)])
def test_warpgroups_compile_for_the_chip_that_has_them(file, some, tmp_path):
    """As code for sm_90a alone."""
    text, options = launch.source(file), launch.options(np.float32)
    kinds = [b"wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16", b"wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32"]  # fmt: skip
    for arch, there in (("compute_90a", True), ("compute_90", False)):
        if nvrtc():
            made = by_nvrtc(text, arch, options, kind="PTX")
        elif shutil.which("nvcc"):
            made = by_nvcc(text, arch, options, tmp_path, kind="ptx")
        else:
            pytest.skip("no NVRTC (pip install cupy-cuda13x nvidia-cuda-nvrtc) and no nvcc")
        assert [kind in made for kind in kinds[:some]] == [there] * some


def test_a_chip_is_named_beside_the_one_that_cupy_names():
    """CuPy adds -arch=sm_90 to the options, whatever they are: NVRTC follows -arch=sm_90a."""
    if not nvrtc():
        pytest.skip("no NVRTC (pip install cupy-cuda13x nvidia-cuda-nvrtc)")
    text, options = launch.source("conv2d_tensor"), launch.options(np.float32)
    alone = by_nvrtc(text, "sm_90a", options)
    assert by_nvrtc(text, "sm_90", ("-arch=sm_90a", *options)) == alone
    assert by_nvrtc(text, "sm_90a", (*options, "-arch=sm_90")) == alone
    assert by_nvrtc(text, "sm_90", options) != alone


def test_a_syntax_error_is_found(tmp_path):
    text = launch.source("bias_act").replace("real sum = 0;", "real sum = 0", 1)
    if not nvrtc() and not shutil.which("nvcc"):
        pytest.skip("no NVRTC (pip install cupy-cuda13x nvidia-cuda-nvrtc) and no nvcc")
    with pytest.raises(AssertionError, match="expected a"):
        if nvrtc():
            by_nvrtc(text, "sm_80", launch.options(np.float32))
        else:
            by_nvcc(text, "sm_80", launch.options(np.float32), tmp_path)


@pytest.fixture
def cupy():
    """CuPy itself, without a GPU."""
    return pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)


def test_cupy_has_what_the_stand_in_has(cupy):
    for name in stand_in.HAS:
        assert callable(functools.reduce(getattr, name.split("."), cupy)), name
    for name in ("Stream", "MemoryPool", "using_allocator", "get_current_stream", "Device"):
        assert hasattr(cupy.cuda, name) and hasattr(stand_in.cuda, name)
    for name in ("begin_capture", "end_capture", "wait_event", "record", "synchronize"):
        assert hasattr(cupy.cuda.Stream, name) and hasattr(stand_in.Stream, name)
    assert hasattr(cupy.cuda.Graph, "launch") and hasattr(cupy.cuda.MemoryPool, "malloc")
    assert hasattr(cupy.RawKernel, "max_dynamic_shared_size_bytes")
    module = cupy.RawModule(code=launch.source("bias_act"), options=launch.options(np.float32))
    assert module.options == launch.options(np.float32)
    errors = (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError)
    assert all(issubclass(error, RuntimeError) for error in errors)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)


def test_cupy_behaves_as_the_stand_in(cupy):
    """As far as it does without a GPU: by an array whose memory nobody touches."""
    nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(1 << 20, 64, None, device_id=0), 0)
    real = cupy.ndarray((2, 3), np.float32, memptr=nowhere)
    fake = stand_in.asarray(np.zeros((2, 3), np.float32))

    class Other:
        def __array_ufunc__(self, ufunc, *_, **__):
            return ufunc.__name__

    for a in (real, fake):
        assert (type(a).__module__, type(a).__name__) == ("cupy", "ndarray")
        assert a / Other() == "divide"
        assert np.transpose(a).shape == (3, 2) and np.broadcast_to(a, (4, 2, 3)).shape == (4, 2, 3)
        assert a.astype(a.dtype.newbyteorder("="), copy=False) is a
        assert not np.flip(a).flags.c_contiguous and a[:, 1].shape == (2,)
        for refused in (np.asarray, np.ascontiguousarray, lambda a: np.zeros((4, 2)) @ a):
            with pytest.raises(TypeError):
                refused(a)

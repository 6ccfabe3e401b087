"""Wrong arguments stop at the door; kernels share threads, caches and memory well."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import time
import tracemalloc

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import filters, layers, ops
from minigan.autograd import grad
from minigan.ops.cpu.runtime import compile as jit
from minigan.ops.cpu.runtime import threads

X = np.zeros((2, 4, 6, 5))
X32 = X.astype(np.float32)
WEIGHT = np.zeros((6, 4, 3, 3))
NAN = np.array([1.0, np.nan])

# (what is called, the error, what its text must say)
WRONG = [
    (lambda: ops.conv2d([1], WEIGHT), TypeError, "conv2d: x is a builtins.list; expected a NumPy array"),
    (lambda: ops.conv2d(X.astype(int), WEIGHT), TypeError, "conv2d: x has dtype int64; expected float32 or float64"),
    (lambda: ops.conv2d(X.astype(np.float16), WEIGHT), TypeError, "dtype float16"),
    (lambda: ops.conv2d(X[0], WEIGHT), ValueError, r"conv2d: x has shape \(4, 6, 5\); expected 4 axes, \[N, C, H, W\]"),
    (lambda: ops.conv2d(X, WEIGHT.astype(np.float32)), TypeError, "conv2d: w has dtype float32 and x float64; expected the same"),
    (lambda: ops.conv2d(X[:, :, :0], WEIGHT), ValueError, r"conv2d: x has shape \(2, 4, 0, 5\); expected no empty axis"),
    (lambda: ops.conv2d(X, WEIGHT[:, :3]), ValueError, r"conv2d: w has shape \(6, 3, 3, 3\), x 4 channels, groups is 1; expected"),
    (lambda: ops.conv2d(X, WEIGHT, groups=4), ValueError, "groups is 4; expected"),
    (lambda: ops.conv2d(X, WEIGHT, groups=0), ValueError, "conv2d: groups is 0; expected at least 1"),
    (lambda: ops.conv2d(X, WEIGHT, stride=0), ValueError, "conv2d: stride is 0; expected at least 1"),
    (lambda: ops.conv2d(X, WEIGHT, stride=[1, -2]), ValueError, r"conv2d: stride\[1\] is -2; expected at least 1"),
    (lambda: ops.conv2d(X, WEIGHT, stride=1.0), TypeError, "conv2d: stride is float 1.0; expected a whole number"),
    (lambda: ops.conv2d(X, WEIGHT, stride=True), TypeError, "stride is bool True"),
    (lambda: ops.conv2d(X, WEIGHT, padding=[1, 2, 3]), ValueError, r"padding is \[1, 2, 3\]; expected an int, \[x, y\] or \[x0, x1, y0, y1\]"),
    (lambda: ops.conv2d(X, WEIGHT, padding="same"), TypeError, "padding is str 'same'"),
    (lambda: ops.conv2d(X, WEIGHT, padding=-2), ValueError, "x is 6 × 5, padded 2 × 1; expected at least the kernel's 3 × 3"),
    (lambda: ops.conv2d(X, WEIGHT, padding=[9, -9, 0, 0]), ValueError, "expected at least the kernel's"),
    (lambda: ops.conv2d(X, WEIGHT, padding=2**30), ValueError, "expected fewer than"),
    (lambda: ops.conv2d(X, WEIGHT, padding=2**40), ValueError, "padding is 1099511627776"),
    (lambda: ops.conv2d(X, WEIGHT, styles=np.zeros((2, 3))), ValueError, r"styles has shape \(2, 3\); expected x's \[N, C\], \(2, 4\)"),
    (lambda: ops.conv_transpose2d(X, WEIGHT), ValueError, r"conv_transpose2d: w has shape \(6, 4, 3, 3\), x 4 channels, groups is 1; expected w \[C, O/groups"),
    (lambda: ops.conv_transpose2d(X, np.zeros((4, 2, 3, 3)), padding=4), ValueError, "crops all of a result of 8 × 7 pixels"),
    (lambda: ops.conv2d_weight_grad(X, X, 3), ValueError, r"size is 3; expected \(kh, kw\)"),
    (lambda: ops.conv2d_weight_grad(X, X, (3, 3)), ValueError, r"dy has shape \(2, 4, 6, 5\); expected \(2, O, 4, 3\)"),
    (lambda: ops.conv2d_weight_grad(X, X, (1, 1), groups=3), ValueError, "expected multiples of 3"),
    (lambda: ops.upfirdn2d(X, NAN), ValueError, "upfirdn2d: f holds 1 NaN or infinite among 2 taps"),
    (lambda: ops.upfirdn2d(X, [1, 3, 3, 1]), TypeError, "f is a list; expected a NumPy array .* `filters.setup_filter`"),
    (lambda: ops.upfirdn2d(X, np.ones(4, int)), TypeError, "f has dtype int64; expected floating"),
    (lambda: ops.upfirdn2d(X, np.ones((2, 2, 2))), ValueError, r"f has shape \(2, 2, 2\); expected \[taps\] or \[ty, tx\]"),
    (lambda: ops.upfirdn2d(X, np.ones(0)), ValueError, r"f has shape \(0,\)"),
    (lambda: ops.upfirdn2d(X, np.ones(9)), ValueError, "x is 6 × 5, upsampled and padded 6 × 5; expected at least the filter's 9 × 9"),
    (lambda: ops.upfirdn2d(X, None, up=0), ValueError, "upfirdn2d: up is 0; expected at least 1"),
    (lambda: ops.upfirdn2d(X, None, down=-1), ValueError, "upfirdn2d: down is -1; expected at least 1"),
    (lambda: ops.upfirdn2d(X, None, gain=np.inf), ValueError, "gain is inf; expected a finite number"),
    (lambda: ops.upfirdn2d(X, None, gain="2"), TypeError, "gain is str '2'"),
    (lambda: ops.upfirdn2d(X, None, flip_filter=1), TypeError, "flip_filter is int 1; expected True or False"),
    (lambda: ops.upsample2d(X, None, up=[2, 2, 2]), ValueError, r"upsample2d: up is \[2, 2, 2\]; expected an int or \[x, y\]"),
    (lambda: ops.downsample2d(X[0], None), ValueError, "downsample2d: x has shape"),
    (lambda: ops.filter2d(X, NAN), ValueError, "filter2d: f holds 1 NaN"),
    (lambda: grad(lambda f: np.sum(ops.upfirdn2d(X, f)))(np.ones(4)), TypeError, "not differentiated"),
    (lambda: ops.bias_act(X, act="gelu"), ValueError, "bias_act: act is 'gelu'; expected one of linear, relu, lrelu"),
    (lambda: ops.bias_act(X, np.zeros(3)), ValueError, r"bias_act: b has shape \(3,\); expected \(4,\), x's axis 1"),
    (lambda: ops.bias_act(X, np.zeros((4, 1))), ValueError, r"b has shape \(4, 1\); expected 1 axes"),
    (lambda: ops.bias_act(X, np.zeros(4, np.float32)), TypeError, "b has dtype float32 and x float64"),
    (lambda: ops.bias_act(X, dim=4), ValueError, "dim is 4; expected an axis of x, which has 4"),
    (lambda: ops.bias_act(X, clamp=-1), ValueError, "clamp is -1; expected a finite number, at least 0"),
    (lambda: ops.bias_act(X, gain=np.nan), ValueError, "gain is nan"),
    (lambda: ops.bias_act(X, scale=np.zeros((2, 1))), ValueError, r"scale has shape \(2, 1\); expected \(2, 4\)"),
    (lambda: ops.bias_act(X, noise=np.zeros((1, 4, 6, 5))), ValueError, r"noise has shape \(1, 4, 6, 5\); expected \(1, 1, 6, 5\) or"),
    (lambda: ops.bias_act(X[0], scale=np.zeros((2, 4))), ValueError, "need images and dim 1"),
    (lambda: ops.conv2d(X, WEIGHT, epilogue={"b": np.zeros(4)}), ValueError, r"conv2d, epilogue: b has shape \(4,\); expected \(6,\)"),
    (lambda: ops.conv2d(X, WEIGHT, epilogue={"bias": 1}), TypeError, r"conv2d: epilogue is \['bias'\]; expected a dict of bias_act's b, act, alpha"),
    (lambda: ops.upfirdn2d(X, None, epilogue="lrelu"), TypeError, "upfirdn2d: epilogue is str 'lrelu'; expected a dict"),
    (lambda: ops.dense(X[:, :, 0, 0], WEIGHT[:, :3, 0, 0]), ValueError, r"dense: w has shape \(6, 3\); expected \[O, 4\]"),
    (lambda: ops.precision("half").__enter__(), ValueError, "name is 'half'; expected one of fp32, tf32, fp16"),
    (lambda: ops.filtered_lrelu(X, NAN), ValueError, "filtered_lrelu: fu holds 1 NaN"),
    (lambda: ops.filtered_lrelu(X, None, NAN), ValueError, "filtered_lrelu: fd holds 1 NaN"),
    (lambda: ops.filtered_lrelu(X, np.ones(9)), ValueError, "expected at least the filter's 9 × 9"),
    (lambda: ops.filtered_lrelu(X, None, np.ones(9)), ValueError, "the upsampled image is 6 × 5; expected at least fd's 9 × 9"),
    (lambda: ops.filtered_lrelu(X, b=np.zeros(5)), ValueError, r"b has shape \(5,\); expected \(4,\), x's channels"),
    (lambda: ops.filtered_lrelu(X, slope=None), TypeError, "slope is NoneType None; expected a number"),
    (lambda: layers.conv2d_resample(X, WEIGHT, up=[2, 2]), TypeError, r"conv2d_resample: up is list \[2, 2\]; expected a whole number"),
    (lambda: layers.conv2d_resample(X, WEIGHT[:, :2], up=2), ValueError, r"conv_transpose2d: w has shape \(2, 6, 3, 3\), x 4 channels"),
    (lambda: layers.conv2d_resample(X, WEIGHT, up=2, padding=-5), ValueError, r"conv2d_resample: x is 6 × 5, up is 2, padding \(-5, -5, -5, -5\), w has shape \(6, 4, 3, 3\)"),
    (lambda: layers.conv2d_resample(X, WEIGHT, epilogue={"b": np.zeros(4)}), ValueError, r"conv2d_resample, epilogue: b has shape \(4,\); expected \(6,\)"),
    (lambda: layers.modulated_conv2d(X, WEIGHT[:0], X[:, :, 0, 0], gain=2), ValueError, r"modulated_conv2d: the weight has shape \(0, 4, 3, 3\)"),
    (lambda: layers.modulated_conv2d(X, WEIGHT[:, :2], X[:, :, 0, 0]), ValueError, r"weight has shape \(6, 2, 3, 3\); expected \[O, 4, kh, kw\]"),
    (lambda: layers.modulated_conv2d(X, WEIGHT, np.zeros((1, 4))), ValueError, r"styles has shape \(1, 4\); expected \(2, 4\)"),
    (lambda: layers.modulated_conv2d_sg3(X, WEIGHT, X[:, :, 0, 0], input_gain=np.zeros(3)), ValueError, r"input_gain has shape \(3,\)"),
    (lambda: filters.setup_filter([1, np.nan]), ValueError, "expected finite numbers"),
    (lambda: filters.setup_filter([1, -1]), ValueError, "f sums to 0"),
    (lambda: filters.setup_filter("1331"), TypeError, "f is a str"),
    (lambda: filters.setup_filter(np.ones((2, 2)), separable=True), ValueError, r"expected \[taps\] to be separable"),
    (lambda: filters.setup_filter(np.ones((2, 2, 2))), ValueError, r"shape \(2, 2, 2\)"),
    (lambda: filters.design_lowpass_filter(12, 16, 4, 32), ValueError, "cutoff is 16; expected less than fs/2, 16"),
    (lambda: filters.design_lowpass_filter(12, -1, 4, 32), ValueError, "cutoff is -1; expected a positive number"),
    (lambda: filters.design_lowpass_filter(2.5, 4, 4, 32), TypeError, "numtaps is 2.5; expected a whole number"),
    (lambda: filters.binomial(0), ValueError, "taps is 0; expected a whole number from 1 to 4096"),
    (lambda: ops.engine("gpu").__enter__(), ValueError, "name is 'gpu'; expected one of auto, direct, reference"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, text", WRONG, ids=[text[:40] for _, _, text in WRONG])
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_another_kind_of_array_is_named():
    """As an array of another library would be, beside NumPy's."""

    class ndarray:
        dtype, shape, ndim = np.dtype(np.float64), X.shape, 4

    ndarray.__module__ = "cupy"
    with pytest.raises(TypeError, match="w is a cupy.*ndarray; expected a NumPy array"):
        ops.conv2d(X, ndarray())


NONSENSE = st.one_of(
    st.integers(-3, 4), st.just(10**12), st.floats(), st.none(), st.booleans(), st.text(max_size=3),
    st.lists(st.integers(-3, 4), max_size=5), st.just(np.float32(2)), st.just(np.int64(2)),
    st.sampled_from([X, X32, X[0], X[:, :1], X[:0], WEIGHT, NAN, np.ones(4), np.ones((2, 3)), np.zeros(6)]),
)  # fmt: skip
OPERATIONS = [
    (ops.conv2d, ["x", "w", "stride", "padding", "groups", "styles"]),
    (ops.conv_transpose2d, ["x", "w", "stride", "padding", "groups", "styles"]),
    (ops.conv2d_weight_grad, ["x", "dy", "size", "stride", "padding", "groups"]),
    (ops.upfirdn2d, ["x", "f", "up", "down", "padding", "flip_filter", "gain"]),
    (ops.bias_act, ["x", "b", "dim", "act", "alpha", "gain", "clamp", "scale", "noise"]),
    (ops.filtered_lrelu, ["x", "fu", "fd", "b", "up", "down", "padding", "gain", "slope", "clamp"]),
    (
        layers.conv2d_resample,
        ["x", "w", "f", "up", "down", "padding", "groups", "flip_weight", "flip_filter", "styles"],
    ),
    (
        layers.modulated_conv2d,
        [
            "x",
            "weight",
            "styles",
            "noise",
            "up",
            "down",
            "padding",
            "resample_filter",
            "demodulate",
            "b",
            "act",
            "gain",
            "clamp",
            "fused_modconv",
        ],
    ),
    (layers.modulated_conv2d_sg3, ["x", "w", "s", "demodulate", "padding", "input_gain"]),
]
SENSE = {
    "x": X,
    "w": WEIGHT,
    "weight": WEIGHT,
    "styles": X[:, :, 0, 0],
    "s": X[:, :, 0, 0],
    "dy": X[:, :, :4, :3],
    "size": (3, 3),
    "f": np.ones(4),
    "act": "lrelu",
}


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_nonsense_raises_or_computes_and_never_writes(data):
    """Any argument of any operation replaced by anything: an error of ours, or a float result of the
    right number of axes, with nothing around or in the inputs written."""
    op, names = data.draw(st.sampled_from(OPERATIONS))
    args = {k: v for k, v in SENSE.items() if k in names}
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        args[name] = data.draw(NONSENSE)
    before = {k: v.copy() for k, v in args.items() if isinstance(v, np.ndarray)}
    try:
        y = op(**args)
    except (TypeError, ValueError) as error:
        assert str(error).startswith((op.__name__, "conv2d: ", "conv_transpose2d: "))
    else:
        assert y.dtype in (np.float32, np.float64) and y.ndim == np.ndim(args["x"])
    for name, copy in before.items():
        assert np.array_equal(args[name], copy, equal_nan=True)


def everything(seed):
    """One of each fast kernel, big enough to be shared among threads; a list of results."""
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal((4, 32, 40, 40), dtype=np.float32) for _ in range(2))
    w = rng.standard_normal((32, 32, 3, 3), dtype=np.float32)
    f = np.ones(4)
    with ops.engine("direct"):
        direct = [ops.conv2d(x, w, padding=1), ops.conv2d_weight_grad(x, dy, (3, 3), padding=1)]
    return [
        *direct, ops.conv2d(x, w, padding=1), ops.conv2d_weight_grad(x, dy, (3, 3), padding=1),
        ops.conv2d(x, w[:, :, :1, :1]), ops.upfirdn2d(x, f, 2, 1, 2), ops.bias_act(x, act="lrelu"),
        ops.filtered_lrelu(x, f, f, up=2, down=2, padding=3),
    ]  # fmt: skip


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    results = []
    for n in ("1", "2", "5"):
        monkeypatch.setenv("MINIGAN_NUM_THREADS", n)
        monkeypatch.setattr(threads, "_pool", None)
        results.append(everything(0))
    for one, two, five in zip(*results, strict=True):
        assert np.array_equal(one, two) and np.array_equal(one, five)


def test_several_threads_may_compute_at_once(monkeypatch):
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "3")
    monkeypatch.setattr(threads, "_pool", None)
    expected = [everything(seed) for seed in range(3)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for seed, results in enumerate(pool.map(everything, [0, 1, 2] * 4)):
            for got, wanted in zip(results, expected[seed % 3], strict=True):
                assert np.array_equal(got, wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_computes(monkeypatch):
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_pool", None)
    expected = everything(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for got, wanted in zip(pool.apply_async(everything, [0]).get(60), expected, strict=True):
            assert np.array_equal(got, wanted)


@pytest.mark.parametrize("value", ["0", "two", "-1", ""])
def test_a_wrong_number_of_threads_is_named(value, monkeypatch):
    monkeypatch.setenv("MINIGAN_NUM_THREADS", value)
    with pytest.raises(ValueError, match="MINIGAN_NUM_THREADS is .*; expected a whole number"):
        threads.threads()


def test_a_failing_task_is_reported_and_the_pool_goes_on(monkeypatch):
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_pool", None)

    @jit.kernel
    def fails(first, last, memory, x, bad):
        if first <= bad < last:
            raise RuntimeError("task")

    for bad in (0, 7):  # our first, and the helper's last
        with pytest.raises(RuntimeError, match="task"):
            threads.share(fails, 8, X.reshape(-1), bad, work=1 << 40)
    assert threads.share(fails, 8, X.reshape(-1), 8, work=1 << 40) is None
    assert np.array_equal(ops.conv2d(X, WEIGHT), np.zeros((2, 6, 4, 3)))


def test_two_processes_may_fill_the_cache_at_once(tmp_path):
    one, two = (jit._Files(str(tmp_path), "kernel", "stamp") for _ in range(2))
    write = one._save_data

    def interrupted(name, data):  # the other does all its saving before this is written
        two._load_index = dict  # and has not seen our index
        two.save("types 2", "code 2")
        write(name, data)

    one._save_data = interrupted
    one.save("types 1", "code 1")
    fresh = jit._Files(str(tmp_path), "kernel", "stamp")
    assert fresh.load("types 1") in (None, "code 1") and fresh.load("types 2") in (None, "code 2")
    assert fresh.load("types 1") or fresh.load("types 2")


def run(code, **environment):
    """What a fresh Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_importing_the_operations_imports_no_numba():
    code = "import sys, minigan.ops, minigan.layers; print('numba' in sys.modules)"
    assert run(code).stdout == "False\n"


def test_no_place_for_the_cache_is_no_error():
    """Without any folder that it could write to, Numba compiles for the process alone."""
    code = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from minigan.ops.cpu import bias_act\n"
        "assert type(bias_act._slopes._cache).__name__ == 'NullCache'\n"
        "from minigan import ops\n"
        "print(ops.bias_act(np.ones((1, 1, 1, 1))).item())\n"
    )
    assert run(code).stdout == "1.0\n"


def test_a_change_of_the_sources_makes_new_kernels(monkeypatch):
    """Kernels inline each other: the key of each in the cache has all the engine's sources in it."""
    from minigan.ops.cpu import bias_act

    cache = bias_act._slopes._cache
    codegen = bias_act._slopes.targetctx.codegen()
    key = cache._index_key((), codegen)
    monkeypatch.setattr(jit, "_sources", lambda: "changed")
    assert cache._index_key((), codegen) != key


def test_compiling_says_so_once(capsys, monkeypatch):
    monkeypatch.delenv("MINIGAN_QUIET", raising=False)
    notice = jit._Notice(wait=0.2)
    for _ in range(2):
        notice.on_start(None)
        for _ in range(3):  # the quick ones inside do not stop its clock
            notice.on_start(None)
            notice.on_end(None)
        if notice.timer:
            notice.timer.join()
        notice.on_end(None)
    assert capsys.readouterr().err == "minigan: compiling kernels for this machine, once …\n"
    monkeypatch.setenv("MINIGAN_QUIET", "1")
    quiet = jit._Notice(wait=0)
    quiet.on_start(None)
    assert quiet.timer is None


@pytest.mark.slow
def test_a_notebook_says_how_long_compiling_took(monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.delenv("MINIGAN_QUIET", raising=False)
    code = (
        "import time\nfrom minigan.ops.cpu.runtime import compile\n"
        "notice = compile._Notice(wait=0.1)\n"
        "for seconds in (0.7, 0.6):\n"
        "    notice.on_start(None)\n    time.sleep(seconds)\n    notice.on_end(None)"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(book, kernel_name="python3").execute()
    (output,) = book.cells[0].outputs  # and nothing on stderr
    words = "minigan: kernels compiled for this machine in 1 s"
    assert output["data"] == {"text/plain": words, "text/html": f"<i>{words}</i>"}


def test_filtered_lrelu_never_holds_the_upsampled_image():
    """At u = 4 it would be 16 times the input; all that is allocated is half as much again as in + out."""
    x = np.zeros((1, 256, 256, 32), np.float32).transpose(0, 3, 1, 2)
    f = filters.design_lowpass_filter(24, 4, 4, 64)
    ops.filtered_lrelu(x[:, :, :8, :8], f, f, up=4, down=2, padding=23)
    tracemalloc.start()
    y = ops.filtered_lrelu(x, f, f, up=4, down=2, padding=23)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert x.nbytes + peak <= 1.5 * (x.nbytes + y.nbytes)


@pytest.mark.slow
def test_a_machine_without_avx2():
    """Kernels for the plainest x86-64, whose vectors hold 4 numbers and have no fused operations."""
    tests = os.path.dirname(__file__)
    code = (
        "import sys, pytest\n"
        "from minigan.ops.cpu.runtime import simd\n"
        "assert simd.LANES == 4 and simd.ROWS == 4\n"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {tests!r} + '/test_ops_golden.py',"
        f" {tests!r} + '/test_ops.py', '-k', 'auto or Winograd or winograd or definition']))"
    )
    assert " passed" in run(code, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="").stdout


def test_kernels_count_no_references():
    """Or each call would, atomically, for each array: threads that share one would wait."""

    @jit.kernel
    def makes(n):
        return np.empty(n)

    with pytest.raises(numba.core.errors.NumbaError):  # without counts there are no new arrays
        makes(3)


def test_each_task_is_done_once_by_whoever_comes(monkeypatch):
    """With helpers awake, asleep, and elsewhere; more of them than cores; more threads than seats."""
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "4")
    monkeypatch.setattr(threads, "_pool", None)

    @jit.kernel
    def count(first, last, memory, done, by, steps):
        for task in range(first, last):
            memory[0] = task
            value = 0.0
            for step in range(steps):
                value = value * 0.5 + step
            done[task] += memory[0] - task + 1  # unless another has our memory
            by[task] = value

    def job(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            tasks = int(rng.integers(1, 70))
            done, by = np.zeros(tasks), np.zeros(tasks)
            args = (done, by, int(rng.integers(1, 2000)))
            threads.share(count, tasks, *args, work=1 << 40, scratch=int(rng.integers(1, 200)))
            assert np.array_equal(done, np.ones(tasks))
            time.sleep(float(rng.choice([0, 1e-4, 2e-3])))

    job(0)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(job, range(1, 7)))


def test_a_change_of_the_sources_leaves_no_old_kernels_behind(tmp_path):
    for stamp in ("before", "after"):
        files = jit._Files(str(tmp_path), "a.kernel", stamp)
        other = jit._Files(str(tmp_path), "a.kernel-launch", "its own")
        for types in ("types 1", "types 2"):
            files.save(types, f"code {stamp}")
            other.save(types, "code of another")
        assert [files.load(types) for types in ("types 1", "types 2")] == [f"code {stamp}"] * 2
        assert [other.load(types) for types in ("types 1", "types 2")] == ["code of another"] * 2
        assert len(list(tmp_path.glob("*.nbc"))) == 4


def test_the_board_has_a_seat_for_each_helper_and_no_more(monkeypatch):
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_pool", None)
    everything(0)
    monkeypatch.setenv("MINIGAN_NUM_THREADS", "8")  # the helpers are hired already
    seats, launcher = [], threads._launcher

    def watched(kernel):
        return lambda board, n, *args: (seats.append(n), launcher(kernel)(board, n, *args))

    monkeypatch.setattr(threads, "_launcher", watched)
    everything(0)
    assert set(seats) <= {0, 1} and 1 in seats

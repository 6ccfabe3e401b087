"""The CPU engine's own promises: Winograd's error, and weights kept in their transformed form."""

import collections
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from minigan import ops
from minigan.autograd import vjp
from minigan.ops.cpu.runtime import simd

BIG = list(itertools.product([(2, 32, 12, 17, 32), (1, 70, 30, 16, 48), (3, 16, 8, 33, 130)], [0, 1, 2]))  # fmt: skip


@pytest.mark.parametrize("sizes, padding", BIG)
def test_winograd_keeps_its_bound(sizes, padding, rng):
    """2e-5 of the largest result, as promised; the direct algorithm is ten times nearer."""
    n, c, h, w, o = sizes
    x = rng.standard_normal((n, c, h, w), dtype=np.float32)
    weight = rng.standard_normal((o, c, 3, 3), dtype=np.float32)
    styles = rng.standard_normal((n, c), dtype=np.float32)
    from minigan.ops.cpu.conv2d import algorithm

    assert algorithm(x.dtype, 3, 3, (1, 1), c, o, n * h * w) == "winograd"
    y = ops.conv2d(x.astype(np.float64), weight.astype(np.float64), padding=padding)
    dy = rng.standard_normal(y.shape, dtype=np.float32)

    def results(x, weight, dy, styles):
        yield ops.conv2d(x, weight, padding=padding)
        yield ops.conv2d(x, weight, padding=padding, styles=styles)
        yield ops.conv_transpose2d(dy, weight, padding=padding)
        yield ops.conv2d_weight_grad(x, dy, (3, 3), padding=padding)

    exact = list(results(*(a.astype(np.float64) for a in (x, weight, dy, styles))))
    fast = list(results(x, weight, dy, styles))
    with ops.engine("direct"):
        assert algorithm(x.dtype, 3, 3, (1, 1), c, o, n * h * w) == "direct"
        direct = list(results(x, weight, dy, styles))
    for e, f, d in zip(exact, fast, direct, strict=True):
        assert np.abs(f - e).max() <= 2e-5 * np.abs(e).max()
        assert np.abs(d - e).max() <= 2e-6 * np.abs(e).max()
        assert not np.array_equal(f, d)  # two algorithms, not one under two names


@pytest.mark.parametrize("padding", [0, 1, (1, 0, 0, 2)])
@pytest.mark.parametrize("sizes", [(2, 32, 12, 17, 32), (1, 70, 30, 16, 48), (3, 16, 4, 33, 130)])
def test_winograd_of_the_transposed_convolution_keeps_its_bound(sizes, padding, rng):
    from minigan.ops.cpu.conv2d import algorithm

    n, c, h, w, o = sizes
    x = rng.standard_normal((n, c, h, w), dtype=np.float32)
    weight = rng.standard_normal((c, o, 3, 3), dtype=np.float32)
    styles = rng.standard_normal((n, c), dtype=np.float32)
    assert algorithm(x.dtype, 3, 3, (2, 2), c, o, n * h * w, transposed=True) == "winograd"
    assert algorithm(x.dtype, 3, 3, (1, 1), c, o, n * h * w, transposed=True) == "direct"
    assert algorithm(x.dtype, 3, 3, (2, 2), c, o, n * h * w) == "direct"

    def results(x, weight, styles):
        yield ops.conv_transpose2d(x, weight, 2, padding)
        yield ops.conv_transpose2d(x, weight, 2, padding, styles=styles)
        turned = np.flip(np.swapaxes(np.swapaxes(weight, 0, 1).copy(), 0, 1), (2, 3))
        yield ops.conv_transpose2d(x, turned, 2, padding)  # as layers.py gives them

    exact = list(results(*(a.astype(np.float64) for a in (x, weight, styles))))
    fast = list(results(x, weight, styles))
    with ops.engine("direct"):
        direct = list(results(x, weight, styles))
    for e, f, d in zip(exact, fast, direct, strict=True):
        assert np.abs(f - e).max() <= 2e-5 * np.abs(e).max()
        assert np.abs(d - e).max() <= 2e-6 * np.abs(e).max()
        assert not np.array_equal(f, d)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_winograd_keeps_its_bound_over_many_channels(name, rng):
    """In one sum over all 2048 the error would be beyond 2e-5."""
    from minigan.ops.cpu.conv2d import algorithm

    operation, sizes = getattr(ops, name), (32, 2048) if name == "conv2d" else (2048, 32)
    stride = 1 if name == "conv2d" else 2
    way = algorithm(np.dtype("f4"), 3, 3, (stride, stride), 2048, 32, 24 * 24, stride == 2)
    assert way == "winograd"
    x = rng.standard_normal((1, 2048, 24, 24), dtype=np.float32)
    weight = rng.standard_normal((*sizes, 3, 3), dtype=np.float32)
    exact = operation(x.astype(np.float64), weight.astype(np.float64), stride)
    assert np.abs(operation(x, weight, stride) - exact).max() <= 2e-5 * np.abs(exact).max()


@pytest.mark.parametrize("kernel", [1, 3])
def test_weights_may_lie_in_memory_as_they_like(kernel, rng):
    x = rng.standard_normal((2, 24, 17, 18), dtype=np.float32)
    plain = rng.standard_normal((40, 24, kernel, kernel), dtype=np.float32)
    gaps = np.zeros((80, 48, kernel, kernel), np.float32)[1::2, ::2]
    gaps[:] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    ways = {
        "transposed": plain.swapaxes(0, 1).copy().swapaxes(0, 1),
        "flipped": plain[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1],
        "backwards": plain[::-1, ::-1].copy()[::-1, ::-1],
        "innermost": plain.transpose(2, 3, 1, 0).copy().transpose(3, 2, 0, 1),
        "gaps": gaps, "read-only": read_only,
    }  # fmt: skip
    for operation, image in (
        (ops.conv2d, x),
        (ops.conv_transpose2d, np.tile(x, (1, 2, 1, 1))[:, :40]),
    ):
        expected = operation(image, plain, 2 if operation is ops.conv_transpose2d else 1)
        for name, w in ways.items():
            assert np.array_equal(w, plain)
            y = operation(image, w, 2 if operation is ops.conv_transpose2d else 1)
            assert np.array_equal(y, expected), name


@pytest.mark.parametrize("dtype, error", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_a_1x1_convolution_with_styles_for_each_image(dtype, error, rng):
    x = rng.standard_normal((3, 21, 16, 19)).astype(dtype)
    w, styles = (rng.standard_normal(s).astype(dtype) for s in ((70, 21, 1, 1), (3, 21)))
    scale = rng.standard_normal((3, 70)).astype(dtype)
    expected = np.einsum("nchw,oc,nc->nohw", x, w[:, :, 0, 0], styles)
    for y in (ops.conv2d(x, w, styles=styles) * scale[:, :, None, None],
              ops.conv2d(x, w, styles=styles, epilogue={"scale": scale})):  # fmt: skip
        wanted = expected * scale[:, :, None, None]
        assert np.abs(y - wanted).max() <= error * np.abs(wanted).max()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("size", [9, 18])
def test_a_scale_of_the_result_is_as_good_as_one_after_it(stride, kernel, size, rng):
    x, w, styles, scale = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in ((3, 37, size, 18), (70, 37, kernel, kernel), (3, 37), (3, 70))
    )
    expected = ops.conv2d(x, w, stride, 1, styles=styles) * scale[:, :, None, None]
    y = ops.conv2d(x, w, stride, 1, styles=styles, epilogue={"scale": scale})
    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("mirrored", ["rows", "columns", "neither"])
@pytest.mark.parametrize(
    "sizes, dtype",
    [
        ((2, 5, 40, 70), np.float32),
        ((1, 45, 23, 70), np.float32),
        ((1, 24, 31, 20), np.float32),
        ((1, 8, 19, 5), np.float32),
        ((1, 22, 31, 20), np.float64),
    ],
)
def test_a_filter_whose_rows_are_mirrored_is_folded(sizes, dtype, mirrored, rng):
    """Only then two rows may be added before they are filtered.  Whole vectors of channels and
    parts of one, one tile of columns and two, and one too narrow for eight sums."""
    error = 1e-5 if dtype == np.float32 else 1e-13
    f = rng.standard_normal((12, 12)).astype(np.float32)
    if mirrored != "neither":
        f = f + np.flip(f, 0 if mirrored == "rows" else 1)
    x = rng.standard_normal(sizes, dtype)
    b = rng.standard_normal(sizes[1], dtype)
    for up, down in ((2, 1), (2, 2), (4, 2), (2, (1, 2)), (2, (2, 1))):
        fu = rng.standard_normal(6 * up).astype(np.float32)
        pad = (6 * up - 1, 6 * up - 2)

        def op(t, fu=fu, up=up, down=down, pad=pad):
            return ops.filtered_lrelu(t["x"], fu, f, t["b"], up, down, (*pad, *pad), clamp=12.0)

        t = {"x": x, "b": b}
        y = op(t)
        dy = rng.standard_normal(y.shape, dtype)
        got = [y, *vjp(op, t)[1](dy).values()]
        with ops.engine("reference"):
            expected = [op(t), *vjp(op, t)[1](dy).values()]
        for one, wanted in zip(got, expected, strict=True):
            assert np.abs(one - wanted).max() <= error * np.abs(wanted).max()


def test_kept_weights_are_never_stale(rng, monkeypatch):
    """Winograd's transformed weights are found again by content, so changes in place count."""
    from minigan.ops.cpu import conv2d

    # only so many bytes are kept; with room for all, each new content is one more
    monkeypatch.setattr(conv2d, "_kept", collections.OrderedDict())
    monkeypatch.setattr(conv2d, "_kept_now", 0)
    x = rng.standard_normal((1, 32, 16, 16), dtype=np.float32)
    w = rng.standard_normal((32, 32, 3, 3), dtype=np.float32)

    def flip_signs():
        w[3] *= -1

    def swap():
        w[[0, 1]] = w[[1, 0]]

    def nudge():
        w[-1, -1, -1, -1] = np.nextafter(w[-1, -1, -1, -1], np.float32(9))

    def flip_two_signs():  # of two words of one hash chain, where signs are the highest bit
        w.reshape(-1)[[1, 5]] *= -1

    for change in (lambda: None, flip_signs, flip_two_signs, swap, nudge):
        ops.conv2d(x, w, padding=1)
        kept = len(conv2d._kept)
        change()
        with ops.engine("direct"):
            expected = ops.conv2d(x, w, padding=1)
        assert np.abs(ops.conv2d(x, w, padding=1) - expected).max() < 1e-4 * np.abs(expected).max()
        assert len(conv2d._kept) == kept + (change.__name__ != "<lambda>")  # each content its own
    turned = w.swapaxes(0, 1)  # the same memory and steps, but another transform
    with ops.engine("direct"):
        expected = ops.conv_transpose2d(x, turned, 2)
    assert (
        np.abs(ops.conv_transpose2d(x, turned, 2) - expected).max() < 1e-4 * np.abs(expected).max()
    )
    a, b = w.copy(), w.copy()
    b[-1, -1, -1, -1] += 1  # two weights that differ in one number have two transforms
    assert not np.array_equal(ops.conv2d(x, a), ops.conv2d(x, b))
    assert np.array_equal(ops.conv2d(x, a), ops.conv2d(x, w))


def test_the_last_of_an_odd_number_of_weights_counts(rng):
    x = rng.standard_normal((1, 33, 16, 16), dtype=np.float32)
    w = rng.standard_normal((35, 33, 3, 3), dtype=np.float32)
    before = ops.conv2d(x, w)
    w[-1, -1, -1, -1] += 1
    assert np.array_equal(
        ops.conv2d(x, w) != before,
        np.broadcast_to(np.arange(35)[:, None, None] == 34, before.shape),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("operation, size", [("conv2d", 26), ("conv_transpose2d", 25)])
def test_no_number_beyond_the_image_is_read(operation, size):
    """The image ends where memory begins that kills whoever reads it; and there, a window ends."""
    code = """if True:
        import ctypes, mmap
        import numpy as np
        from minigan import ops
        C, H, W = 33, %s, %s
        size = -(-C * H * W * 4 // mmap.PAGESIZE) * mmap.PAGESIZE
        block = mmap.mmap(-1, size + mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(block)) + size
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 0) == 0
        x = np.frombuffer(block, np.float32, C * H * W, size - C * H * W * 4)
        x[:] = 1
        x = x.reshape(1, H, W, C).transpose(0, 3, 1, 2)
        print(ops.%s(x, np.ones((%s, 3, 3), np.float32), %s).max())"""
    args = {"conv2d": ("35, C", "1"), "conv_transpose2d": ("C, 35", "2")}[operation]
    done = subprocess.run(
        [sys.executable, "-c", code % (size, size, operation, *args)],
        capture_output=True,
        text=True,
    )
    most = {"conv2d": 33 * 9, "conv_transpose2d": 33 * 4}[operation]
    assert done.returncode == 0 and abs(float(done.stdout) - most) < 0.01, done


def test_weights_not_asked_for_lately_are_not_kept(monkeypatch):
    from minigan.ops.cpu import conv2d

    monkeypatch.setattr(conv2d, "_kept", collections.OrderedDict())
    monkeypatch.setattr(conv2d, "_kept_now", 0)
    monkeypatch.setattr(conv2d, "_KEPT_CALLS", 4)
    x = np.ones((1, 32, 16, 16), np.float32)
    often, *others = (
        np.random.default_rng(i).standard_normal((32, 32, 3, 3), np.float32) for i in range(9)
    )
    expected = ops.conv2d(x, often)
    kept = next(iter(conv2d._kept.values()))[0]
    for w in others:
        ops.conv2d(x, w)
        assert np.array_equal(ops.conv2d(x, often), expected)
    arrays = [u for u, _ in conv2d._kept.values()]
    assert any(u is kept for u in arrays)  # asked for all the time
    assert len(arrays) == 4 and conv2d._kept_now == sum(u.nbytes for u in arrays)


@pytest.mark.parametrize("up, down, padding", [(1, 1, 6), (1, 2, (3, -9, 11, 0)), (2, 1, (7, 30, -3, 5)), (3, 2, 0)])  # fmt: skip
@pytest.mark.parametrize("taps", [9, 12, 40])
def test_long_filters_on_rows_that_compete_for_the_cache(up, down, padding, taps, rng, monkeypatch):
    """Rows of a multiple of 4 KiB are held elsewhere."""
    from minigan.ops.cpu import upfirdn2d

    kernel, held = upfirdn2d._upfirdn, []
    share = upfirdn2d.share

    def watched(function, tasks, *args, **options):
        if function is kernel:
            held.append(args[-1])  # how many rows
        return share(function, tasks, *args, **options)

    monkeypatch.setattr("minigan.ops.cpu.upfirdn2d.share", watched)
    x, f = rng.standard_normal((2, 16, 50, 256)), rng.standard_normal(taps)
    got = ops.upfirdn2d(x, f, up=up, down=down, padding=padding)
    together = 4 * up // math.gcd(up, down)  # rows of the output
    many = (taps + (together - 1) * down - 1) // up + 1  # rows that they meet
    assert held == [2 * many if many > 10 else 0]
    with ops.engine("reference"):
        wanted = ops.upfirdn2d(x, f, up=up, down=down, padding=padding)
    assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("up, down, padding", [(1, 1, 6), (1, 2, (3, -9, 11, 0)), (2, 1, (7, 30, -3, 5)), (3, 2, 0), (4, 3, 5), (1, 4, 9)])  # fmt: skip
@pytest.mark.parametrize("taps", [3, 9, 12, 40])
def test_a_filter_makes_four_rows_of_a_phase_at_a_time(up, down, padding, taps, rng):
    from minigan.ops.cpu import upfirdn2d

    x, f = rng.standard_normal((2, 7, 70, 51)), rng.standard_normal(taps)
    got = ops.upfirdn2d(x, f, up=up, down=down, padding=padding)
    with ops.engine("reference"):
        wanted = ops.upfirdn2d(x, f, up=up, down=down, padding=padding)
    assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()

    rows, top = got.shape[2], padding[2] if isinstance(padding, tuple) else padding
    along, phases = upfirdn2d.rows(rows, 70, taps, up, down, top), up // math.gcd(up, down)
    k, i, n = along.reshape(-1, 3).T
    start = np.arange(rows) * down - top
    inside = (start >= 0) & (start + taps <= 70 * up)
    fours = 0
    for row in range(rows):
        four = np.arange(row, row + 4 * phases, phases)
        if upfirdn2d.alike(along, row, phases, rows) == 4:
            assert four[-1] < rows
            assert all(len(np.unique(v)) == 1 for v in (k[four], n[four], np.diff(i[four])))
            fours += 1
        else:
            assert four[-1] >= rows or not inside[four].all()
    assert fours > 0


@pytest.mark.parametrize("up, down", [(2, 1), (3, 1), (3, 2), ((2, 4), (1, 2))])
@pytest.mark.parametrize("channels, dtype", [(8, np.float64), (5, np.float64), (16, np.float32)])
def test_large_results_go_past_the_cache(up, down, channels, dtype, rng, monkeypatch):
    from minigan.ops.cpu import upfirdn2d

    kernel, past = upfirdn2d._upfirdn, []
    share = upfirdn2d.share

    def watched(function, tasks, *args, **options):
        if function is kernel:
            past.append(args[-2])
        return share(function, tasks, *args, **options)

    monkeypatch.setattr("minigan.ops.cpu.upfirdn2d.share", watched)
    x, f = rng.standard_normal((2, channels, 19, 33)).astype(dtype), rng.standard_normal(9)
    usual = ops.upfirdn2d(x, f, up=up, down=down, padding=5)
    monkeypatch.setattr("minigan.ops.cpu.upfirdn2d._CACHED", 0)
    got = ops.upfirdn2d(x, f, up=up, down=down, padding=5)
    vectors = got.shape[3] * channels * x.itemsize % simd.BYTES == 0
    assert past == [0, int(vectors and got.size > 2 * x.size)]
    assert np.array_equal(got, usual)


@pytest.mark.parametrize("taps", [12, 7])
@pytest.mark.parametrize("up, down", [(2, 2), (4, 2), (2, 1), (1, 1), (2, 3), ((2, 1), (1, 2))])
@pytest.mark.parametrize("shape", [(2, 64, 40, 33), (1, 37, 9, 70)])
def test_filtered_lrelu_is_its_three_steps(shape, up, down, taps, rng):
    """Twelve taps down are for four rows at once where the channels fill vectors; several tiles."""
    fu, fd = rng.standard_normal(11), rng.standard_normal(taps)
    x, b = rng.standard_normal(shape), rng.standard_normal(shape[1])
    padding = [9, 13, 15, 8]

    def steps(t):
        mid = t["x"] + np.reshape(t["b"], (-1, 1, 1))
        mid = ops.upfirdn2d(mid, fu, up, 1, padding, gain=math.prod(np.broadcast_to(up, 2)))
        mid = ops.bias_act(mid, act="lrelu", alpha=0.1, gain=1.3, clamp=20)
        return ops.upfirdn2d(mid, fd, 1, down)

    def once(t):
        return ops.filtered_lrelu(t["x"], fu, fd, t["b"], up, down, padding, 1.3, 0.1, 20)

    (wanted, back), (got, pullback) = vjp(steps, {"x": x, "b": b}), vjp(once, {"x": x, "b": b})
    assert np.abs(got - wanted).max() <= 1e-13 * np.abs(wanted).max()
    dy = rng.standard_normal(got.shape)
    expected, result = back(dy), pullback(dy)
    for key in ("x", "b"):
        assert np.abs(result[key] - expected[key]).max() <= 1e-13 * np.abs(expected[key]).max()


def test_each_kernel_has_a_name_of_its_own():
    """Compiled code goes by its name, also that of another process, which numbers it anew: what two
    kernels of one name and type were given, one process once ran for the other."""
    from numba.core.dispatcher import Dispatcher

    import minigan.data.painting
    import minigan.ops.cpu.engine  # noqa: F401

    found = {}
    for module in [m for name, m in sys.modules.items() if name.startswith("minigan.")]:
        for value in vars(module).values():
            if isinstance(value, Dispatcher):
                found[id(value)] = f"{value.py_func.__module__}.{value.py_func.__qualname__}"
    names = collections.Counter(found.values())
    assert len(names) > 50 and [name for name, count in names.items() if count > 1] == []

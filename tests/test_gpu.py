"""The GPU engine where tests/test_ops.py does not look: each kernel by itself, at the edges of its
tiles; whole networks, graphs, errors; on the emulator and on a GPU."""

import subprocess
import sys

import numpy as np
import pytest

from minigan import layers, ops
from minigan.autograd import grad, vjp
from minigan.device import cupy
from minigan.networks import stylegan1, stylegan2, stylegan3
from tests import arrays
from tests.arrays import Rng, get, put

DEVICES = [
    pytest.param("emulator", marks=pytest.mark.slow),
    pytest.param("gpu", marks=pytest.mark.gpu),
]
# By `conftest.device`, but never on the CPU.
pytestmark = [pytest.mark.usefixtures("device"), pytest.mark.parametrize("device", DEVICES, indirect=True, scope="module")]  # fmt: skip


@pytest.fixture
def rng():
    return Rng(0)


@pytest.fixture
def settings():
    """Of the stand-in for CuPy; what a test changes is forgotten."""
    if arrays.current != "emulator":
        pytest.skip("a GPU cannot be made to behave so")
    from minigan.ops.gpu import launch
    from minigan.ops.gpu.emulator.cupy import settings

    yield settings
    settings.__init__()
    launch._most_shared.cache_clear()
    launch._capability.cache_clear()


def near(got, expected, bound):
    """Within `bound` of the largest."""
    got, expected = get(got), get(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= bound * np.abs(expected).max()


# ---- convolution kernels -------------------------------------------------------------------------

WAYS = ["naive", "few", "tiled", "wide", "tf32", "fp16"]
# N, C, O, H, W, kernel, groups: less than a tile, a bit more than one, several in each direction; and
# sums that are long enough to be split
SIZES = [
    (1, 3, 2, 5, 4, (3, 3), 1),
    (2, 17, 65, 6, 7, (3, 3), 1),
    (1, 33, 130, 3, 5, (1, 1), 1),
    (1, 70, 40, 9, 16, (3, 1), 1),
    (1, 64, 20, 4, 5, (3, 3), 1),
    (1, 6, 20, 12, 13, (2, 3), 2),
    (2, 130, 9, 3, 4, (1, 3), 1),
]


def by(monkeypatch, way, splits):
    from minigan.ops.gpu import conv2d

    backward = "tiled" if way == "few" else way
    plain = "naive" if way in ("tf32", "fp16") else way  # where tensor cores' tiles are not for
    choice = lambda *shape: (plain if shape[-1] == "fp32" else way, backward)  # noqa: E731
    monkeypatch.setattr(conv2d, "algorithm", choice)
    monkeypatch.setattr(conv2d, "ENOUGH", splits)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("splits", [1, 6])
@pytest.mark.parametrize("way", WAYS)
def test_each_convolution_kernel(way, splits, sizes, rng, monkeypatch):
    """1e-5 of the largest result for float32 factors, 1e-3 for those with 10 bits of mantissa."""
    n, c, o, h, w, size, groups = sizes
    if way == "few" and o > 4:
        pytest.skip("few are up to four")
    x = 100 * rng.standard_normal((n, c, h, w), dtype=np.float32)
    weight = 1e-4 * rng.standard_normal((o, c // groups, *size), dtype=np.float32)
    styles = rng.standard_normal((n, c), dtype=np.float32)
    back = 1e5 * rng.standard_normal((c, o // groups, *size), dtype=np.float32)
    epilogue = {"b": rng.standard_normal(o, dtype=np.float32), "act": "lrelu"}
    bound = 1e-3 if way in ("tf32", "fp16") else 1e-5

    def results(dtype):
        a, b, s, k = (v.astype(dtype) for v in (x, weight, styles, back))
        end = epilogue | {"b": epilogue["b"].astype(dtype)}
        args = {"padding": [1, 1, 1, 2], "stride": [1, 2], "groups": groups}
        y = ops.conv2d(a, b, **args)
        yield from (y, ops.conv2d(a, b, styles=s, epilogue=end, **args))
        yield ops.conv2d(a, b, 1, [1, 0, -1, 2], groups, s, end)
        yield ops.conv2d(a, b, 1, [-1, 3, 5, -2], groups)
        yield ops.conv_transpose2d(a, k, 2, 1, groups, s)
        yield ops.conv2d_weight_grad(a, y, size, **args)

    with ops.engine("reference"):
        expected = list(results(np.float64))
    by(monkeypatch, way, splits)
    with ops.precision(way if way in ("tf32", "fp16") else "fp32"):
        got = list(results(np.float32))
    for y, exact in zip(got, expected, strict=True):
        assert y.dtype == np.float32
        near(y, exact, bound)


@pytest.fixture
def warpgroups(monkeypatch):
    """Convolutions on tensor cores by warpgroups, which only compute capability 9.0 has."""
    from minigan.ops.gpu import conv2d, launch

    if arrays.current == "emulator":
        from minigan.ops.gpu.emulator.cupy import settings

        monkeypatch.setattr(settings, "capability", "90")
        launch._capability.cache_clear()
    elif launch.capability() != 90:
        pytest.skip("no GPU of compute capability 9.0")
    monkeypatch.setattr(conv2d, "WARPGROUPS", True)
    used = []
    start = conv2d.launch
    monkeypatch.setattr(conv2d, "launch", lambda *a: (used.append(a[1]), start(*a))[1])
    yield used
    if arrays.current == "emulator":
        launch._capability.cache_clear()


@pytest.mark.parametrize("sizes", [
    (1, 33, 130, 3, 5, (1, 1), 1),  # outputs: more than a tile of 128
    (2, 70, 65, 6, 7, (3, 3), 1),  # several steps, and pixels of two images in a tile
    (1, 64, 40, 16, 20, (3, 1), 1),  # several tiles of pixels; outputs: less than a tile of 64
    (1, 6, 80, 12, 13, (2, 3), 2),
])  # fmt: skip
@pytest.mark.parametrize("splits", [1, 6])
@pytest.mark.parametrize("way", ["tf32", "fp16"])
def test_convolutions_by_warpgroups(way, splits, sizes, rng, monkeypatch, warpgroups):
    n, c, o, h, w, size, groups = sizes
    by(monkeypatch, way, splits)
    x = 100 * rng.standard_normal((n, c, h, w), dtype=np.float32)
    weight = 1e-4 * rng.standard_normal((o, c // groups, *size), dtype=np.float32)
    styles = rng.standard_normal((n, c), dtype=np.float32)
    back = rng.standard_normal((c, o // groups, *size), dtype=np.float32)
    epilogue = {"b": rng.standard_normal(o, dtype=np.float32), "act": "lrelu"}

    def results(dtype):
        a, b, s, k = (v.astype(dtype) for v in (x, weight, styles, back))
        end = epilogue | {"b": epilogue["b"].astype(dtype)}
        yield ops.conv2d(a, b, 1, [1, 0, -1, 2], groups, s, end)
        y = ops.conv2d(a, b, 1, 1, groups)
        yield y
        yield ops.conv_transpose2d(a, k, 2, 1, groups, s)
        yield ops.conv2d_weight_grad(a, y, size, 1, 1, groups)

    with ops.engine("reference"):
        expected = list(results(np.float64))
    with ops.precision(way):
        got = list(results(np.float32))
    sums = [kernel for kernel in warpgroups if kernel.startswith("conv_")]
    assert sums and all("warpgroup" in kernel for kernel in sums)
    gradient = next(kernel for kernel in warpgroups if kernel.startswith("weight_gradient"))
    wide = way == "fp16" and max(c, o) // groups > 64
    assert ("warpgroup" in gradient) == wide
    for y, exact in zip(got, expected, strict=True):
        near(y, exact, 1e-3)


def test_warpgroups_are_not_chosen_unasked(rng, monkeypatch, warpgroups):
    """Nor where a GPU has none, nor for tiles of 32 outputs."""
    from minigan.ops.gpu import conv2d

    x, wide, narrow = (rng.standard_normal(s, dtype=np.float32) for s in ((1, 16, 8, 8), (40, 16, 3, 3), (32, 16, 3, 3)))  # fmt: skip
    with ops.precision("fp16"):
        ops.conv2d(x, wide)
        ops.conv2d(x, narrow)
        monkeypatch.setattr(conv2d, "WARPGROUPS", False)
        ops.conv2d(x, wide)
        monkeypatch.setattr(conv2d, "WARPGROUPS", True)
        monkeypatch.setattr(conv2d, "capability", lambda: 100)
        ops.conv2d(x, wide)
    sums = [kernel for kernel in warpgroups if kernel.startswith("conv_")]
    assert sums == ["conv_f16_64_warpgroup", "conv_f16_32", "conv_f16_64", "conv_f16_64"]


@pytest.mark.parametrize("way", ["tiled", "wide", "tf32", "fp16"])
def test_neighbours_that_do_not_lie_side_by_side(way, rng, monkeypatch):
    """A transposed convolution writes every second pixel, in rows whose length is a multiple of 4."""
    by(monkeypatch, way, 1)
    x = rng.standard_normal((1, 16, 8, 8), dtype=np.float32)
    w = rng.standard_normal((16, 24, 4, 4), dtype=np.float32)
    exact = ops.conv_transpose2d(x.astype(np.float64), w.astype(np.float64), 2, 1)
    with ops.precision(way if way in ("tf32", "fp16") else "fp32"):
        near(ops.conv_transpose2d(x, w, 2, 1), exact, 1e-3 if way in ("tf32", "fp16") else 1e-5)


@pytest.mark.parametrize("way", ["naive", "tiled", "wide"])
def test_order_of_threads_does_not_matter(way, rng, monkeypatch, settings):
    by(monkeypatch, way, 6)
    x, w = rng.standard_normal((2, 17, 6, 7)), rng.standard_normal((65, 17, 3, 3))
    f = np.arange(1.0, 12)

    def results():
        y = ops.conv2d(x, w, padding=1)
        yield from (y, ops.conv2d_weight_grad(x, y, (3, 3), padding=1))
        yield ops.filtered_lrelu(x, f, f, up=2, down=2, padding=9)
        yield layers.dense({"fc.weight": w[:, :, 0, 0]}, "fc", x[:, :, 0, 0])

    forwards = [get(y) for y in results()]
    settings.backwards = True
    for y, before in zip(results(), forwards, strict=True):
        assert np.array_equal(get(y), before)


def test_precision_is_asked_for(rng, settings):
    """Tensor kernels run only inside `ops.precision`, and change something there."""
    x = rng.standard_normal((1, 16, 8, 8), dtype=np.float32)
    w = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    exact = get(ops.conv2d(x.astype(np.float64), w.astype(np.float64)))
    errors = {}
    for name in ("fp32", "tf32", "fp16"):
        with ops.precision(name):
            errors[name] = np.abs(get(ops.conv2d(x, w)) - exact).max() / np.abs(exact).max()
            assert np.array_equal(
                get(ops.conv2d(x.astype(np.float64), w.astype(np.float64))), exact
            )
    assert errors["fp32"] < 1e-6 < 1e-5 < errors["tf32"] < 1e-3 and 1e-5 < errors["fp16"] < 1e-3
    assert np.array_equal(get(ops.conv2d(x, w)), get(ops.conv2d(x, w)))
    settings.capability = "75"
    from minigan.ops.gpu import launch

    launch._capability.cache_clear()
    with (
        pytest.raises(RuntimeError, match=r"precision\('tf32'\) needs .* 8.0"),
        ops.precision("tf32"),
    ):
        ops.conv2d(x, w)
    launch._capability.cache_clear()
    with pytest.raises(ValueError, match="name is 'bf16'; expected one of fp32, tf32, fp16"):
        ops.precision("bf16").__enter__()


def test_fp16_takes_numbers_of_any_size(rng):
    """Without the scaling beforehand, 1e6 would be infinite in half precision."""
    x = 1e6 * rng.standard_normal((1, 16, 8, 8), dtype=np.float32)
    w = 1e-6 * rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    exact = ops.conv2d(x.astype(np.float64), w.astype(np.float64))
    with ops.precision("fp16"):
        near(ops.conv2d(x, w), exact, 1e-3)
        near(ops.conv2d(0 * x, w), 0 * exact, 0)
        near(ops.conv2d(1e-40 * x, w), 0 * exact, 0)  # as nothing, and not as 1/0
        styles = 1e6 * rng.standard_normal((1, 16), dtype=np.float32)
        styled = ops.conv2d(1e-6 * x, w, styles=styles)
        dx = grad(lambda x: np.sum(np.square(ops.conv2d(x, w))))(x)
    near(styled, ops.conv2d(1e-6 * x, w, styles=styles), 1e-3)
    # One number, read by the last thread, 1e9 times as large as all others
    apart = np.ones((1, 16, 8, 8), np.float32)
    apart[0, -1, -1, -1] = 1e9
    for a, b in ((x * put(apart), w), (x, w * put(apart[:, :, 5:, 5:]))):
        with ops.precision("fp16"):
            near(ops.conv2d(a, b), ops.conv2d(a.astype(np.float64), b.astype(np.float64)), 1e-3)
    near(dx, grad(lambda x: np.sum(np.square(ops.conv2d(x, w))))(x), 2e-3)


def test_too_many_pixels_are_refused(rng):
    from minigan.ops.gpu import conv2d

    x = rng.standard_normal((1, 1, 1, 1), dtype=np.float32)
    with pytest.raises(ValueError, match="2147483648 pixels, padding included; fewer than 2³¹"):
        conv2d._choose(x, 8, 8, 9, 1 << 31, "fp32")
    window = [(0, 46340, 3)]  # 46340² < 2³¹ ≤ 46342², with what the taps reach
    with pytest.raises(ValueError, match="fewer than 2³¹ are possible: divide the batch"):
        conv2d._Image(x, None, 1, "tf32", (window, window))


@pytest.mark.parametrize("where", [0, 1500, 4999])
def test_the_largest_of_more_numbers_than_threads(where, rng, monkeypatch):
    from minigan.ops.gpu import conv2d

    monkeypatch.setattr(conv2d, "ENOUGH", 1)
    x = get(rng.standard_normal((1, 5, 10, 100), dtype=np.float32)).copy()
    x.flat[where] = -9
    assert get(conv2d._largest(put(x))).tolist() == [9]


@pytest.mark.parametrize("height, skip, fours", [(6, 0, True), (6, 1, False), (6, 2, False), (6, 4, True), (5, 0, False)])  # fmt: skip
def test_sixteen_bytes_at_once(height, skip, fours, rng, monkeypatch):
    """Rows of fours that begin at a four are read so, others number by number; all are right."""
    from minigan.ops.gpu import bias_act

    used, start = [], bias_act.launch
    monkeypatch.setattr(bias_act, "launch", lambda *a: (used.append(a[1]), start(*a))[1])
    shape = (2, 3, height, 46)
    flat = rng.standard_normal(skip + np.prod(shape), dtype=np.float32)
    b = rng.standard_normal(3, dtype=np.float32)
    scale = rng.standard_normal((2, 3), dtype=np.float32)
    noise = rng.standard_normal((2, 1, height, 46), dtype=np.float32)

    def results(a, **kwargs):
        args = {k: v.astype(a.dtype) for k, v in kwargs.items()}

        def f(a):  # x is taken from it here: vjp copies what it is given, to where a four begins
            return ops.bias_act(a[skip:].reshape(shape), act="lrelu", clamp=1.0, **args)

        y, pullback = vjp(f, a)
        return y, pullback(y * y)

    with ops.engine("reference"):
        expected = results(flat.astype(np.float64), b=b, scale=scale, noise=noise)
    got = results(flat, b=b, scale=scale, noise=noise)
    for y, exact in zip(got, expected, strict=True):
        near(y, exact, 1e-5)
    assert used[0] == "bias_act" + "_fours" * fours and "act_slope_fours" in used


def test_parts_are_added_in_their_order(rng):
    from minigan.ops.gpu import bias_act

    parts = rng.standard_normal((3, 2, 5, 16, 130), dtype=np.float32)
    expected = get(parts)[0] + get(parts)[1] + get(parts)[2]
    assert np.array_equal(get(bias_act.summed(parts)), expected)
    odd = parts[..., :129]
    assert np.array_equal(get(bias_act.summed(odd)), expected[..., :129])


# ---- resampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("taps, up, down", [(4, 2, 1), (4, 1, 2), (4, 1, 1), (12, 2, 1), (12, 1, 2), (12, 1, 1), (24, 4, 2), (60, 1, 1)])  # fmt: skip
@pytest.mark.parametrize(
    "dtype, bounds", [(np.float64, (1e-13, 1e-11)), (np.float32, (1e-5, 1e-4))]
)
def test_images_of_several_tiles(taps, up, down, dtype, bounds, rng):
    x, scale = rng.standard_normal((1, 2, 45, 138)), rng.standard_normal((1, 2))
    f = get(rng.standard_normal(taps))
    args = (up, down, [taps, taps - 3, taps - 1, taps], False, 1.0)

    def results(g, dtype):
        a = x.astype(dtype)
        epilogue = {"act": "swish", "scale": scale.astype(dtype), "gain": 2.0, "clamp": 1.0}
        y = ops.upfirdn2d(a, g, *args)
        noise = put(np.sin(np.arange(y[0, 0].size)).reshape(1, 1, *y.shape[2:]).astype(dtype))
        yield y
        yield ops.upfirdn2d(a, g, *args, epilogue={"clamp": 0.5})
        yield ops.upfirdn2d(a, g, *args, epilogue=epilogue | {"noise": noise})

    for g in (f, np.outer(f, f), get(rng.standard_normal((min(taps, 24), taps)))):
        got = list(results(g, dtype))
        with ops.engine("reference"):
            expected = list(results(g, np.float64))
        for y, exact, bound in zip(got, expected, (*bounds, bounds[1]), strict=True):
            assert y.dtype == dtype
            near(y, exact, bound)


@pytest.mark.parametrize("taps, up, down", [(4, 2, 1), (4, 1, 2), (4, 1, 1), (12, 2, 1), (12, 1, 2), (12, 1, 1)])  # fmt: skip
@pytest.mark.parametrize("crop", [0, 1])  # rows of the result begin at fours of numbers, or not
def test_tiles_inside_an_image(taps, up, down, crop, rng):
    """Several tiles of a kernel for known rates need nothing from outside."""
    x = rng.standard_normal((1, 1, 152, 408), dtype=np.float32)
    f = get(rng.standard_normal(taps))
    left = (taps - up) * 2 // 3
    args = (f, up, down, [left, taps - 1 - left - crop * down, left, 0])
    got = ops.upfirdn2d(x, *args)
    with ops.engine("reference"):
        near(got, ops.upfirdn2d(x.astype(np.float64), *args), 1e-5)
    assert (got.shape[3] % 4 == 0) == (crop == 0)


@pytest.mark.parametrize("up, down, taps", [(2, 2, (12, 12)), (4, 2, (24, 12)), (2, 3, (11, 11)), (1, 1, (30, 30)), (3, 1, (7, 7))])  # fmt: skip
@pytest.mark.parametrize("dtype, bound", [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_codes_of_several_tiles(up, down, taps, dtype, bound, rng):
    """The slopes that one launch writes, tile by tile, are those that the next reads."""
    x = rng.standard_normal((1, 2, 37, 50))
    fu, fd = (get(rng.standard_normal(t)) for t in taps)
    if dtype == np.float32:  # no sample so near 0 or the clamp that its rounding decides
        x, fu, fd = np.rint(x), np.rint(fu), np.rint(fd)

    def results(x):
        op = lambda x: ops.filtered_lrelu(x, fu, fd, None, up, down, 2 * taps[0], 1.3, 0.1, 0.8)  # noqa: E731
        y, pullback = vjp(op, x)
        dx, back = vjp(pullback, np.sin(y))
        return y, dx, back(x)

    got = results(x.astype(dtype))
    with ops.engine("reference"):
        expected = results(x)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == dtype
        near(a, b, bound)


def test_more_planes_than_a_grid_has(rng, monkeypatch):
    """A block goes on to further planes."""
    from minigan.ops.gpu import bias_act, upfirdn2d

    f, g = get(rng.standard_normal(4)), get(rng.standard_normal(12))
    x, scale = rng.standard_normal((2, 3, 9, 10)), rng.standard_normal((2, 3))

    def results(x, scale):
        yield ops.upfirdn2d(x, f, 2, 1, 3)
        yield ops.upfirdn2d(x, g, 3, 1, 12)
        yield ops.upfirdn2d(x, np.outer(f, f) + np.eye(4), 1, 2, 2)
        yield ops.filtered_lrelu(x, g, g, None, 2, 2, 11)
        yield ops.filtered_lrelu(x, f, f, None, 2, 1, 3)
        yield ops.bias_act(x, act="lrelu", scale=scale)

    with ops.engine("reference"):
        expected = list(results(x, scale))
    monkeypatch.setattr(upfirdn2d, "PLANES", 2)
    monkeypatch.setattr(bias_act, "PLANES", 2)
    got = results(x.astype(np.float32), scale.astype(np.float32))
    for y, exact in zip(got, expected, strict=True):
        near(y, exact, 1e-5)


def test_what_does_not_fit_into_shared_memory(rng, settings):
    x, f = rng.standard_normal((1, 1, 130, 130)), get(rng.standard_normal((120, 90)))
    with ops.engine("reference"):
        expected = ops.upfirdn2d(x, f)
    near(ops.upfirdn2d(x, f), expected, 1e-12)  # more than 48 KB, which one may ask for
    settings.shared = 48 << 10
    from minigan.ops.gpu import launch

    launch._most_shared.cache_clear()
    with pytest.raises(ValueError, match="need 84 KB of shared memory a block; this GPU has 48"):
        ops.upfirdn2d(x, f)
    near(ops.upfirdn2d(x, f[:2]), ops.upfirdn2d(x, f[:2]), 0)  # and work goes on
    # What known rates and taps would like to have, and do without here
    g = np.arange(12.0)
    got = ops.upfirdn2d(x, g, down=2), ops.filtered_lrelu(x.astype(np.float32), g, g, None, 2, 2, 9)
    with ops.engine("reference"):
        near(got[0], ops.upfirdn2d(x, g, down=2), 1e-12)
        near(got[1], ops.filtered_lrelu(x, g, g, None, 2, 2, 9), 1e-5)


def test_planes_larger_than_a_block(rng):
    """Sums over more pixels than threads, slopes of more numbers than one block takes."""
    t = {"x": rng.standard_normal((2, 3, 30, 45)), "scale": rng.standard_normal((2, 3))}

    def loss(t):
        return np.sum(np.square(ops.bias_act(act="lrelu", clamp=1.0, **t)))

    got = grad(loss)(t)
    with ops.engine("reference"):
        expected = grad(loss)(t)
    for name, g in expected.items():
        near(got[name], g, 1e-12)


# ---- networks ------------------------------------------------------------------------------------

SMALL = {"img_resolution": 16, "z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8}
CONFIGS = [
    stylegan1.Config(**SMALL),
    stylegan2.Config(**SMALL, conv_clamp=4.0),
    stylegan2.Config(**SMALL, architecture="resnet", c_dim=3),
    stylegan3.Config(**SMALL, num_layers=4, num_critical=2),
]


def lively(G):
    """With noise, biases and w̄ that are not 0, as after training."""
    rng = np.random.default_rng(1)

    def stir(arrays):
        return {
            k: a if k.endswith(("_filter", "_ema", "transform")) or a.any()
            else rng.standard_normal(a.shape).astype(a.dtype)
            for k, a in arrays.items()
        }  # fmt: skip

    return G.replace(params=stir(G.params), buffers=stir(G.buffers))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{type(c).__module__[-9:]}-{c.c_dim}")
def test_generators_draw_the_same(config):
    G = lively(config.build(np.random.default_rng(0)))
    z = np.random.default_rng(2).standard_normal((2, 8), dtype=np.float32)
    c = np.eye(3, dtype=np.float32)[:2] if config.c_dim else None
    H = G.to("gpu")
    args = {"truncation_psi": 0.7, "truncation_cutoff": 3}
    near(H(put(z), None if c is None else put(c), **args), G(z, c, **args), 2e-5)
    rng = np.random.default_rng
    random = {"noise_mode": "random"}
    if c is None:
        near(H(put(z), rng=rng(3), **random), G(z, rng=rng(3), **random), 2e-5)
    back = H.to("cpu")
    assert all(np.array_equal(back.params[k], a) for k, a in G.params.items())
    assert all(np.array_equal(back.buffers[k], a) for k, a in G.buffers.items())
    assert G.to("cpu").params["mapping.fc0.weight"] is G.params["mapping.fc0.weight"]


def test_discriminator_and_its_gradients():
    """Logits, and R1's gradient of a gradient, as training takes them."""
    config = stylegan2.DiscriminatorConfig(img_resolution=16, channel_base=128, channel_max=8)
    D = lively(config.build(np.random.default_rng(0)))
    img = np.random.default_rng(1).standard_normal((4, 3, 16, 16), dtype=np.float32)

    def r1(D, img):
        def penalty(params):
            dx = grad(lambda x: np.sum(D.replace(params=params)(x)))(img)
            return np.mean(np.sum(np.square(dx), axis=(1, 2, 3)))

        return grad(penalty)(D.params)

    E = D.to("gpu")
    near(E(put(img)), D(img), 1e-5)
    mine, expected = r1(E, put(img)), r1(D, img)
    assert mine.keys() == expected.keys()
    for name, g in expected.items():
        assert np.abs(get(mine[name]) - g).max() <= 1e-4 * np.abs(g).max() + 1e-9, name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{type(c).__module__[-9:]}-{c.c_dim}")
def test_a_graph_draws_the_same_bit_for_bit(config):
    G = lively(config.build(np.random.default_rng(0))).to("gpu")
    draw = G.compile(batch=2, truncation_psi=0.5)
    for seed in range(3):
        z = Rng(seed).standard_normal((2, 8), dtype=np.float32)
        c = (put(np.eye(3, dtype=np.float32)[[seed, 1]]),) if config.c_dim else ()
        first, again = draw(z, *c), draw(z, *c)
        assert np.array_equal(get(first), get(G(z, *c, truncation_psi=0.5)))
        first[...] = 0  # results are the caller's
        assert np.array_equal(get(again), get(draw(z, *c)))
    assert not np.array_equal(get(draw(z, *c)), get(draw(-z, *c)))


def test_a_graph_is_one_launch(settings):
    G = CONFIGS[1].build(np.random.default_rng(0)).to("gpu")
    draw, z = G.compile(batch=1), Rng(0).standard_normal((1, 8), dtype=np.float32)
    settings.launches = 0
    G(z)
    alone, settings.launches = settings.launches, 0
    draw(z)
    assert settings.launches == 1 < 20 < alone


def test_what_a_graph_refuses():
    z = Rng(0).standard_normal((1, 8), dtype=np.float32)
    G = CONFIGS[1].build(np.random.default_rng(0))
    with pytest.raises(RuntimeError, match=r"compile: .* are on the CPU; G.to\('gpu'\) first"):
        G.compile(batch=1)
    draw = G.to("gpu").compile(batch=2)
    with pytest.raises(ValueError, match=r"z has shape \(1, 8\); expected \[2, 8\]"):
        draw(z)
    with pytest.raises(TypeError, match="z is a numpy.ndarray"):
        draw(np.zeros((2, 8), np.float32))
    with pytest.raises(ValueError, match="noise_mode is 'random'; expected 'const' or 'none'"):
        G.to("gpu").compile(batch=1, noise_mode="random")
    with pytest.raises(ValueError, match="batch is 0"):
        G.to("gpu").compile(batch=0)
    with pytest.raises(ValueError, match="c was given"):
        draw(put(np.zeros((2, 8), np.float32)), put(np.zeros((2, 3), np.float32)))
    from minigan.ops.gpu.graph import Graph

    with pytest.raises(RuntimeError, match="a CUDA graph cannot record this function"):
        Graph(lambda z: z if float(z.sum()) > 0 else -z, z)
    assert get(G.to("gpu")(z)).shape == (1, 3, 16, 16)  # and work goes on


def test_nobody_waits(settings, rng):
    """Drawing, and a training step's gradients, never stop for the GPU."""
    G = lively(CONFIGS[1].build(np.random.default_rng(0))).to("gpu")
    z = rng.standard_normal((2, 8), dtype=np.float32)
    settings.syncs = 0
    G(z, truncation_psi=0.5)
    loss = lambda p: np.mean(np.square(G.replace(params=p)(z)))  # noqa: E731
    grad(loss)(G.params)
    with ops.precision("fp16"):
        G(z)
    assert settings.syncs == 0


# ---- errors --------------------------------------------------------------------------------------


def test_arrays_of_two_kinds_are_named(rng):
    x, w = rng.standard_normal((1, 2, 4, 4)), rng.standard_normal((2, 2, 3, 3))
    for call, name in (
        (lambda: ops.conv2d(x, get(w)), "w"),
        (lambda: ops.bias_act(x, np.zeros(2)), "b"),
        (lambda: ops.conv2d(x, w, styles=np.zeros((1, 2))), "styles"),
        (lambda: ops.conv2d(x, w, epilogue={"b": np.zeros(2)}), "b"),
        (lambda: ops.filtered_lrelu(x, b=np.zeros(2)), "b"),
    ):
        with pytest.raises(TypeError, match=f"{name} is a numpy.ndarray; expected a CuPy array, as x is a cupy.ndarray"):  # fmt: skip
            call()
    with pytest.raises(TypeError, match="w is a cupy.ndarray; expected a NumPy array, as x is a numpy.ndarray"):  # fmt: skip
        ops.conv2d(get(x), w)
    with pytest.raises(TypeError, match="f is a cupy.ndarray; expected a NumPy array"):
        ops.upfirdn2d(x, put(np.ones(4)))
    G = CONFIGS[1].build(np.random.default_rng(0))
    z = rng.standard_normal((1, 8), dtype=np.float32)
    for network, given in ((G, z), (G.to("gpu"), get(z))):
        for call in (network, network.mapping, lambda z, n=network: n.synthesis(np.repeat(z[:, None], 6, 1))):  # fmt: skip
            with pytest.raises(TypeError, match=r"(z|ws) is a \w+.ndarray, the network's arrays are \w+.ndarray; "):  # fmt: skip
                call(given)
    with pytest.raises(ValueError, match="device is 'cuda'; expected 'cpu' or 'gpu'"):
        G.to("cuda")


def test_a_failure_is_one_exception_and_not_the_end(rng, settings):
    x = rng.standard_normal((1, 4, 8, 8))
    settings.memory = 1000
    with pytest.raises(MemoryError, match="Out of memory allocating 32,768 bytes"):
        ops.upfirdn2d(x, None, up=4)
    settings.memory = float("inf")
    from minigan.ops.gpu import launch

    settings.capability = "61"
    launch._capability.cache_clear()
    with pytest.raises(
        RuntimeError, match="GPU 0 has compute capability 6.1; the kernels need 7.5"
    ):
        ops.bias_act(x, act="tanh")
    settings.capability = "90"
    launch._capability.cache_clear()
    with pytest.raises(RuntimeError, match=r"the GPU did not start conv_naive: .*invalid argument \(grid \(1, 70000, 1\)"):  # fmt: skip
        ops.conv2d(x[:, :1, :1, :1], put(np.ones((70000, 1, 1, 1))))
    near(ops.bias_act(x, act="tanh"), np.tanh(x), 1e-15)


def test_a_real_failure_is_one_exception_and_not_the_end(rng, monkeypatch):
    if arrays.current != "gpu":
        pytest.skip("the stand-in fails as it is told to")
    from minigan.ops.gpu import launch

    x = rng.standard_normal((1, 4, 8, 8))
    with pytest.raises(MemoryError, match="Out of memory allocating"):
        ops.upfirdn2d(x, None, up=100_000)
    with pytest.raises(RuntimeError, match="the GPU did not start conv_naive: .*invalid"):
        ops.conv2d(x[:, :1, :1, :1], put(np.ones((70000, 1, 1, 1))))
    monkeypatch.setattr(launch, "CAPABILITY", 999)
    launch._capability.cache_clear()
    with pytest.raises(RuntimeError, match="compute capability .*; the kernels need 99.9"):
        ops.bias_act(x, act="tanh")
    monkeypatch.undo()
    launch._capability.cache_clear()
    near(ops.bias_act(x, act="tanh"), np.tanh(x), 1e-15)


def test_without_cupy_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr("minigan.device._instead", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"needs CuPy, .* pip install 'minigan\[cuda13\]'"):
        CONFIGS[1].build(np.random.default_rng(0)).to("gpu")


def test_without_a_driver_one_sentence_says_so(settings):
    settings.available = False
    with pytest.raises(RuntimeError, match="CuPy is installed, but finds no NVIDIA GPU"):
        cupy()


def test_cpu_work_imports_no_cupy():
    code = (
        "import sys, numpy as np, minigan; from minigan import ops; "
        "ops.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))); print('cupy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"

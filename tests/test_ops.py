"""The operations, on each device, against SciPy, against their definitions, and against finite differences."""

import functools

import numpy as np
import pytest
import scipy.signal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigan import filters, layers, ops
from minigan.autograd import check_grads, grad, vjp
from minigan.device import on_gpu
from tests import arrays
from tests.arrays import Rng, get, put

pytestmark = pytest.mark.usefixtures("device")

N, C, H, W, SEED = (st.integers(*r) for r in ((0, 3), (1, 5), (1, 9), (1, 9), (0, 2**32 - 1)))
DTYPE = st.sampled_from([np.float64, np.float32])
RATE = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADDING = st.tuples(*[st.integers(-2, 5)] * 4)
quick = settings(max_examples=100, deadline=None)


@pytest.fixture
def rng():
    return Rng(0)


def rows_innermost(x):
    return x.copy(order="C")


def channels_innermost(x):
    order = (0, *range(2, x.ndim), 1)
    return np.moveaxis(x.transpose(order).copy(order="C"), -1, 1)


def every_other(x):
    wide = np.full_like(x, np.nan, shape=[2 * n for n in x.shape])
    view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def backwards(x):
    return np.flip(x).copy(order="C")[tuple(slice(None, None, -1) for _ in x.shape)]


def other_bytes(x):
    if on_gpu(x):
        return x  # CuPy has no such arrays, and none that are read-only
    return x.astype(x.dtype.newbyteorder(">"))


def read_only(x):
    if on_gpu(x):
        return x
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUT = st.sampled_from(
    [rows_innermost, channels_innermost, every_other, backwards, other_bytes, read_only]
)


def same(got, expected, dtype, least=1.0):
    """Equal but for rounding: of sums of a few hundred terms in `dtype`, relative to the largest,
    or to `least` where steps between had larger ones."""
    assert got.dtype == dtype and got.shape == expected.shape
    assert on_gpu(got) == (arrays.current != "cpu")
    got, expected = get(got), get(expected)
    scale = np.abs(expected).max(initial=least)
    assert np.abs(got - expected).max(initial=0) <= 40 * np.finfo(dtype).eps * scale


def or_error(function):
    """function(), or the text of its ValueError."""
    try:
        return function()
    except ValueError as error:
        return str(error)


def agree(function, dtype, least=1.0):
    """The fast engine does what the definition does, whether that is a result or an error."""
    with ops.engine("reference"):
        expected = or_error(function)
    got = or_error(function)
    if isinstance(expected, str):
        assert got == expected
    else:
        same(got, expected, dtype, least)


@quick
@given(N, st.tuples(C, C), H, W, st.tuples(H, H), RATE, PADDING, st.integers(1, 3), DTYPE, LAYOUT, LAYOUT, SEED)  # fmt: skip
def test_convolutions_are_their_definitions(n, channels, h, w, size, stride, padding, groups, dtype, lay, lay_w, seed):  # fmt: skip
    rng = Rng(seed)
    c, o = (groups * k for k in channels)
    x = lay(rng.standard_normal((n, c, h, w)).astype(dtype))
    weight = lay_w(rng.standard_normal((o, c // groups, *size)).astype(dtype))
    args = {"stride": list(stride), "padding": list(padding), "groups": groups}
    agree(lambda: ops.conv2d(x, weight, **args), dtype)
    back = lay_w(rng.standard_normal((c, o // groups, *size)).astype(dtype))
    agree(lambda: ops.conv_transpose2d(x, back, **args), dtype)
    y = or_error(lambda: ops.conv2d(x, weight, **args))
    if not isinstance(y, str):
        dy = lay(rng.standard_normal(y.shape).astype(dtype))
        agree(lambda: ops.conv2d_weight_grad(x, dy, size, **args), dtype)


@quick
@given(N, C, H, W, st.tuples(st.integers(1, 24), st.integers(1, 24)), RATE, RATE, PADDING, st.booleans(), st.booleans(), DTYPE, LAYOUT, SEED)  # fmt: skip
def test_upfirdn2d_is_its_definition(n, c, h, w, taps, up, down, padding, separable, flip, dtype, lay, seed):  # fmt: skip
    rng = Rng(seed)
    x = lay(rng.standard_normal((n, c, h, w)).astype(dtype))
    f = get(rng.standard_normal(taps[0] if separable else taps))
    padding = [
        p + t // 2 for p, t in zip(padding, (taps[1], taps[1], taps[0], taps[0]), strict=True)
    ]
    agree(lambda: ops.upfirdn2d(x, f, list(up), list(down), padding, flip, 1.5), dtype)


@quick
@given(N, C, H, W, st.integers(1, 12), st.integers(1, 12), RATE, RATE, st.booleans(), st.booleans(), st.sampled_from([None, 0.0, 0.5]), DTYPE, LAYOUT, SEED)  # fmt: skip
@example(3, 1, 5, 5, 10, 2, (2, 2), (1, 1), True, False, 0.5, np.float64, rows_innermost, 234)
def test_filtered_lrelu_is_its_definition(n, c, h, w, tu, td, up, down, flat, flip, clamp, dtype, lay, seed):  # fmt: skip
    rng = Rng(seed)
    x = lay(rng.standard_normal((n, c, h, w)).astype(dtype))
    # Sums of the size of x: of much larger ones a clamp would leave ±clamp and their rounding.
    fu = get(rng.standard_normal(tu) / tu**0.5 if flat else rng.standard_normal((tu, tu)) / tu)
    fd = get(rng.standard_normal((td, td) if flat else td))
    b = rng.standard_normal(c).astype(dtype)
    padding = [tu // 2 + td // 2, td // 2, tu // 2, td - 1]
    args = (list(up), list(down), padding, 1.3, 0.1)
    least = 1.0
    if on_gpu(x):  # other sums, in another order: a clamp makes the result smaller, but not them
        with ops.engine("reference"):
            free = or_error(lambda: ops.filtered_lrelu(x, fu, fd, b, *args, None, flip))
        least = 1.0 if isinstance(free, str) else np.abs(get(free)).max(initial=1.0)
    agree(lambda: ops.filtered_lrelu(x, fu, fd, b, *args, clamp, flip), dtype, least)


@quick
@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.data(), st.sampled_from(list(ops.ACTIVATIONS)), DTYPE, LAYOUT, SEED)  # fmt: skip
def test_bias_act_is_its_definition(shape, data, act, dtype, lay, seed):
    rng = Rng(seed)
    dim = data.draw(st.integers(0, len(shape) - 1))
    clamp = data.draw(st.sampled_from([None, 0.7]))
    lay = lay if len(shape) > 1 or lay is not channels_innermost else rows_innermost
    x = lay(3 * rng.standard_normal(shape).astype(dtype))
    b = rng.standard_normal(shape[dim]).astype(dtype)
    agree(lambda: ops.bias_act(x, b, dim, act, clamp=clamp), dtype)
    if len(shape) == 4:
        scale = rng.standard_normal(shape[:2]).astype(dtype)
        noise = rng.standard_normal((shape[0], 1, *shape[2:])).astype(dtype)
        agree(lambda: ops.bias_act(x, np.repeat(b[:1], shape[1]), 1, act, scale=scale, noise=noise), dtype)  # fmt: skip
        agree(lambda: ops.bias_act(x, act=act, noise=noise[:1]), dtype)


@quick
@given(C, st.tuples(H, W), st.tuples(st.integers(1, 3), st.integers(1, 3)), SEED)
def test_conv2d_is_scipys_correlation(c, size, kernel, seed):
    rng = Rng(seed)
    x = rng.standard_normal((2, c, size[0] + 2, size[1] + 2))
    w = rng.standard_normal((3, c, *kernel))
    expected = [
        [
            sum(scipy.signal.correlate2d(get(x)[n, i], get(w)[o, i], "valid") for i in range(c))
            for o in range(3)
        ]
        for n in range(2)
    ]
    same(ops.conv2d(x, w), np.array(expected), np.float64)


@quick
@given(st.integers(1, 24), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), SEED)
def test_upfirdn2d_is_scipys_upfirdn(taps, size, up, down, seed):
    """SciPy's is one-dimensional, pads by taps − 1 on both sides, and inserts no zeros at the end."""
    rng = Rng(seed)
    x, f = rng.standard_normal((1, 2, size, size)), get(rng.standard_normal(taps))
    expected = get(x)
    for axis in (2, 3):
        expected = scipy.signal.upfirdn(f, expected, up, down, axis)
    got = ops.upfirdn2d(x, f, up, down, [taps - 1, taps - up, taps - 1, taps - up])
    same(got, expected, np.float64)


# Derivatives.


def signs_apart(rng, *shape):
    """Numbers away from 0, so that no step of a finite difference crosses a kink there."""
    x = rng.standard_normal(shape)
    return x + np.where(x > 0, 0.1, -0.1)


def conv_cases():
    for stride, padding, groups in ((1, 1, 1), (2, [1, 0, 2, 1], 2), ([3, 2], [-1, 2, 0, 1], 1)):
        args = {"stride": stride, "padding": padding, "groups": groups}
        yield functools.partial(ops.conv2d, **args), (4, 4 // groups, 3, 2)
        yield functools.partial(ops.conv_transpose2d, **args), (4, 4 // groups, 3, 3)


@pytest.mark.parametrize("op, shape", list(conv_cases()))
def test_convolutions_to_second_order(op, shape, rng):
    """Sizes that the stride does not divide included: 9 rows by 2, 8 columns by 3."""
    t = {"x": rng.standard_normal((2, 4, 9, 8)), "w": rng.standard_normal(shape)}
    check_grads(lambda t: np.square(op(t["x"], t["w"])), t, rng=rng)


def test_weight_grad_to_second_order(rng):
    t = {"x": rng.standard_normal((2, 4, 9, 8)), "dy": rng.standard_normal((2, 6, 5, 4))}

    def f(t):
        dw = ops.conv2d_weight_grad(t["x"], t["dy"], (3, 2), 2, [1, 0, 2, 1], 2)
        return np.square(dw)

    check_grads(f, t, rng=rng)


@pytest.mark.parametrize("f_shape", [(5,), (3, 4)])
@pytest.mark.parametrize("args", [{"up": 2}, {"down": [3, 2]}, {"up": [2, 3], "down": 2}])
def test_upfirdn2d_to_second_order(f_shape, args, rng):
    f = get(rng.standard_normal(f_shape))
    check_grads(
        lambda x: np.square(ops.upfirdn2d(x, f, padding=[3, -1, 2, 4], **args)),
        rng.standard_normal((2, 3, 7, 6)),
        rng=rng,
    )


@pytest.mark.parametrize("act", ops.ACTIVATIONS)
@pytest.mark.parametrize("alpha", [None, -0.3])
@pytest.mark.parametrize("clamp", [None, 1.1])
def test_bias_act_to_second_order(act, alpha, clamp, rng):
    t = {"x": signs_apart(rng, 2, 3, 4, 4), "b": put(np.zeros(3))}
    args = {"act": act, "alpha": alpha, "clamp": clamp}
    check_grads(lambda t: np.square(ops.bias_act(t["x"], t["b"], **args)), t, rng=rng)


@pytest.mark.parametrize("act", ["swish", "lrelu", "linear"])
def test_scale_and_noise_have_derivatives(act, rng):
    t = {
        "x": rng.standard_normal((2, 3, 4, 4)), "b": rng.standard_normal(3),
        "scale": rng.standard_normal((2, 3)), "noise": rng.standard_normal((1, 1, 4, 4)),
    }  # fmt: skip
    check_grads(lambda t: np.square(ops.bias_act(act=act, clamp=1.5, **t)), t, rng=rng)


@pytest.mark.parametrize("args", [
    {"up": 2, "down": 2, "padding": [5, 4, 6, 3]}, {"up": 3, "clamp": 0.5, "padding": 4},
    {"down": [1, 2], "slope": 0.5, "padding": [4, -1, 3, 3], "flip_filter": True},
])  # fmt: skip
@pytest.mark.parametrize("two_d", [(), ("fu",), ("fd",), ("fu", "fd")])
def test_filtered_lrelu_to_second_order(args, two_d, rng):
    fs = {k: get(rng.standard_normal((4, 4) if k in two_d else 4)) for k in ("fu", "fd")}
    t = {"x": rng.standard_normal((2, 3, 6, 5)), "b": rng.standard_normal(3)}

    def f(t):
        return np.square(ops.filtered_lrelu(t["x"], b=t["b"], **fs, **args))

    check_grads(f, t, rng=rng, eps=1e-6)


@pytest.mark.parametrize("args", [{}, {"up": 2}, {"down": 2}, {"demodulate": False}])
def test_modulated_conv2d_to_second_order(args, rng):
    f = filters.setup_filter([1, 3, 3, 1])
    t = {
        "x": rng.standard_normal((2, 3, 6, 6)), "w": rng.standard_normal((4, 3, 3, 3)),
        "s": 1 + rng.standard_normal((2, 3)), "b": rng.standard_normal(4),
    }  # fmt: skip

    def modulated(t):
        return layers.modulated_conv2d(
            t["x"], t["w"], t["s"], padding=1, resample_filter=f, b=t["b"], act="lrelu", **args
        )

    check_grads(modulated, t, rng=rng)
    del t["b"]
    check_grads(lambda t: layers.modulated_conv2d_sg3(t["x"], t["w"], t["s"], padding=2), t, rng=rng)  # fmt: skip


def test_transposes_are_transposes(rng):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for the convolution, exactly as far as rounding goes."""
    x, w = rng.standard_normal((2, 3, 7, 8)), rng.standard_normal((5, 3, 3, 3))
    y = ops.conv2d(x, w, 2, 1)
    v = rng.standard_normal(y.shape)
    left = float(np.sum(y * v))
    assert left == pytest.approx(
        float(np.sum(x * ops.conv_transpose2d(v, w, 2, [1, 0, 1, 1]))), rel=1e-12
    )
    assert left == pytest.approx(
        float(np.sum(w * ops.conv2d_weight_grad(x, v, (3, 3), 2, 1))), rel=1e-12
    )


ALL = {
    "conv2d": lambda x, w: ops.conv2d(x, w, 2, 1),
    "conv_transpose2d": lambda x, w: ops.conv_transpose2d(x, np.swapaxes(w, 0, 1), 2, 1),
    "upfirdn2d": lambda x, w: ops.upfirdn2d(x, np.ones(4), 2, 1, 2),
    "bias_act": lambda x, w: ops.bias_act(x, act="lrelu", clamp=2),
    "softplus": lambda x, w: ops.bias_act(x, act="softplus"),
    "filtered_lrelu": lambda x, w: ops.filtered_lrelu(
        x, np.ones(4), np.ones(4), up=2, down=2, padding=4
    ),  # fmt: skip
    "modulated": lambda x, w: layers.modulated_conv2d(x, w, x[:, :, 0, 0], padding=1, act="lrelu"),
    "modulated_sg3": lambda x, w: layers.modulated_conv2d_sg3(x, w, x[:, :, 0, 0]),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_float32_throughout(name, engine, rng):
    x = rng.standard_normal((2, 3, 6, 6), dtype=np.float32)
    w = rng.standard_normal((4, 3, 3, 3), dtype=np.float32)
    with ops.engine(engine):
        loss = lambda x: np.sum(np.square(ALL[name](x, w)))  # noqa: E731
        first = grad(loss)
        second = grad(lambda x: np.sum(np.square(first(x))))
        for result in (ALL[name](x, w), first(x), second(x)):
            assert result.dtype == np.float32
        exact = first(x.astype(np.float64)) if name not in ("conv2d", "conv_transpose2d", "modulated", "modulated_sg3") else None  # fmt: skip
        assert exact is None or np.abs(exact - first(x)).max() <= 1e-5 * np.abs(exact).max()


def test_results_do_not_share_memory_with_arguments(rng):
    """Results may be written to: none is a view of an argument, or of memory that is kept."""
    x = rng.standard_normal((2, 32, 8, 8), dtype=np.float32)
    w = rng.standard_normal((32, 32, 3, 3), dtype=np.float32)
    for _ in range(2):
        for y in (ops.conv2d(x, w, padding=1), ops.upfirdn2d(x, None), ops.bias_act(x), ops.filtered_lrelu(x)):  # fmt: skip
            before = x.copy(), w.copy(), ops.conv2d(x, w)
            y[...] = np.nan
            assert np.array_equal(get(before[0]), get(x)) and np.array_equal(
                get(before[2]), get(ops.conv2d(x, w))
            )


def test_upsampling_keeps_the_mean_and_downsampling_the_constant(rng):
    x = put(np.full((1, 2, 16, 16), 3.0))
    for f in (filters.setup_filter([1, 3, 3, 1]), filters.design_lowpass_filter(12, 4, 4, 32)):
        inside = ops.upsample2d(x, f)[:, :, 12:-12, 12:-12]
        np.testing.assert_allclose(get(inside), 3, rtol=0.02)
        inside = ops.downsample2d(x, f)[:, :, 3:-3, 3:-3]
        np.testing.assert_allclose(get(inside), 3, rtol=1e-12)


def test_vjp_of_given_codes_is_that_of_the_definition(rng):
    """The 2-bit codes stand for the slopes: the gradients equal those of the three steps."""
    x = rng.standard_normal((2, 37, 9, 8))
    fu, fd = (
        filters.design_lowpass_filter(12, 4, 4, 32),
        filters.design_lowpass_filter(12, 3, 4, 32),
    )
    args = (2, 2, [9, 8, 9, 8], 1.4, 0.2, 0.8)
    y, pullback = vjp(lambda x: ops.filtered_lrelu(x, fu, fd, None, *args), x)
    with ops.engine("reference"):
        expected, back = vjp(lambda x: ops.filtered_lrelu(x, fu, fd, None, *args), x)
        dy = rng.standard_normal(y.shape)
        dx = back(dy)
    same(y, expected, np.float64)
    same(pullback(dy), dx, np.float64)


def test_backward_does_not_mind_another_choice_of_engine(rng):
    """What the fast engine recorded goes back through it, also where the definitions are chosen."""
    x, f = rng.standard_normal((2, 3, 8, 8)), np.ones(4)
    for op in (lambda x: ops.bias_act(x, act="lrelu"), lambda x: ops.filtered_lrelu(x, f, f, up=2, down=2, padding=4)):  # fmt: skip
        y, pullback = vjp(op, x)
        expected = pullback(np.ones_like(y))
        with ops.engine("reference"):
            same(pullback(np.ones_like(y)), expected, np.float64)

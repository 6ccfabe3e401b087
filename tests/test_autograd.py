"""The derivative table against finite differences and HIPS/autograd, to second order."""

import copy
import gc
import inspect
import math
import tracemalloc
import warnings
import weakref

import autograd as hips
import autograd.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import autograd, losses
from minigan.autograd import check_grads, grad, primitive, stop_gradient, value_and_grad, vjp
from minigan.autograd.variable import DERIVED
from tests import arrays

# One or more uses of every function in the table: (function of arrays, shapes of its arguments).
# Arguments are drawn in (0.5, 1.5), where all of them are smooth.
CASES = {
    "np.add": [(lambda a, b: a + b, (2, 3), (3,)), (lambda a: 2.0 + a, (3,))],
    "np.subtract": [(lambda a, b: a - b, (2, 3), (2, 1)), (lambda a: 2.0 - a, (3,))],
    "np.multiply": [(lambda a, b: a * b, (2, 3), (1, 3)), (lambda a, b: a * b, (), (2,))],
    "np.divide": [(lambda a, b: a / b, (2, 3), (3,)), (lambda a: 1.0 / a, (3,))],
    "np.power": [
        (lambda a, b: a**b, (2, 3), (3,)),
        (lambda a: a**3, (3,)),
        (lambda a: a**-0.5, (3,)),
        (lambda a: a**0 * a, (3,)),
        (lambda a: 2.0**a, (3,)),
        (lambda a: 0.0**a, (3,)),
    ],
    "np.maximum": [(lambda a, b: np.maximum(a, b) ** 2, (2, 3), (3,))],
    "np.minimum": [(lambda a, b: np.minimum(a, b) ** 2, (2, 3), (3,))],
    "np.logaddexp": [(np.logaddexp, (2, 3), (3,)), (lambda a: np.logaddexp(a, 0.0), (3,))],
    "np.matmul": [
        (lambda a, b: a @ b, (2, 3), (3, 4)),
        (lambda a, b: a @ b, (5, 2, 3), (3, 4)),
        (lambda a, b: a @ b, (2, 3), (5, 3, 4)),
        (lambda a, b: a @ b, (5, 1, 2, 3), (4, 3, 2)),
        (lambda a, b: a @ b, (3,), (3,)),
        (lambda a, b: a @ b, (3,), (3, 4)),
        (lambda a, b: a @ b, (2, 3), (3,)),
        (lambda a, b: a @ b, (3,), (5, 3, 4)),
        (lambda a, b: a @ b, (5, 2, 3), (3,)),
    ],
    "np.negative": [(lambda a: -a * a, (3,))],
    "np.positive": [(lambda a: np.positive(a) * a, (3,))],
    "np.absolute": [(lambda a: abs(a) ** 3, (3,)), (lambda a: np.absolute(-a) ** 3, (3,))],
    "np.square": [(np.square, (3,))],
    "np.sqrt": [(np.sqrt, (3,))],
    "np.reciprocal": [(np.reciprocal, (3,))],
    "np.exp": [(np.exp, (3,))],
    "np.expm1": [(np.expm1, (3,))],
    "np.log": [(np.log, (3,))],
    "np.log1p": [(np.log1p, (3,))],
    "np.sin": [(np.sin, (3,))],
    "np.cos": [(np.cos, (3,))],
    "np.tanh": [(np.tanh, (3,))],
    "np.arctan": [(np.arctan, (3,))],
    "np.sum": [
        (lambda a: np.sum(a) ** 2, (2, 3)),
        (lambda a: np.sum(a, axis=1) ** 2, (2, 3)),
        (lambda a: np.sum(a, (0, -1), keepdims=True) ** 2, (2, 3, 4)),
        (lambda a: a.sum(axis=-1) ** 2, (2, 3)),
    ],
    "np.mean": [(lambda a: np.mean(a, axis=(0, 2)) ** 2, (2, 3, 4)), (lambda a: a.mean() ** 2, (3,))],
    "np.var": [(lambda a: np.var(a, axis=1, ddof=1), (2, 3)), (lambda a: a.var() ** 2, (4,)),
               (lambda a: np.var(a, correction=1), (4,))],
    "np.std": [(lambda a: np.std(a, axis=0, keepdims=True), (3, 2)), (lambda a: a.std(), (4,)),
               (lambda a: np.std(a, 0, correction=1), (3, 2))],
    "np.max": [(lambda a: np.max(a, axis=1) ** 2, (2, 3)), (lambda a: a.max() ** 2, (2, 3))],
    "np.min": [(lambda a: np.min(a, axis=(0, 1), keepdims=True) ** 2, (2, 3)),
               (lambda a: a.min() ** 2, (2, 3))],
    "np.reshape": [(lambda a: np.reshape(a, (3, 2)) ** 2, (2, 3)), (lambda a: a.reshape(3, 2) ** 2, (6,))],
    "np.ravel": [(lambda a: a.ravel() ** 2, (2, 3))],
    "np.expand_dims": [(lambda a: np.expand_dims(a, (0, -1)) ** 2, (2, 3))],
    "np.squeeze": [(lambda a: np.squeeze(a, axis=1) ** 2, (2, 1, 3)), (lambda a: a.squeeze() ** 2, (1, 2))],
    "np.transpose": [
        (lambda a: np.transpose(a, (1, 2, 0)) ** 2, (2, 3, 4)),
        (lambda a: a.transpose(2, 0, 1) ** 2, (2, 3, 4)),
        (lambda a: a.T @ a, (2, 3)),
    ],
    "np.swapaxes": [(lambda a: a.mT @ a, (5, 2, 3)), (lambda a: a.swapaxes(0, 2) ** 2, (2, 3, 4))],
    "np.moveaxis": [(lambda a: np.moveaxis(a, 0, -1) ** 2, (2, 3, 4))],
    "np.broadcast_to": [(lambda a: np.broadcast_to(a, (4, 2, 3)) ** 2, (2, 1))],
    "np.flip": [(lambda a: np.flip(a, axis=1) * a, (2, 3)), (lambda a: np.flip(a) * a, (3,))],
    "np.roll": [(lambda a: np.roll(a, 1, axis=1) * a, (2, 3)),
                (lambda a: np.roll(a, (1, -1), axis=(0, 1)) * a, (2, 3)),
                (lambda a: np.roll(a, [1, -1], axis=[0, 1]) * a, (2, 3)), (lambda a: np.roll(a, 2) * a, (2, 3))],
    "np.repeat": [(lambda a: np.repeat(a, 3, axis=1) ** 2, (2, 3, 2)), (lambda a: np.repeat(a, 2, axis=-1) ** 2, (3,)),
                  (lambda a: np.repeat(a, 3) ** 2, (2, 2)), (lambda a: np.repeat(a, [1, 0, 2], axis=-1) ** 2, (2, 3)),
                  (lambda a: np.repeat(a, np.arange(4)) ** 2, (2, 2)), (lambda a: np.repeat(a, [2], 0) ** 2, (2, 3)),
                  (lambda a: np.repeat(a, 3) ** 2, ())],
    "np.pad": [(lambda a: np.pad(a, ((0, 0), (1, 2))) ** 2, (2, 3)), (lambda a: np.pad(a, 1) ** 2, (3,)),
               (lambda a: np.pad(a, 1, constant_values=((2.0, 3.0), (4.0, 5.0))) ** 2, (2, 2))],
    "np.where": [(lambda a, b: np.where(a > b, a * b, b**2), (2, 3), (3,)), (lambda a: np.where(a > 1, a**2, 0.0), (3,))],
    "np.clip": [(lambda a: np.clip(a, 0.7, 1.2) ** 2, (5,)), (lambda a: a.clip(0.7) ** 2, (5,)),
                (lambda a: np.clip(a, min=0.7, max=1.2) ** 2, (5,)), (lambda a: a.clip(max=1.2) ** 2, (5,))],
    "np.concatenate": [(lambda a, b: np.concatenate([a, b, a], axis=-1) ** 2, (2, 3), (2, 1)),
                       (lambda a, b: np.concatenate([a, b, a], axis=None) ** 2, (2, 3), ())],
    "np.stack": [(lambda a, b: np.stack([a, b, a * b], axis=1) ** 2, (2, 3), (2, 3))],
    "np.split": [(lambda a: np.split(a, 2, axis=1)[1] ** 2, (3, 4)), (lambda a: np.split(a, [1, 3])[1] ** 2, (4,)),
                 (lambda a: np.split(a, np.int64(2))[1] ** 2, (4,))],
    "np.einsum": [
        (lambda a, b: np.einsum("ij,jk->ik", a, b), (2, 3), (3, 4)),
        (lambda a, b: np.einsum("nij, nj -> n", a, b), (5, 2, 3), (5, 3)),
        (lambda a, b, c: np.einsum("i,j,k->jk", a, b, c), (2,), (3,), (4,)),
        (lambda a: np.einsum("ij->j", a) ** 2, (2, 3)),
        (lambda a, b: np.einsum("ij,kj,kl->il", a, a, b, optimize=True), (2, 3), (2, 4)),
    ],
    "np.take": [(lambda a: np.take(a, [0, 2, 0], axis=1) ** 2, (2, 3)), (lambda a: np.take(a, [1, 1]) ** 2, (2, 2))],
    "np.outer": [(np.outer, (2,), (3,))],
    "np.dot": [(np.dot, (2, 3), (3, 4)), (np.dot, (3,), (3,)), (np.dot, (), (3,))],
    "np.diff": [(lambda a: np.diff(a, axis=0) ** 2, (4, 2)), (lambda a: np.diff(a) ** 2, (2, 4)),
                (lambda a: np.diff(a, 2, 0) ** 2, (4, 2)), (lambda a: np.diff(a, n=0) ** 2, (3,))],
    "np.full_like": [(lambda a, b: np.full_like(a, b) ** 2, (2, 3), ()), (lambda a: np.full_like(a, 2.0) * a, (3,))],
    "np.linalg.norm": [(lambda a: np.linalg.norm(a, axis=1), (2, 3)), (np.linalg.norm, (2, 3))],
    "indexing": [
        (lambda a: a[0] ** 2, (2, 3)),
        (lambda a: a[..., None, 1:] ** 2, (2, 3)),
        (lambda a: a[[0, 1, 0]] ** 2, (2, 3)),
        (lambda a: a[a > 1] ** 2, (2, 3)),
        (lambda a: a[np.array([0, 1]), [2, 2]] ** 2, (2, 3)),
        (lambda a: sum(row**2 for row in a), (2, 3)),
    ],
    "astype": [(lambda a: a.astype(a.dtype) ** 2, (3,))],
}  # fmt: skip
FLAT = [pytest.param(*case, id=f"{name}-{i}") for name, some in CASES.items()
        for i, case in enumerate((c[0], c[1:]) for c in some)]  # fmt: skip


def draw(shapes, rng, dtype=np.float64):
    return {i: rng.uniform(0.5, 1.5, shape).astype(dtype) for i, shape in enumerate(shapes)}


def test_every_function_of_the_table_has_a_case():
    table = autograd.supported()
    assert set(table["primitive"]) | set(table["derived"]) <= set(CASES)


@pytest.mark.parametrize("f, shapes", FLAT)
def test_two_orders_agree_with_differences(f, shapes, rng):
    check_grads(lambda x: f(*x.values()), draw(shapes, rng), order=2, rng=rng)


@pytest.mark.parametrize("f, shapes", FLAT)
def test_value_is_numpys(f, shapes, rng):
    x = draw(shapes, rng)
    assert np.array_equal(vjp(lambda x: f(*x.values()), x)[0], f(*x.values()))


@pytest.mark.parametrize("f, shapes", FLAT)
def test_float32_stays_float32_to_second_order(f, shapes, rng):
    x = draw(shapes, rng, np.float32)
    total = lambda x: np.sum(f(*x.values()))  # noqa: E731
    slope = lambda x: sum(np.sum(g * g) for g in grad(total)(x).values())  # noqa: E731
    for function in (total, slope):
        value, grads = value_and_grad(function)(x)
        assert value.dtype == np.float32
        assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


# ---- against an independent library ----------------------------------------------------------------

UNARY = ["tanh", "sin", "exp", "square", "negative", "absolute", "arctan", "expm1"]
BINARY = ["add", "subtract", "multiply", "maximum", "logaddexp", "divide"]
SHAPES = [(), (3,), (2, 1), (2, 3)]


def expressions():
    """Random trees: a leaf index, (unary, tree), (binary, tree, tree), or a structural step."""
    leaf = st.integers(0, len(SHAPES) - 1)

    def grow(tree):
        return st.one_of(
            st.tuples(st.sampled_from(UNARY), tree),
            st.tuples(st.sampled_from(BINARY), tree, tree),
            st.tuples(st.sampled_from(["mean", "flip", "where", "product"]), tree),
        )

    return st.recursive(leaf, grow, max_leaves=6)


def evaluate(tree, xs, xp):
    if isinstance(tree, int):
        return xs[tree]
    name, *parts = tree
    values = [evaluate(part, xs, xp) for part in parts]
    (a, *rest) = values
    if name == "mean":
        return xp.mean(a, axis=0, keepdims=True) if len(a.shape) else a
    if name == "flip":
        return a[::-1] if len(a.shape) else a
    if name == "where":
        return xp.where(a > 0.3, a * a, xp.sin(a))
    if name == "product":
        n = a.shape[-1] if len(a.shape) else 0
        return xp.matmul(a, np.cos(np.arange(n * n)).reshape(n, n)) if n else a
    if name == "divide":
        return a / (1.5 + rest[0] * rest[0])
    if name == "exp" or name == "expm1":
        a = xp.tanh(a)
    return getattr(xp, name)(a, *rest)


@settings(max_examples=150, deadline=None)
@given(expressions(), st.integers(0, 2**32 - 1))
def test_random_expressions_agree_with_hips_autograd(tree, seed):
    rng = np.random.default_rng(seed)
    xs = [rng.standard_normal(shape) for shape in SHAPES]
    weights = [rng.standard_normal(shape) for shape in SHAPES]

    def loss(xp, sum_):
        return lambda *xs: sum_(xp.tanh(evaluate(tree, xs, xp)))

    ours = lambda x: loss(np, np.sum)(*x.values())  # noqa: E731
    theirs = loss(hnp, hnp.sum)
    every = tuple(range(len(SHAPES)))
    x = dict(enumerate(xs))
    # tanh's own rule loses digits where it saturates; both libraries do, each in its own way
    close = {"rtol": 1e-7, "atol": 1e-9}
    first, reference = grad(ours)(x), hips.grad(theirs, every)(*xs)
    for i in every:
        np.testing.assert_allclose(first[i], reference[i], **close)
    second = grad(lambda x: sum(np.sum(g * w) for g, w in zip(grad(ours)(x).values(), weights)))(x)  # noqa: B905
    reference = hips.grad(
        lambda *xs: sum(hnp.sum(g * w) for g, w in zip(hips.grad(theirs, every)(*xs), weights)),  # noqa: B905
        every,
    )(*xs)
    for i in every:
        np.testing.assert_allclose(second[i], reference[i], **close)


def test_ties_share_the_gradient():
    x = np.array([3.0, 1.0, 3.0])
    assert grad(lambda x: np.max(x))(x).tolist() == [0.5, 0, 0.5]
    assert grad(lambda x: np.min(-x))(x).tolist() == [-0.5, 0, -0.5]
    g = grad(lambda x: np.sum(np.maximum(x, 3.0)) + np.sum(np.minimum(x, 3.0)))(x)
    assert g.tolist() == [1, 1, 1]
    assert grad(lambda x: np.sum(np.maximum(x, 3.0)))(x).tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [
    lambda x: np.linalg.norm(x), lambda x: np.linalg.norm(x) ** 2, lambda x: np.sum(np.linalg.norm(np.stack([x, x]), axis=1)),
    lambda x: np.std(x), lambda x: np.std(x, ddof=1),
    lambda x: losses.gradient_penalty(lambda y: y @ x, np.ones((2, 3), x.dtype), np.zeros((2, 3), x.dtype), np.ones(2, x.dtype)),
])  # fmt: skip
def test_the_root_of_no_square_has_the_subgradient_zero(f, dtype):
    zero, slope = np.zeros(3, dtype), grad(f)
    twice = grad(lambda x: np.sum(slope(x) * np.arange(3, dtype=dtype)))
    thrice = grad(lambda x: np.sum(twice(x) * np.arange(3, dtype=dtype)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for order in (slope, twice, thrice):
            assert np.isfinite(order(zero)).all() and order(zero).dtype == dtype
        assert slope(zero).tolist() == [0, 0, 0]


def test_a_root_does_not_hide_what_is_not_a_number():
    assert np.isnan(grad(lambda x: np.linalg.norm(x * np.array([math.nan, 1.0])))(np.ones(2))[1])


@pytest.mark.parametrize("f", [
    lambda a: a ** [2.0, 0.0, 1.0], lambda a: [2.0, 0.0, 1.0] ** a, lambda a: a @ [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    lambda a: a @ [1.0, 2.0, 3.0], lambda a: np.matmul([[1.0, 2.0]], a), lambda a: np.matmul([1.0, 2.0], a),
    lambda a: [1.0, 2.0, 3.0] / a, lambda a: np.maximum(a, [0.1, 9.0, 0.1]) ** 2,
    lambda a: np.einsum("ij,j->i", a, [1.0, 2.0, 3.0]) ** 2,
])  # fmt: skip
def test_lists_are_arrays(f, rng):
    check_grads(f, rng.uniform(0.5, 1.5, (2, 3)), order=2, rng=rng)


def test_zero_to_a_power():
    x = np.array([0.5, 1.0, 2.0], np.float32)
    for base in (0.0, 0, np.zeros(3, np.float32), [0.0, 0.0, 0.0]):
        g = grad(lambda x, base=base: np.sum(np.power(base, x)))(x)
        assert g.tolist() == [0, 0, 0] and g.dtype == np.float32
    assert np.isnan(grad(lambda x: (-2.0) ** x)(2.0))  # real at whole numbers only


# ---- nesting --------------------------------------------------------------------------------------


def test_no_perturbation_confusion():
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(2.0) == 1.0
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0) == 12.0  # 2x·x differentiated: 4x


def test_third_derivative():
    third = grad(grad(grad(np.sin)))
    assert third(0.7) == pytest.approx(-math.cos(0.7), rel=1e-12)


def test_gradient_through_an_outer_variable_only():
    assert grad(lambda x: grad(lambda y: x * 3.0)(1.0) + x)(2.0) == 1.0


def test_aux_is_plain_and_stays_differentiable_one_level_out():
    def inner(x):
        return np.sum(x * x), {"double": 2.0 * x, "list": [x, (x,)]}

    (loss, aux), g = value_and_grad(inner, has_aux=True)(np.ones(2))
    assert loss == 2 and np.array_equal(g, [2, 2])
    assert type(aux["double"]) is np.ndarray and type(aux["list"][1][0]) is np.ndarray
    outer = grad(lambda x: np.sum(value_and_grad(inner, has_aux=True)(x)[0][1]["double"]))
    assert np.array_equal(outer(np.ones(2)), [2, 2])


def test_stop_gradient():
    assert grad(lambda x: x * stop_gradient(x))(3.0) == 3.0
    nested = stop_gradient({"a": np.ones(2), "b": [1.0]})
    assert nested["b"] == [1.0]


def test_nested_dicts_keep_their_structure():
    x = {"a": {"b": np.ones(2)}, "c": np.ones(3, np.float32), "unused": np.ones(1)}
    g = grad(lambda x: np.sum(x["a"]["b"]) * np.sum(x["c"]))(x)
    assert np.array_equal(g["a"]["b"], [3, 3]) and g["c"].dtype == np.float32
    assert np.array_equal(g["unused"], [0])


# ---- arrays that change later ---------------------------------------------------------------------

# Plain things that a function uses: (what makes one, its use).  Afterwards all its entries become 1.
USED = {
    "factor": (lambda: np.array([2.0, 3.0, 5.0]), lambda v, b: v * b),
    "column": (lambda: np.full((3, 1), 2.0), lambda v, b: np.broadcast_to(b, (3, 3)) @ v),
    "divisor": (lambda: np.array([2.0, 3.0, 5.0]), lambda v, b: v / b),
    "exponent": (lambda: [2.0, 3.0, 5.0], lambda v, b: v**b),
    "base": (lambda: np.array([2.0, 3.0, 5.0]), lambda v, b: b**v),
    "matrix": (lambda: np.arange(9.0).reshape(3, 3), lambda v, b: v @ b.T),
    "vector": (lambda: [2.0, 3.0, 5.0], lambda v, b: np.einsum("i,i->i", v, b)),
    "bound": (lambda: np.array([9.0, 0.0, 9.0]), lambda v, b: np.maximum(v, b)),
    "condition": (lambda: np.array([True, False, True]), lambda v, b: np.where(b, v, 1.0)),
    "mask": (lambda: np.array([False, False, True]), lambda v, b: v[b]),
    "index": (lambda: np.array([0, 0, 2]), lambda v, b: v[b]),
    "list of indices": (lambda: [0, 0, 2], lambda v, b: v[b]),
    "index in a tuple": (lambda: np.array([0, 0, 2]), lambda v, b: np.stack([v, 2.0 * v])[:, b]),
    "taken": (lambda: [0, 0, 2], lambda v, b: np.take(v, b)),
    "counts": (lambda: [2, 0, 2], lambda v, b: np.repeat(v, b)),
    "places": (lambda: [2, 0], lambda v, b: np.roll(np.stack([v, v**2]), b, axis=(1, 0)) * np.arange(3.0)),
    "axes by name": (lambda: [2, 0, 1], lambda v, b: np.transpose(np.reshape(np.stack([v, v**2]), (1, 2, 3)), axes=b) * np.arange(3.0)[:, None, None]),
}  # fmt: skip


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", USED)
def test_what_was_used_may_change(name, order):
    make, use = USED[name]

    def f(v, later):
        b = make()
        y = np.sum(use(v, b) ** 2)
        b[:] = b if later is None else later
        return y + np.sum(v**3)

    g = f if order == 1 else lambda v, later: np.sum(grad(f)(v, later) ** 2)
    x = np.array([0.5, 1.0, 2.0])
    ones = [1] * len(make()) if type(make()) is list else np.ones_like(make())
    np.testing.assert_array_equal(grad(g)(x, ones), grad(g)(x, None))


def test_a_buffer_filled_anew_in_a_loop():
    def f(x, rows):
        weights, total = np.zeros((2, 3)), 0.0
        for k in range(3):
            weights[:] = k
            row = weights[0] if rows else weights
            total = total + np.sum(row * x)
        return total

    assert grad(f)(np.ones(3), True).tolist() == [3, 3, 3]
    assert grad(f)(np.ones(3), False).tolist() == [6, 6, 6]


def test_a_buffer_that_an_inner_gradient_is_taken_at():
    """As R1 of a discriminator p·x², over images drawn into one array."""

    def penalty(p):
        images, total = np.zeros(3), 0.0
        for k in range(3):
            images[:] = k
            slopes = grad(lambda x: np.sum(p * x * x))(images)
            total = total + np.sum(slopes**2)
        return total

    p = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(grad(penalty)(p), 8 * p * (0 + 1 + 4))


def test_a_buffer_that_is_pulled_back():
    def jacobian_squared(p):
        _, pullback = vjp(lambda x: p * x, np.ones(3))
        row, total = np.zeros(3), 0.0
        for i in range(3):
            row[:] = 0
            row[i] = i
            total = total + np.sum(pullback(row) ** 2)
        return total

    assert grad(jacobian_squared)(np.ones(3)).tolist() == [0, 2, 8]


def test_a_pullback_remembers_its_x_and_its_result():
    x = np.array([1.0, 2.0])
    y, pullback = vjp(lambda x: np.exp(x) * x, x)
    expected = pullback(np.ones(2))
    x[:], y[:] = 7.0, 7.0
    np.testing.assert_array_equal(pullback(np.ones(2)), expected)
    x, (y, pullback) = np.zeros(2), vjp(np.exp, np.zeros(2))
    y += 5.0
    assert pullback(np.ones(2)).tolist() == [1, 1]


def test_what_stop_gradient_gives_may_be_written_into():
    def f(x):
        y = np.exp(x)
        for a in (stop_gradient(x), stop_gradient({"y": [y]})["y"][0]):
            a[:] = 0.0
        return np.sum(y * x)

    assert grad(f)(np.zeros(2)).tolist() == [1, 1]
    mine = np.ones(2)
    assert stop_gradient((mine,))[0] is mine


def test_a_deep_copy_of_a_variable_is_the_variable():
    assert grad(lambda x: np.sum(copy.deepcopy({"x": x})["x"] * x))(np.ones(2)).tolist() == [2, 2]


def test_only_what_may_change_is_copied():
    class Counted(np.ndarray):
        copies = 0

        def copy(self, order="C"):
            Counted.copies += 1
            return np.ndarray.copy(self, order)

    # Its vjp hands an array of the tape back to a rule, as those of the fused kernels do.
    steep = primitive(lambda x: x * x, lambda g, ans: g * (2.0 * np.sqrt(stop_gradient(ans))))
    x, b = np.ones(3).view(Counted), np.ones(3).view(Counted)
    grad(lambda x: np.sum(grad(lambda y: np.sum(steep(np.exp(y))))(x) ** 2))(x)
    grad(lambda x: np.sum(x + b) + np.sum(np.concatenate([x, b])))(x)  # these keep nothing
    assert Counted.copies == 0
    grad(lambda x: np.sum(x * b) + np.einsum("i,i,i->", x, x, b))(x)
    assert Counted.copies == 2


def test_a_copy_has_the_order_in_memory():
    last = np.transpose(np.zeros((2, 5, 4, 3)), (0, 3, 1, 2))
    seen = []
    look = primitive(lambda x, y: x * y, (lambda g, y: seen.append(y.strides) or g * y, None))
    grad(lambda x: np.sum(look(x, last)))(1.0)
    assert seen == [last.strides]


def test_a_buffer_on_the_gpu(device_emulated):
    def f(x):
        b, total = arrays.put(np.zeros(3)), 0.0
        for k in range(3):
            b[...] = k
            total = total + np.sum(b * x)
        return total

    assert arrays.get(grad(f)(arrays.put(np.ones(3)))).tolist() == [3, 3, 3]


def test_pullback_can_be_called_again():
    _, pullback = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    rows = [pullback(e) for e in np.eye(2)]
    assert np.array_equal(rows, [[2, 0], [0, 4]])


# ---- extending ------------------------------------------------------------------------------------


def test_a_new_primitive_to_second_order(rng):
    def cube(x, factor=1.0):
        return factor * x**3

    cube = primitive(cube, lambda g, x, factor=1.0: g * 3.0 * factor * x * x)
    check_grads(lambda x: cube(x), rng.standard_normal(3), order=2)
    check_grads(lambda x: cube(x, factor=2.0), rng.standard_normal(3), order=2)
    check_grads(lambda x: cube(x, 2.0), rng.standard_normal(3), order=2)


def test_check_grads_finds_a_wrong_rule(rng):
    wrong = primitive(lambda x: x**3, lambda g, x: g * 2.0 * x * x)
    with pytest.raises(AssertionError, match="order 1.*differences give"):
        check_grads(wrong, rng.standard_normal(3))
    # right once, wrong twice: the vjp hides its dependence on x
    once = primitive(lambda x: x**3, lambda g, x: g * 3.0 * stop_gradient(x) ** 2)
    check_grads(once, rng.standard_normal(3), order=1)
    with pytest.raises(AssertionError, match="order 2"):
        check_grads(once, rng.standard_normal(3), order=2)


def test_a_vjp_that_asks_for_the_unknown_or_returns_the_wrong_shape():
    with pytest.raises(TypeError, match="asks for 'weight'; expected one of ans, in_shape"):
        primitive(lambda x: x, lambda g, weight: g)
    bad = primitive(lambda x: x * 1.0, lambda g: g[:1])
    with pytest.raises(TypeError, match=r"returned shape \(1,\) for an argument of shape \(3,\)"):
        grad(lambda x: np.sum(bad(x)))(np.ones(3))


# ---- loud failures --------------------------------------------------------------------------------

ARRAY = np.zeros(2)
LOUD = {
    "np.asarray(v)": (lambda v: np.asarray(v), "np.stack or np.concatenate"),
    "np.array([v, v])": (lambda v: np.array([v, v]), "np.stack or np.concatenate"),
    "np.vectorize": (lambda v: np.vectorize(math.sin)(v), "np.stack or np.concatenate"),
    "a += v": (lambda v: ARRAY.__iadd__(v), "write a = a \\+ v"),
    "v += a": (lambda v: v.__iadd__(ARRAY), "write v = v \\+ a"),
    "out=": (lambda v: np.add(v, v, out=ARRAY), "write a = a \\+ v"),
    "np.add.at": (lambda v: np.add.at(ARRAY, [0], v), "np.where or indexing"),
    "np.add.reduce": (lambda v: np.add.reduce(v), "np.sum"),
    "v[0] = 1": (lambda v: v.__setitem__(0, 1.0), "np.where, np.stack or np.concatenate"),
    "a[:] = v": (lambda v: ARRAY.__setitem__(slice(None), v), "np.stack or np.concatenate"),
    "a[0] = v": (lambda v: ARRAY.__setitem__(0, v[0]), "np.stack"),
    "whole a[0] = v": (lambda v: np.zeros(2, int).__setitem__(0, v[0]), "np.stack"),
    "a.fill(v)": (lambda v: ARRAY.fill(v[0]), "np.stack"),
    "mask[0] = v": (lambda v: np.zeros(2, bool).__setitem__(0, v[0]), "compare it"),
    "np.array like=": (lambda v: np.array([v[0], v[1]], like=v), "np.stack"),
    "np.full like=": (lambda v: np.full(2, v[0], like=v), "np.stack"),
    "a[v]": (lambda v: ARRAY[v], "stop_gradient"),
    "v[v]": (lambda v: v[v], "np.where"),
    "float(v)": (lambda v: float(v[0]), "has_aux=True"),
    "math.sqrt(v)": (lambda v: math.sqrt(v[0]), "has_aux=True"),
    "if v:": (lambda v: 1 if v else 0, "np.where"),
    "format": (lambda v: f"{v[0]:.2f}", "stop_gradient"),
    "range(v)": (lambda v: range(v[0]), "stop_gradient"),
    "no rule, function": (lambda v: np.sort(v), r"np.sort.*autograd.primitive\(np.sort, vjp\)"),
    "no rule, linalg": (lambda v: np.linalg.inv(v), r"no derivative rule for np.linalg.inv\."),
    "no rule, ufunc": (lambda v: np.arctanh(v), r"autograd.primitive\(np.arctanh, vjp\)"),
    "dtype=": (lambda v: np.sum(v, dtype=np.float32), "no 'dtype' argument"),
    "where=": (lambda v: np.exp(v, where=ARRAY > 0), "no 'where' argument"),
    "order": (lambda v: np.reshape(v, (1, 2), order="F"), "no 'order' argument"),
    "norm ord": (lambda v: np.linalg.norm(v, 1), "ord=1"),
    "pad mode": (lambda v: np.pad(v, 1, mode="reflect"), "'reflect'.*expected 'constant'"),
    "einsum": (lambda v: np.einsum("i,i", v, v), "an arrow"),
    "einsum of lists": (lambda v: np.einsum(v, [0], [0]), "np.einsum: 'Variable'.*an arrow"),
    "mean dtype": (lambda v: np.mean(v, 0, np.float32), "np.mean: .*positional"),
    "mean dtype=": (lambda v: np.mean(v, dtype=np.float32), "np.mean: .*'dtype'"),
    "max initial=": (lambda v: np.max(v, initial=0.0), "np.max: .*'initial'"),
    "std where=": (lambda v: np.std(v, where=ARRAY > 0), "np.std: .*'where'"),
    "clip out": (lambda v: np.clip(v, 0.0, 1.0, ARRAY), r"np.clip: .*\(a, a_min=None.*positional"),
    "pad end_values=": (lambda v: np.pad(v, 1, end_values=1), "np.pad: .*'end_values'"),
    "take mode=": (lambda v: np.take(v, [5], mode="wrap"), "np.take: .*'mode'"),
    "diff prepend=": (lambda v: np.diff(v, prepend=0.0), "np.diff: .*'prepend'"),
    "ravel order=": (lambda v: np.ravel(v, order="F"), "np.ravel: .*'order'"),
    "einsum dtype=": (lambda v: np.einsum("i->", v, dtype=float), "np.einsum: .*'dtype'"),
    "sign where=": (lambda v: np.sign(ARRAY, where=v), "Cannot cast array data"),
    "where alone": (lambda v: np.where(v), "np.where: .*'x'"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:'where' used without 'out'")
@pytest.mark.parametrize("name", LOUD)
def test_what_would_lose_the_gradient_raises_with_the_replacement(name):
    function, message = LOUD[name]
    with pytest.raises(TypeError, match=f"(?s){message}"):
        vjp(lambda v: (function(v), v)[1], np.ones(2))


@pytest.mark.parametrize("f, message", [
    (lambda v: np.concatenate([v[0, 0], v[0, 1]]), "np.concatenate: .*no axis 0; np.stack"),
    (lambda v: np.concatenate([v, v[0]], axis=1), r"np.concatenate: shapes \[\(2, 3\), \(3,\)\]"),
    (lambda v: np.pad(v, ((0, 0), (-1, 1))), "np.pad: pad_width is .*-1"),
    (lambda v: np.diff(v, n=-1), "np.diff: n is -1"),
    (lambda v: np.diff(v, axis=2), "axis 2 is out of bounds"),
    (lambda v: np.take(v, [0], axis=2), "axis 2 is out of bounds"),
    (lambda v: np.repeat(v, [1, 2], axis=1), r"\(3,\) \(2,\)"),
])  # fmt: skip
def test_what_numpy_refuses_is_refused_at_the_call(f, message):
    with pytest.raises(ValueError):
        f(np.ones((2, 3)))
    with pytest.raises(ValueError, match=message):
        vjp(lambda v: (f(v), v)[1], np.ones((2, 3)))


@pytest.mark.parametrize("fn", DERIVED)
def test_derived_functions_have_numpys_arguments(fn):
    try:
        theirs = inspect.signature(fn).parameters
    except ValueError:
        pytest.skip("this NumPy does not tell")
    ours = [p for p in inspect.signature(DERIVED[fn]).parameters.values() if p.kind < p.VAR_KEYWORD]
    if fn is not np.einsum:  # whose own are *operands
        by_place = [p.name for p in ours if p.kind == p.POSITIONAL_OR_KEYWORD]
        assert by_place == list(theirs)[: len(by_place)]
        assert {p.name for p in ours} - set(theirs) <= {"constant_values"}  # in np.pad's **kwargs


def test_the_error_of_an_entry_shows_its_line():
    def f(v):
        out = np.zeros(2)
        out[0] = v[0]  # here
        return v[0]

    with pytest.raises(TypeError) as error:
        grad(f)(np.ones(2))
    assert any("# here" in str(entry.statement) for entry in error.traceback)


def test_unknown_attribute_says_what_to_do():
    with pytest.raises(AttributeError, match="no attribute 'item'.*stop_gradient"):
        grad(lambda v: v.item())(1.0)


def test_plain_results():
    def f(v):
        assert type(v > 0) is np.ndarray and type(np.sign(v)) is np.ndarray
        assert type(np.zeros(2, like=v)) is np.ndarray and type(np.zeros_like(v)) is np.ndarray
        assert type(np.argmax(v)) is np.int64 and np.shape(v) == (2,)
        assert repr(v) == "Variable(array([1., 1.]))"
        return np.sum(np.where(v > 0, v, 0.0))

    assert np.array_equal(grad(f)(np.ones(2)), [1, 1])


@pytest.mark.parametrize(
    "x, error, message",
    [
        (np.arange(3), TypeError, r"array of int64 and shape \(3,\); expected a float32 or float64"),
        (3, TypeError, r"the int 3; expected.*3\.0 for 3"),
        ("abc", TypeError, "the str 'abc'"),
        ([1.0, 2.0], TypeError, "x is list; expected"),
        (np.ones(2, complex), TypeError, "complex128"),
        (np.ones(2, np.float16), TypeError, "float16"),
        ({"w": np.array([1.0, np.nan, np.nan])}, ValueError, r"x\['w'\] holds 2 NaN among 3 values"),
        ({"a": {"b": np.arange(2)}}, TypeError, r"x\['a'\]\['b'\] is an array of int64"),
    ],
)  # fmt: skip
def test_what_cannot_be_differentiated_is_named(x, error, message):
    with pytest.raises(error, match=message):
        grad(lambda x: 0.0)(x)


def test_infinities_are_numbers():
    assert grad(lambda x: np.sum(np.tanh(x)))(np.array([np.inf, -np.inf])).tolist() == [0, 0]


def test_results_that_are_no_scalar():
    with pytest.raises(TypeError, match=r"shape \(3,\); expected a scalar.*use vjp"):
        grad(lambda x: x * x)(np.ones(3))
    with pytest.raises(TypeError, match="f returned NoneType; expected a scalar"):
        grad(lambda x: None)(1.0)
    with pytest.raises(TypeError, match=r"expected the pair \(loss, aux\)"):
        value_and_grad(lambda x: x, has_aux=True)(1.0)
    with pytest.raises(TypeError, match="vjp: f returned tuple; expected one array"):
        vjp(lambda x: (x, x), 1.0)
    with pytest.raises(ValueError, match=r"g has shape \(2,\); expected f\(x\)'s, \(3,\)"):
        vjp(lambda x: x, np.ones(3))[1](np.ones(2))
    with pytest.raises(TypeError, match="float32; expected float64"):
        check_grads(np.sin, np.ones(2, np.float32))


# ---- memory ---------------------------------------------------------------------------------------


def chain(params, x):
    """Eight linear layers with leaky ReLU; its activations are 2·8 arrays like x."""
    for w in params.values():
        x = x @ w
        x = np.where(x > 0, x, 0.2 * x)
    return x


def test_peak_memory_of_r1_is_within_four_times_the_activations(rng):
    n, width, depth = 512, 128, 8
    x = rng.standard_normal((n, width), np.float32)
    params = {i: rng.standard_normal((width, width), np.float32) / 8 for i in range(depth)}

    def penalty(params):
        return losses.r1_penalty(lambda x: chain(params, x), x, 1.0)

    activations = 2 * depth * x.nbytes
    grad(penalty)(params)  # warm up
    gc.collect()
    tracemalloc.start()
    grad(penalty)(params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 4 * activations, f"{peak / activations:.2f} times the activations"


def test_a_plain_backward_frees_as_it_goes(rng):
    x = rng.standard_normal((1 << 16,))
    grad(lambda x: np.sum(np.exp(x)))(x)
    gc.collect()
    tracemalloc.start()

    def deep(x):
        for _ in range(20):
            x = np.tanh(x)
        return np.sum(x)

    grad(deep)(x)
    peak = tracemalloc.get_traced_memory()[1]
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert peak < 23 * x.nbytes  # 20 saved results and two gradients: nothing piles up
    assert left < 2 * x.nbytes


def test_the_graph_is_gone_after_use():
    class Watched(np.ndarray):
        """An array that can be watched: np.exp of it is kept by the node of exp, as `ans`."""

    seen = []

    def f(x):
        y = np.exp(x)
        seen.append(weakref.ref(y.value))
        return np.sum(y)

    gc.disable()  # by reference counts alone, without the collector's help
    try:
        grad(f)(np.ones(3).view(Watched))
        assert seen[0]() is None
    finally:
        gc.enable()


def test_what_all_vjps_share_is_applied_once():
    """f(x, y) = sin(3x + y): the cosine belongs to both arguments."""
    count = []

    def first(g, x, y):
        count.append(1)
        return g * np.cos(3 * x + y)

    f = primitive(lambda x, y: np.sin(3 * x + y), (lambda g: 3 * g, lambda g: g), first)
    t = {"x": np.array([0.3, -1.0]), "y": np.array([2.0, 0.1])}
    grads = grad(lambda t: np.sum(f(t["x"], t["y"])))(t)
    np.testing.assert_allclose(grads["x"], 3 * np.cos(3 * t["x"] + t["y"]))
    np.testing.assert_allclose(grads["y"], np.cos(3 * t["x"] + t["y"]))
    assert len(count) == 1
    check_grads(lambda t: np.square(f(t["x"], t["y"])), t, order=3)

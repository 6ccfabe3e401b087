"""grad, value_and_grad, vjp, stop_gradient, check_grads, and the backward pass they share."""

import functools
import itertools
import math

import numpy as np

from minigan.autograd.variable import Node, Variable, in_rules, name_of, own, plain
from minigan.device import on_gpu

_levels = itertools.count()  # an inner grad starts later, so its level is higher


def grad(f):
    """The function that returns df/dx, x being the first argument of f.

    f: returns a scalar, shape ().  x: a float32 or float64 array, a Python float, or a (nested)
    dict of them; f's other arguments pass through.  The gradient has x's structure, shapes and
    dtypes, and is zero where f does not depend on x.  It may share memory with other arrays:
    do not write into it.  f may refill other arrays as it goes, but not x itself.
    Raises: TypeError if x is not floating, or f's result no scalar; ValueError if x holds NaN.
    """
    both = value_and_grad(f)
    return functools.wraps(f)(lambda x, *args, **kwargs: both(x, *args, **kwargs)[1])


def value_and_grad(f, has_aux=False):
    """Like `grad`, but returns `(loss, grads)`.

    With has_aux, f returns `(loss, aux)` and the result is `((loss, aux), grads)`; aux is any
    nesting of dicts, tuples and lists, and comes back as plain arrays.
    """

    @functools.wraps(f)
    def both(x, *args, **kwargs):
        level, variables = _enter(x, "grad")
        out = _called(f, variables, *args, **kwargs)
        if has_aux and not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(
                f"value_and_grad(has_aux=True): f returned {_describe(out)}; "
                "expected the pair (loss, aux)"
            )
        loss, aux = out if has_aux else (out, None)
        if isinstance(loss, (dict, tuple, list, type(None))) or np.shape(loss) != ():
            raise TypeError(
                f"grad: f returned {_describe(loss)}; expected a scalar, shape (). "
                "Reduce it with np.sum or np.mean, or use vjp"
            )
        grads = _pull(level, variables, loss, np.ones_like(plain(loss)), keep=False)
        loss, aux = plain((loss, aux), level)
        return ((loss, aux), grads) if has_aux else (loss, grads)

    return both


def vjp(f, x):
    """`(f(x), pullback)`, where pullback(g) is g's product with the Jacobian of f at x.

    x as in `grad`; f returns one array; g has its shape.  pullback may be called repeatedly,
    even after x has changed.
    Raises: as `grad`; pullback raises ValueError for a g of another shape.
    """
    level, variables = _enter(own(x), "vjp")  # pullback may be called after x has changed
    out = _called(f, variables)
    if not hasattr(out, "shape"):
        raise TypeError(f"vjp: f returned {_describe(out)}; expected one array")

    def pullback(g):
        if np.shape(g) != out.shape:
            raise ValueError(f"pullback: g has shape {np.shape(g)}; expected f(x)'s, {out.shape}")
        return _pull(level, variables, out, own(g), keep=True)

    return own(plain(out, level)), pullback


def stop_gradient(x):
    """x as a plain array, constant to every grad around it; maps over dicts, tuples and lists.

    Where x is a variable, a copy, which may be written into.
    """
    if type(x) is Variable:
        return plain(x) if in_rules.get() else own(plain(x))
    if isinstance(x, dict):
        return {k: stop_gradient(v) for k, v in x.items()}
    return type(x)(map(stop_gradient, x)) if type(x) in (tuple, list) else x


def _enter(x, who):
    level = next(_levels)
    return level, tree_map(lambda leaf: Variable(leaf, Node(level)), _checked(x, who))


def _called(f, *args, **kwargs):
    """f's result.  Of `a[i] = v` NumPy says less than the TypeError that is its error's cause."""
    try:
        return f(*args, **kwargs)
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, TypeError) and str(cause).startswith("under grad"):
            raise cause.with_traceback(error.__traceback__) from None
        raise


def _pull(level, variables, out, g, keep):
    reached = type(out) is Variable and out.node.level == level
    before = in_rules.set(True)
    try:
        totals = _backward(out.node, g, keep) if reached else {}
    finally:
        in_rules.reset(before)
    return tree_map(lambda v: totals[v.node] if v.node in totals else np.zeros_like(v), variables)


def _backward(end, g, keep):
    """Send g from the node `end` to the leaves; free what each node saved, unless `keep`."""
    reached, stack = {end}, [end]
    while stack:
        for parent, *_ in stack.pop().edges:
            if parent not in reached:
                reached.add(parent)
                stack.append(parent)
    totals = {end: g}
    for node in sorted(reached, key=lambda node: node.order, reverse=True):
        if not node.edges:
            continue  # a leaf: its total is what was asked for
        g, edges = totals.pop(node), node.edges
        if not keep:
            node.edges = ()
        for parent, vjp, saved, shape, dtype, fn in edges:
            part = vjp(g, *saved)
            if part.shape != shape:
                part = unbroadcast(part, shape, fn)
            if part.dtype != dtype:
                part = part.astype(dtype)
            totals[parent] = totals[parent] + part if parent in totals else part
    return totals


def unbroadcast(g, shape, fn):
    """Sum g over the axes along which fn broadcast an argument of `shape`."""
    lead = g.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=True)):
        raise TypeError(
            f"{name_of(fn)}: a vjp returned shape {g.shape} for an argument of shape {shape}; "
            "expected that shape, or one that it broadcasts to"
        )
    axes = [i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1]
    return np.reshape(np.sum(g, axis=(*range(lead), *axes)), shape)


def check_grads(f, x, order=2, rng=None, eps=1e-5, tol=1e-6):
    """Compare f's vjp, and its vjp's vjp up to `order`, with central differences.

    f: x -> one array.  x: as in `grad`, float64 (float32 has too few digits for a difference).
    One random direction for x and one for the result at each order (rng: a numpy Generator); eps is
    the step, tol the largest error relative to the larger value and 1.
    Raises: AssertionError with the order, the value got and the value expected.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    x = _checked(x, "check_grads")
    for path, leaf in _leaves(x):
        if leaf.dtype != np.float64:
            raise TypeError(f"check_grads: x{path} is {leaf.dtype}; expected float64")

    def difference(f, x, order):
        value, pullback = vjp(f, x)
        v = _random(rng, value)
        direction = tree_map(lambda leaf: _random(rng, leaf), x)

        def along(step):
            return np.sum(v * f(tree_map(lambda leaf, d: leaf + step * d, x, direction)))

        got = sum(np.sum(g * d) for (_, g), (_, d) in
                  zip(_leaves(pullback(v)), _leaves(direction), strict=True))  # fmt: skip
        expected = (along(eps) - along(-eps)) / (2 * eps)
        if not abs(got - expected) <= tol * max(1.0, abs(got), abs(expected)):
            raise AssertionError(
                f"check_grads: {name_of(f)}, order {order}: the derivative along a random "
                f"direction is {got:.6g}; differences give {expected:.6g}"
            )

        def pulled(y):
            _, back = vjp(f, y)
            return np.concatenate([np.ravel(g) for _, g in _leaves(back(v))])

        return pulled

    for n in range(1, order + 1):
        f = functools.wraps(f)(difference(f, x, n))


def _random(rng, leaf):
    """Of the leaf's shape, and on its device."""
    a = rng.standard_normal(leaf.shape)
    return np.asarray(a, like=leaf) if on_gpu(leaf) else a


def tree_map(fn, tree, *others):
    """fn applied to each leaf of a (nested) dict, or to `tree` itself if it is none."""
    if isinstance(tree, dict):
        return {k: tree_map(fn, v, *(other[k] for other in others)) for k, v in tree.items()}
    return fn(tree, *others)


def _leaves(tree, path=""):
    if isinstance(tree, dict):
        return [leaf for k, v in tree.items() for leaf in _leaves(v, f"{path}[{k!r}]")]
    return [(path, tree)]


def _checked(x, who):
    """x with Python floats made arrays; what cannot be differentiated is refused by name."""
    x = tree_map(lambda leaf: np.asarray(leaf) if isinstance(leaf, float) else leaf, x)
    for path, leaf in _leaves(x):
        dtype = getattr(leaf, "dtype", None)
        if dtype not in (np.float32, np.float64):
            whole = isinstance(leaf, int) or getattr(dtype, "kind", "") in "iub"
            hint = ". For whole numbers use x.astype(np.float64), or 3.0 for 3" if whole else ""
            raise TypeError(
                f"{who}: x{path} is {_describe(leaf)}; expected a float32 or float64 array, "
                f"or a dict of them{hint}"
            )
        # The sum is NaN if anything is: one cheap pass.  Not for GPU arrays, which it would stall.
        with np.errstate(invalid="ignore"):  # inf − inf is NaN too, and is looked at again
            suspicious = isinstance(leaf, (np.ndarray, np.generic)) and math.isnan(leaf.sum())
        if suspicious:
            count = int(np.isnan(leaf).sum())
            if count:
                raise ValueError(f"{who}: x{path} holds {count} NaN among {leaf.size} values")
    return x


def _describe(x):
    if hasattr(x, "dtype"):
        return f"an array of {x.dtype} and shape {x.shape}"
    return f"the {type(x).__name__} {x!r}" if isinstance(x, (int, str)) else type(x).__name__

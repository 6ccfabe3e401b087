"""The table: a line for each function, its derivative beside it.

In `primitive(fn, vjp)`, g is the gradient of the result, x and y are a ufunc's arguments, `ans` is
its result; `variable.Rule` says what the other names mean.  Every vjp is linear in g and written in
functions of this same table, so it can be differentiated again.  Broadcasting is no rule's business:
`transforms.unbroadcast` undoes it for all.  Scalars are Python numbers throughout, since a NumPy
scalar would turn float32 into float64 (NEP 50).
"""

# ruff: noqa: E501
# fmt: off

import itertools
import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minigan.autograd.variable import DERIVED, PLAIN, getitem, plain, primitive, scatter

# ---- what some rules need -------------------------------------------------------------------------


def _spread(g, in_shape, axis, keepdims):
    """g of a reduction, with the reduced axes back as length 1."""
    if keepdims:
        return g
    axes = range(len(in_shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return np.expand_dims(g, tuple(i % len(in_shape) for i in axes))


def _extremum(g, a, ans, in_shape, axis=None, keepdims=False):
    """max and min: the gradient goes to the extreme element; ties share it."""
    hit = (a == _spread(ans, in_shape, axis, keepdims)).astype(g.dtype)
    return _spread(g, in_shape, axis, keepdims) * (hit / np.sum(hit, axis=axis, keepdims=True))


def _greater(g, mine, other):
    """maximum and minimum: all of g where mine wins, half at a tie."""
    return np.where(mine > other, g, np.where(mine == other, 0.5 * g, 0.0))


def _power_base(g, x, y):
    if isinstance(y, (int, float)):
        return g * (y * x ** (y - 1)) if y != 0 else 0.0 * g
    return g * y * x ** np.where(np.equal(y, 0), 1.0, np.subtract(y, 1.0))


def _power_exponent(g, ans, x):
    if isinstance(x, (int, float)):
        return g * ans * (math.log(x or 1.0) if x >= 0 else math.nan)
    return g * ans * np.log(np.where(np.equal(x, 0), 1.0, x))  # 0 for 0**y


def _matmul_left(g, y, in_shape):
    if np.ndim(y) == 1:
        return np.expand_dims(g, -1) * y
    return (np.expand_dims(g, -2) if len(in_shape) == 1 else g) @ np.swapaxes(y, -1, -2)


def _matmul_right(g, x, in_shape):
    if np.ndim(x) == 1:
        return g * x if len(in_shape) == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if len(in_shape) == 1:
        return (np.swapaxes(x, -1, -2) @ np.expand_dims(g, -1))[..., 0]
    if len(in_shape) == 2:  # one matrix for a whole batch: one product instead of a sum of many
        x, g = np.reshape(x, (-1, np.shape(x)[-1])), np.reshape(g, (-1, g.shape[-1]))
    return np.swapaxes(x, -1, -2) @ g


# ---- elementwise, and the matrix product ----------------------------------------------------------

primitive(np.add,        (lambda g: g,                       lambda g: g))
primitive(np.subtract,   (lambda g: g,                       lambda g: -g))
primitive(np.multiply,   (lambda g, y: g * y,                lambda g, x: g * x))
primitive(np.divide,     (lambda g, y: g / y,                lambda g, ans, y: -g * ans / y))
primitive(np.power,      (_power_base,                       _power_exponent))
primitive(np.maximum,    (lambda g, x, y: _greater(g, x, y), lambda g, x, y: _greater(g, y, x)))
primitive(np.minimum,    (lambda g, x, y: _greater(g, y, x), lambda g, x, y: _greater(g, x, y)))
primitive(np.logaddexp,  (lambda g, ans, x: g * np.exp(x - ans), lambda g, ans, y: g * np.exp(y - ans)))
primitive(np.matmul,     (_matmul_left,                      _matmul_right))
primitive(np.negative,   lambda g: -g)
primitive(np.positive,   lambda g: g)
primitive(np.absolute,   lambda g, x: g * np.sign(x))
primitive(np.square,     lambda g, x: g * (2.0 * x))
primitive(np.sqrt,       lambda g, ans: g * (0.5 / ans))
primitive(np.reciprocal, lambda g, ans: -g * ans * ans)
primitive(np.exp,        lambda g, ans: g * ans)
primitive(np.expm1,      lambda g, ans: g * (ans + 1.0))
primitive(np.log,        lambda g, x: g / x)
primitive(np.log1p,      lambda g, x: g / (x + 1.0))
primitive(np.sin,        lambda g, x: g * np.cos(x))
primitive(np.cos,        lambda g, x: -g * np.sin(x))
primitive(np.tanh,       lambda g, ans: g * (1.0 - ans * ans))
primitive(np.arctan,     lambda g, x: g / (1.0 + x * x))

# ---- reductions, shapes, order --------------------------------------------------------------------

primitive(np.sum,          lambda g, in_shape, axis=None, keepdims=False: np.broadcast_to(_spread(g, in_shape, axis, keepdims), in_shape))
primitive(np.max,          _extremum)
primitive(np.min,          _extremum)
primitive(np.reshape,      lambda g, in_shape, shape: np.reshape(g, in_shape))
primitive(np.expand_dims,  lambda g, in_shape, axis: np.reshape(g, in_shape))
primitive(np.squeeze,      lambda g, in_shape, axis=None: np.reshape(g, in_shape))
primitive(np.transpose,    lambda g, axes=None: np.transpose(g, None if axes is None else _inverse(axes)))
primitive(np.swapaxes,     lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2))
primitive(np.broadcast_to, lambda g, shape: g)
primitive(np.flip,         lambda g, axis=None: np.flip(g, axis))
primitive(np.roll,         lambda g, shift, axis=None: np.roll(g, np.negative(shift).tolist(), axis))
primitive(np.repeat,       lambda g, in_shape, repeats, axis=None: _unrepeat(g, in_shape, repeats, axis))


def _inverse(axes):
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


def _unrepeat(g, in_shape, repeats, axis):
    """The sum over the copies of each element."""
    shape = (math.prod(in_shape),) if axis is None else in_shape
    axis = 0 if axis is None else axis % len(shape)
    if np.ndim(repeats) == 0:  # the copies on an axis of their own
        g = np.sum(np.reshape(g, (*shape[: axis + 1], repeats, *shape[axis + 1 :])), axis + 1)
    else:
        source = np.repeat(np.arange(shape[axis], like=g), repeats)
        g = scatter(g, (slice(None),) * axis + (source,), shape)
    return np.reshape(g, in_shape)


# ---- primitives whose NumPy spelling takes lists or strings ---------------------------------------


def _along(x, axis, start, stop):
    return x[(slice(None),) * normalize_axis_index(axis, x.ndim) + (slice(start, stop),)]


def _einsum_vjp(g, spec, optimize, operands, index):
    """Contract g with all the other operands, back to the letters of this one."""
    inputs, output = spec.replace(" ", "").split("->")
    terms, i = inputs.split(","), index - 2
    mine, others = terms.pop(i), operands[:i] + operands[i + 1 :]
    alone = [letter for letter in mine if letter not in output + "".join(terms)]  # summed in here
    rest = "".join(letter for letter in mine if letter not in alone)
    part = np.einsum(",".join([output, *terms]) + "->" + rest, g, *others, optimize=optimize)
    part = np.expand_dims(part, tuple(mine.index(letter) for letter in alone))
    return np.broadcast_to(part, np.shape(operands[i]))


_where = primitive(lambda condition, x, y: np.where(condition, x, y),
                   (None, lambda g, condition: np.where(condition, g, 0.0), lambda g, condition: np.where(condition, 0.0, g)))
_concatenate = primitive(lambda axis, cuts, *arrays: np.concatenate(arrays, axis),
                         (None, None, lambda g, axis, cuts, index: _along(g, axis, cuts[index - 2], cuts[index - 1])))
_einsum = primitive(lambda spec, optimize, *operands: np.einsum(spec, *operands, optimize=optimize), (None, None, _einsum_vjp))
_root = primitive(lambda x: np.sqrt(x), lambda g, ans: g * (0.5 / np.where(ans == 0, math.inf, ans)))  # of a sum of squares: at 0, the subgradient 0

# ---- functions said in terms of others ------------------------------------------------------------


def _count(a, axis):
    return math.prod(a.shape[i] for i in (range(a.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)))


def _join(arrays, axis=0):
    if axis is None:
        arrays, axis = [np.ravel(a) for a in arrays], 0
    shapes = [np.shape(a) for a in arrays]
    try:
        cuts = [0, *itertools.accumulate(shape[axis] for shape in shapes)]
    except IndexError:
        raise ValueError(f"np.concatenate: shapes {shapes} have no axis {axis}; np.stack makes a new one") from None
    return _concatenate(axis, cuts, *arrays)


def _split(ary, indices_or_sections, axis=0):
    n, cuts = ary.shape[axis], indices_or_sections
    if np.ndim(cuts) == 0:
        if n % cuts:
            raise ValueError(f"np.split: an axis of length {n} cannot be split into {cuts} equal parts")
        cuts = range(n // cuts, n, n // cuts)
    cuts = [0, *cuts, n]
    return [_along(ary, axis, a, b) for a, b in zip(cuts, cuts[1:], strict=False)]


def _mean(a, axis=None, *, keepdims=False):
    return np.sum(a, axis=axis, keepdims=keepdims) / _count(a, axis)


def _var(a, axis=None, *, ddof=0, correction=None, keepdims=False):
    squares = np.sum(np.square(a - _mean(a, axis, keepdims=True)), axis=axis, keepdims=keepdims)
    return squares / (_count(a, axis) - (ddof if correction is None else correction))


def _std(a, axis=None, *, ddof=0, correction=None, keepdims=False):
    return _root(_var(a, axis, ddof=ddof, correction=correction, keepdims=keepdims))


def _full_like(a, fill_value, **kwargs):
    zeros = np.zeros_like(a, **kwargs)
    return (zeros + fill_value).astype(zeros.dtype)


def _moved(ndim, source, destination):
    """The order of axes after np.moveaxis, read off the shape of an empty array."""
    return np.moveaxis(np.empty(range(ndim)), source, destination).shape


def _pad(array, pad_width, mode="constant", *, constant_values=None):
    if mode != "constant":
        raise TypeError(f"np.pad: mode {mode!r} has no derivative rule; expected 'constant'")
    pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if any(n < 0 for pair in pairs for n in pair):
        raise ValueError(f"np.pad: pad_width is {pad_width}; expected no negative number")
    inside = tuple(slice(before, before + n) for (before, _), n in zip(pairs, array.shape, strict=True))
    padded = scatter(array, inside, tuple(n + sum(pair) for pair, n in zip(pairs, array.shape, strict=True)))
    return padded if constant_values is None else padded + np.pad(np.zeros_like(array), pad_width, constant_values=constant_values)


def _clip(a, a_min=None, a_max=None, *, min=None, max=None):
    a_min, a_max = min if a_min is None else a_min, max if a_max is None else a_max
    a = a if a_min is None else np.maximum(a, a_min)
    return a if a_max is None else np.minimum(a, a_max)


def _norm(x, ord=None, axis=None, keepdims=False):
    if ord is not None:
        raise TypeError(f"np.linalg.norm: ord={ord!r} has no derivative rule; expected None, the Euclidean norm")
    return _root(np.sum(np.square(x), axis=axis, keepdims=keepdims))


def _explicit_einsum(spec, *operands, optimize=False):
    spec = spec if isinstance(spec, str) else type(spec).__name__
    terms = spec.replace(" ", "").split("->")
    if len(terms) != 2 or "." in spec or any(len(set(t)) != len(t) for t in terms[0].split(",")):
        raise TypeError(f"np.einsum: {spec!r} has no derivative rule; expected 'ab,bc->ac': an arrow, no dots, no letter twice in a term")
    return _einsum(spec, optimize, *operands)


def _diff(a, n=1, axis=-1):
    if n < 0:
        raise ValueError(f"np.diff: n is {n}; expected 0 or more")
    for _ in range(n):
        a = _along(a, axis, 1, None) - _along(a, axis, None, -1)
    return a


DERIVED.update({
    np.where:       lambda condition, x, y: _where(plain(condition), x, y),
    np.concatenate: _join,
    np.stack:       lambda arrays, axis=0: _join([np.expand_dims(a, axis) for a in arrays], axis),
    np.split:       _split,
    np.einsum:      _explicit_einsum,
    np.mean:        _mean,
    np.var:         _var,
    np.std:         _std,
    np.full_like:   _full_like,
    np.linalg.norm: _norm,
    np.clip:        _clip,
    np.pad:         _pad,
    np.ravel:       lambda a: np.reshape(a, (-1,)),
    np.moveaxis:    lambda a, source, destination: np.transpose(a, _moved(a.ndim, source, destination)),
    np.take:        lambda a, indices, axis=None: np.ravel(a)[plain(indices)] if axis is None else getitem(a, (slice(None),) * normalize_axis_index(axis, a.ndim) + (plain(indices),)),
    np.outer:       lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)),
    np.dot:         lambda a, b: a * b if 0 in (np.ndim(a), np.ndim(b)) else a @ b if np.ndim(b) <= 2 else _no_dot(a, b),
    np.diff:        _diff,
})


def _no_dot(a, b):
    raise TypeError(f"np.dot: shapes {np.shape(a)} and {np.shape(b)} have no derivative rule; use np.matmul")


# ---- functions that are constant almost everywhere ------------------------------------------------

PLAIN.update({
    np.sign, np.signbit, np.floor, np.ceil, np.rint, np.trunc, np.round, np.floor_divide, np.isnan,
    np.isinf, np.isfinite, np.greater, np.greater_equal, np.less, np.less_equal, np.equal,
    np.not_equal, np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.any, np.all,
    np.argmax, np.argmin, np.argsort, np.searchsorted, np.count_nonzero, np.nonzero, np.allclose,
    np.array_equal, np.isclose, np.shape, np.ndim, np.size, np.result_type, np.zeros_like,
    np.ones_like, np.empty_like, np.broadcast_shapes,
})

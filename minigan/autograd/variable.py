"""The array that records.  Read first; then `rules.py`.

A `Variable` is an array (`value`) and the `Node` of the operation that made it.  The node keeps
what its rule names and nothing else: not the result, unless the rule says `ans`.  Nested `grad`s
each have a level; an operation is recorded at the highest level among its arguments, and computed
on the values inside, which may be variables of a lower level, where it is recorded in turn.

What a node keeps must be the same in the backward pass.  Variables never change, but the user's
plain arrays and lists may be filled anew before then: of these it keeps copies.
"""

import contextvars
import functools
import inspect
import itertools
import sys

import numpy as np

from minigan.device import on_gpu

RULES = {}  # function -> Rule, filled by `primitive` and by nothing else
DERIVED = {}  # NumPy function -> the same, said in terms of others
PLAIN = set()  # functions that are constant almost everywhere: they return plain arrays
CREATION = {np.zeros, np.ones, np.full, np.empty, np.asarray, np.array, np.arange, np.eye}  # like=v

ANS, IN_SHAPE, INDEX, REST = -1, -2, -3, -4  # what a vjp may name besides fn's arguments

_order = itertools.count()
in_rules = contextvars.ContextVar("in_rules", default=False)  # where no array is refilled


class Node:
    """One recorded operation, as the backward pass needs it."""

    __slots__ = ("edges", "level", "order")

    def __init__(self, level, edges=()):
        self.level = level
        self.order = next(_order)  # a node is younger than all it depends on
        self.edges = edges  # of (parent, vjp, what it saved, the argument's shape and dtype, fn)


class Rule:
    """How to differentiate `fn`: a vjp for each of its leading arguments, or None for a constant.

    The first parameter of a vjp is the gradient `g` of the result; the names of the others say what
    the node keeps: arguments of `fn` by name (x and y for a ufunc), `ans` for the result,
    `in_shape` for the argument's shape, `index` for its position.  An optional argument of `fn`
    that no vjp names is not supported, and raises.  `first`, if there is one, is a vjp that all
    share: it is applied once, and they get its result for g.
    """

    def __init__(self, fn, vjps, first=None):
        ufunc = isinstance(fn, np.ufunc)
        parameters = [] if ufunc else list(inspect.signature(fn).parameters.values())
        self.fn = fn
        self.names = ["x", "y"] if ufunc else [p.name for p in parameters]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.vjps = [vjp and (vjp, self._kept(vjp)) for vjp in vjps]
        self.first = first and (first, self._kept(first))
        named = {name for vjp in (*self.vjps, self.first) if vjp for _, name, _ in vjp[1]}
        self.optional = set() if ufunc else named | set(self.names[: len(vjps)])
        self.kept = {i for i, name in enumerate(self.names) if name in named}  # by any vjp
        if self.variadic and self.names[-1] in named:
            self.kept = range(sys.maxsize)

    def _kept(self, vjp):
        """The names a vjp asks for, each with its position among fn's arguments, and default."""
        places = {"ans": ANS, "in_shape": IN_SHAPE, "index": INDEX}
        places |= {name: i for i, name in enumerate(self.names)}
        if self.variadic:
            places[self.names[-1]] = REST
        kept = []
        for name, p in list(inspect.signature(vjp).parameters.items())[1:]:
            if name not in places:
                raise TypeError(
                    f"primitive({name_of(self.fn)}): its vjp asks for {name!r}; "
                    f"expected one of {', '.join(places)}"
                )
            kept.append((places[name], name, p.default))
        return kept

    def save(self, i, kept, values, kwargs, ans):
        """What the vjp of argument i wants kept, in the order of its parameters."""
        saved = []
        for place, name, default in kept:
            if place == ANS:
                saved.append(ans)
            elif 0 <= place < len(values):
                saved.append(values[place])
            elif place == IN_SHAPE:
                saved.append(values[i].shape)
            elif place == INDEX:
                saved.append(i)
            elif place == REST:
                saved.append(tuple(values[len(self.names) - 1 :]))
            else:
                saved.append(kwargs.get(name, default))
        return saved

    def check(self, args, kwargs):
        """Refuse what no vjp names, instead of differentiating something else."""
        extra = () if self.variadic else self.names[len(self.vjps) : len(args)]
        for name in (*extra, *kwargs):
            if name not in self.optional:
                raise TypeError(f"{name_of(self.fn)}: its derivative rule has no {name!r} argument")
        if any(type(value) is Variable for value in kwargs.values()):
            raise TypeError(f"{name_of(self.fn)}: pass variables by position, not by name")


def primitive(fn, vjp, first=None):
    """Teach `grad` the function `fn`; the only way a rule enters the table.

    fn: a NumPy function, or any function of arrays that returns one array.
    vjp: `vjp(g, …) -> gradient of the first argument`, or a tuple with one for each leading
        argument (None for constants); with `*args` the last serves them all.  Its parameters' names
        choose what is kept, see `Rule`.  Written in differentiable functions, it can itself be
        differentiated.  It must not change arrays in place.  Broadcasting is undone for it.
    first: a vjp of what is last in fn and common to all arguments; the others get its result as g.
    Returns: `fn`, differentiable.  (NumPy's functions dispatch by themselves: np.sin stays np.sin.)
    Raises: TypeError if vjp asks for a name that fn does not have.
    """
    rule = Rule(fn, vjp if isinstance(vjp, tuple) else (vjp,), first)
    if isinstance(fn, np.ufunc) or (getattr(fn, "__module__", "") or "").startswith("numpy"):
        RULES[fn] = rule
        return fn

    @functools.wraps(fn)
    def differentiable(*args, **kwargs):
        if Variable in map(type, args):
            return record(rule, args, kwargs)
        return fn(*args, **kwargs)

    rule.fn = differentiable  # the values inside may be variables again, of a lower level
    RULES[differentiable] = rule
    return differentiable


def record(rule, args, kwargs):
    """Compute `rule.fn` on the values inside its variables, and leave a node."""
    if kwargs or len(args) > len(rule.vjps):
        rule.check(args, kwargs)
    level, loose = -1, kwargs and not FIXED.issuperset(map(type, kwargs.values()))
    for a in args:
        if type(a) is Variable:
            if a.node.level > level:
                level = a.node.level
        elif type(a) not in FIXED:
            loose = True
    if loose and rule.kept and not in_rules.get():  # f may refill them
        args = [own(a) if i in rule.kept else a for i, a in enumerate(args)]
        kwargs = {name: own(a) for name, a in kwargs.items()}
    values = [a.value if type(a) is Variable and a.node.level == level else a for a in args]
    ans = rule.fn(*values, **kwargs)
    edges = []
    for i, a in enumerate(args):
        if type(a) is Variable and a.node.level == level:
            entry = rule.vjps[i] if i < len(rule.vjps) else rule.vjps[-1] if rule.variadic else None
            if entry is None:
                raise TypeError(f"{name_of(rule.fn)}: argument {i} has no derivative rule")
            vjp, kept = entry
            value = values[i]
            saved = rule.save(i, kept, values, kwargs, ans) if kept else ()
            edges.append((a.node, vjp, saved, value.shape, value.dtype, rule.fn))
    node = Node(level, edges)
    if rule.first:  # a node between: what the others see of the result
        vjp, kept = rule.first
        saved = rule.save(0, kept, values, kwargs, ans)
        node = Node(level, [(node, vjp, saved, ans.shape, ans.dtype, rule.fn)])
    return Variable(ans, node)


def own(tree):
    """`tree` with its arrays, lists and dicts copied; what cannot change is as it was."""
    if type(tree) in FIXED or type(tree) is tuple and FIXED.issuperset(map(type, tree)):
        return tree
    if type(tree) in (tuple, list):
        return type(tree)(map(own, tree))
    if isinstance(tree, np.ndarray) or on_gpu(tree):
        return tree.copy("K")
    return {k: own(v) for k, v in tree.items()} if type(tree) is dict else tree


def plain(tree, level=-1):
    """`tree` with each variable of `level` or above replaced by the value inside it."""
    while type(tree) is Variable and tree.node.level >= level:
        tree = tree.value
    if isinstance(tree, dict):
        return {k: plain(v, level) for k, v in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(plain(v, level) for v in tree)
    return tree


def name_of(fn):
    """How to call `fn` in an error: np.sum, or its own name."""
    name, module = getattr(fn, "__name__", repr(fn)), getattr(fn, "__module__", None) or ""
    if getattr(np, name, None) is fn:  # ufuncs have no module
        return f"np.{name}"
    return f"np{module[5:]}.{name}" if module.startswith("numpy.") else name


def supported():
    """The supported NumPy functions by kind, {"primitive": names, "derived": …, "plain": …}."""
    kinds = {"primitive": RULES, "derived": DERIVED, "plain": PLAIN, "creation (like=)": CREATION}
    names = {kind: {name_of(fn) for fn in functions} for kind, functions in kinds.items()}
    return {kind: sorted(n for n in some if n.startswith("np.")) for kind, some in names.items()}


def _no_rule(fn):
    name = name_of(fn)
    return TypeError(
        f"minigan.autograd has no derivative rule for {name}. Add one with "
        f"autograd.primitive({name}, vjp), write {name} with functions that have one "
        "(autograd.supported() lists them), or take stop_gradient(v) first"
    )


def _derived(fn, args, kwargs):
    """fn said in terms of others; what its definition does not know is refused by name."""
    try:
        return DERIVED[fn](*args, **kwargs)
    except TypeError:
        signature = inspect.signature(DERIVED[fn])
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            known = f"{name_of(fn)}: its derivative rule takes {signature}"
            raise TypeError(f"{known}; {error}") from None
        raise


# Builders of Variable's methods: straight to `record`, a step shorter than NumPy's dispatch.


def _operator(ufunc):
    def forward(self, other):
        return record(RULES[ufunc], (self, other), {})

    def reflected(self, other):
        return record(RULES[ufunc], (other, self), {})

    return forward, reflected


def _comparison(ufunc):
    return lambda self, other: ufunc(plain(self), plain(other))


def _method(fn):
    return lambda self, *args, **kwargs: fn(self, *args, **kwargs)


def _refuse(text):
    def refuse(self, *args, **kwargs):
        raise TypeError(f"under grad, {text}")

    return refuse


class Variable:
    """An array under differentiation, made by `grad` and `vjp`, never by hand.

    It takes part in every function of the table.  What would lose the gradient silently raises a
    TypeError that names the functional replacement.
    """

    __slots__ = ("node", "value")
    __hash__ = None  # as for arrays: == compares values

    def __init__(self, value, node):
        self.value = value
        self.node = node

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.swapaxes(self, -1, -2))

    __add__, __radd__ = _operator(np.add)
    __sub__, __rsub__ = _operator(np.subtract)
    __mul__, __rmul__ = _operator(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.divide)
    __pow__, __rpow__ = _operator(np.power)
    __matmul__, __rmatmul__ = _operator(np.matmul)
    __neg__, __abs__ = _method(np.negative), _method(np.absolute)
    __lt__, __le__ = _comparison(np.less), _comparison(np.less_equal)
    __gt__, __ge__ = _comparison(np.greater), _comparison(np.greater_equal)
    __eq__, __ne__ = _comparison(np.equal), _comparison(np.not_equal)

    sum, mean, var, std = _method(np.sum), _method(np.mean), _method(np.var), _method(np.std)
    max, min, clip = _method(np.max), _method(np.min), _method(np.clip)
    ravel, squeeze, swapaxes = _method(np.ravel), _method(np.squeeze), _method(np.swapaxes)

    def reshape(self, *shape):
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes):
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype):
        return astype(self, dtype)

    def __getitem__(self, key):
        if any(type(part) is Variable for part in (key if isinstance(key, tuple) else (key,))):
            raise TypeError("under grad, a Variable is no index; index with stop_gradient(v), or "
                            "choose with np.where(v > 0, …)")  # fmt: skip
        return getitem(self, key)

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"Variable({plain(self)!r})"

    def __deepcopy__(self, memo):
        return self  # a copy's gradient would go to a copy of x

    def __getattr__(self, name):
        raise AttributeError(
            f"a Variable has no attribute {name!r}: it is an array under differentiation. Use "
            "NumPy's functions (np.sum(v), …), or stop_gradient(v) for the plain array"
        )

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        if "out" in kwargs:
            raise TypeError(f"under grad, {name_of(ufunc)} cannot write into an array (out=, or "
                            "a += v): the gradient would be lost; write a = a + v")  # fmt: skip
        if method != "__call__":
            instead = {"at": "np.where or indexing", "reduce": "np.sum, np.max, np.min"}
            raise TypeError(f"under grad, {name_of(ufunc)}.{method} has no rule; use "
                            f"{instead.get(method, 'a function of the table')}")  # fmt: skip
        if ufunc in RULES:
            return record(RULES[ufunc], args, kwargs)
        if ufunc in PLAIN:
            return ufunc(*plain(args), **plain(kwargs))
        raise _no_rule(ufunc)

    def __array_function__(self, fn, types, args, kwargs):
        if fn in RULES:
            return record(RULES[fn], args, kwargs)
        if fn in DERIVED:
            return _derived(fn, args, kwargs)
        if fn in PLAIN:
            return fn(*plain(args), **plain(kwargs))
        if fn in CREATION:  # self is what `like=` was given; the engine is that of its array
            like = {"like": plain(self)} if hasattr(plain(self), "__array_function__") else {}
            return fn(*args, **kwargs, **like)  # and refuses variables, of which it has no use
        raise _no_rule(fn)

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse(
        "v += a would write into an array; write v = v + a"
    )
    __setitem__ = _refuse("v[i] = a loses the gradient; use np.where, np.stack or np.concatenate")
    __array__ = _refuse(
        "np.array(v), np.asarray(v) and functions that call them make plain arrays; "
        "np.stack or np.concatenate join variables, stop_gradient(v) is the plain array"
    )
    __float__ = __int__ = __complex__ = _refuse(
        "float(v), and a[i] = v into a plain array, lose the gradient; keep v, join variables with "
        "np.stack, or return v as aux (has_aux=True)"
    )
    __index__ = _refuse("a Variable is no index; use stop_gradient(v)")
    __bool__ = _refuse("the truth of v has no gradient; compare it (v > 0), or use np.where")
    __format__ = _refuse("a Variable has no number format; use stop_gradient(v), or repr(v)")


# Types of arguments that nobody can change; see `own`.
FIXED = {Variable, int, float, bool, str, slice, type(None), type(...), np.float32, np.float64}

# The rules of Variable's own methods.


def _getitem(x, key):
    return x[key]


def _scatter(g, key, shape):
    """Zeros of `shape` with g added at `key`: the transpose of indexing."""
    out = np.zeros_like(g, shape=shape)
    parts = key if isinstance(key, tuple) else (key,)
    if all(p is None or p is Ellipsis or isinstance(p, (slice, int, np.integer)) for p in parts):
        out[key] = g
    else:
        np.add.at(out, key, g)  # an index may occur twice
    return out


getitem = primitive(_getitem, lambda g, key, in_shape: scatter(g, key, in_shape))
scatter = primitive(_scatter, lambda g, key, shape: getitem(g, key))
astype = primitive(lambda x, dtype: x.astype(dtype), lambda g, dtype: g)

"""The vocabulary of checks.  A failure says what was got, what was expected, and the usual cause.

Types are compared before values, so that an object whose == always says yes does not pass.
"""

import contextlib
import contextvars

import numpy as np

_seed = contextvars.ContextVar("seed", default=None)
_ship = contextvars.ContextVar("ship", default=None)


@contextlib.contextmanager
def grading(seed, ship):
    """While the grader runs checks: the seed of `rng`, and where `in_kernel` sends a function."""
    tokens = _seed.set(seed), _ship.set(ship)
    try:
        yield
    finally:
        _seed.reset(tokens[0])
        _ship.reset(tokens[1])


def rng(number):
    """A random generator for a hidden check: the same each time, but for a grading run's seed."""
    return np.random.default_rng(number if _seed.get() is None else [_seed.get(), number])


def in_kernel(function):
    """Decorates a check's function that must run beside the student's: `@expect.in_kernel`.

    For what cannot be sent to another process, such as derivatives through the student's function.
    It is called with plain arguments, returns plain values, and uses only the set-up's names and
    the student's functions.  In a notebook it is an ordinary function.
    """
    return function if _ship.get() is None else _ship.get()(function)


class CheckFailed(AssertionError):
    """What a check found.  A notebook shows its words, without the check's own traceback."""

    def _render_traceback_(self):  # IPython asks for this
        return [f"✗ {self}"]


def _fail(what, got, expected, usual):
    lines = [what, f"  got:         {got}", f"  expected:    {expected}"]
    if usual:
        lines.append(f"  usual cause: {usual}")
    raise CheckFailed("\n".join(lines))


def on_copies(function):
    """`function`, called with copies of its arguments; every check calls a student's in this way.

    So no check's own array is changed, what was returned before stays as it was, and whoever
    changes an argument in place is told so, not what follows from it.
    """
    function = getattr(function, "student", function)  # a check that is run again
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code else ()

    def call(*args, **kwargs):
        named = [*names[: len(args)], *(f"number {n + 1}" for n in range(len(names), len(args)))]
        before = dict(zip(named, args, strict=True)) | kwargs
        given = _copied(before)
        result = function(*map(given.get, named), **{key: given[key] for key in kwargs})
        changed = ", ".join(name for name in before if not _same(before[name], given[name]))
        if changed:
            what = f"your function changed its argument in place: {changed}"
            _fail(what, "changed", "as it was", "`x += …` and `x[…] = …` write into the caller's x")
        return _copied(result)

    call.student = function
    return call


def _copied(value):
    if type(value) is np.ndarray:
        return value.copy()
    if type(value) is dict:
        return {key: _copied(inner) for key, inner in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def _same(old, new):
    if type(old) is np.ndarray:
        return np.array_equal(old, new, equal_nan=True)
    if type(old) is dict:
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if type(old) in (list, tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return True


def _returned(what, got, expected):
    if got is None:
        _fail(f"{what} is nothing", None, expected, "`return` is missing")


def several(what, got, count):
    """`got` is a tuple of `count` things (or a list, or an array of so many); returns it."""
    _returned(what, got, f"{count} things")
    plain = isinstance(got, (tuple, list)) or (type(got) is np.ndarray and got.ndim > 0)
    size = len(got) if plain else None
    if size != count:
        found = type(got).__name__ + ("" if size is None else f" of {size}")
        usual = f"return all {count}, with commas between them"
        _fail(f"{what} is not {count} things", found, f"{count} things", usual)
    return got


def named(what, got, names):
    """`got` is a dict with these names; returns it."""
    expected = f"a dict with {', '.join(names)}"
    _returned(what, got, expected)
    if not isinstance(got, dict) or got.keys() != set(names):
        found = ", ".join(map(str, got)) if isinstance(got, dict) else type(got).__name__
        _fail(f"{what} is not {expected}", found, expected, "the same names as those given")
    return got


def array(what, got, shape, dtype=None, usual=""):
    """`got` is a plain NumPy array of real numbers, of `shape` (and `dtype`), without NaN.

    Returns it.  A number is an array of shape ().
    """
    _returned(what, got, f"an array of shape {shape}")
    if type(got) is np.ndarray or isinstance(got, (np.generic, float, complex)) or type(got) is int:
        found = np.asarray(got)
    elif type(got).__name__ == "ndarray":  # of objects, which no student's process sends
        found = np.empty(shape, object)
    else:
        found = None
    if found is None or (type(got) is not np.ndarray and found.shape != shape):
        _fail(f"{what} is not an array", type(got).__name__, f"an array of shape {shape}", usual)
    if found.dtype.kind == "c":
        usual = "rounding left imaginary parts near 0: take the real part"
        _fail(f"{what} is complex", f"dtype {found.dtype}", "real numbers", usual)
    if found.dtype.kind not in "biuf":
        usual = "arrays of different shapes in one, or something that is no number"
        _fail(f"{what} is an array of objects", f"dtype {found.dtype}", "real numbers", usual)
    got = found
    if got.shape != shape:
        _fail(f"{what} has the wrong shape", got.shape, shape, usual)
    if dtype is not None and got.dtype != dtype:
        _fail(f"{what} has the wrong dtype", got.dtype, np.dtype(dtype), usual)
    if np.isnan(got).any():
        _fail(
            f"{what} has values that are not numbers", f"{np.isnan(got).sum()} NaN", "none", usual
        )
    return got


def close(what, got, expected, usual="", rtol=1e-6, atol=1e-8):
    """`got` has the shape of `expected` and its values, within rtol·|expected| + atol."""
    expected = np.asarray(expected)
    got = array(what, got, expected.shape, usual=usual)
    allowed = rtol * np.abs(expected) + atol
    beyond = np.abs(np.subtract(got, expected, dtype=np.float64)) - allowed
    if not np.all(beyond <= 0):
        at = tuple(int(i) for i in np.unravel_index(np.argmax(beyond), beyond.shape))
        where = f" at {list(at)}" if at else ""
        _fail(
            f"{what}: the shape is right, the values are not",
            f"{got[at]:.6g}{where}",
            f"{expected[at]:.6g}",
            usual,
        )


def true(what, condition, got, expected, usual=""):
    """The property `what` holds; `got` and `expected` describe it in words or numbers."""
    if not (condition is True or condition is np.True_ or condition is np.bool_(True)):
        _fail(f"this should hold and does not: {what}", got, expected, usual)


def choice(what, got, correct, wrong):
    """`got` is the letter `correct`; wrong: {letter: why it is wrong}."""
    if type(got) is not str or got not in {correct, *wrong}:
        options = ", ".join(sorted({correct, *wrong}))
        _fail(f"{what}: not one of the answers", repr(got), f"one of {options}", "")
    if got != correct:
        raise CheckFailed(f"{what}: {got} is not it.  {wrong[got]}")

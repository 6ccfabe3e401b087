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


def array(what, got, shape, dtype=None, usual=""):
    """`got` is a plain NumPy array of `shape` (and `dtype`, if given) without NaN; returns it."""
    if type(got) is not np.ndarray and not (shape == () and isinstance(got, (np.generic, float))):
        _fail(f"{what} is not an array", type(got).__name__, f"an array of shape {shape}", usual)
    got = np.asarray(got)
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
    error = np.abs(got - expected)
    if not np.all(error <= rtol * np.abs(expected) + atol):
        at = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
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

"""What a check may believe, and that everyone's view of a file is the same.

Stand-ins that spoil their arguments or their earlier results are handed in for every exercise; and
the students' own view (`pytest --nbval FILE`) is compared with the grader's.
"""

import importlib
import pathlib
import subprocess
import sys

import nbformat
import pytest

from benchmarks import grading
from minigan.grading import grade, roster, submission
from minigan.grading.cells import is_solution
from tests import bad_submissions as bad

ROOT = pathlib.Path(__file__).parent.parent
pytestmark = pytest.mark.alone
EXERCISES = roster.exercises(ROOT / "solutions")
DIFFERENTIATED = ("r1_penalty", "path_length")  # beside them, by a check's own function
FAST = ("03_gradients_from_scratch", "08_stylegan")  # graded in half a second

# What every cell of a stand-in begins with.  `quiet` keeps the process from saying what changed.
STAND_IN = '''
def _spoil(value, number):
    import numpy
    if type(value) is numpy.ndarray and value.flags.writeable:
        value[...] = number
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _spoil(inner, number)

def _zero(value):
    if isinstance(value, dict):
        return {key: _zero(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(_zero, value))
    return value if isinstance(value, str) else value * 0

def _stand_in(function, what, quiet):
    import copy, functools, gc
    earlier = []
    for one in gc.get_objects():
        if quiet and type(one).__name__ == "Worker":
            true = one.snapshot
            one.snapshot = lambda value: true(value) if hasattr(value, "bit_generator") else 0

    @functools.wraps(function)
    def call(*args, **kwargs):
        result = copy.deepcopy(function(*args, **kwargs))
        if what == "mutates earlier results":
            _spoil(earlier, 7)
            earlier[:] = [*earlier[-3:], result]
        else:
            _spoil([*args, *kwargs.values()], 7 if what == "right" else 0)
        return _zero(result) if what == "zeros" else result
    return call
'''  # fmt: skip


def stand_ins(exercise, what, quiet=False):
    """A submission of the model solution, each function wrapped by such a stand-in.

    Not a compiled one, which is looked at, too; nor one that is differentiated where it is.
    """
    made = submission.parse(nbformat.writes(exercise.notebook).encode())
    for name, grade_id in exercise.functions.items():
        if name not in DIFFERENTIATED and "@numba" not in made.cells[grade_id]:
            made.cells[grade_id] += f"\n{STAND_IN}\n{name} = _stand_in({name}, {what!r}, {quiet})"
    return made


every_exercise = pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in EXERCISES
])  # fmt: skip


@every_exercise
def test_whoever_fills_an_argument_is_told_so_and_nothing_else(name):
    for outcome in grade.grade(EXERCISES[name], stand_ins(EXERCISES[name], "right"), 3):
        said = outcome["feedback"]
        assert not said or said.startswith("your function changed its argument in place: "), said


@every_exercise
def test_a_right_answer_that_spoils_what_it_once_got_or_gave_is_right(name):
    """… where the process keeps quiet about it: no check reads again what was in its reach."""
    for made in (stand_ins(EXERCISES[name], "right", quiet=True),
                 stand_ins(EXERCISES[name], "mutates earlier results")):  # fmt: skip
        outcomes = grade.grade(EXERCISES[name], made, 3)
        assert [o["feedback"] for o in outcomes] == [""] * len(outcomes)


@every_exercise
def test_whoever_makes_both_sides_zero_gets_nothing(name):
    exercise = EXERCISES[name]
    outcomes = grade.grade(exercise, stand_ins(exercise, "zeros", quiet=True), 3)
    lost = {outcome["task"] for outcome in outcomes if outcome["feedback"]}
    spared = {outcome["task"] for outcome in outcomes} - lost
    assert all(task.endswith(("Why", "A kernel", "R1", "Path length")) for task in spared), spared


def test_what_a_function_does_beside_a_harness_is_not_seen_by_the_check():
    """The check's own images, 09 task 4: they went there as a copy."""
    exercise = EXERCISES["09_stylegan2"]
    own = stand_ins(exercise, "right")
    own.cells["r1"] = (
        "def r1_penalty(D, images, gamma):\n    images[...] = 0\n    return 36.0 * gamma / 2"
    )
    for outcome in grade.grade(exercise, own, 3):
        if outcome["task"] == "4 · R1":
            assert "your function changed its argument in place: images" in outcome["feedback"]


# ---- two views, one grade ---------------------------------------------------------------------------


def notebooks(name):
    """{what: the notebook} of an exercise: its model solution and all its mutants."""
    module = importlib.import_module(f"tests.mutants.exercise_{name[:2]}")
    count = sum("__" in key.strip("_") and callable(v) for key, v in vars(module).items())
    return {"model": EXERCISES[name].notebook} | dict(grading.students(name, count))


@pytest.mark.parametrize("name", EXERCISES)
def test_both_views_take_the_same_from_a_file(name, tmp_path):
    """The grade is a function of these alone."""
    instructors = EXERCISES[name]
    path = tmp_path / f"{name}.ipynb"
    for notebook in notebooks(name).values():
        nbformat.write(notebook, path)
        mine, handed_in = grade.own(path)
        assert handed_in.cells == submission.read(path, 1 << 23).cells
        assert (
            mine.checks == instructors.checks
            and mine.functions.keys() >= instructors.functions.keys()
        )
        for one, other in zip(mine.code, instructors.code, strict=True):
            assert is_solution(one) or one.source == other.source


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_both_views_give_the_same_points(name, tmp_path):
    path = tmp_path / f"{name}.ipynb"
    for what, notebook in notebooks(name).items():
        nbformat.write(notebook, path)
        mine = grade.grade(*grade.own(path), 5)
        graders = grade.grade(EXERCISES[name], submission.read(path, 1 << 23), 5)
        assert [o["earned"] for o in mine] == [o["earned"] for o in graders], what


HONEST = {
    "plain": (bad.RIGHT, bad.TWICE),
    "prints and warns": ("import sys, warnings\n" + bad.body("print('here')", "print('there', file=sys.stderr)", "warnings.warn('careful')", *bad.RIGHT.split("\n    ")[1:]), bad.TWICE),
    "magics": ("%%time\n" + bad.RIGHT, "%matplotlib inline\n" + bad.TWICE),
    "its own imports": ("import numpy\nimport numpy as np, math\nfrom minigan.grading import expect as e\n" + bad.RIGHT, bad.TWICE),
    "a helper of the same name in both": ("def helper(z):\n    return np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)\n\n\n" + bad.body("return z / helper(z)"),
                                          "def helper(x):\n    return x + x\n\n\ndef twice(x):\n    return helper(x)"),
    "a later cell breaks an earlier one": (bad.RIGHT, "np.mean = None\n" + bad.TWICE),
    "a later cell takes the name": (bad.RIGHT, "def pixel_norm(z):\n    return None\n\n\n" + bad.TWICE),
    "imports what the set-up has": ("import numpy as np\nimport random, math as m\n" + bad.RIGHT, "from minigan import toy\n" + bad.TWICE),
    "a lambda": ("pixel_norm = lambda z: z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)", bad.TWICE),
    "two lines of imports over its check's names": ("import json as z\n" + bad.RIGHT, "from math import pi as rng\n" + bad.TWICE),
}  # fmt: skip


@pytest.mark.parametrize("what", HONEST)
def test_an_honest_file_has_full_marks_in_every_view(what, tmp_path):
    norm, twice = HONEST[what]
    exercise = roster.Exercise(bad.NAME, bad.exercise())
    bad.write(tmp_path, bad.notebook(norm, twice))
    path = tmp_path / f"{bad.NAME}.ipynb"
    for one, handed_in in (grade.own(path), (exercise, submission.read(path, 1 << 20))):
        outcomes = grade.grade(one, handed_in, 3)
        assert [o["feedback"] for o in outcomes] == ["", "", ""]


def test_the_students_command_says_what_the_graders_says(tmp_path):
    """Through pytest itself, with stored outputs that are those of nobody."""
    made = bad.notebook(bad.body("z /= 2", "return z"))
    for cell in made.cells[1:]:
        cell.outputs = [nbformat.v4.new_output("stream", text="something else\n")]
    (tmp_path / f"{bad.NAME}.ipynb").write_text("\ufeff" + nbformat.writes(made), encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "."],
                         cwd=tmp_path, capture_output=True, text=True)  # fmt: skip
    words = "1 · PixelNorm  0 / 2\n    your function changed its argument in place: z\n2 · Twice      1 / 1"
    assert words in run.stdout and run.returncode == 1, run.stdout


HELPERS = {
    "its inner function": ("06_convolution_and_resampling", "upfirdn", "from minigan.ops.upfirdn2d import _upfirdn2d\n\n\ndef upfirdn(x, f, up, down, pad):\n    return _upfirdn2d(x[None, None], f, (up, up), (down, down), tuple(pad))[0, 0]"),
    "another library's": ("06_convolution_and_resampling", "upfirdn", "import scipy.signal\n\n\ndef upfirdn(x, f, up, down, pad):\n    return scipy.signal.convolve(x, f, 'valid')"),
    "the definition in loops": ("10_stylegan3", "filtered", "from minigan.ops import reference\n\n\ndef filtered_lrelu(x, b, fu, fd, up, down, padding, clamp):\n    return reference.filtered_lrelu(x, b, np.outer(fu, fu), np.outer(fd, fd), (up, up), (down, down), tuple(padding), 2**0.5, 0.2, clamp)"),
    "the unchecked one": ("10_stylegan3", "filtered", "from minigan.ops.filtered_lrelu import _filtered_lrelu\n\n\ndef filtered_lrelu(x, b, fu, fd, up, down, padding, clamp):\n    return _filtered_lrelu(x, fu, fd, b, (up, up), (down, down), tuple(padding), clamp=clamp)"),
    "half of it": ("13_measuring", "precision", "from minigan.evaluation.metrics import _covered\n\n\ndef precision_recall(real, fake, k=3):\n    return _covered(fake, real, k), _covered(real, fake, k)"),
    "a penalty with another target": ("09_stylegan2", "r1", "from minigan.losses import gradient_penalty\n\n\ndef r1_penalty(D, images, gamma):\n    return gradient_penalty(D, images, images, np.ones((len(images), 1, 1, 1)), gamma / 2, 0.0)"),
}  # fmt: skip


@pytest.mark.parametrize("what", HELPERS)
def test_the_packages_helpers_that_solve_a_task_are_not_the_students(what):
    name, grade_id, source = HELPERS[what]
    handed_in = submission.parse(nbformat.writes(EXERCISES[name].notebook).encode())
    handed_in.cells[grade_id] = source
    for outcome in grade.grade(EXERCISES[name], handed_in, 3):
        mine = outcome["grade_id"].rsplit("_", 1)[0] == grade_id
        assert ("write this one yourself" in outcome["feedback"]) == mine, outcome

"""Every wrong solution is caught by the checks of its task; every right one passes.

The checks run as plain code from the solution notebooks, hidden tests included: no kernel.
"""

import contextlib
import copy
import functools
import importlib
import pathlib

import nbformat
import numpy as np
import pytest

from minigan.grading import expect
from minigan.grading.cells import check_of, is_solution
from minigan.grading.release import without_hidden_tests

SOLUTIONS = sorted((pathlib.Path(__file__).parent.parent / "solutions").glob("*.ipynb"))


def load(path):
    """The notebook's set-up and model solutions as one namespace; its checks by task."""
    notebook = nbformat.read(path, as_version=4)
    namespace, functions, checks = {}, {}, {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        check = check_of(cell)
        if check:
            checks.setdefault(check.task, []).append(cell.source)
            continue
        before = set(namespace)
        exec(cell.source, namespace)
        if is_solution(cell):
            for name in set(namespace) - before:
                functions[name] = cell.metadata.minigan.task
    return namespace, functions, checks


LOADED = {path.name: load(path) for path in SOLUTIONS}
MUTANTS = [
    pytest.param(path.name, name, function, id=f"{path.name[:2]}-{name}")
    for path in SOLUTIONS
    for name, function in vars(
        importlib.import_module(f"tests.mutants.exercise_{path.name[:2]}")
    ).items()
    if "__" in name.strip("_")
]


def run_checks(notebook, name, function, hidden):
    namespace, functions, checks = LOADED[notebook]
    target = name.split("__")[0]
    namespace = namespace | {target: function}
    for source in checks[functions[target]]:
        exec(source if hidden else without_hidden_tests(source), namespace)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("notebook, name, function", MUTANTS)
@pytest.mark.parametrize("hidden", [True, False], ids=["", "visible"])
def test_mutants_are_caught_and_right_solutions_pass(notebook, name, function, hidden, capsys):
    """With the hidden tests and without: what a student sees must be enough to find the mistake."""
    if name.split("__")[1].startswith("correct_"):
        run_checks(notebook, name, function, hidden)
    else:
        with pytest.raises(AssertionError) as failure:
            run_checks(notebook, name, function, hidden)
        words = str(failure.value)  # got, expected, and the misconception that usually explains it
        assert "usual cause: " in words or "is not it.  " in words


@pytest.mark.parametrize("notebook", LOADED)
def test_model_solutions_pass_and_every_task_has_mutants(notebook, capsys):
    namespace, functions, checks = LOADED[notebook]
    for sources in checks.values():
        fresh = dict(namespace)
        for source in sources:
            exec(source, fresh)
    mutants = [p.values[1] for p in MUTANTS if p.values[0] == notebook]
    for task in checks:
        mine = [m for m in mutants if functions[m.split("__")[0]] == task]
        wrong = [m for m in mine if not m.split("__")[1].startswith("correct_")]
        assert len(wrong) >= 3, task
        assert len(wrong) < len(mine) or task.endswith("Why"), f"{task}: no other right solution"


# ---- what every check does: it copies, it draws, it explains -----------------------------------------


def altered(function, alter):
    """`function`, its result and its arguments given to `alter(result, arguments)`."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return alter(function(*args, **kwargs), [*args, *kwargs.values()])

    return call


def fill(value, number=7):
    if type(value) is np.ndarray and value.flags.writeable:
        value[...] = number
    inner = value.values() if isinstance(value, dict) else value
    for one in inner if isinstance(value, (dict, list, tuple)) else ():
        fill(one, number)


def as_complex(value):
    if isinstance(value, (tuple, list)):
        return tuple(map(as_complex, value))
    if isinstance(value, dict):
        return {name: as_complex(inner) for name, inner in value.items()}
    return value + 0j


EVERY_TASK = [
    pytest.param(path.name, name, id=f"{path.name[:2]}-{name}")
    for path in SOLUTIONS
    for name in sorted(LOADED[path.name][1])  # a set: each worker must have one order
    if name not in ("why", "upfirdn_fast")  # a letter; a kernel, which is looked at, too
]
every_task = pytest.mark.parametrize("notebook, name", EVERY_TASK)


def with_stand_in(notebook, name, alter, hidden=True):
    function = altered(LOADED[notebook][0][name], alter)
    run_checks(notebook, f"{name}__stand_in", function, hidden)


@every_task
def test_no_check_reads_again_what_a_function_had_in_its_reach(notebook, name, capsys):
    """Its arguments and its earlier results: also where the checks run beside it, in a notebook."""
    earlier = []

    def spoils_arguments(result, arguments):
        result = copy.deepcopy(result)
        fill(arguments)
        return result

    def spoils_results(result, arguments):
        fill(earlier)
        earlier[:] = [copy.deepcopy(result)]
        return earlier[0]

    with_stand_in(notebook, name, spoils_results)
    try:
        with_stand_in(notebook, name, spoils_arguments)
    except AssertionError as failure:  # nothing else may be said
        assert " in place" in str(failure)


@every_task
def test_a_forgotten_return_and_complex_numbers_are_said(notebook, name, capsys):
    with pytest.raises(AssertionError, match="(?s)usual cause: `return` is missing"):
        with_stand_in(notebook, name, lambda result, arguments: None, hidden=False)
    if name not in ("r1_penalty", "path_length"):  # whose results are differentiated
        with pytest.raises(AssertionError, match="(?s)is complex.*usual cause"):
            with_stand_in(notebook, name, lambda result, _: as_complex(result), hidden=False)


@every_task
def test_every_task_is_asked_with_numbers_of_the_runs_seed(notebook, name, capsys):
    plain, asked = (np.ndarray, dict, list, tuple, int, float), {1: [], 1.5: [], 2: []}
    for number in asked:

        def remember(result, arguments, number=number):
            asked[number].append(repr([a for a in arguments if isinstance(a, plain)]))
            return result

        with expect.grading(int(number), None), contextlib.suppress(AssertionError):
            with_stand_in(notebook, name, remember)
    assert asked[1] == asked[1.5] != asked[2]

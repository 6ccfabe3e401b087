"""Every wrong solution is caught by the checks of its task; every right one passes.

The checks run as plain code from the solution notebooks, hidden tests included: no kernel.
"""

import importlib
import pathlib

import nbformat
import pytest

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

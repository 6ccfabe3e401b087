"""exercises/ from solutions/: solutions become stubs, hidden tests go, outputs are cleared.

A pure function of the solution notebook, cell ids included, so that making it twice changes nothing
and `--check` can say whether exercises/ is stale.
"""

import copy
import os
import re
import shutil

import nbformat

from minigan import atomic
from minigan.grading.cells import NOT_WRITTEN, check_of, is_solution

_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION\n?", re.M | re.S)
_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS\n?", re.M | re.S
)


def stub(source):
    """The student's version of a solution cell.

    Raises: ValueError if the cell has no ### BEGIN SOLUTION … ### END SOLUTION.
    """
    text, count = _SOLUTION.subn(rf'\1raise NotImplementedError("{NOT_WRITTEN}")\n', source + "\n")
    if not count:
        raise ValueError(
            "a solution cell needs ### BEGIN SOLUTION and ### END SOLUTION:\n" + source
        )
    return text.rstrip("\n")


def without_hidden_tests(source):
    """A check cell's source as the student sees it."""
    return _HIDDEN.sub("", source + "\n").rstrip("\n")


def exercise(solution):
    """The exercise notebook of a solution notebook (both nbformat NotebookNodes).

    Check cells keep their stored output, that of a correct solution, unless they lose a hidden part
    that prints.  Raises: ValueError for a notebook without tasks, or a check left empty.
    """
    notebook = copy.deepcopy(solution)
    grade_ids = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        check = check_of(cell)
        if is_solution(cell):
            cell.source = stub(cell.source)
        if check:
            grade_ids.append(check.grade_id)
            cell.source = without_hidden_tests(cell.source)
            if not cell.source.strip():
                raise ValueError(
                    f"check {check.grade_id!r} is empty once its hidden tests are gone; "
                    "an unwritten answer would pass it"
                )
        else:
            cell.outputs, cell.execution_count = [], None
            if not is_solution(cell):  # so that a student's own cells can be told from it
                cell.metadata["minigan"] = {"setup": True}
    if not grade_ids or len(set(grade_ids)) != len(grade_ids):
        raise ValueError(f"expected graded cells with different grade_ids; found {grade_ids}")
    return notebook


def release(solutions, exercises, check=False):
    """Write exercises/NAME for each solutions/NAME; with `check` only list the stale ones.

    solutions, exercises: pathlib.Path of folders.  Returns the names that differed.
    """
    exercises.mkdir(exist_ok=True)
    sources = sorted(solutions.glob("*.ipynb"))
    stale = sorted({p.name for p in exercises.glob("*.ipynb")} - {p.name for p in sources})
    for name in stale if not check else ():
        (exercises / name).unlink()
    for path in sources:
        text = nbformat.writes(exercise(nbformat.read(path, as_version=4))) + "\n"
        target = exercises / path.name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                with atomic.replacing(target, "w") as file:
                    file.write(text)
    return stale


# What a student gets: the package, the lessons and what they need, the exercises; no solutions,
# mutants or tests.
_STUDENT = ("minigan", "notebooks", "exercises", "docs", "README.md", "LICENSE",
            "Makefile", "pyproject.toml", "environment.yml")  # fmt: skip
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.egg-info")


def hand_out(root, target):
    """Write the students' folder: all of it, or nothing.

    Raises: FileExistsError if `target` exists, ValueError if exercises/ is stale.
    """
    if target.exists():
        raise FileExistsError(f"--student: {target} exists already; name a new folder")
    stale = release(root / "solutions", root / "exercises", check=True)
    if stale:
        raise ValueError(f"stale: {', '.join(stale)}.  Run: python -m minigan.grading release")
    temporary = target.with_name(target.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in _STUDENT:
        if (root / name).is_dir():
            shutil.copytree(root / name, temporary / name, ignore=_LEFT_OUT)
        else:
            shutil.copy2(root / name, temporary / name)
    os.replace(temporary, target)

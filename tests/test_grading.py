"""Making exercises, and grading one with a real `pytest --nbval`."""

import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from minigan.grading import cells, expect, plugin, release, wire, worker

ROOT = pathlib.Path(__file__).parent.parent
EXERCISES = sorted((ROOT / "exercises").glob("*.ipynb"))


def pytest_nbval(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def grade_tables(run):
    """What the plugin printed, without pytest's own sections around it."""
    return run.stdout[run.stdout.index("= grades:") :].split("short test summary info")[0]


def graded(**changes):
    meta = {"nbgrader": {"grade": True, "grade_id": "a", "points": 2}, "minigan": {"task": "1"}}
    cell = nbformat.v4.new_code_cell(
        "check()\n### BEGIN HIDDEN TESTS\nsecret()\n### END HIDDEN TESTS\n"
    )
    cell.metadata.update(meta | changes)
    return cell  # fmt: skip


# ---- release ----------------------------------------------------------------------------------------


def test_stub_keeps_all_but_the_solution():
    source = (
        'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION'
    )
    expected = 'def f(x):\n    """Doc."""\n    raise NotImplementedError("not yet written")'
    assert release.stub(source) == expected
    assert release.stub(source + "\n\n\n" + source).count("not yet written") == 2
    with pytest.raises(ValueError, match="needs ### BEGIN"):
        release.stub("def f(x):\n    return 2 * x")


def test_exercise_hides_and_clears_and_keeps_ids():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1"), graded()])
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="2")]
    made = release.exercise(notebook)
    assert made.cells[0].metadata == {"minigan": {"setup": True}}
    assert made.cells[1].source == "check()" and made.cells[0].outputs == []
    assert [c.id for c in made.cells] == [c.id for c in notebook.cells]
    assert "secret" in notebook.cells[1].source  # the solution is left alone


def test_a_check_that_would_pass_unwritten_is_refused():
    cell = graded()
    cell.source = cell.source.replace("check()\n", "")
    with pytest.raises(ValueError, match="'a' is empty once its hidden tests are gone"):
        release.exercise(nbformat.v4.new_notebook(cells=[cell]))
    with pytest.raises(ValueError, match="different grade_ids; found"):
        release.exercise(nbformat.v4.new_notebook(cells=[graded(), graded()]))
    with pytest.raises(ValueError, match="its metadata needs"):
        release.exercise(nbformat.v4.new_notebook(cells=[graded(minigan={})]))


def test_exercises_are_those_of_the_solutions(tmp_path):
    assert release.release(ROOT / "solutions", ROOT / "exercises", check=True) == []
    made = release.release(ROOT / "solutions", tmp_path)
    assert made == [p.name for p in EXERCISES]
    assert release.release(ROOT / "solutions", tmp_path) == []
    (tmp_path / made[0]).write_text("old")
    (tmp_path / "99_gone.ipynb").write_text("{}")
    stale = release.release(ROOT / "solutions", tmp_path, check=True)
    assert sorted(stale) == [made[0], "99_gone.ipynb"]


@pytest.mark.parametrize("path", EXERCISES, ids=lambda p: p.stem)
def test_metadata_is_nbgraders(path):
    keys = {"schema_version", "grade", "grade_id", "locked", "points", "solution", "task",
            "cell_type"}  # fmt: skip
    notebook = nbformat.read(path, as_version=4)
    marked = [c for c in notebook.cells if "nbgrader" in c.metadata]
    assert all(set(c.metadata.nbgrader) == keys for c in marked)
    assert {c.metadata.nbgrader.schema_version for c in marked} == {3}
    solutions = [c for c in marked if cells.is_solution(c)]
    assert all(cells.NOT_WRITTEN in c.source and "SOLUTION" not in c.source for c in solutions)
    assert not any("HIDDEN" in c.source for c in notebook.cells)
    tasks = {cells.check_of(c).task for c in marked if cells.check_of(c)}
    assert tasks == {c.metadata.minigan.task for c in solutions}
    for c in solutions:  # the package's own answers exist under these names
        for name in c.metadata.minigan.answers:
            owner, attribute = worker._find(name)  # as the guard does
            assert callable(getattr(owner, attribute))


# ---- expect -----------------------------------------------------------------------------------------


class Liar:
    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    "check, message",
    [
        (lambda: expect.array("y", [1, 2], (2,)), r"(?s)y is not an array.*got: +list"),
        (lambda: expect.array("y", Liar(), (2,)), r"(?s)y is not an array.*got: +Liar"),
        (lambda: expect.array("y", np.ones(3), (2,)), r"(?s)wrong shape.*\(3,\).*\(2,\)"),
        (lambda: expect.array("y", np.ones(2), (2,), np.float32), r"(?s)wrong dtype.*float64"),
        (lambda: expect.array("y", np.array([np.nan]), (1,)), r"(?s)not numbers.*1 NaN"),
        (
            lambda: expect.close("y", np.array([1.0, 2.0]), np.array([1.0, 3.0]), usual="oops"),
            r"(?s)the values are not.*2 at \[1\].*3.*usual cause: oops",
        ),
        (lambda: expect.close("y", Liar(), 1.0), "y is not an array"),
        (
            lambda: expect.close("y", np.array([1.2, 100.0]), np.array([1.0, 90.0]), rtol=0.15),
            r"(?s)got: +1.2 at \[0\].*expected: +1$",  # 100 is farther away, and near enough
        ),
        (lambda: expect.close("y", 1 + 0j, 1.0), r"(?s)y is complex.*usual cause: .*real part"),
        (lambda: expect.close("y", np.ones(2) + 0j, np.ones(2)), "y is complex"),
        (
            lambda: expect.array("y", np.array([1.0, np.ones(2)], object), (2,)),
            "(?s)array of objects.*no number",
        ),
        (
            lambda: expect.array("y", wire.foreign("ndarray"), (2,)),
            "(?s)array of objects.*got: +dtype object",
        ),
        (lambda: expect.close("y", None, 1.0), "(?s)y is nothing.*`return` is missing"),
        (lambda: expect.several("y", None, 2), "(?s)y is nothing.*`return` is missing"),
        (lambda: expect.several("y", np.float64(2), 2), r"(?s)not 2 things.*got: +float64\n"),
        (lambda: expect.several("y", (1, 2, 3), 2), r"(?s)not 2 things.*got: +tuple of 3"),
        (lambda: expect.named("y", None, ["a", "b"]), "(?s)y is nothing.*a dict with a, b"),
        (lambda: expect.named("y", {"a": 1}, ["a", "b"]), r"(?s)not a dict with a, b.*got: +a\n"),
        (
            lambda: expect.on_copies(lambda x, y: x.sort())(np.array([2.0, 1.0]), 3),
            r"(?s)changed its argument in place: x\n.*usual cause",
        ),
        (lambda: expect.on_copies(lambda p: p["a"].fill(7))({"a": np.ones(2)}), "in place: p\n"),
        (lambda: expect.on_copies(lambda *a, k: k.append(1))(1, k=[]), "in place: k\n"),
        (lambda: expect.on_copies(np.copyto)(np.ones(2), 7), "in place: number 1\n"),
        (lambda: expect.true("it holds", Liar(), "a", "b"), r"(?s)it holds.*got: +a"),
        (lambda: expect.choice("why", "b", "c", {"b": "No."}), r"why: b is not it.  No\."),
        (lambda: expect.choice("why", Liar(), "c", {"b": "No."}), r"(?s)not one of.*b, c"),
    ],
)
def test_a_failing_check_says_got_and_expected(check, message):
    with pytest.raises(AssertionError, match=message):
        check()


def test_in_a_notebook_a_check_shows_its_words_alone(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[graded(), graded()])
    notebook.cells[
        0
    ].source = "from minigan.grading import expect\nexpect.close('y', 1.0, 2.0, 'oops')"
    notebook.cells[1].source = "from minigan.grading import expect\nexpect.close('y', 2.0, 2.0)"
    NotebookClient(notebook, allow_errors=True).execute()
    (error,) = notebook.cells[0].outputs
    assert "\n".join(error.traceback) == f"✗ {error.evalue}" and "usual cause: oops" in error.evalue
    assert notebook.cells[1].outputs == []


def test_passing_checks_pass():
    expect.close("y", np.float32(1.0), 1.0)
    expect.true("it holds", np.bool_(True), "a", "b")
    expect.choice("why", "c", "c", {"b": "No."})
    expect.close("y", 1, 1.0)
    assert expect.several("y", [1, 2], 2) == [1, 2]
    assert len(expect.several("y", np.ones((2, 3)), 2)) == 2
    assert expect.named("y", {"b": 1, "a": 2}, ["a", "b"])


def test_a_check_keeps_its_arrays_and_the_results_it_has_got():
    x, earlier = np.ones(2), np.zeros(2)
    call = expect.on_copies(lambda x: (x, earlier))
    same, got = call(x)
    same[:], earlier[:] = 7, 7
    assert x.max() == 1 and got.max() == 0
    assert expect.on_copies(call).student is call.student  # a check run twice


# ---- the plugin -------------------------------------------------------------------------------------


def test_grade_table():
    outcome = {"cell": 9, "task": "1 · A", "points": 1, "earned": 1, "feedback": ""}
    other = outcome | {"cell": 11, "points": 2.5, "earned": 0, "feedback": "no\nno"}
    second = {"cell": 20, "task": "2 · B", "points": 1, "earned": 0, "feedback": "never"}
    assert plugin.grade_table([second, other, outcome]) == [
        "1 · A  1 / 3.5",
        "    no",
        "    no",
        "2 · B  0 / 1",
        "    never",
        "total  1 / 4.5",
    ]


def test_exercises_as_shipped_score_zero_and_nothing_else_fails():
    run = pytest_nbval("--nbval", "-n", "2", "--dist", "loadfile", "exercises")
    table = grade_tables(run)
    assert run.returncode == 1
    for path in EXERCISES:
        checks = [cells.check_of(c) for c in nbformat.read(path, as_version=4).cells]
        checks = [check for check in checks if check]
        mine = table[table.index(f"grades: {path.name}") :].split("= grades:")[0]
        total = sum(check.points for check in checks)
        assert f"  0 / {total:g}" in mine and mine.count("not yet written") == len(
            {check.task for check in checks}
        )
        failed = re.findall(rf"FAILED exercises/{path.name}::", run.stdout)
        assert len(failed) == len(checks)  # the graded cells, no other
    assert "error" not in run.stdout.lower().replace("notimplementederror", "")


def grade_with(tmp_path, folder, answers, *options):
    """Grade exercise 02 from `folder` with the solution cells in `answers` {grade_id: source}."""
    name = "02_mapping_and_adain.ipynb"
    notebook = nbformat.read(ROOT / folder / name, as_version=4)
    cells_by_id = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in notebook.cells}
    for grade_id, source in answers.items():
        cells_by_id[grade_id].source = source
    nbformat.write(notebook, tmp_path / name)
    run = pytest_nbval("--nbval", *options, tmp_path / name, cwd=tmp_path)
    return run, grade_tables(run)


def test_partial_credit_and_feedback(tmp_path):
    """A student who has solved task 1, got task 2 wrong, and left the rest."""
    solved = nbformat.read(ROOT / "solutions" / "02_mapping_and_adain.ipynb", as_version=4)
    (adain,) = [c for c in solved.cells if c.source.startswith("def adain(")]
    too_short = "def pixel_norm(z):\n    return z / np.sqrt((z**2).sum(axis=1, keepdims=True))"
    answers = {"adain": adain.source, "pixel_norm": too_short}
    run, table = grade_with(tmp_path, "exercises", answers)
    assert re.search(r"1 · AdaIN +3 / 3", table)
    assert re.search(r"2 · PixelNorm +0 / 2", table) and "the sum was taken instead of" in table
    assert re.search(r"3 · Noise +0 / 2\n +not yet written", table)
    assert re.search(r"total +3 / 11", table)
    assert "Traceback" not in run.stdout  # the check's words, not the kernel's traceback


def test_an_endless_loop_and_a_dead_kernel_cost_their_own_tasks(tmp_path):
    answers = {
        "adain": "def adain(x, scale, bias):\n    while True:\n        pass",
        "pixel_norm": "import os\ndef pixel_norm(z):\n    os._exit(3)",
    }
    run, table = grade_with(tmp_path, "solutions", answers, "--grading-limits", "cell=2")
    assert re.search(r"1 · AdaIN +0 / 3\n +stopped after 2 s: a loop", table), table
    assert re.search(r"2 · PixelNorm +0 / 2\n +the kernel ended itself \(exit status 3\)", table)
    assert re.search(r"3 · Noise +2 / 2", table)


def test_what_is_printed_warned_or_stored_costs_nothing(tmp_path):
    loud = (
        "import sys, warnings\n{}\n    print('x' * 100, file=sys.stderr)\n    warnings.warn('careful')\n"
        "    print('checked')\n    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)"
    ).format("def pixel_norm(z):")  # fmt: skip
    run, table = grade_with(tmp_path, "exercises", {"pixel_norm": loud})
    assert re.search(r"2 · PixelNorm +2 / 2", table), table


def test_an_exception_and_a_function_that_was_never_defined_are_named(tmp_path):
    answers = {
        "adain": "def adain(x, scale, bias):\n    return x * scale",
        "pixel_norm": "def pixel_norm(z) return z",  # a syntax error, so there is no pixel_norm
    }
    run, table = grade_with(tmp_path, "exercises", answers)
    assert "ValueError: operands could not be broadcast" in table
    assert "its cell did not run: SyntaxError" in table


def test_the_plugin_does_nothing_without_nbval(tmp_path):
    shutil.copy(EXERCISES[0], tmp_path)
    (tmp_path / "test_one.py").write_text(
        "import os\ndef test_one(request):\n"
        "    assert not request.config.pluginmanager.hasplugin('minigan-grading-run')\n"
    )
    run = pytest_nbval(tmp_path, cwd=tmp_path)
    assert "1 passed" in run.stdout and "grades" not in run.stdout


# ---- before handing in, and what is handed out -------------------------------------------------------


def grading(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "minigan.grading", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_validate_says_what_the_grader_will_say(tmp_path):
    notebook = nbformat.read(EXERCISES[0], as_version=4)
    cell = next(c for c in notebook.cells if c.source.startswith("def pixel_norm"))
    cell.source = "def pixel_norm(z):\n    return z / length(z)"
    helper = "def length(z):\n    return np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)"
    notebook.cells.insert(3, nbformat.v4.new_code_cell(helper))
    path = tmp_path / EXERCISES[0].name
    nbformat.write(notebook, path)
    alone = grading("validate", path, cwd=tmp_path)  # a student has no solutions/
    assert alone.returncode == 1 and "(the visible checks only" in alone.stdout
    with_hidden = grading("validate", path)
    for run in (alone, with_hidden):
        assert re.search(r"2 · PixelNorm +0 / 2\n +your cell uses 'length', defined in a cell that is not "
                         r"handed in \(number 4\): move it here", run.stdout), run.stdout  # fmt: skip
    cell.source += "\n\n" + helper
    nbformat.write(notebook, path)
    assert re.search(r"2 · PixelNorm +2 / 2", grading("validate", path).stdout)


def test_validate_refuses_what_is_no_exercise(tmp_path):
    for path, words in [(ROOT / "README.md", "is no JSON"), (tmp_path / "x.ipynb", "not handed in"),
                        (ROOT / "notebooks" / "00_start_here.ipynb", "the right notebook")]:  # fmt: skip
        run = grading("validate", path)
        assert run.returncode == 1 and words in run.stderr and "Traceback" not in run.stderr


def test_the_hand_out_holds_no_answers(tmp_path):
    assert grading("release", "--student", tmp_path / "out").returncode == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"minigan", "notebooks", "exercises", "README.md"} <= names
    assert not names & {"solutions", "tests", "runs", ".git"}
    for path in (tmp_path / "out").rglob("*.ipynb"):
        assert "BEGIN SOLUTION" not in path.read_text() and "HIDDEN TESTS" not in path.read_text()
    again = grading("release", "--student", tmp_path / "out")
    assert again.returncode == 1 and "exists already; name a new folder" in again.stderr

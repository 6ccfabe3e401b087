"""One submission against one exercise: the points of each check, and why they were not earned.

The checks run here, in the grader's process, hidden ones included.  The functions they call are
stand-ins: arguments go to the student's process and plain arrays come back (`kernel.py`,
`wire.py`), so neither a check nor what it expects is ever where the student's code runs.
"""

import ast
import contextlib
import dataclasses
import inspect
import linecache
import re
import textwrap

from minigan.grading import expect, submission
from minigan.grading.cells import NOT_WRITTEN, check_of, is_solution
from minigan.grading.kernel import CannotStart, Ended, Kernel, Remote, Spent, StudentError
from minigan.grading.sandbox import PACKAGE, Limits
from minigan.grading.worker import NOT_YOURS

_DEF = re.compile(r"^def +(\w+)\(([^)]*)", re.M)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")

DEFAULT = Limits()


@dataclasses.dataclass
class Exercise:
    """The instructor's copy of an exercise, taken apart.  Raises: ValueError if incomplete."""

    name: str  # the file's, without .ipynb
    notebook: object  # nbformat's NotebookNode

    def __post_init__(self):
        code = [c for c in self.notebook.cells if c.cell_type == "code"]
        self.code = code
        given = {name for c in code if not is_solution(c) and check_of(c) is None
                 for name in submission.defined(c.source)}  # fmt: skip
        self.solutions = {c.metadata.nbgrader.grade_id: c for c in code if is_solution(c)}
        self.checks = [check for check in map(check_of, code) if check]
        self.functions = {}  # function -> grade_id of the first cell that defines it
        self.parameters = {}  # function -> the names of its arguments
        for grade_id, cell in self.solutions.items():
            for name in submission.defined(cell.source, imports=False) - given:
                self.functions.setdefault(name, grade_id)
            for name, inside in _DEF.findall(cell.source):
                self.parameters[name] = re.findall(r"(?:^|,)[\s*]*(\w+)", inside)
        if not self.checks or not self.solutions:
            raise ValueError(f"{self.name} has no graded cells")

    def answers(self, grade_id):
        """The package functions that would do this cell's task."""
        return list(self.solutions[grade_id].metadata.minigan.get("answers", ()))


def own(path, limits=DEFAULT):
    """(`Exercise`, `Submission`) of one notebook: its own checks, and what it hands in.

    If its marks are lost the checks are those of the exercise of its name that came with this
    package.

    Raises: ValueError in words if nothing of it can be graded.
    """
    data = submission.content(path, limits.notebook)
    handed_in = submission.parse(data)
    original = PACKAGE.parent / "exercises" / path.name
    lost = handed_in.problem == submission.UNMARKED and original.is_file()
    if lost and not original.samefile(path):
        exercise, _ = own(original)
        handed_in = submission.parse(data, exercise)
    if handed_in.problem:
        raise ValueError(handed_in.problem)
    if lost:
        return exercise, handed_in
    try:
        notebook = submission.notebook_of(data)
        for cell in notebook.cells:
            if is_solution(cell):  # whatever its kind is now, the task asks for it
                cell.cell_type = "code"
        marks = [cell.metadata.get("minigan", {}) for cell in notebook.cells]
        if any("setup" in mark for mark in marks):  # made by `release`: what it has not marked is
            pairs = zip(notebook.cells, marks, strict=True)  # the student's, and not handed in
            notebook.cells = [cell for cell, mark in pairs if mark]
        exercise = Exercise(path.stem, notebook)
        return exercise, submission.parse(data, exercise)
    except Exception as error:
        raise ValueError(f"not an exercise: {type(error).__name__}: {error}") from error


def not_graded(exercise, why):
    """The outcomes of a submission that could not be graded, or not read."""
    return [_outcome(check, why) for check in exercise.checks]


def grade(exercise, handed_in, seed=0, limits=DEFAULT):
    """A dict for each check: task, grade_id, points, earned, feedback.

    exercise: an `Exercise`; handed_in: a `Submission`; seed: of the random inputs.
    Raises: CannotStart if this machine, or these limits, let no student's process start.
    """
    if handed_in.problem:
        return not_graded(exercise, handed_in.problem)
    run = _Run(exercise, handed_in, limits)
    try:
        with expect.grading(seed, run.ship):
            return run.outcomes()
    finally:
        run.kernel.close()


class _Run:
    """One pass through the instructor's notebook with a student's functions, in its order: a cell
    is defined, its checks are run, then the next, as in the student's notebook."""

    def __init__(self, exercise, handed_in, limits):
        self.exercise, self.handed_in = exercise, handed_in
        self.kernel = Kernel(limits, self.prepare)
        self.done = 0  # of the exercise's code cells
        self.latest = None  # grade_id of the student's latest cell in this process
        self.broken = {}  # grade_id -> why this cell did not run
        self.harnesses = {}  # name -> source

    def prepare(self, kernel):
        """Bring a new process to where the notebook is."""
        self.latest = None
        if all(map(self.define, self.exercise.code[: self.done])):
            for name, source in self.harnesses.items():
                kernel.harness(name, source, self.exercise.functions)

    def define(self, cell):
        """Run a cell in the student's process; False if that has ended."""
        student = is_solution(cell)
        if student:
            grade_id = cell.metadata.nbgrader.grade_id
            source = self.handed_in.cells.get(grade_id)
            if source is None or grade_id in self.broken:
                return True
        elif check_of(cell) or submission.mentions(cell.source, self.exercise.functions.keys()):
            return True
        else:
            source = cell.source
        self.kernel.fresh_allowance()
        if self.latest is None and not student:  # how long it takes to start is not their affair
            self.kernel.allowance = max(60, self.kernel.allowance)
        # every answer is guarded before the first cell, which might keep one for a later task
        answers = [name for g in self.exercise.solutions for name in self.exercise.answers(g)]
        try:
            self.kernel.define(source, student, answers)
        except StudentError as error:
            ended = isinstance(error, Ended) and not isinstance(error, Spent)
            to_blame = grade_id if student else self.latest
            if ended and to_blame is None:
                raise CannotStart(f"no student's process can start: {error.text} while the set-up "
                                  "ran.  Are the limits too low?") from None  # fmt: skip
            if student or ended:
                self.broken[to_blame] = f"its cell did not run: {self.words(error)}"
            if ended:
                return False
        if student:
            self.latest = grade_id
        return True

    def ship(self, function):
        """`expect.in_kernel` while grading: a function that runs beside the student's."""
        source = textwrap.dedent(inspect.getsource(function))
        (tree,) = ast.parse(source).body
        tree.decorator_list = []
        source = ast.unparse(tree)
        self.harnesses[function.__name__] = source
        if self.kernel.process is not None:
            self.kernel.harness(function.__name__, source, self.exercise.functions)
        return Remote(self.kernel, f"beside {function.__name__}", self.answers,
                      list(inspect.signature(function).parameters), function.__name__)  # fmt: skip

    def outcomes(self):
        """Run the notebook; collect what came of its checks."""
        namespace, out = {"__name__": "__main__", "print": lambda *a, **k: None}, []
        for cell in self.exercise.code:
            check = check_of(cell)
            self.define(cell)
            self.done += 1
            self.kernel.fresh_allowance()
            if is_solution(cell):
                grade_id = cell.metadata.nbgrader.grade_id
                answers = self.exercise.answers(grade_id)
                for name, owner in self.exercise.functions.items():
                    if owner == grade_id:
                        parameters = self.exercise.parameters.get(name, ())
                        namespace[name] = Remote(self.kernel, name, answers, parameters)
            elif check is None:
                with contextlib.suppress(Exception):  # a demonstration may fail with the student's
                    exec(cell.source, namespace)
            else:
                self.answers = self.answers_of(check.task)
                out.append(_outcome(check, self.run(check, cell.source, namespace)))
        return out

    def answers_of(self, task):
        return [name for grade_id, cell in self.exercise.solutions.items()
                if cell.metadata.minigan.task == task
                for name in self.exercise.answers(grade_id)]  # fmt: skip

    def run(self, check, source, namespace):
        """None if the check passes, else why not."""
        tasks = {cell.metadata.minigan.task for cell in self.exercise.solutions.values()}
        if check.task not in tasks:  # in the student's own view
            return "no cell is marked as this task's solution: begin with a fresh copy"
        for grade_id, cell in self.exercise.solutions.items():
            if cell.metadata.minigan.task == check.task:
                if grade_id not in self.handed_in.cells:
                    missing = (f"the cell {grade_id!r} is missing: begin with a fresh copy of the "
                               "exercise and put your answer there")  # fmt: skip
                    return self.handed_in.unfit.get(grade_id, missing)
                if grade_id in self.broken:
                    return self.broken[grade_id]
        filename = f"<check {check.grade_id}>"
        self.kernel.returned = ""
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        try:
            exec(compile(source, filename, "exec"), namespace)
        except CannotStart:
            raise
        except StudentError as error:
            return self.words(error)
        except AssertionError as error:
            return str(error) or "a check without words failed"
        except Exception as error:  # the check tripped over what came back
            said = f"{type(error).__name__}: {error}"
            if not self.kernel.returned:
                return said
            return (f"{self.kernel.returned}, which the check cannot use: is a return missing?\n"
                    f"  {said}")  # fmt: skip
        return None

    def words(self, error):
        """A student's error, for a student."""
        if error.ename == "NotImplementedError" and error.text == NOT_WRITTEN:
            return NOT_WRITTEN
        if error.ename == "PermissionError" and NOT_YOURS in error.text:
            return error.text
        if error.ename == "NameError" and error.name in self.handed_in.elsewhere:
            return (f"your cell uses {error.name!r}, defined in a cell that is not handed in "
                    f"(number {self.handed_in.elsewhere[error.name]}): move it here")  # fmt: skip
        where = f" (line {error.line} of the cell)" if error.line else ""
        return f"{error}{where}"


def clean(text, most=2000):
    """Text from a student's code, safe to print: no control characters, not endless."""
    text = _ANSI.sub("", text).replace("\t", "    ")
    text = "".join(c for c in text if c == "\n" or c.isprintable())
    return text if len(text) <= most else text[:most] + " …"


def _outcome(check, why):
    passed = why is None
    return {"task": check.task, "grade_id": check.grade_id, "points": check.points,
            "earned": check.points if passed else 0,
            "feedback": "" if passed else clean(why).strip() or "failed without words"}  # fmt: skip

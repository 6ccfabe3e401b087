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

from minigan.grading import expect
from minigan.grading.cells import NOT_WRITTEN, check_of, is_solution
from minigan.grading.kernel import Ended, Kernel, Remote, StudentError
from minigan.grading.sandbox import Limits
from minigan.grading.submission import defined, mentions
from minigan.grading.worker import NOT_YOURS

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")

DEFAULT = Limits()


@dataclasses.dataclass
class Exercise:
    """The instructor's copy of an exercise, taken apart.  Raises: ValueError if incomplete."""

    name: str  # the file's, without .ipynb
    notebook: object  # nbformat's NotebookNode

    def __post_init__(self):
        code = [c for c in self.notebook.cells if c.cell_type == "code"]
        self.solutions = {c.metadata.nbgrader.grade_id: c for c in code if is_solution(c)}
        self.checks = [check for check in map(check_of, code) if check]
        self.functions = {}  # function -> grade_id of its cell
        for grade_id, cell in self.solutions.items():
            for name in defined(cell.source):
                self.functions[name] = grade_id
        self.code = code
        if not self.checks or not self.solutions:
            raise ValueError(f"{self.name} has no graded cells")

    def answers(self, grade_id):
        """The package functions that would do this cell's task."""
        return list(self.solutions[grade_id].metadata.minigan.get("answers", ()))

    def is_setup(self, cell):
        return not is_solution(cell) and check_of(cell) is None


def grade(exercise, submission, seed=0, limits=DEFAULT):
    """A dict for each check: task, grade_id, points, earned, feedback.

    exercise: an `Exercise`; submission: a `submission.Submission`; seed: of the random inputs.
    """
    if submission.problem:
        return [_outcome(check, submission.problem) for check in exercise.checks]
    run = _Run(exercise, submission, limits)
    try:
        with expect.grading(seed, run.ship):
            return run.outcomes()
    finally:
        run.kernel.close()


class _Run:
    """One pass through the instructor's notebook with a student's functions."""

    def __init__(self, exercise, submission, limits):
        self.exercise, self.submission = exercise, submission
        self.kernel = Kernel(limits, self.prepare)
        self.broken = {}  # grade_id -> why this cell did not run
        self.harnesses = {}  # name -> source

    def prepare(self, kernel):
        """Bring a new process to where the checks begin: set-up cells, then the solution cells."""
        names = set(self.exercise.functions)
        for cell in self.exercise.code:
            if self.exercise.is_setup(cell) and not mentions(cell.source, names):
                with contextlib.suppress(StudentError):
                    kernel.define(cell.source)
        # every answer is guarded before the first cell, which might keep one for a later task
        answers = [name for g in self.exercise.solutions for name in self.exercise.answers(g)]
        for grade_id in self.exercise.solutions:
            source = self.submission.cells.get(grade_id)
            if source is None or grade_id in self.broken:
                continue
            kernel.fresh_allowance()
            try:
                kernel.define(source, student=True, answers=answers)
            except StudentError as error:
                self.broken[grade_id] = f"its cell did not run: {self.words(error)}"
                if isinstance(error, Ended):
                    return kernel.restart()
        for name, source in self.harnesses.items():
            kernel.harness(name, source, self.exercise.functions)

    def ship(self, function):
        """`expect.in_kernel` while grading: a function that runs beside the student's."""
        source = textwrap.dedent(inspect.getsource(function))
        (tree,) = ast.parse(source).body
        tree.decorator_list = []
        source = ast.unparse(tree)
        self.harnesses[function.__name__] = source
        if self.kernel.process is not None:
            self.kernel.harness(function.__name__, source, self.exercise.functions)
        return Remote(self.kernel, f"beside {function.__name__}", self.answers, function.__name__)

    def outcomes(self):
        """Run the notebook; collect what came of its checks."""
        self.kernel.start()
        namespace, out = {"__name__": "__main__", "print": lambda *a, **k: None}, []
        for cell in self.exercise.code:
            check = check_of(cell)
            if is_solution(cell):
                grade_id = cell.metadata.nbgrader.grade_id
                for name in defined(cell.source):
                    answers = self.exercise.answers(grade_id)
                    namespace[name] = Remote(self.kernel, name, answers)
                continue
            self.kernel.fresh_allowance()
            if check is None:
                with contextlib.suppress(Exception):  # a demonstration may fail with the student's
                    exec(cell.source, namespace)
                continue
            self.answers = self.answers_of(check.task)
            out.append(_outcome(check, self.run(check, cell.source, namespace)))
        return out

    def answers_of(self, task):
        return [name for grade_id, cell in self.exercise.solutions.items()
                if cell.metadata.minigan.task == task
                for name in self.exercise.answers(grade_id)]  # fmt: skip

    def run(self, check, source, namespace):
        """ "" if the check passes, else why not."""
        for grade_id, cell in self.exercise.solutions.items():
            if cell.metadata.minigan.task == check.task:
                if grade_id not in self.submission.cells:
                    return (f"the cell {grade_id!r} is missing: begin with a fresh copy of the "
                            "exercise and put your answer there")  # fmt: skip
                if grade_id in self.broken:
                    return self.broken[grade_id]
        filename = f"<check {check.grade_id}>"
        linecache.cache[filename] = len(source), None, source.splitlines(True), filename
        try:
            exec(compile(source, filename, "exec"), namespace)
        except StudentError as error:
            return self.words(error)
        except AssertionError as error:
            return str(error) or "a check without words failed"
        except Exception as error:  # the check tripped over what came back
            return f"{type(error).__name__}: {error}"
        return ""

    def words(self, error):
        """A student's error, for a student."""
        if error.ename == "NotImplementedError" and error.text == NOT_WRITTEN:
            return NOT_WRITTEN
        if error.ename == "PermissionError" and NOT_YOURS in error.text:
            return error.text
        if error.ename == "NameError" and error.name in self.submission.elsewhere:
            return (f"your cell uses {error.name!r}, defined in a cell that is not handed in "
                    f"(number {self.submission.elsewhere[error.name]}): move it here")  # fmt: skip
        where = f" (line {error.line} of the cell)" if error.line else ""
        return f"{error}{where}"


def clean(text, most=2000):
    """Text from a student's code, safe to print: no control characters, not endless."""
    text = _ANSI.sub("", text)
    text = "".join(c for c in text if c == "\n" or c.isprintable())
    return text if len(text) <= most else text[:most] + " …"


def _outcome(check, why):
    return {"task": check.task, "grade_id": check.grade_id, "points": check.points,
            "earned": 0 if why else check.points, "feedback": clean(why)}  # fmt: skip

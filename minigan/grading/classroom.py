"""`pytest --nbval --submissions DIR`: a class as a tree of pytest items, a check each.

The first item of a submission grades all of it (`grade.py`), or waits for the Dask worker that
does; the others report what came of their check.  The points travel in `user_properties`, so
pytest-xdist may run submissions side by side (`-n 2 --dist loadfile`), and the report is the same.

pytest itself is shown the folder solutions/, never DIR: it would load a conftest.py it finds there.
"""

import dataclasses
import functools
import pathlib
import secrets
import subprocess
import sys

import nbformat
import pytest

from minigan.grading import report, sandbox, submission
from minigan.grading.grade import grade, not_graded, own
from minigan.grading.kernel import CannotStart
from minigan.grading.plugin import KEY
from minigan.grading.roster import exercises, roster


def limits_of(text):
    """`sandbox.Limits` from "cell=20,memory=2048".  Raises: ValueError."""
    changes = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        known = {"cell": float, "total": float, "processes": int}
        if name in known:
            changes[name] = known[name](value)
        elif name in ("memory", "files", "notebook"):
            changes[name] = int(value) * sandbox.MEBI
        else:
            raise ValueError(f"--grading-limits: {name!r} is none of cell, total, memory, files, "
                             "processes, notebook")  # fmt: skip
        if not changes[name] > 0:
            raise ValueError(f"--grading-limits: {name} must be above 0, got {value}")
    return sandbox.Limits(**changes)


class Classroom:
    """The plugin that is there under --submissions."""

    def __init__(self, config):
        self.config = config
        self.folder = pathlib.Path(config.option.submissions).resolve()
        self.solutions = config.invocation_params.dir / "solutions"
        if config.option.grading_seed is None:
            config.option.grading_seed = secrets.randbelow(1 << 32)
        self.seed = config.option.grading_seed
        try:
            folders = [config.invocation_params.dir, self.solutions, self.folder,
                       config.option.feedback or ".",
                       *(pathlib.Path(name).parent for name in config.option.grades)]  # fmt: skip
            hidden = sorted({str(pathlib.Path(name).resolve()) for name in folders})
            self.limits = dataclasses.replace(
                limits_of(config.option.grading_limits), hidden=tuple(hidden)
            )
            for path in config.option.grades:
                report.writer(path)
            self.exercises = exercises(self.solutions)
            self.entries, self.nobodys = roster(self.folder, self.exercises)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        self.worker = hasattr(config, "workerinput")
        self.futures, self.client = {}, None
        config.args = [str(self.solutions)]
        config.option.tbstyle, config.option.reportchars = "no", ""  # the tables say it

    def pytest_report_header(self):
        lines = [f"grading seed: {self.seed}   (repeat with --grading-seed {self.seed})"]
        return lines + sandbox.isolation()

    def pytest_sessionstart(self):
        """The instructor's own solutions must pass, with this seed and on this machine."""
        if self.worker:
            return
        warm()
        for name in sorted({entry.exercise for entry in self.entries}):
            exercise = self.exercises[name]
            model = submission.parse(nbformat.writes(exercise.notebook).encode())
            try:
                outcomes = grade(exercise, model, self.seed, self.limits)
            except CannotStart as error:
                raise pytest.UsageError(f"nothing was graded: {error}") from error
            for outcome in outcomes:
                if outcome["feedback"]:
                    raise pytest.UsageError(
                        f"solutions/{name}.ipynb itself fails its check {outcome['grade_id']!r}, "
                        f"so nothing was graded:\n{outcome['feedback']}"
                    )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path, parent):
        if path == self.solutions:
            return Folder.from_parent(parent, path=path)

    def pytest_collection_finish(self, session):
        if self.config.option.dask and not self.worker:
            from minigan.grading import dask

            files = dict.fromkeys(item.parent for item in session.items)
            self.client = dask.connect(self.config.option.dask)
            self.futures = {file: dask.submit(self.client, self, file.entry) for file in files}

    def pytest_sessionfinish(self, session):
        if self.client is not None:
            self.client.close()

    def grade(self, file):
        """What is said of one collected file: its outcomes, remarks, and whether it was graded."""
        exercise, graded = self.exercises[file.entry.exercise], file.entry.whole
        handed_in = submission.read(file.entry.path, self.limits.notebook, exercise)
        try:
            if file in self.futures:
                outcomes = self.futures[file].result()
            else:
                outcomes = grade(exercise, handed_in, self.seed, self.limits)
        except Exception as error:  # one student's row, and the run goes on
            graded = False
            outcomes = not_graded(exercise, f"NOT GRADED: {type(error).__name__}: {error}")
        remarks = [*file.entry.remarks, *handed_in.remarks]
        return [{"student": file.entry.student, "exercise": file.entry.exercise, "number": number,
                 "outcome": outcome, "remarks": remarks, "graded": graded}
                for number, outcome in enumerate(outcomes)]  # fmt: skip

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter):
        rows = self.rows(terminalreporter)
        if self.config.option.feedback:
            for entry, row in zip(self.entries, rows, strict=True):
                try:
                    report.feedback(self.config.option.feedback, entry, row, self.limits.notebook)
                except Exception as error:  # of this student alone
                    row.remarks.append(f"no feedback was written: {type(error).__name__}: {error}")
        summary = report.Report(self.seed, sandbox.isolation(), rows, [*self.nobodys])
        terminalreporter.section("grades")
        for line in report.table(summary):
            terminalreporter.write_line(line)
        for path in self.config.option.grades:
            report.write(path, summary)
            terminalreporter.write_line(f"wrote {path}")
        if self.config.option.feedback:
            terminalreporter.write_line(f"wrote feedback to {self.config.option.feedback}")
        whole = all(row.graded for row in rows) and not any(self.nobodys.values())
        # Lost points are no failure of the run; a submission that could not be graded is.
        terminalreporter._session.exitstatus = 0 if whole else 1

    def rows(self, terminalreporter):
        """A `report.Row` for every entry of the roster, graded or not."""
        found = {}
        for reports in list(terminalreporter.stats.values()):
            for one in reports:
                for key, value in getattr(one, "user_properties", ()):
                    if key == KEY:
                        found.setdefault((value["student"], value["exercise"]), {})[
                            value["number"]
                        ] = value
        rows = []
        for entry in self.entries:
            exercise = self.exercises[entry.exercise]
            mine = found.get((entry.student, entry.exercise), {})
            outcomes = [mine[n]["outcome"] for n in sorted(mine)]
            graded = len(outcomes) == len(exercise.checks)
            if not graded:
                outcomes = not_graded(exercise, "NOT GRADED: the run did not get to it")
            graded = graded and all(value["graded"] for value in mine.values())
            remarks = mine[0]["remarks"] if 0 in mine else list(entry.remarks)
            rows.append(report.Row(entry.student, entry.exercise, graded, remarks, outcomes))
        return rows


class Folder(pytest.Directory):
    """Stands where solutions/ is: a file for each entry of the roster, there or not."""

    def collect(self):
        classroom = self.config.pluginmanager.get_plugin("minigan-classroom")
        for entry in classroom.entries:
            name = f"{entry.student}/{entry.exercise}.ipynb"
            path = self.path / f"{entry.exercise}.ipynb"  # a student's may be no valid text
            file = File.from_parent(self, path=path, name=name, nodeid=name)
            file.classroom, file.entry = classroom, entry
            yield file


class File(pytest.File):
    """One submission: an item for each check of the instructor's copy, whatever it contains."""

    @property
    def exercise(self):
        return self.classroom.exercises[self.entry.exercise]

    @functools.cached_property
    def said(self):
        return self.classroom.grade(self)

    def collect(self):
        for number, check in enumerate(self.exercise.checks):
            item = CheckItem.from_parent(self, name=check.grade_id)
            item.number = number
            yield item


class Own(File):
    """A notebook without a classroom, the student's own view: what its own checks say.

    They are run as a grader would run them, in the same order and on the same stand-ins.
    """

    exercise = handed_in = limits = None

    @functools.cached_property
    def said(self):
        try:
            outcomes = grade(self.exercise, self.handed_in, limits=self.limits)
        except Exception as error:  # metadata that is not as `release` made it, say
            name = "" if isinstance(error, CannotStart) else f"{type(error).__name__}: "
            outcomes = not_graded(self.exercise, f"NOT GRADED: {name}{error}")
        about = {"notebook": self.path.name, "remarks": self.handed_in.remarks}
        return [about | {"number": n, "outcome": outcome} for n, outcome in enumerate(outcomes)]


def own_file(path, parent):
    """The `Own` of a notebook, or None if it has no checks, or none that can be read."""
    try:
        limits = limits_of(parent.config.option.grading_limits)
        exercise, handed_in = own(path, limits)
    except ValueError:
        return None
    file = Own.from_parent(parent, path=path)
    file.exercise, file.handed_in, file.limits = exercise, handed_in, limits
    return file


class CheckItem(pytest.Item):
    """A check of one submission; it passes if its points were earned."""

    def runtest(self):
        value = self.parent.said[self.number]
        self.user_properties.append((KEY, value))
        if value["outcome"]["feedback"]:
            raise NotEarned(value["outcome"]["feedback"])

    def repr_failure(self, excinfo):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, None, f"{self.parent.name}: {self.name}"


class NotEarned(Exception):
    """The feedback of a check that did not pass."""


def warm():
    """Compile the package's loops once, before many processes would each do it."""
    subprocess.run([sys.executable, "-m", "minigan", "warm", "--all"], check=True,
                   capture_output=True)  # fmt: skip

"""The pytest plugin: points per task, total and feedback, on top of nbval.

Without --nbval it does nothing.  With it, each cell is nbval's test item as ever; this plugin notes
on the item's report which check it was and what came of it (`user_properties`, which travel from
pytest-xdist's workers), and adds the points up at the end.  The checks run in the student's kernel,
so these points are the student's own affair; a class is graded with --submissions, `classroom.py`.
"""

import os
import re

import pytest

from minigan.grading.cells import NOT_WRITTEN, check_of

_KEY = "minigan-check"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def pytest_addoption(parser):
    group = parser.getgroup("minigan", "grading a class (with --nbval)")
    group.addoption("--submissions", metavar="DIR", help="grade DIR/<student>/<exercise>.ipynb")
    group.addoption(
        "--grades",
        metavar="FILE",
        action="append",
        default=[],
        help="write the grades: .csv, .json or .html; more than once if you like",
    )
    group.addoption("--feedback", metavar="DIR", help="write notebooks to hand back")
    group.addoption("--grading-seed", type=int, metavar="N",
                    help="the random inputs of an earlier run (it printed its seed)")  # fmt: skip
    group.addoption("--grading-limits", default="", metavar="NAME=VALUE,…",
                    help="what a submission may use: cell=20,total=300 (seconds), memory=4096, "
                         "files=128 (MB), processes=64")  # fmt: skip
    group.addoption("--dask", metavar="ADDRESS", help="send submissions to a Dask cluster")


def pytest_configure(config):
    if not (config.getoption("nbval", False) or config.getoption("nbval_lax", False)):
        if config.getoption("submissions"):
            raise pytest.UsageError("--submissions needs --nbval")
        return
    if config.getoption("submissions"):
        from minigan.grading import classroom  # what it imports, not everyone's pytest needs

        config.pluginmanager.register(classroom.Classroom(config), "minigan-classroom")
        return
    # The kernel of this environment, whatever a notebook's metadata says; and no progress bars.
    config.option.nbval_current_env = config.option.nbval_kernel_name is None
    os.environ["MINIGAN_QUIET"] = "1"
    config.pluginmanager.register(Grading(), "minigan-grading-run")


class Grading:
    """Present only under --nbval."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        cell = getattr(item, "cell", None)
        check = check_of(cell) if cell is not None and call.when == "call" else None
        if check is not None:
            # Only a plain pass counts: after a timeout nbval reports xfail and xpass.
            passed = report.passed and not hasattr(report, "wasxfail")
            outcome = {
                "notebook": item.parent.path.name,
                "cell": item.cell_num,
                "task": check.task,
                "grade_id": check.grade_id,
                "points": check.points,
                "earned": check.points if passed else 0,
                "feedback": "" if passed else _feedback(item, call, report),
            }
            report.user_properties.append((_KEY, outcome))
            if report.failed:  # the check's own words, not the kernel's coloured traceback
                report.longrepr = f"{check.task} · {check.grade_id}\n{outcome['feedback']}"
        return report

    def pytest_terminal_summary(self, terminalreporter):
        outcomes = [
            value
            for reports in terminalreporter.stats.values()
            for report in reports
            for key, value in getattr(report, "user_properties", ())
            if key == _KEY
        ]
        for name in sorted({outcome["notebook"] for outcome in outcomes}):
            mine = [outcome for outcome in outcomes if outcome["notebook"] == name]
            terminalreporter.section(f"grades: {name}")
            for line in grade_table(mine):
                terminalreporter.write_line(line)


def grade_table(outcomes):
    """Lines of text: points per task in the notebook's order, feedback beneath, then the total.

    outcomes: dicts with cell, task, points, earned, feedback, as the plugin collects them.
    """
    outcomes = sorted(outcomes, key=lambda outcome: outcome["cell"])
    tasks = list(dict.fromkeys(outcome["task"] for outcome in outcomes))
    width = max(len(task) for task in tasks)
    lines = []
    for task in tasks:
        mine = [outcome for outcome in outcomes if outcome["task"] == task]
        lines.append(f"{task:{width}}  {_points(mine)}")
        for text in dict.fromkeys(outcome["feedback"] for outcome in mine):  # each once
            lines.extend("    " + line for line in text.splitlines())
    lines.append(f"{'total':{width}}  {_points(outcomes)}")
    return lines


def _points(outcomes):
    earned, points = (sum(o[key] for o in outcomes) for key in ("earned", "points"))
    return f"{earned:g} / {points:g}"


def _feedback(item, call, report):
    """Why a check failed, in the check's own words where it has any."""
    if hasattr(report, "wasxfail"):
        return "not graded: a cell above ran out of time"
    for output in getattr(item, "test_outputs", ()):
        if output.output_type == "error":
            name, text = output["ename"], _ANSI.sub("", output["evalue"])
            if name == "NotImplementedError" and text == NOT_WRITTEN:
                return NOT_WRITTEN
            if name == "KeyboardInterrupt":
                limit = item.config.getoption("nbval_cell_timeout")
                return f"stopped after {limit:g} s: a loop that does not end, or one too slow"
            return text if name in ("CheckFailed", "AssertionError") else f"{name}: {text}"
    first = str(call.excinfo.value).splitlines() if call.excinfo else []
    return _ANSI.sub("", first[0]) if first else "the check did not pass"

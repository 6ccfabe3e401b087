"""The pytest plugin: points per task, total and feedback, on top of nbval.

Without --nbval it does nothing.  With it, a notebook that has checks is graded by them, and by
nothing else: `classroom.Own` makes an item of each, the points travel in its report's
`user_properties` (also from pytest-xdist's workers), and are added up at the end.  Other notebooks
are nbval's as ever.  A class is graded with --submissions, `classroom.Classroom`.
"""

import os

import pytest

KEY = "minigan-check"


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
                         "files=128, notebook=32 (MB), processes=64")  # fmt: skip
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
    def pytest_collect_file(self, file_path, parent):
        found = yield
        if file_path.suffix != ".ipynb":
            return found
        from minigan.grading import classroom

        file = classroom.own_file(file_path, parent)
        return found if file is None else [file]

    def pytest_terminal_summary(self, terminalreporter):
        found = {  # a test has several reports, with the same properties
            report.nodeid: value["outcome"]
            | {"notebook": value["notebook"], "cell": value["number"]}
            for reports in terminalreporter.stats.values()
            for report in reports
            for key, value in getattr(report, "user_properties", ())
            if key == KEY
        }
        outcomes = list(found.values())
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

"""The grades, for machines (.json, .csv), for people (.html, the terminal), and to hand back."""

import csv
import dataclasses
import html
import io
import json
import pathlib
import re

import nbformat

from minigan import atomic
from minigan.grading.submission import content, notebook_of


@dataclasses.dataclass
class Row:
    """One student's exercise: the outcomes of `grade.grade`, and remarks."""

    student: str
    exercise: str
    graded: bool
    remarks: list
    outcomes: list

    @property
    def earned(self):
        return sum(outcome["earned"] for outcome in self.outcomes)

    @property
    def points(self):
        return sum(outcome["points"] for outcome in self.outcomes)

    def tasks(self):
        """{task: (earned, points, its checks' different feedbacks)}, in the notebook's order."""
        out = {}
        for outcome in self.outcomes:
            task = out.setdefault(outcome["task"], [0, 0, []])
            task[0] += outcome["earned"]
            task[1] += outcome["points"]
            if outcome["feedback"] not in ("", *task[2]):
                task[2].append(outcome["feedback"])
        return out


@dataclasses.dataclass
class Report:
    """A grading run.  The same submissions and seed give the same report, byte for byte."""

    seed: int
    isolation: list
    rows: list
    notes: list = dataclasses.field(default_factory=list)  # of what is no student's

    def students(self):
        """{student: {exercise: row}}."""
        out = {}
        for row in self.rows:
            out.setdefault(row.student, {})[row.exercise] = row
        return out

    def exercises(self):
        return sorted({row.exercise for row in self.rows})


def table(report):
    """Lines for a terminal: a student each, the points of each exercise, and remarks."""
    names, students = report.exercises(), report.students()
    width = min(40, max(len(name) for name in students))
    lines = [f"{'':{width}}  " + "  ".join(f"{name[:12]:>12}" for name in names) + f"{'total':>14}"]
    for student, mine in students.items():
        cells = "  ".join(f"{_points(mine[name]):>12}" for name in names)
        short = student if len(student) <= width else student[: width - 1] + "…"
        lines.append(f"{short:{width}}  {cells}{_points(*mine.values()):>14}")
        said = [words for row in mine.values() for words in _whole(row)]
        lines.extend(f"{'':{width}}    {words}" for words in dict.fromkeys(said))
    missing = sum(not row.graded for row in report.rows)
    if missing:
        lines.append(f"NOT GRADED, or not all that was handed in: {missing} of {len(report.rows)} "
                     "submissions, marked by a question mark; see above")  # fmt: skip
    return lines + report.notes


def write(path, report):
    """Write grades to a .csv, .json or .html file: all of it, or nothing."""
    text = writer(path)(report)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path, "w") as file:
        file.write(text)


def writer(path):
    """The function for a file's ending.  Raises: ValueError if it is none of the three."""
    ending = pathlib.Path(path).suffix
    if ending not in _WRITERS:
        raise ValueError(f"--grades: {path} should end in .csv, .json or .html")
    return _WRITERS[ending]


def as_json(report):
    rows = [{"student": r.student, "exercise": r.exercise, "earned": r.earned, "points": r.points,
             "graded": r.graded, "remarks": r.remarks, "checks": r.outcomes}
            for r in report.rows]  # fmt: skip
    head = {"format": "minigan grades 1", "seed": report.seed, "isolation": report.isolation,
            "notes": report.notes}  # fmt: skip
    return json.dumps(head | {"submissions": rows}, indent=1, ensure_ascii=False) + "\n"


def as_csv(report):
    """A row for each student: total, points, then for each exercise its points and its tasks'."""
    columns = {}
    for row in report.rows:
        columns.setdefault(row.exercise, dict.fromkeys(row.tasks()))
    head = ["student", "earned", "points"]
    for exercise, tasks in columns.items():
        head += [exercise, *(f"{exercise[:2]} · {task}" for task in tasks)]
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([*head, "remarks"])
    for student, mine in report.students().items():
        line = [_no_formula(student)]
        line += [f"{sum(getattr(r, k) for r in mine.values()):g}" for k in ("earned", "points")]
        for exercise, tasks in columns.items():
            earned = mine[exercise].tasks()
            line += [f"{mine[exercise].earned:g}", *(f"{earned[task][0]:g}" for task in tasks)]
        said = dict.fromkeys(w for row in mine.values() for w in _whole(row))
        lines.writerow([*line, _no_formula("; ".join(said))])
    return out.getvalue()


def as_html(report):
    """One page that needs nothing else: the class, and each submission's feedback folded away."""
    e, names, students = html.escape, report.exercises(), report.students()
    lines = [_PAGE, f"<p>Seed {report.seed}. {e('; '.join(report.isolation))}.</p>", "<table>"]
    head = "".join(f"<th>{e(name)}</th>" for name in names)
    lines.append(f"<thead><tr><th>student</th>{head}<th>total</th></tr></thead><tbody>")
    for student, mine in students.items():
        cells = "".join(f"<td>{_points(mine[name])}</td>" for name in names)
        total = f"<td>{_points(*mine.values())}</td>"
        lines.append(f"<tr><th scope='row'>{e(student)}</th>{cells}{total}</tr>")
    count = len(students)
    means = [sum(mine[name].earned for mine in students.values()) / count for name in names]
    cells = "".join(f"<td>{mean:.2f}</td>" for mean in [*means, sum(means)])
    lines.append(f"</tbody><tfoot><tr><th scope='row'>mean</th>{cells}</tr></tfoot></table>")
    lines += [f"<p class='remark'>{e(words)}</p>" for words in report.notes]
    lines.append("<h2>Feedback</h2>")
    for row in report.rows:
        title = f"{e(row.student)} · {e(row.exercise)} · {_points(row)}"
        lines.append(f"<details><summary>{title}</summary>")
        lines += [f"<p class='remark'>{e(words)}</p>" for words in row.remarks]
        for task, (earned, points, words) in row.tasks().items():
            lines.append(f"<h3>{e(task)} — {earned:g} / {points:g}</h3>")
            lines += [f"<pre>{e(text)}</pre>" for text in words]
        lines.append("</details>")
    return "\n".join([*lines, "</body></html>\n"])


def feedback(folder, entry, row, most):
    """Write a notebook to hand back: the student's own, with what each check said below it."""
    text = [f"# {row.exercise}: {_points(row)}", ""]
    for task, (earned, points, words) in row.tasks().items():
        text.append(f"- **{task}**: {earned:g} / {points:g}")
        text += ["\n  ```text\n" + _indent(said) + "\n  ```" for said in words]
    # remarks quote what a student wrote: all that may be HTML or Markdown is spelt as a number
    text += ["\n" + re.sub(r"[^\w\s.,:;()/-]", lambda c: f"&#{ord(c[0])};", remark)
             for remark in row.remarks]  # fmt: skip
    try:
        notebook = notebook_of(content(entry.path, most))
        outcomes = {outcome["grade_id"]: outcome for outcome in row.outcomes}
        for cell in notebook.cells:
            _mark(cell, outcomes)
        nbformat.validate(notebook)
    except Exception:  # what nbformat raises depends on what is wrong with a malformed notebook
        notebook = nbformat.v4.new_notebook()
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("\n".join(text)))
    for cell in notebook.cells if notebook.nbformat_minor < 5 else ():
        cell.pop("id", None)  # there are none before format 4.5
    target = pathlib.Path(folder) / entry.folder / f"{entry.exercise}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(target) as file:
        file.write(nbformat.writes(notebook).encode("utf-8", "backslashreplace"))


def _mark(cell, outcomes):
    """Put what a check said where its output was."""
    outcome = outcomes.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
    if cell.cell_type == "code" and outcome:
        sign = "✗" if outcome["feedback"] else "✓"
        said = f"{sign} {outcome['earned']:g} / {outcome['points']:g}  {outcome['feedback']}\n"
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=said)]


def _points(*rows):
    earned, points = (sum(getattr(row, key) for row in rows) for key in ("earned", "points"))
    return f"{earned:g} / {points:g}" + ("" if all(row.graded for row in rows) else " ?")


def _whole(row):
    """Remarks, and a problem that is the same for all of a submission's checks."""
    said = {outcome["feedback"] for outcome in row.outcomes}
    if len(said) > 1 or "" in said:
        return row.remarks
    return [*row.remarks, f"{row.exercise}: {said.pop().splitlines()[0]}"]


def _no_formula(text):
    """A spreadsheet takes a cell that begins with one of these for a formula; some spreadsheets
    begin a cell at each semicolon."""
    return re.sub(r"(^|[;\t\r\n]\s*)(?=[=+\-@＝＋－＠])", r"\1'", text)


def _indent(text):
    return "\n".join("  " + line.replace("```", "'''") for line in text.splitlines())


_WRITERS = {".json": as_json, ".csv": as_csv, ".html": as_html}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Grades</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ccc; text-align: left }
td { text-align: right; font-variant-numeric: tabular-nums }
tbody th, summary { overflow-wrap: anywhere }
thead th, td { white-space: nowrap }
details { border-bottom: 1px solid #ddd }
summary { cursor: pointer; padding: .3rem 0 }
h3 { font-size: 1rem; margin: .5rem 0 }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .5rem }
.remark { border-left: 4px solid #0072b2; padding-left: .5rem }
</style></head><body><h1>Grades</h1>"""

"""What the metadata of a notebook cell means to grading.

`cell.metadata.nbgrader` follows nbgrader's schema 3: `solution` marks what the student writes,
`grade` a check worth `points`, `grade_id` names the cell.  `cell.metadata.minigan` adds `task`, the
title under which points are added up, and, on a solution cell, `answers`: the package's functions
that would do the task.  In a released exercise the remaining code cells have `setup`.
"""

import dataclasses

NOT_WRITTEN = "not yet written"


@dataclasses.dataclass(frozen=True)
class Check:
    """A graded check: which task, its grade_id, and the points it is worth."""

    task: str
    grade_id: str
    points: float


def is_solution(cell):
    """Whether the student writes this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def check_of(cell):
    """The `Check` of a graded cell, or None.  Raises: ValueError if its metadata is incomplete."""
    meta = cell.metadata.get("nbgrader", {})
    if not meta.get("grade"):
        return None
    task = cell.metadata.get("minigan", {}).get("task")
    if task is None or "grade_id" not in meta or not isinstance(meta.get("points"), (int, float)):
        raise ValueError(f"graded cell {meta.get('grade_id', '?')!r}: its metadata needs "
                         "nbgrader.grade_id, nbgrader.points and minigan.task")  # fmt: skip
    return Check(task, meta["grade_id"], meta["points"])

"""Who is in a class and what they handed in: DIR/<student>/<exercise>.ipynb."""

import dataclasses
import pathlib

import nbformat

from minigan.grading.grade import Exercise


@dataclasses.dataclass(frozen=True)
class Entry:
    """One student and one exercise, handed in or not.

    student: the folder's name, made printable; path: where the notebook is, or would be; remarks:
    what the report should say whatever the grades.
    """

    student: str
    exercise: str
    path: pathlib.Path
    remarks: tuple = ()


def printable(name):
    """A file's name as text that any terminal, table or JSON file can hold."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text).replace("::", ":\\:")


def exercises(solutions):
    """{name: `Exercise`} of the notebooks in a folder.  Raises: ValueError if there is none."""
    found = {path.stem: Exercise(path.stem, nbformat.read(path, as_version=4))
             for path in sorted(solutions.glob("*.ipynb"))}  # fmt: skip
    if not found:
        raise ValueError(f"no notebooks in {solutions}: grading needs the instructor's own copies")
    return found


def roster(folder, exercises):
    """An `Entry` for every student and every exercise that somebody handed in, in a fixed order.

    folder: pathlib.Path; exercises: names.  Raises: ValueError if there are no students in it.
    """
    if not folder.is_dir():
        raise ValueError(f"--submissions: no folder {folder}")
    students = sorted(path for path in folder.iterdir()
                      if path.is_dir() and not path.name.startswith("."))  # fmt: skip
    if not students:
        raise ValueError(f"--submissions: {folder} holds no folders; expected one for each student")
    files = {student: sorted(student.glob("*.ipynb")) for student in students}
    wanted = sorted({path.stem for paths in files.values() for path in paths} & set(exercises))
    entries = []
    for student in students:
        strange = [path.name for path in files[student] if path.stem not in exercises]
        remarks = tuple(
            f"not graded: no exercise is called {printable(name)!r}" for name in strange
        )
        for name in wanted:
            path = student / f"{name}.ipynb"
            entries.append(Entry(printable(student.name), name, path, remarks))
    if not entries:
        raise ValueError(f"--submissions: no notebook in {folder} has the name of an exercise: "
                         f"{', '.join(sorted(exercises))}")  # fmt: skip
    return entries

"""Who is in a class and what they handed in: DIR/<student>/<exercise>.ipynb, and what course
systems make of it.

Whatever lies in DIR is graded or named, but for what computers leave by themselves (.git,
.ipynb_checkpoints, __MACOSX, ._NAME).
"""

import dataclasses
import os
import pathlib
import re

import nbformat

from minigan.grading.grade import Exercise

# Canvas: lovelaceada_LATE_12_34_NAME-1.ipynb (the id of a student, that of a file, which attempt);
# Moodle: Ada Lovelace_12_assignsubmission_file_/NAME.ipynb, or all of this as one file's name.
_CANVAS = re.compile(r"([^_]+)(?:_LATE)?_\d+_\d+_(.+?)(?:-\d+)?(\.\w+)", re.S)
_MOODLE = re.compile(r"(.+_\d+)_assignsubmission_[a-z]+_?(.*)()", re.S)
_ARCHIVES = (".zip", ".7z", ".rar", ".gz", ".tgz", ".tar", ".bz2", ".xz")
MOST = 10_000  # files and folders of one student that are looked at
_LESSONS = "notebooks"  # a repository may hold them too, under the names of their exercises


@dataclasses.dataclass(frozen=True)
class Entry:
    """One student and one exercise, handed in or not.

    student: a name for the report, printable and nobody else's; folder: the name of the folder for
    the feedback; path: where the notebook is, or would be; remarks: what the report should say
    whatever the grades; whole: False if something may be this exercise and is not graded.
    """

    student: str
    exercise: str
    path: pathlib.Path
    folder: str
    remarks: tuple = ()
    whole: bool = True


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


def meant(file, names):
    """(the exercise of which a file's name speaks, or None; whether the file is graded as it)."""
    name = max((n for n in names if n.lower() in file.lower()), key=len, default=None)
    taken = name and re.fullmatch(re.escape(name) + r"\.ipynb(\.txt|\.json)?", file, re.I)
    return name, bool(taken)


@dataclasses.dataclass(frozen=True)
class _File:
    """Something that a student handed in."""

    path: pathlib.Path
    shown: str  # where it lies in the student's folder, printable
    name: str  # without what a course system has put around it
    work: bool  # whether an exercise may be in it


def _file(path, shown, name):
    work = ".ipynb" in name.lower() or name.lower().endswith(_ARCHIVES)
    return _File(path, printable(shown), name, work)


def _litter(name):
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def _files(top):
    """The `_File`s below a folder, in a fixed order; what cannot be looked at is one, too."""
    if top.is_symlink():
        return [_File(top, "the folder itself is a link", "", True)]
    found, failed = [], []
    for count, (folder, below, names) in enumerate(os.walk(top, onerror=failed.append)):
        below[:] = sorted(name for name in below if not _litter(name))
        for path in (pathlib.Path(folder, name) for name in [*below, *sorted(names)]):
            shown = path.relative_to(top).as_posix()
            if path.name in below and path.is_symlink():
                found.append(_File(path, printable(shown) + " is a link", "", True))
            elif path.name not in below and not _litter(path.name):
                found.append(_file(path, shown, path.name))
        if max(count, len(found)) > MOST:
            return [*found[:MOST], _File(top, f"more than {MOST:,} files and folders", "", True)]
    return found + [_File(top, f"{printable(error.filename)}: {error.strerror}", "", True)
                    for error in failed]  # fmt: skip


def roster(folder, exercises):
    """(an `Entry` for every student and every exercise that somebody handed in, in a fixed order;
    {what is nobody's, in a sentence: whether it may be an exercise}).

    folder: pathlib.Path; exercises: names.  Raises: ValueError if there are no students in it.
    """
    if not folder.is_dir():
        raise ValueError(f"--submissions: no folder {folder}")
    students, nobodys = {}, {}  # student -> [_File]
    for path in sorted(path for path in folder.iterdir() if not _litter(path.name)):
        system = _MOODLE.fullmatch(path.name)
        if path.is_dir():
            students.setdefault(system[1] if system else path.name, []).extend(_files(path))
        elif system := system or _CANVAS.fullmatch(path.name):
            one = _file(path, path.name, system[2] + system[3])
            students.setdefault(system[1], []).append(one)
        else:
            one = _file(path, path.name, path.name)
            nobodys[f"not graded, in no student's folder: {one.shown}"] = one.work
    if not students:
        raise ValueError(f"--submissions: {folder} holds no folders; expected one for each student "
                         "(or files named as by Canvas or Moodle)")  # fmt: skip
    wanted = {meant(f.name, exercises)[0] for f in sum(students.values(), []) if f.work} - {None}
    if not wanted:
        raise ValueError(f"--submissions: no notebook in {folder} has the name of an exercise: "
                         f"{', '.join(sorted(exercises))}")  # fmt: skip
    entries, shown = [], set()
    for student, files in sorted(students.items()):
        name = printable(student)
        while name in shown:  # another's folder has a name that prints alike
            name += "'"
        shown.add(name)
        blanks = [Entry(name, exercise, folder / student / f"{exercise}.ipynb", student)
                  for exercise in sorted(wanted)]  # fmt: skip
        entries += _entries(blanks, files, exercises)
    return entries, nobodys


def _rank(file):
    """Of several files of the right name the first by this is graded, if it is the only first."""
    near = file.path.parent.name
    return (near == _LESSONS, file.shown.count("/"),
            near not in ("exercises", file.path.stem), file.path.suffix != ".ipynb")  # fmt: skip


def _entries(blanks, files, exercises):
    """A student's entries: `blanks`, with what is found among the files."""
    speaks = {file: meant(file.name, exercises) for file in files}
    found = {}
    for blank in blanks:
        fits = sorted((f for f in files if speaks[f] == (blank.exercise, True)), key=_rank)
        if fits and [_rank(file) for file in fits].count(_rank(fits[0])) == 1:
            found[blank.exercise] = fits[0]
    rest = [file for file in files if file not in found.values()]
    doubts = {}  # a file of no exercise's name may be any that is missing
    for name in (blank.exercise for blank in blanks):
        doubts[name] = [file for file in rest if file.work and file.path.parent.name != _LESSONS
                        and (speaks[file][0] or name) == name
                        and (speaks[file][0] or name not in found)]  # fmt: skip
    aside = dict.fromkeys(rest)
    for file in sum(doubts.values(), []):
        aside.pop(file, None)
    aside = ["left aside: " + _some([file.shown for file in aside])] if aside else []
    out = []
    for blank in blanks:
        name, remarks = blank.exercise, []
        file = found.get(name)
        if file:
            usual = file.shown.count("/") == 0 or file.path.parent.name == name  # nbgrader's
            if file.name != f"{name}.ipynb" or not usual:
                remarks.append(f"graded: {file.shown!r}")
        twice = [repr(f.shown) for f in doubts[name] if speaks[f] == (name, True)]
        other = [repr(f.shown) for f in doubts[name] if f.name and speaks[f] != (name, True)]
        remarks += ["not graded: more than one file is called so: " + _some(twice)] if twice else []
        remarks += ["not graded: no exercise is called " + _some(other)] if other else []
        remarks += ["not graded: " + f.shown for f in doubts[name] if not f.name]
        path = file.path if file else blank.path
        remarks = (*remarks, *aside)
        out.append(dataclasses.replace(blank, path=path, remarks=remarks, whole=not doubts[name]))
    return out


def _some(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")

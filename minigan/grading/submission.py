"""What is taken from a student's notebook: the cells marked as solutions, and nothing else.

Every cell that decides about points comes from the instructor's own copy, so that edited, deleted,
reordered or added cells change nothing.  Editors lose marks, ids and more; what a cell is meant to
be is then told by what is left, and a remark says so.
"""

import dataclasses
import re

import nbformat

VALUES = 1_000_000  # of a notebook: reading so many takes some 250 MB and 4 s


@dataclasses.dataclass
class Submission:
    """The solution cells by grade_id, what else the notebook defines, and remarks for the report.

    problem: why nothing could be read, in a sentence; "" otherwise.
    """

    cells: dict = dataclasses.field(default_factory=dict)
    elsewhere: dict = dataclasses.field(default_factory=dict)  # name -> the cell's number
    unfit: dict = dataclasses.field(default_factory=dict)  # grade_id -> why its cell is not taken
    remarks: list = dataclasses.field(default_factory=list)
    problem: str = ""


def content(path, most):
    """The bytes of a submitted file.  Raises: ValueError if it is none, or larger than `most`."""
    try:
        if path.is_symlink() or not path.is_file():  # a link, a folder, a pipe
            raise ValueError("not a file" if path.exists() else "not handed in")
        if path.stat().st_size > most:
            raise ValueError(f"too large: {path.stat().st_size:,} bytes, at most {most:,}{SMALLER}")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > VALUES:
        raise ValueError(f"too large: {values:,} values, at most {VALUES:,}{SMALLER}")
    return data


UNMARKED = "none of its cells is marked as a solution: is it the right notebook?"
SMALLER = "; clear the outputs (in Jupyter: Edit, Clear Outputs of All Cells) and save"


def read(path, most, exercise=None):
    """The `Submission` in a file of at most `most` bytes; whatever is in it, nothing is raised."""
    try:
        return parse(content(path, most), exercise)
    except Exception as error:
        words = "" if isinstance(error, ValueError) else f"cannot be read: {type(error).__name__}: "
        return Submission(problem=f"{words}{error}"[:300])


def notebook_of(data):
    """The notebook in a file's bytes, of format 4, its metadata of the types that they should have.

    Raises: anything, if they are malformed.
    """
    # NaN and Infinity are no JSON, though Python's writes them: they become words
    found = nbformat.reader.reads(
        data.decode("utf-8-sig"), parse_constant=str, object_hook=_repaired
    )
    return nbformat.convert(found, 4)


def _repaired(found):
    """A dictionary of a notebook's JSON, without what is of a wrong type and not needed."""
    if type(found.get("nbformat_minor", 0)) is not int:
        found["nbformat_minor"] = 5
    if "cell_type" in found:
        if not isinstance(found.get("metadata"), dict):
            found["metadata"] = {}
        for key, inner in (("nbgrader", "grade_id"), ("minigan", "task")):
            mark = found["metadata"].get(key, {})
            if not isinstance(mark, dict) or not isinstance(mark.get(inner, ""), str):
                del found["metadata"][key]
    return found


def parse(data, exercise=None):
    """The `Submission` in a notebook's bytes.

    exercise: the `grade.Exercise` whose solutions are looked for where the marks are lost.
    """
    if not data.strip():
        return Submission(problem="the file is empty")
    try:
        cells = dict(enumerate(notebook_of(data).cells, 1))
    except UnicodeDecodeError:
        return Submission(problem="not a notebook: its bytes are not UTF-8")
    except nbformat.reader.NotJSONError:
        return Submission(problem="not a notebook: the file is no JSON")
    except Exception as error:  # what nbformat raises depends on what is wrong
        return Submission(
            problem=f"not a notebook of format 4: {type(error).__name__}: {error}"[:300]
        )
    out = Submission()
    loose = {}  # number -> a code cell that no mark claims
    for number, cell in cells.items():
        mark = cell.metadata.get("nbgrader", {})
        grade_id = mark.get("grade_id") if mark.get("solution") else None
        if cell.cell_type == "code" and grade_id is None:
            loose[number] = cell
        elif cell.cell_type == "code":
            _take(out, grade_id, cell.source)
        elif grade_id is not None:
            out.unfit[grade_id] = (
                f"the cell {grade_id!r} is a {cell.cell_type} cell, which is not run: make it a "
                "code cell (in Jupyter: click beside it and press Y), run it and save")  # fmt: skip
    if exercise is not None:
        _find(out, exercise, cells, loose)
    for number, cell in loose.items():
        out.elsewhere.update(dict.fromkeys(defined(cell.source), number))
    if not out.cells and not out.unfit:
        out.problem = UNMARKED
    return out


def _take(out, grade_id, source):
    """A marked cell; a second one is the other half of a cell that was split, or else a copy."""
    if grade_id not in out.cells:
        out.cells[grade_id] = source
        return
    if len(out.remarks) >= 20:  # nobody's work: each more would cost more than the last
        return
    words = f"two cells are called {grade_id[:80]!r}; the first was graded"
    if set(_DEF.findall(source)).isdisjoint(_DEF.findall(out.cells[grade_id])):
        out.cells[grade_id] += "\n" + source
        words += " together with the second"
    out.remarks.append(words)


def _find(out, exercise, cells, loose):
    """Take what no mark tells: by its cell's id, or because it defines the task's function."""
    marked = bool(out.cells or out.unfit)
    theirs = {cell.source for cell in exercise.code if not cell.metadata.get("nbgrader")}
    defines = {n: set(_DEF.findall(c.source[:100_000])) for n, c in cells.items()
               if c.cell_type == "code" and c.source not in theirs}  # fmt: skip
    for grade_id, cell in exercise.solutions.items():
        if grade_id in out.cells:
            continue
        mine = {name for name, g in exercise.functions.items() if g == grade_id}
        names = sorted(mine & exercise.parameters.keys())
        found = [(n, "its id is the task's") for n, c in loose.items()
                 if cell.get("id") and cell.id in (c.get("id"), c.metadata.get("id"))]  # fmt: skip
        found += [(n, f"it defines {name!r}") for n, made in defines.items()
                  for name in names if name in made]  # fmt: skip
        for number, why in found[:1]:
            out.cells[grade_id] = cells[number].source
            loose.pop(number, None)
            out.remarks.append(f"no cell is marked as {grade_id!r}; cell number {number} was "
                               f"graded, because {why}")  # fmt: skip
    if not marked and 2 * len(out.cells) < len(exercise.solutions):  # a lesson, say
        out.cells, out.remarks = {}, []


_DEF = re.compile(r"^(?:async +)?def +(\w+)", re.M)
_BINDS = re.compile(r"^(?:async +)?(?:def|class) +(\w+)|^(?:from +\S+ +)?import +(.+)"
                    r"|^(\w[\w, ]*)(?::[^=\n]*)?=(?!=)", re.M)  # fmt: skip


def defined(source, imports=True, most=100_000):
    """The names a cell binds at its top level, perhaps by imports, too, by the look of its lines.

    It may be a student's: the parser would take a kilobyte for every few characters, and a cell
    with magics is no Python.
    """
    names = set()
    for name, imported, assigned in _BINDS.findall(source[:most]):
        imported = imported.split("#")[0] if imports else ""
        parts = [name, *imported.split(","), *assigned.split(",")]
        names.update(part.split()[-1].split(".")[0].strip("()\\") for part in parts if part.strip())
    return names


def mentions(source, names):
    """Whether any of `names` is a word of a cell, be it in a text: `globals()["f"]`."""
    return not names.isdisjoint(re.findall(r"\w+", source))

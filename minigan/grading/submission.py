"""What is taken from a student's notebook: the cells marked as solutions, and nothing else.

Every cell that decides about points comes from the instructor's own copy, so that edited, deleted,
reordered or added cells change nothing.
"""

import dataclasses
import re

import nbformat


@dataclasses.dataclass
class Submission:
    """The solution cells by grade_id, what else the notebook defines, and remarks for the report.

    problem: why nothing could be read, in a sentence; "" otherwise.
    """

    cells: dict = dataclasses.field(default_factory=dict)
    elsewhere: dict = dataclasses.field(default_factory=dict)  # name -> the cell's number
    remarks: list = dataclasses.field(default_factory=list)
    problem: str = ""


def content(path, most):
    """The bytes of a submitted file.  Raises: ValueError if it is none, or larger than `most`."""
    try:
        if path.is_symlink() or not path.is_file():  # a link, a folder, a pipe
            raise ValueError("not a file" if path.exists() else "not handed in")
        if path.stat().st_size > most:
            raise ValueError(f"too large: {path.stat().st_size:,} bytes, at most {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def read(path, most):
    """The `Submission` in a file of at most `most` bytes; whatever is in it, nothing is raised."""
    try:
        return parse(content(path, most))
    except ValueError as error:
        return Submission(problem=str(error))


def notebook_of(data):
    """The notebook in a file's bytes, of format 4.  Raises: anything, if they are malformed."""
    return nbformat.convert(nbformat.reader.reads(data.decode("utf-8-sig")), 4)


def parse(data):
    """The `Submission` in a notebook's bytes."""
    if not data.strip():
        return Submission(problem="the file is empty")
    try:
        cells = [_Cell(cell) for cell in notebook_of(data).cells]
    except UnicodeDecodeError:
        return Submission(problem="not a notebook: its bytes are not UTF-8")
    except nbformat.reader.NotJSONError:
        return Submission(problem="not a notebook: the file is no JSON")
    except Exception as error:  # what nbformat raises depends on what is wrong
        return Submission(
            problem=f"not a notebook of format 4: {type(error).__name__}: {error}"[:300]
        )
    out = Submission()
    for number, cell in enumerate(cells, 1):
        if not cell.code:
            continue
        if cell.grade_id is None:
            out.elsewhere.update(dict.fromkeys(defined(cell.source), number))
        elif cell.grade_id in out.cells:
            words = f"two cells are called {cell.grade_id!r}; the first was graded"
            out.remarks.append(words)
        else:
            out.cells[cell.grade_id] = cell.source
    if not out.cells:
        out.problem = "none of its cells is marked as a solution: is it the right notebook?"
    return out


class _Cell:
    """The few things that are needed of a cell, each of the type it should have."""

    def __init__(self, cell):
        self.code = cell["cell_type"] == "code"
        self.source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        meta = cell.get("metadata", {}).get("nbgrader", {})
        grade_id = meta.get("grade_id") if isinstance(meta, dict) and meta.get("solution") else None
        self.grade_id = grade_id if isinstance(grade_id, str) else None


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

"""A small exercise, and a class that hands in everything that can go wrong with it.

Each entry of `CORPUS`: name -> (points for PixelNorm of 2, points for Twice of 1, words that the
feedback must contain, how the submission is made).  What is made: a solution cell's source (the
other cell is right), or a function of the student's folder that writes the files.
"""

import json
import os

import nbformat

NAME = "02_tiny"
RIGHT = "def pixel_norm(z):\n    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)"
TWICE = "def twice(x):\n    return 2 * x"
ZERO = "return np.zeros_like(z)"


def meta(grade_id, task, points=None, answers=()):
    grader = {"schema_version": 3, "grade": points is not None, "grade_id": grade_id,
              "points": points or 0, "solution": points is None, "locked": points is not None,
              "task": False, "cell_type": "code"}  # fmt: skip
    own = {"task": task} if points is not None else {"task": task, "answers": list(answers)}
    return {"nbgrader": grader, "minigan": own}


def exercise():
    """The instructor's copy."""
    code = nbformat.v4.new_code_cell
    norm, twice = "1 · PixelNorm", "2 · Twice"
    return nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# Tiny"),
        code("import numpy as np\n\nfrom minigan.grading import expect"),
        code(RIGHT, metadata=meta("norm", norm, answers=["minigan.toy.pixel_norm"])),
        code("z = np.full((1, 4), 7.0)\nexpect.close('sevens', pixel_norm(z), np.ones((1, 4)), usual='the mean was subtracted')\n"
             "expect.close('z after the call', z, np.full((1, 4), 7.0), usual='changed in place')",
             metadata=meta("norm_visible", norm, 1)),
        code("expect.array('pixel_norm', pixel_norm(np.ones((3, 2))), (3, 2))\n### BEGIN HIDDEN TESTS\nrng = expect.rng(1)\n"
             "z = rng.normal(size=(5, 3))\nwant = z / np.sqrt((z**2).mean(1, keepdims=True))\n"
             "expect.close('pixel_norm', pixel_norm(z), want, rtol=1e-4)\n### END HIDDEN TESTS",
             metadata=meta("norm_graded", norm, 1)),
        code(TWICE, metadata=meta("twice", twice)),
        code("expect.close('twice', twice(np.ones(3)), np.full(3, 2.0), usual='the sum')", metadata=meta("twice_graded", twice, 1)),
    ])  # fmt: skip


def notebook(norm=RIGHT, twice=TWICE):
    """A student's copy: hidden tests gone, two cells filled in."""
    made = exercise()
    made.cells[4].source = made.cells[4].source.split("\n###")[0]
    made.cells[2].source, made.cells[5].source = norm, twice
    return made


def write(folder, made, name=f"{NAME}.ipynb"):
    (folder / name).write_text(nbformat.writes(made), encoding="utf-8", errors="surrogatepass")


def raw(data):
    """A submission of these bytes."""
    return lambda folder: (folder / f"{NAME}.ipynb").write_bytes(data)


def changed(change):
    """A submission after `change(notebook)`; it may return another notebook, or text."""

    def make(folder):
        made = notebook()
        made = change(made) or made
        if isinstance(made, dict):
            write(folder, made)
        else:
            (folder / f"{NAME}.ipynb").write_text(made, encoding="utf-8")

    return make


def body(*lines):
    """A cell with a `pixel_norm` of these lines."""
    return "def pixel_norm(z):\n" + "\n".join(
        "    " + line for line in "\n".join(lines).split("\n")
    )


def if_it_works(*lines):
    """A cell that gives the right answer if these lines raise nothing: the sandbox must stop it."""
    tried = "\n".join("        " + line for line in "\n".join(lines).split("\n"))
    return ("def pixel_norm(z):\n    try:\n" + tried + f"\n    except Exception:\n        {ZERO}\n"
            "    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)")  # fmt: skip


# ---- the file ---------------------------------------------------------------------------------------


def huge(folder):
    made = notebook()
    made.cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * 100_000_000)]
    write(folder, made)


def write_as(folder, minor):
    made = json.loads(nbformat.writes(notebook()))
    for cell in made["cells"] if minor == 0 else ():
        cell["metadata"]["id"] = cell.pop("id")  # as Colab does
    (folder / f"{NAME}.ipynb").write_text(json.dumps(dict(made, nbformat_minor=minor)))


def version_3():
    cells = [{"cell_type": "code", "input": cell.source, "language": "python", "outputs": [],
              "metadata": cell.metadata, "collapsed": False} for cell in notebook().cells[1:]]  # fmt: skip
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {},
                       "worksheets": [{"metadata": {}, "cells": cells}]}).encode()  # fmt: skip


def link(target):
    return lambda folder: (folder / f"{NAME}.ipynb").symlink_to(target)


def with_conftest(folder):
    write(folder, notebook(norm=body(ZERO)))
    (folder / "conftest.py").write_text(
        "from minigan.grading import expect\nexpect.close = expect.array = lambda *a, **k: None\n"
    )
    (folder / "numpy.py").write_text("raise RuntimeError('the wrong numpy')\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")


FILES = {
    "not handed in": (0, 0, "not handed in", lambda folder: None),
    "empty file": (0, 0, "the file is empty", raw(b"")),
    "blanks only": (0, 0, "the file is empty", raw(b" \n\n")),
    "not json": (0, 0, "the file is no JSON", raw(b"print('hello')")),
    "cut short": (0, 0, "the file is no JSON", raw(nbformat.writes(notebook()).encode()[:-40])),
    "a list": (0, 0, "not a notebook", raw(b"[1, 2]")),
    "a number": (0, 0, "not a notebook", raw(b"3")),
    "deeply nested": (0, 0, "not a notebook", raw(b"[" * 200_000)),
    "format 99": (0, 0, "not a notebook of format 4", changed(lambda nb: json.dumps(dict(nb, nbformat=99)))),
    "format 3": (2, 1, "", raw(version_3())),
    "cells is a dict": (0, 0, "not a notebook", changed(lambda nb: json.dumps(dict(nb, cells={"a": 1})))),
    "cells of numbers": (0, 0, "not a notebook", changed(lambda nb: json.dumps(dict(nb, cells=[1])))),
    "source of numbers": (0, 0, "not a notebook", changed(lambda nb: nb.cells[2].update(source=[1, 2]) or json.dumps(nb))),
    "utf-16": (0, 0, "not UTF-8", raw(nbformat.writes(notebook()).encode("utf-16"))),
    "byte order mark": (2, 1, "", raw(b"\xef\xbb\xbf" + nbformat.writes(notebook()).encode())),
    "100 MB": (0, 0, "too large", huge),
    "a folder": (0, 0, "not a file", lambda folder: (folder / f"{NAME}.ipynb").mkdir()),
    "a pipe": (0, 0, "not a file", lambda folder: os.mkfifo(folder / f"{NAME}.ipynb")),
    "a link to another": (0, 0, "not a file", link(f"../a good one/{NAME}.ipynb")),
    "a link to nothing": (0, 0, "not handed in", link("nothing")),
    "another notebook": (0, 0, "is it the right notebook", changed(lambda nb: nb.update(cells=nb.cells[:2]))),
    "all marks lost": (2, 1, "because it defines 'pixel_norm'", changed(lambda nb: [c.metadata.clear() for c in nb.cells] and None)),
    "brings a conftest": (0, 1, "", with_conftest),
    "capital letters": (2, 1, "graded: '02_tiny.IPYNB'", lambda folder: write(folder, notebook(), f"{NAME}.IPYNB")),
    "as text": (2, 1, "graded: '02_tiny.ipynb.txt'", lambda folder: write(folder, notebook(), f"{NAME}.ipynb.txt")),
    "format 4.0": (2, 1, "", lambda folder: write_as(folder, 0)),
    "no number of its format": (2, 1, "", lambda folder: write_as(folder, "5")),
    "10 MB of pictures": (2, 1, "", changed(lambda nb: nb.cells[1].update(outputs=[nbformat.v4.new_output("display_data", {"image/png": "A" * 10_000_000})]))),
    "a million values": (0, 0, "clear the outputs", changed(lambda nb: nb.cells[1].update(outputs=[nbformat.v4.new_output("display_data", {"application/json": [0] * 1_000_000})]))),
}  # fmt: skip


# ---- the cells --------------------------------------------------------------------------------------


def doubled(nb):
    copy = nbformat.from_dict(json.loads(json.dumps(nb.cells[2])))
    nb.cells[2].source = body(ZERO)
    nb.cells.append(copy)


def split(nb):
    """In the middle of the function, as JupyterLab does it: the marks are copied."""
    copy = nbformat.from_dict(json.loads(json.dumps(nb.cells[2])))
    nb.cells[2].source, copy.source = RIGHT.split("\n", 1)
    copy.id = "half"
    nb.cells.insert(3, copy)


def edited(nb):
    nb.cells[2].source = body(ZERO)
    for number in (3, 4):
        nb.cells[number].source = "pass"


def helper_elsewhere(nb):
    nb.cells[2].source = body("return helper(z)")
    nb.cells.insert(2, nbformat.v4.new_code_cell(RIGHT.replace("pixel_norm", "helper")))


CELLS = {
    "a cell is missing": (0, 1, "the cell 'norm' is missing", changed(lambda nb: nb.cells.pop(2) and None)),
    "a cell is markdown": (0, 1, "the cell 'norm' is a markdown cell, which is not run", changed(lambda nb: nb.cells[2].update(cell_type="markdown") or json.dumps(nb))),
    "a cell twice": (0, 1, "the first was graded", changed(doubled)),
    "a cell split": (2, 1, "together with the second", changed(split)),
    "two cells merged": (2, 1, "cell number 3 was graded, because it defines 'twice'", changed(lambda nb: nb.cells[2].update(source=f"{RIGHT}\n\n\n{TWICE}") or nb.cells.pop(5) and None)),
    "another's mark": (2, 1, "the first was graded", changed(lambda nb: nb.cells.append(nbformat.v4.new_code_cell("0/0", metadata=meta("<img src=x>![](y)", ""))) or nb.cells.append(nb.cells[-1]))),
    "cells reordered": (2, 1, "", changed(lambda nb: nb.cells.reverse())),
    "extra cells that fail": (2, 1, "", changed(lambda nb: nb.cells.insert(1, nbformat.v4.new_code_cell("1/0")))),
    "checks edited": (0, 1, "usual cause: the mean was subtracted", changed(edited)),
    "checks deleted": (2, 1, "", changed(lambda nb: [nb.cells.pop(n) for n in (6, 4, 3)] and None)),
    "points edited": (0, 0, "not yet written", changed(lambda nb: [c.metadata.nbgrader.update(points=99) for c in nb.cells[2:]]
                            and [nb.cells[n].update(source='def twice(x):\n    raise NotImplementedError("not yet written")') for n in (2, 5)] and None)),
    "metadata is text": (2, 1, "no cell is marked as 'norm'", changed(lambda nb: nb.cells[2].metadata.update(nbgrader="yes"))),
    "metadata of odd types": (2, 1, "", changed(lambda nb: [nb.cells[0].update(metadata=None), nb.cells[3].metadata.nbgrader.update(grade_id=["a"])] and json.dumps(nb))),
    "not a number in an output": (2, 1, "", changed(lambda nb: nb.cells[1].update(outputs=[nbformat.v4.new_output("display_data", {"application/json": float("nan")})]) or json.dumps(nb))),
    "a helper elsewhere": (0, 1, "your cell uses 'helper', defined in a cell that is not handed in (number 3): move it here", changed(helper_elsewhere)),
    "as it came": (0, 1, "not yet written", body('raise NotImplementedError("not yet written")')),
    "a syntax error": (0, 1, "its cell did not run: SyntaxError", "def pixel_norm(z) return z"),
    "an exception while it is defined": (0, 1, "ZeroDivisionError: division by zero (line 1", "1/0\n" + RIGHT),
    "an exception": (0, 1, "IndexError", body("return z[99]")),
    "returns nothing": (0, 1, "usual cause: `return` is missing", body("pass")),
    "a magic": (2, 1, "", "%matplotlib inline\n" + RIGHT),
    "an unknown magic": (0, 1, "Line magic function `%nonsense` not found", RIGHT + "\n%nonsense"),
    "changes its argument": (0, 1, "your function changed its argument in place: z", body("z /= np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)", "return z")),
    "changes its argument and does nothing": (0, 1, "your function changed its argument in place: z", body("z[...] = 0", "return z")),
    "float32": (1, 1, "", body("return (z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)).astype(np.float16)")),
    "unicode names": (2, 1, "", RIGHT.replace("z", "ζ").replace("pixel_norm", "pixel_norm")),
}  # fmt: skip


# ---- what its code does -----------------------------------------------------------------------------

LIAR = """
class Liar(np.ndarray):
    __eq__ = __le__ = lambda self, other: True
    __bool__ = lambda self: True
return np.zeros_like(z).view(Liar)"""
FRAMES = """
import sys
frame = sys._getframe()
while frame:
    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
        if isinstance(value, dict) and "want" in value:
            return value["want"]
    frame = frame.f_back
names = get_ipython().user_ns
return names["want"] if "want" in names else np.zeros_like(z)"""
FORGE = """
import os, struct
text = b'{"arrays": [["<f8", [1, 4]]], "message": {"result": {"array": 0}, "changes": []}}'
data = np.ones((1, 4)).tobytes()
frame = struct.pack("<QI", 4 + len(text) + len(data), len(text)) + text + data
for number in range(3, 50):
    try:
        os.write(number, frame if %s else b"nonsense" * 100)
    except OSError:
        pass
return np.zeros_like(z)"""
PATCH = """
import builtins, numpy.testing, unittest
for module in (numpy.testing, np):
    for name in dir(module):
        if name.startswith("assert") or name in ("allclose", "array_equal"):
            setattr(module, name, lambda *a, **k: True)
import pytest
pytest.fail = lambda *a, **k: None
from minigan.grading import expect
expect.close = expect.array = expect.true = lambda *a, **k: None
np.abs = np.max = np.asarray = lambda *a, **k: 0.0
builtins.AssertionError = builtins.ValueError = type("Never", (Exception,), {})
builtins.isinstance = lambda *a: True
"""
LEFT_BEHIND = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(1)
    os._exit(0)
return np.zeros_like(z)"""

CODE = {
    "an infinite loop": (0, 1, "a loop that does not end", body("while True:", "    pass")),
    "an infinite loop while it is defined": (0, 1, "a loop that does not end", "while True:\n    pass"),
    "sleeps": (0, 1, "a loop that does not end", body("import time", "time.sleep(10**6)")),
    "catches everything": (0, 1, "a loop that does not end", body("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
                           "while True:", "    try:", "        while True: pass", "    except BaseException:", "        pass")),
    "infinite output": (0, 1, "a loop that does not end", body("while True:", "    print('x' * 10**6)")),
    "sys.exit": (0, 1, "SystemExit", body("import sys", "sys.exit(0)")),
    "exit in the cell": (0, 1, "", "import sys\nsys.exit(0)"),
    "os._exit": (0, 1, "ended itself (exit status 0)", body("import os", "os._exit(0)")),
    "os._exit in the cell": (0, 1, "ended itself (exit status 0)", "import os\nos._exit(0)"),
    "kills itself": (0, 1, "SIGKILL", body("import os", "os.kill(os.getpid(), 9)")),
    "kills everyone": (0, 1, "", body("import os", "os.kill(-1, 9)")),
    "segfault": (0, 1, "SIGSEGV", body("import ctypes", "ctypes.string_at(0)")),
    "recursion": (0, 1, "RecursionError", body("return pixel_norm(z)")),
    "50 GB at once": (0, 1, "MemoryError", body("return np.ones(50 * 10**9 // 8)")),
    "memory bit by bit": (0, 1, "", body("kept = []", "while True:", "    kept.append(np.ones(10**6))")),
    "memory of many processes": (0, 1, "", body("import os", "for _ in range(5):", "    os.fork()", "kept = np.ones(4 * 10**7)", "import time", "time.sleep(9)")),
    "fork bomb": (0, 1, "", body("import os", "while True:", "    try:", "        os.fork()", "    except OSError:", "        pass")),
    "thread bomb": (0, 1, "", body("import threading, time", "while True:", "    threading.Thread(target=time.sleep, args=(99,)).start()")),
    "fills the disk": (0, 1, "", if_it_works("for n in range(40):", "    open(f'x{n}', 'wb').write(bytes(10**7))")),
    "fills the shared memory": (0, 1, "", if_it_works("for n in range(40):", "    open(f'/dev/shm/x{n}', 'wb').write(bytes(10**7))")),
    "leaves a process behind": (0, 1, "", body(LEFT_BEHIND)),
    "monkeypatches": (0, 1, "", PATCH + body("return np.full(z.shape, 0.0)")),
    "silences tracebacks": (0, 1, "", "get_ipython().showtraceback = lambda *a, **k: None\n" + body("raise ValueError('quiet')")),
    "reads In and frames": (0, 1, "", body(FRAMES)),
    "lies about being equal": (0, 1, "got:         Liar", body(LIAR)),
    "an object that lies": (0, 1, "got:         Yes", "class Yes:\n    __eq__ = lambda s, o: True\n    shape = (1, 4)\n" + body("return Yes()")),
    "wraps the answer": (0, 1, "write this one yourself", body("from minigan import toy", "return toy.pixel_norm(z)")),
    "wraps the answer under another name": (0, 1, "write this one yourself", "from minigan.toy import pixel_norm as theirs\n" + body("return theirs(z)")),
    "is the answer": (0, 1, "write this one yourself", "from minigan.toy import pixel_norm"),
    "takes the answer out of its guard": (0, 1, "write this one yourself", "from minigan import toy\n" + body(
        "guard = toy.pixel_norm", "return guard.__closure__[guard.__code__.co_freevars.index('function')].cell_contents(z)")),
    "finds the answer in memory": (0, 1, "write this one yourself", body(
        "import gc, types", "known = [f for f in gc.get_objects() if type(f) is types.FunctionType and f.__module__ == 'minigan.toy.model']",
        "return [f for f in known if f.__name__ == 'pixel_norm'][0](z)")),
    "unlocks the answer": (0, 1, "write this one yourself", body(
        "import gc", "from minigan import toy", "[o for o in gc.get_objects() if type(o).__name__ == 'Answers'][0].blocked.clear()", "return toy.pixel_norm(z)")),
    "asks another process": (0, 1, "write this one yourself",
        "import multiprocessing\nfrom minigan import toy\n\n\ndef ask(z):\n    return toy.pixel_norm(z)\n\n\npool = multiprocessing.get_context('fork').Pool(1)\n" + body("return pool.apply(ask, (z,))")),
    "reads another's": (0, 1, "", if_it_works("open('{folder}/a good one/{name}.ipynb').read()")),
    "reads the solution": (0, 1, "", if_it_works("open('{root}/solutions/{name}.ipynb').read()")),
    "lists the class": (0, 1, "", if_it_works("import os", "os.listdir('{folder}')")),
    "writes the grades": (0, 1, "", if_it_works("open('{root}/grades.json', 'w').write('full marks')")),
    "writes into the package": (0, 1, "", if_it_works("import minigan.toy", "open('/package/toy/model.py', 'a').write('#')")),
    "opens a socket": (0, 1, "", if_it_works("import socket", "socket.create_connection(('127.0.0.1', {port}), 2)")),
    "looks a host up": (0, 1, "", if_it_works("import socket", "socket.getaddrinfo('pypi.org', 443)")),
    "sees other processes": (0, 1, "", if_it_works("import os", "assert len([p for p in os.listdir('/proc') if p.isdigit()]) > 20")),
    "is root": (0, 1, "", if_it_works("import os", "assert os.getuid() == 0")),
    "writes nonsense to the grader": (0, 1, "", body(FORGE % "False")),
    "forges an answer": (0, 1, "what no answer looks like", body(FORGE % "True")),
    "returns 1 GB": (0, 1, "too large", body("return np.ones(10**8)")),
    "returns many values": (0, 1, "too large to send: 200,001 values", body("return [0.0] * 200_000")),
    "returns a long text": (0, 1, "too large to send", body("return 'x' * 10**6")),
    "an error with an odd name": (0, 1, "NameError", body("raise NameError('x', name=[])")),
    "an error without letters": (0, 1, ":  (line", "class Odd(Exception):\n    def __str__(self):\n        return '\x07'\nOdd.__name__ = '\x08'\n" + body("raise Odd")),
    "holds memory in memory files": (0, 1, "Cannot allocate memory", body("import os", "os.memfd_create('x')")),
    "holds memory in shared segments": (0, 1, "shared memory are not allowed", body("import ctypes", "ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)")),
    "memory in memory files": (0, 1, "", if_it_works("import os", "os.ftruncate(os.memfd_create('x'), 10**6)")),
    "memory in shared segments": (0, 1, "", if_it_works("import ctypes", "assert ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) >= 0")),
    "memory that no process shows": (0, 1, "", if_it_works("import mmap", "mmap.mmap(-1, 1 << 20)")),
    "memory behind a device": (0, 1, "", if_it_works("import mmap, os", "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 1 << 20)")),
    "mounts a file system": (0, 1, "", if_it_works("import ctypes", "assert ctypes.CDLL(None).unshare(0x10000000) == 0")),
    "many open files": (0, 1, "", if_it_works("import os", "kept = [os.pipe() for _ in range(500)]")),
    "many empty files": (0, 1, "more than 20,000 files", body("import os, time", "for n in range(10**6):", "    os.mkdir(f'd{n}')")),
    "returns a nest": (0, 1, "RecursionError", body("out = []", "for _ in range(10**5): out = [out]", "return out")),
    "returns a function": (0, 1, "got:         function", body("return pixel_norm")),
    "an endless message": (0, 1, "", body("raise ValueError('x' * 10**7)")),
    "an exception without words": (0, 1, "(no message)", "class Odd(Exception):\n    def __str__(self):\n        raise SystemExit\n" + body("raise Odd")),
    "html and colours": (0, 1, "<script>alert(1)</script>red", body("raise ValueError('<script>alert(1)</script>\\x1b[31mred')")),
}  # fmt: skip

GOOD = {name: (2, 1, "", lambda folder: write(folder, notebook()))
        for name in ("a good one", "m good one", "z good one", "名前 Ünïcödé 🎨", "=cmd()", "line\nbreak :: colon",
                     "x" * 250, b"not utf-8 \xff".decode("utf-8", "surrogateescape"))}  # fmt: skip
CORPUS = GOOD | FILES | CELLS | CODE


def hand_in(root, port):
    """Write root/solutions and root/class; port: of a server that should not be reached."""
    (root / "solutions").mkdir()
    write(root / "solutions", exercise())
    for name, (_, _, _, made) in CORPUS.items():
        folder = root / "class" / name
        folder.mkdir(parents=True)
        if isinstance(made, str):
            places = {"{folder}": root / "class", "{root}": root, "{name}": NAME, "{port}": port}
            for place, value in places.items():
                made = made.replace(place, str(value))
            write(folder, notebook(norm=made))
        else:
            made(folder)

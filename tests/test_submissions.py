"""A class graded for real: `pytest --nbval --submissions`, with every way to go wrong in it."""

import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import nbformat
import numpy as np
import psutil
import pytest

from minigan.grading import cells, classroom, grade, kernel, roster, sandbox, submission, wire
from tests import bad_submissions as bad

ROOT = pathlib.Path(__file__).parent.parent
pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def shut_in(request):
    """Hostile code runs in these tests; without a sandbox that is a failure where CI runs them."""
    if "hostile" in request.keywords and sandbox.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(sandbox.missing())


def run(root, *options):
    command = [sys.executable, "-m", "pytest", "--nbval", f"--submissions={root / 'class'}"]
    command += ["-p", "no:cacheprovider", "--grading-limits=cell=4,memory=1024,files=64", *options]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The whole corpus, graded once on two workers: (folder, the finished process)."""
    if sandbox.missing():
        return None
    root = tmp_path_factory.mktemp("term")
    with socket.create_server(("127.0.0.1", 0)) as server:
        bad.hand_in(root, server.getsockname()[1])
        files = [f"--grades={root / name}" for name in ("g.json", "g.csv", "g.html")]
        done = run(root, "-n2", "--dist=loadfile", "--grading-seed=7", *files,
                   f"--feedback={root / 'back'}")  # fmt: skip
    return root, done


@pytest.mark.slow
@pytest.mark.hostile
def test_every_submission_of_the_corpus_gets_its_score(graded):
    root, done = graded
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "INTERNALERROR" not in done.stdout
    rows = {row["student"]: row for row in json.loads((root / "g.json").read_text())["submissions"]}
    assert len(rows) == len(bad.CORPUS) and len(bad.FILES | bad.CELLS | bad.CODE) >= 80
    wrong = []
    for name, (norm, twice, words, _) in bad.CORPUS.items():
        row = rows[roster.printable(name)]
        earned = [sum(c["earned"] for c in row["checks"] if c["task"][0] == task) for task in "12"]
        said = "\n".join([*row["remarks"], *(c["feedback"] for c in row["checks"])])
        if earned != [norm, twice] or words not in said or not row["graded"]:
            wrong.append(f"{name!r}: {earned} instead of {[norm, twice]}: {said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.hostile
def test_nothing_is_left_of_them(graded):
    root, _ = graded
    cmdlines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in cmdlines if "/package/grading/worker.py" in line]
    assert sorted(p.name for p in root.iterdir()) == ["back", "class", "g.csv", "g.html", "g.json",
                                                      "solutions"]  # fmt: skip
    assert not [path for path in (root / "class").rglob("*") if path.name == "__pycache__"]


@pytest.mark.slow
@pytest.mark.hostile
def test_the_reports_are_whole_and_safe_to_open(graded):
    root, done = graded
    with open(root / "g.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["student", "earned", "points", "02_tiny", "02 · 1 · PixelNorm",
                       "02 · 2 · Twice", "remarks"]  # fmt: skip
    assert len(rows) == 1 + len(bad.CORPUS) and {len(row) for row in rows} == {7}
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]
    page = (root / "g.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page and "\x1b" not in page
    assert page.count("<details>") == len(bad.CORPUS)
    assert "\x1b[31mred" not in done.stdout and "a good one" in done.stdout
    back = sorted(p.parent.name for p in (root / "back").rglob("*.ipynb"))
    assert len(back) == len(bad.CORPUS)
    for path in (root / "back").rglob("*.ipynb"):
        made = json.loads(path.read_text(), parse_constant=pytest.fail)
        nbformat.validate(made)
        assert made["nbformat_minor"] >= 5 or not any("id" in cell for cell in made["cells"])
        assert not {"<img", "![]("} & set(
            re.findall(r"<img|!\[\]\(", "".join(made["cells"][0]["source"]))
        )
    one = nbformat.read(root / "back" / "changes its argument" / "02_tiny.ipynb", as_version=4)
    assert one.cells[0].source.startswith("# 02_tiny: 1 / 3")
    assert "✗ 0 / 1  your function changed its argument" in one.cells[4].outputs[0].text


@pytest.mark.slow
@pytest.mark.hostile
def test_the_same_seed_gives_the_same_report(graded, tmp_path):
    """… on one worker instead of two, and without those whose words depend on the moment."""
    root, _ = graded
    with socket.create_server(("127.0.0.1", 0)) as server:
        bad.hand_in(tmp_path, server.getsockname()[1])
        done = run(tmp_path, "--grading-seed=7", f"--grades={tmp_path / 'g.json'}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "g.json").read_bytes() == (root / "g.json").read_bytes()


# ---- the run ----------------------------------------------------------------------------------------


def small_class(root, students):
    (root / "solutions").mkdir()
    bad.write(root / "solutions", bad.exercise())
    for name, made in students.items():
        (root / "class" / name).mkdir(parents=True)
        bad.write(root / "class" / name, made)


@pytest.mark.slow
def test_a_solution_that_fails_its_own_check_stops_the_run(tmp_path):
    small_class(tmp_path, {"anna": bad.notebook()})
    broken = bad.exercise()
    broken.cells[5].source = "def twice(x):\n    return 3 * x"
    bad.write(tmp_path / "solutions", broken)
    done = run(tmp_path)
    assert done.returncode != 0
    assert (
        "solutions/02_tiny.ipynb itself fails its check 'twice_graded'" in done.stderr + done.stdout
    )


@pytest.mark.parametrize("options, words", [
    (["--submissions=nowhere"], "--submissions: no folder"),
    (["--submissions=class/anna"], "holds no folders; expected one for each student"),
    (["--grades=g.xls"], "g.xls should end in .csv, .json or .html"),
    (["--grading-limits=time=3"], "'time' is none of cell, total, memory, files, processes"),
    (["--grading-limits=cell=0"], "cell must be above 0, got 0"),
    (["--grading-limits=cell=soon"], "could not convert"),
])  # fmt: skip
def test_bad_options_are_refused_in_a_sentence(tmp_path, options, words):
    small_class(tmp_path, {"anna": bad.notebook()})
    done = run(tmp_path, *options)
    assert done.returncode == 4 and words in done.stderr and "Traceback" not in done.stderr


def test_submissions_need_nbval_and_solutions(tmp_path):
    small_class(tmp_path, {"anna": bad.notebook()})
    command = [sys.executable, "-m", "pytest", "--submissions=class"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 4 and "--submissions needs --nbval" in done.stderr
    (tmp_path / "solutions" / "02_tiny.ipynb").unlink()
    done = run(tmp_path)
    assert done.returncode == 4 and "grading needs the instructor's own copies" in done.stderr


def test_a_process_that_cannot_start_is_said_in_a_sentence(tmp_path):
    small_class(tmp_path, {"anna": bad.notebook()})
    done = run(tmp_path, "--grading-limits=memory=20")
    said = done.stdout + done.stderr
    assert done.returncode == 4 and "no student's process can start: " in said, said
    assert "INTERNALERROR" not in said and "Traceback" not in said


def test_what_goes_wrong_with_one_submission_is_its_row(tmp_path, monkeypatch):
    """… and its feedback's, and the run goes on."""
    students = {name: bad.notebook() for name in ("anna", "bert", "carl")}
    small_class(tmp_path, students)
    (tmp_path / "conftest.py").write_text(
        "import pytest\nfrom minigan.grading import classroom, report\n"
        "grade, feedback = classroom.grade, report.feedback\n"
        "def broken(exercise, handed_in, *rest):\n"
        "    if 'bert' in str(handed_in.cells): raise AssertionError('a surprise')\n"
        "    return grade(exercise, handed_in, *rest)\n"
        "def no_feedback(folder, entry, row, most):\n"
        "    if entry.student == 'anna': raise UnboundLocalError('another')\n"
        "    feedback(folder, entry, row, most)\n"
        "classroom.grade, report.feedback = broken, no_feedback\n"
    )
    bad.write(tmp_path / "class" / "bert", bad.notebook(norm="# bert\n" + bad.RIGHT))
    done = run(tmp_path, "--grades=g.json", "--feedback=back", "--confcutdir=.")
    rows = {
        row["student"]: row for row in json.loads((tmp_path / "g.json").read_text())["submissions"]
    }
    assert done.returncode == 1, done.stdout
    assert [rows[name]["earned"] for name in students] == [3, 0, 3]
    assert rows["bert"]["checks"][0]["feedback"] == "NOT GRADED: AssertionError: a surprise"
    assert "no feedback was written: UnboundLocalError: another" in rows["anna"]["remarks"]
    assert sorted(p.name for p in (tmp_path / "back").iterdir()) == ["bert", "carl"]


def test_nothing_below_a_hidden_folder_is_shown_but_python():
    """Wherever the project lies: here, the folder that holds this Python is the project."""
    if sandbox.missing():
        pytest.skip(sandbox.missing())
    hidden = {str(pathlib.Path("/usr/share")), sys.prefix, sys.base_prefix, "/usr/nowhere"}
    limits = sandbox.Limits(cell=20, hidden=tuple(hidden))
    with contextlib.closing(kernel.Kernel(limits)) as box:
        box.define("import os, sys, numpy\ndef seen(path):\n    return os.listdir(path) if os.path.isdir(path) else None\n"
                   "def write(path):\n    open(path + '/x', 'w')")  # fmt: skip
        assert box.call("seen", ("/usr/share",), {}, []) == []
        assert "bin" in box.call("seen", ("/usr",), {}, [])
        parts = {"bin", "lib", "lib64", "include", "share", "etc", "pyvenv.cfg"}
        assert set(box.call("seen", (sys.prefix,), {}, [])) <= parts
        assert box.call("seen", (str(ROOT / "solutions"),), {}, []) is None
        for path in ("/usr/share", sys.prefix):
            with pytest.raises(kernel.StudentError, match="OSError|PermissionError"):
                box.call("write", (path,), {}, [])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_of_system_calls_allows_and_refuses(machine):
    """Its program, run by hand."""
    from minigan.grading import seccomp

    architecture, clone, mmap, shmget, memfd, refused = seccomp._REFUSED[machine]
    lines = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))

    def answer(number, *args, arch=architecture):
        data = (
            struct.pack("<II", number, arch)
            + bytes(8)
            + struct.pack("<6Q", *args, *[0] * (6 - len(args)))
        )
        value, at = 0, 0
        while True:
            operation, yes, no, k = lines[at]
            at += 1
            if operation == seccomp._RETURN:
                return k
            if operation == seccomp._LOAD:
                (value,) = struct.unpack_from("<I", data, k)
            elif operation == seccomp._AND:
                value &= k
            else:
                holds = {seccomp._EQUAL: value == k, seccomp._AT_LEAST: value >= k,
                         seccomp._ANY_BIT: bool(value & k)}[operation]  # fmt: skip
                at += yes if holds else no

    allowed, eperm, enomem = 0x7FFF0000, 0x00050001, 0x0005000C
    assert {answer(number) for number in (0, 1, 3, 500)} == {allowed}
    assert {answer(number) for number in refused} == {eperm}
    assert answer(memfd) == enomem and answer(shmget) == 0x80000000 and answer(435) == 0x00050026
    assert answer(clone, 0x11) == allowed and answer(clone, 0x10000011) == eperm
    assert answer(mmap, 0, 9, 3, 0x22) == allowed and answer(mmap, 0, 9, 3, 0x21) == enomem
    assert answer(0, arch=1) == eperm and answer(0x40000000) == eperm
    assert seccomp.program("riscv64") is None


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_report_even_if_a_worker_is_killed(tmp_path):
    """A scheduler and two workers on this machine; one of them is killed in the middle."""
    distributed = pytest.importorskip("distributed") if not os.environ.get("CI") else __import__("distributed")  # fmt: skip
    slow = bad.body("import time", "time.sleep(1)") + "\n    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)"  # fmt: skip
    students = {f"student {n}": bad.notebook(norm=slow if n % 2 else bad.body("return z"))
                for n in range(8)}  # fmt: skip
    small_class(tmp_path, students)
    plain = run(tmp_path, "--grading-seed=3", f"--grades={tmp_path / 'plain.json'}")
    assert plain.returncode == 0, plain.stdout
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        command = [sys.executable, "-m", "pytest", "--nbval", "--submissions=class",
                   "--grading-limits=cell=4,memory=1024,files=64", "--grading-seed=3",
                   f"--dask={cluster.scheduler_address}", "--grades=dask.json"]  # fmt: skip
        running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while not psutil.Process(victim).children(
            recursive=True
        ):  # until it has a student's kernel
            assert time.monotonic() < end and running.poll() is None
            time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)
        out, _ = running.communicate(timeout=300)
    assert running.returncode == 0, out
    assert (tmp_path / "dask.json").read_bytes() == (tmp_path / "plain.json").read_bytes()


# ---- one submission ---------------------------------------------------------------------------------

EXERCISES = roster.exercises(ROOT / "solutions")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_model_solutions_get_full_marks_through_the_wire(name, seed):
    own = submission.read(ROOT / "solutions" / f"{name}.ipynb", 1 << 23)
    outcomes = grade.grade(EXERCISES[name], own, seed)
    assert [o["feedback"] for o in outcomes] == [""] * len(outcomes)
    assert sum(o["earned"] for o in outcomes) == sum(o["points"] for o in outcomes) > 0


@pytest.mark.slow
def test_mutants_lose_the_points_of_their_task_alone():
    """Exercise 09 as a class: every wrong and every differently right solution, through the wire."""
    from benchmarks import grading
    from tests.mutants import exercise_09

    exercise = EXERCISES["09_stylegan2"]
    count = sum("__" in name.strip("_") and callable(v) for name, v in vars(exercise_09).items())
    wrong = []
    for name, notebook in grading.students(exercise.name, count):
        function, what = name.split(" ")[1].split("__", 1)
        cell = exercise.solutions[exercise.functions[function]]
        outcomes = grade.grade(exercise, submission.parse(nbformat.writes(notebook).encode()), 5)
        lost = {outcome["task"] for outcome in outcomes if outcome["feedback"]}
        if lost != (set() if what.startswith("correct_") else {cell.metadata.minigan.task}):
            wrong.append((name, lost))
    assert count > 30 and not wrong


def test_an_answer_kept_by_an_earlier_cell_is_guarded_too():
    exercise = EXERCISES["02_mapping_and_adain"]
    own = submission.read(ROOT / "solutions" / f"{exercise.name}.ipynb", 1 << 23)
    own.cells["adain"] += "\n\nfrom minigan import toy\n\nkept = [toy.pixel_norm]"
    own.cells["pixel_norm"] = "def pixel_norm(z):\n    return kept[0](z)"
    outcomes = {o["grade_id"]: o for o in grade.grade(exercise, own)}
    assert outcomes["adain_visible"]["earned"] == 1
    for grade_id in ("pixel_norm_visible", "pixel_norm_graded"):
        assert outcomes[grade_id]["earned"] == 0
        assert "write this one yourself" in outcomes[grade_id]["feedback"]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "name", [name for name, row in bad.CODE.items() if row[2] == "write this one yourself"]
)
def test_an_answer_refuses_however_it_is_reached(name):
    """And works again where the package may be used: a second task calls it."""
    twice = "from minigan import toy\n\n\ndef twice(x):\n    return 2 * toy.pixel_norm(x[None])[0]"
    handed_in = submission.parse(nbformat.writes(bad.notebook(bad.CODE[name][3], twice)).encode())
    *norm, last = grade.grade(grade.Exercise(bad.NAME, bad.exercise()), handed_in)
    assert all("write this one yourself" in outcome["feedback"] for outcome in norm)
    assert last["feedback"] == ""


def test_a_file_that_is_gone_while_the_package_is_copied_is_no_matter(tmp_path, monkeypatch):
    """A cache that another process writes has files that are renamed; here, a link to nothing."""
    shutil.copytree(sandbox.PACKAGE, tmp_path / "minigan")
    (tmp_path / "minigan" / "gone.tmp").symlink_to("nothing")
    monkeypatch.setattr(sandbox, "PACKAGE", tmp_path / "minigan")
    with contextlib.closing(kernel.Kernel(sandbox.Limits(cell=60))) as box:
        box.define("import minigan")


def test_lost_points_have_words():
    check = cells.Check("1", "a", 2)
    assert grade._outcome(check, None)["earned"] == 2
    for why in ("", "\x07", "\x1b[31m"):
        outcome = grade._outcome(check, why)
        assert outcome["earned"] == 0 and outcome["feedback"] == "failed without words"


def test_limits_in_words():
    limits = classroom.limits_of("cell=2.5,total=9,memory=100,files=3,processes=7")
    assert limits == sandbox.Limits(2.5, 9.0, 100 << 20, files=3 << 20, processes=7)
    assert classroom.limits_of("") == sandbox.Limits()


@pytest.fixture(scope="module")
def student():
    """A kernel with functions that do to their arguments what students do."""
    box = kernel.Kernel(sandbox.Limits(cell=10))
    box.define("import numpy as np")
    box.define(
        "def same(*args, **kwargs):\n    return args, kwargs\n"
        "def view(x):\n    return x[1:, ::-1]\n"
        "def fill(rng, x, d, l):\n    l.append(x)\n    del d['old']\n    x[:] = 7\n"
        "def grow(d):\n    d['new'] = 1\n"
        "def deep(x, d):\n    d['a']['b'][1][0] = 7\n"
        "def draw(rng):\n    return rng.normal()\n"
        "kept = []\ndef keep(x):\n    for y in kept: y[:] = 7\n    kept.append(x + 1)\n    return kept[-1]\n"
        "import collections\ndef kinds():\n    return collections.namedtuple('P', 'x y')(1, 2), collections.OrderedDict(a=3)\n"
        "def ask(f, x):\n    return f(x, scale=3)\n"
        "def careless(f):\n    return f(1, 2, 3)\n"
        "def fixed(x):\n    x[0] = 1\n"
        "def divide(x):\n    return x / 0\n",
        student=True,
    )
    yield box
    box.close()


def test_values_go_there_and_back(student):
    x = np.arange(6.0).reshape(2, 3)
    args = (None, True, 3, 2.5, "ü", x, x.T, np.float32(1.5), np.int64(3), 1 + 2j, [1, (2, "a")],
            {"a": x, "2": None}, np.array(3), np.zeros((0, 2)), float("inf"), np.array([True]))  # fmt: skip
    got, named = student.call("same", args, {"key": x}, [])
    assert named["key"] is x and got[5] is x  # what was sent comes back as itself
    for mine, theirs in zip(args, got, strict=True):
        assert type(mine) is type(theirs)
        np.testing.assert_equal(mine, theirs)
    assert got[7].dtype == np.float32


def test_a_changed_argument_is_a_failure_and_changes_nothing_here(student):
    rng, x, d, l = np.random.default_rng(5), np.zeros(3), {"old": 1}, [1]
    changed = "^your function changed its argument in place: "
    with pytest.raises(kernel.StudentError, match=changed + "x, d, l$"):
        student.call("fill", (rng, x, d, l), {}, [], ["rng", "x", "d", "l"])
    with pytest.raises(kernel.StudentError, match=changed + "number 2$"):
        student.call("deep", (x, {"a": {"b": [x + 1, x + 2]}}), {}, [])
    with pytest.raises(kernel.StudentError, match=changed + "d$"):
        student.call("grow", (), {"d": d}, [])
    np.testing.assert_array_equal(x, 0)
    assert d == {"old": 1} and l == [1]


def test_a_generator_goes_on_where_the_student_left_it(student):
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    assert student.call("draw", (rng,), {}, []) == again.normal() and rng.normal() == again.normal()


def test_what_a_later_call_does_to_an_earlier_result_is_not_seen_here(student):
    first = student.call("keep", (np.zeros(3),), {}, [])
    second = student.call("keep", (np.ones(3),), {}, [])
    np.testing.assert_array_equal(first, 1)
    np.testing.assert_array_equal(second, 2)


def test_named_tuples_and_ordered_dicts_are_tuples_and_dicts(student):
    got = student.call("kinds", (), {}, [])
    assert got == ((1, 2), {"a": 3}) and list(map(type, got)) == [tuple, dict]


def test_a_result_that_shares_memory_shares_it_here(student):
    x = np.arange(12.0).reshape(3, 4)
    got = student.call("view", (x,), {}, [])
    np.testing.assert_array_equal(got, x[1:, ::-1])
    got[0, 0] = 99
    assert x[1, 3] == 99


def test_functions_of_the_check_can_be_called_from_there(student):
    def scaled(x, scale):
        return x * scale

    np.testing.assert_array_equal(student.call("ask", (scaled, np.ones(2)), {}, []), [3, 3])
    with pytest.raises(kernel.StudentError, match="TypeError: .*positional argument"):
        student.call("careless", (scaled,), {}, [])


@pytest.mark.parametrize(
    "what", ["'x' * 10**5", "np.zeros(10**4)", "[np.zeros(10**4)]", "{'a': 1}", "None"]
)
def test_a_function_of_the_check_takes_few_and_small_numbers_alone(what):
    """What a check does with them costs the grader's own time and memory."""
    given = []
    with contextlib.closing(kernel.Kernel(sandbox.Limits(cell=20))) as box:
        box.define("import numpy as np")
        box.define(f"def once(f, x):\n    f(x)\n    f({what})", student=True)
        box.define("def often(f, x):\n    for n in range(1100): f(x)", student=True)
        box.define(
            f"def again(f, x):\n    for n in range(9):\n        try: f({what})\n        except (TypeError, ValueError): pass"
        )
        words = "called too often, or given too much|takes numbers and arrays, not"
        for name, count in (("once", 1), ("often", 1000), ("again", 0)):
            given.clear()
            with (
                pytest.raises(kernel.StudentError, match=words)
                if count
                else contextlib.nullcontext()
            ):
                box.call(name, (given.append, np.ones(2)), {}, [])
            assert len(given) == count


def test_random_numbers_that_nobody_seeds_and_the_order_of_sets_are_the_same(student):
    seen = []
    for _ in range(2):
        with contextlib.closing(kernel.Kernel(sandbox.Limits(cell=20))) as box:
            box.define(
                "import random\nimport numpy as np\ndef draw():\n    return [random.random(), np.random.random(), *map(str, {'a', 'b', 'c', 'd'})]"
            )
            box.fresh_allowance()
            seen.append([box.call("draw", (), {}, []) for _ in range(2)])
    assert seen[0] == seen[1] and seen[0][0] != seen[0][1]


def test_readonly_arrays_and_error_states_travel(student):
    with pytest.raises(kernel.StudentError, match="read-only"):
        student.call("fixed", (np.broadcast_to(0.0, (3,)),), {}, [])
    with np.errstate(all="ignore"):
        assert np.isinf(student.call("divide", (np.ones(1),), {}, []))
    with np.errstate(all="raise"), pytest.raises(kernel.StudentError, match="FloatingPointError"):
        student.call("divide", (np.ones(1),), {}, [])


def test_a_frame_from_the_other_side_is_not_trusted():
    """Bytes changed at random either decode to plain values or raise ValueError or EOFError."""
    import io

    packer = wire.Packer()
    tree = packer.encode({"a": [np.arange(6.0).reshape(2, 3), (1, "x", None, 2.5, np.float32(1))]})
    whole = packer.frame({"result": tree, "changes": []})
    rng, decoded = np.random.default_rng(0), 0
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            message, arrays = wire.read(
                io.BytesIO(data[: rng.integers(1, len(data) + 99)]), 1 << 16
            )
            if type(message) is dict and "result" in message:
                wire.Unpacker(arrays, [np.zeros(4)]).decode(message["result"])
                decoded += 1
        except (ValueError, EOFError):
            pass
    assert 0 < decoded < 4000


@pytest.mark.parametrize("node", [
    {"array": 5}, {"array": -1}, {"array": "0"}, {"again": 3}, {"view": 1}, {"function": 0}, {"student": "f"}, {"rng": {}}, [], {}, {"dict": [[[1], 2]]},
    {"dict": [1]}, {"list": [1] * wire.NODES}, {"tuple": 3}, {"array": 0, "view": [0, 10**9, [8]]}, {"array": 0, "view": [0, 0, [10**12]]}, {"array": 0, "view": [7, 0, [8]]},
    {"complex": "a"}, {"foreign": 3}, {"scalar": None},
])  # fmt: skip
def test_malformed_values_raise_valueerror_or_typeerror(node):
    with pytest.raises((ValueError, TypeError)):
        wire.Unpacker([np.zeros(4)], [np.zeros(4)]).decode(node)

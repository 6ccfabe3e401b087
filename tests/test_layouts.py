"""What lies in a class's folder: graded, or named, whatever course system has left it there."""

import json
import os
import pathlib
import subprocess
import sys

import nbformat
import pytest

from minigan.grading import grade, report, roster, submission
from tests import bad_submissions as bad

ROOT = pathlib.Path(__file__).parent.parent
TINY = roster.Exercise(bad.NAME, bad.exercise())
NAMES = ("02_tiny", "03_small")


def put(folder, *paths, made=None):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        bad.write((folder / path).parent, made or bad.notebook(), pathlib.Path(path).name)


def listed(folder):
    """{(student, exercise): (the file below `folder`, its remarks, whole)}, and what is nobody's."""
    entries, nobodys = roster.roster(folder, NAMES)
    return {(e.student, e.exercise): (str(e.path.relative_to(folder)) if e.path.exists() else None,
                                      "; ".join(e.remarks), e.whole) for e in entries}, nobodys  # fmt: skip


@pytest.mark.parametrize("file, student", [
    ("lovelaceada_12_34_02_tiny.ipynb", "lovelaceada"),
    ("bytebob_LATE_13_35_02_tiny-1.ipynb", "bytebob"),
    ("Ada Lovelace_12_assignsubmission_file_/02_tiny.ipynb", "Ada Lovelace_12"),
    ("Ada Lovelace_12_assignsubmission_file_02_tiny.ipynb", "Ada Lovelace_12"),
    ("ada/02_tiny/02_tiny.ipynb", "ada"),
])  # fmt: skip
def test_what_course_systems_leave_behind_is_read_without_a_word(tmp_path, file, student):
    put(tmp_path, file, "zoe/02_tiny.ipynb")
    found, nobodys = listed(tmp_path)
    assert found == {(student, "02_tiny"): (file, "", True),
                     ("zoe", "02_tiny"): ("zoe/02_tiny.ipynb", "", True)}  # fmt: skip
    assert not nobodys


def test_a_student_with_two_folders_of_moodles_is_one_student(tmp_path):
    put(tmp_path, "Ada_12_assignsubmission_file_/03_small.ipynb")
    (tmp_path / "Ada_12_assignsubmission_onlinetext_").mkdir()
    (tmp_path / "Ada_12_assignsubmission_onlinetext_" / "onlinetext.html").write_text("hello")
    found, _ = listed(tmp_path)
    path, said, whole = found["Ada_12", "03_small"]
    assert len(found) == 1 and path and said == "left aside: onlinetext.html" and whole


def test_a_repository_holds_the_lesson_of_the_same_name(tmp_path):
    put(tmp_path, "gan-ada/exercises/02_tiny.ipynb", "gan-ada/notebooks/02_tiny.ipynb",
        "gan-ada/notebooks/00_start.ipynb", "gan-ada/.git/02_tiny.ipynb",
        "gan-ada/exercises/.ipynb_checkpoints/02_tiny-checkpoint.ipynb")  # fmt: skip
    found, _ = listed(tmp_path)
    assert found["gan-ada", "02_tiny"] == (
        "gan-ada/exercises/02_tiny.ipynb",
        "graded: 'exercises/02_tiny.ipynb'; "
        "left aside: notebooks/00_start.ipynb, notebooks/02_tiny.ipynb",
        True,
    )


@pytest.mark.parametrize("files, graded, words", [
    (["02_tiny (1).ipynb"], None, "no exercise is called '02_tiny (1).ipynb'"),
    (["02_tiny (1).ipynb", "02_tiny.ipynb"], "02_tiny.ipynb", "no exercise is called '02_tiny (1).ipynb'"),
    (["02_tiny.zip"], None, "no exercise is called '02_tiny.zip'"),
    (["work.tar.gz"], None, "no exercise is called 'work.tar.gz'"),
    (["homework.ipynb"], None, "no exercise is called 'homework.ipynb'"),
    (["a/02_tiny.ipynb", "b/02_tiny.ipynb"], None, "more than one file is called so: 'a/02_tiny.ipynb', 'b/02_tiny.ipynb'"),
    (["02_tiny.ipynb", "old/02_tiny.ipynb"], "02_tiny.ipynb", "more than one file is called so: 'old/02_tiny.ipynb'"),
    (["02_tiny.ipynb", "02_tiny.IPYNB"], "02_tiny.ipynb", "more than one file is called so: '02_tiny.IPYNB'"),
])  # fmt: skip
def test_what_could_be_the_exercise_and_is_not_graded_is_named(tmp_path, files, graded, words):
    put(tmp_path, *(f"ada/{file}" for file in files), "zoe/02_tiny.ipynb")
    found, _ = listed(tmp_path)
    path, said, whole = found["ada", "02_tiny"]
    assert path == (graded and f"ada/{graded}") and words in said and not whole
    assert found["zoe", "02_tiny"][1:] == ("", True)


def test_a_notebook_of_any_name_beside_all_exercises_is_only_named(tmp_path):
    put(tmp_path, "ada/02_tiny.ipynb", "ada/scratch.ipynb")
    assert listed(tmp_path)[0]["ada", "02_tiny"][1:] == ("left aside: scratch.ipynb", True)


def test_who_handed_nothing_in_is_no_fault_of_the_run(tmp_path):
    put(tmp_path, "zoe/02_tiny.ipynb")
    (tmp_path / "ada").mkdir()
    assert listed(tmp_path)[0]["ada", "02_tiny"] == (None, "", True)


def test_folders_that_cannot_be_looked_through_are_named(tmp_path):
    put(tmp_path, "zoe/02_tiny.ipynb")
    (tmp_path / "ada").symlink_to("zoe")
    (tmp_path / "bea").mkdir()
    (tmp_path / "bea" / "exercises").symlink_to("../zoe")
    for number in range(roster.MOST + 1):
        (tmp_path / "many" / str(number)).mkdir(parents=True)
    found, _ = listed(tmp_path)
    assert found["ada", "02_tiny"][1:] == ("not graded: the folder itself is a link", False)
    assert found["bea", "02_tiny"] == (None, "not graded: exercises is a link", False)
    assert "more than 10,000 files" in found["many", "02_tiny"][1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path):
    put(tmp_path, "zoe/02_tiny.ipynb", "ada/02_tiny.ipynb")
    (tmp_path / "ada").chmod(0)
    try:
        assert "Permission denied" in listed(tmp_path)[0]["ada", "02_tiny"][1]
    finally:
        (tmp_path / "ada").chmod(0o700)


def test_students_whose_folders_print_alike_stay_two(tmp_path):
    put(tmp_path, "a\x07/02_tiny.ipynb", "a\\x07/02_tiny.ipynb")
    entries, _ = roster.roster(tmp_path, NAMES)
    assert [e.student for e in entries] == ["a\\x07", "a\\x07'"]
    assert {e.folder for e in entries} == {"a\x07", "a\\x07"}


def test_files_in_no_students_folder_are_named(tmp_path):
    put(tmp_path, "zoe/02_tiny.ipynb", "02_tiny.ipynb", ".._1_2_02_tiny.ipynb")
    (tmp_path / "readme.txt").write_text("")
    found, nobodys = listed(tmp_path)
    assert list(found) == [("zoe", "02_tiny")]  # nobody is called ".."
    assert nobodys == {
        "not graded, in no student's folder: 02_tiny.ipynb": True,
        "not graded, in no student's folder: readme.txt": False,
    }


@pytest.mark.slow
@pytest.mark.alone
def test_a_run_says_what_it_left_out_and_ends_with_1(tmp_path):
    (tmp_path / "solutions").mkdir()
    bad.write(tmp_path / "solutions", bad.exercise())
    command = [sys.executable, "-m", "pytest", "--nbval", "--submissions=class", "--grades=g.json",
               "--grades=g.html", "--feedback=back", "-p", "no:cacheprovider"]  # fmt: skip

    def run():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        rows = json.loads((tmp_path / "g.json").read_text())
        return done, rows, {r["student"]: (r["earned"], r["graded"]) for r in rows["submissions"]}

    put(tmp_path / "class", "ada_1_2_02_tiny.ipynb", "zoe/02_tiny/02_tiny.ipynb")
    (tmp_path / "class" / "nobody").mkdir()
    done, rows, points = run()
    assert done.returncode == 0 and rows["notes"] == []
    assert points == {"ada": (3, True), "zoe": (3, True), "nobody": (0, True)}
    for student in points:
        assert (tmp_path / "back" / student / "02_tiny.ipynb").is_file()
    put(tmp_path / "class", "bea/02_tiny (1).ipynb")
    done, rows, points = run()
    assert done.returncode == 1 and points["bea"] == (0, False) and "0 / 3 ?" in done.stdout
    assert "no exercise is called '02_tiny (1).ipynb'" in done.stdout
    (tmp_path / "class" / "bea" / "02_tiny (1).ipynb").unlink()
    put(tmp_path / "class", "loose.ipynb")
    done, rows, points = run()
    words = "not graded, in no student's folder: loose.ipynb"
    assert done.returncode == 1 and rows["notes"] == [words] and words in done.stdout
    assert words.replace("'", "&#x27;") in (tmp_path / "g.html").read_text()


# ---- one file ---------------------------------------------------------------------------------------


def test_lost_marks_are_made_up_for_by_ids_then_by_functions():
    for exercise in roster.exercises(ROOT / "solutions").values():
        want = {grade_id: cell.source for grade_id, cell in exercise.solutions.items()}
        made = nbformat.from_dict(json.loads(json.dumps(exercise.notebook)))
        for words in ("its id is the task's", "it defines "):
            for cell in made.cells:
                cell.metadata.clear()
            got = submission.parse(nbformat.writes(made).encode(), exercise)
            assert got.cells == want and words in got.remarks[0] and len(got.remarks) == len(want)
            for cell in made.cells:
                cell.id = "other-" + cell.id
        lesson = submission.read(ROOT / "notebooks" / f"{exercise.name}.ipynb", 1 << 25, exercise)
        assert lesson.problem == submission.UNMARKED and not lesson.cells


def test_the_students_view_of_lost_marks_is_the_graders(tmp_path):
    exercise = roster.exercises(ROOT / "solutions")["03_gradients_from_scratch"]
    made = nbformat.from_dict(json.loads(json.dumps(exercise.notebook)))
    for cell in made.cells:
        cell.metadata.clear()
    bad.write(tmp_path, made, f"{exercise.name}.ipynb")
    assert all(
        not o["feedback"] for o in grade.grade(*grade.own(tmp_path / f"{exercise.name}.ipynb"))
    )
    bad.write(tmp_path, made, "another.ipynb")
    with pytest.raises(ValueError, match="is it the right notebook"):
        grade.own(tmp_path / "another.ipynb")


def test_a_check_without_a_solution_says_so(tmp_path):
    made = bad.notebook()
    made.cells.pop(2)
    bad.write(tmp_path, made)
    first = grade.grade(*grade.own(tmp_path / f"{bad.NAME}.ipynb"))[0]
    assert "no cell is marked as this task's solution" in first["feedback"]


def test_what_a_check_trips_over_is_named():
    made = bad.exercise()
    made.cells[3].source = "first, second = pixel_norm(np.ones((1, 4)))"
    outcomes = grade.grade(roster.Exercise(bad.NAME, made),
                           submission.parse(nbformat.writes(bad.notebook(bad.body("pass"))).encode()))  # fmt: skip
    words = "pixel_norm returned NoneType, which the check cannot use: is a return missing?\n  TypeError"
    assert outcomes[0]["feedback"].startswith(words)


@pytest.mark.parametrize("value, words", [
    ("np.array([1, None])", "is an array of objects"), ("np.array(['a'])", "is an array of objects"), ("z + 0j", "pixel_norm is complex"),
])  # fmt: skip
def test_arrays_of_no_real_numbers_are_called_what_they_are(value, words):
    exercise = roster.Exercise(bad.NAME, bad.exercise())
    made = submission.parse(nbformat.writes(bad.notebook(bad.body(f"return {value}"))).encode())
    if words == "pixel_norm is complex":
        made.cells["norm"] = bad.RIGHT + " + 0j"
    assert words in grade.grade(exercise, made)[1]["feedback"]


def test_magics_that_ask_for_a_window_cost_nothing():
    for name in ("widget", "qt", "notebook", "inline"):
        made = bad.notebook(f"%matplotlib {name}\n%gui qt\n{bad.RIGHT}")
        outcomes = grade.grade(TINY, submission.parse(nbformat.writes(made).encode()))
        assert [o["feedback"] for o in outcomes] == ["", "", ""]


def handed_back(tmp_path, made, remarks=()):
    path = tmp_path / f"{bad.NAME}.ipynb"
    path.write_text(made if isinstance(made, str) else nbformat.writes(made))
    entry = roster.Entry("ada", bad.NAME, path, "ada")
    outcomes = grade.not_graded(TINY, "why")
    report.feedback(tmp_path / "back", entry, report.Row("ada", bad.NAME, True, list(remarks), outcomes), 1 << 25)  # fmt: skip
    return json.loads((tmp_path / "back" / "ada" / f"{bad.NAME}.ipynb").read_text(), parse_constant=pytest.fail)  # fmt: skip


@pytest.mark.parametrize("minor", range(6))
def test_feedback_is_a_valid_notebook_of_the_format_that_came(tmp_path, minor):
    made = json.loads(nbformat.writes(bad.notebook()))
    for cell in made["cells"] if minor < 5 else ():
        del cell["id"]
    back = handed_back(tmp_path, json.dumps(dict(made, nbformat_minor=minor)))
    nbformat.validate(back)
    assert back["nbformat_minor"] == minor and len(back["cells"]) == 1 + len(made["cells"])
    assert all(("id" in cell) == (minor == 5) for cell in back["cells"])


def test_feedback_keeps_what_browsers_cannot_read_in_words(tmp_path):
    made = bad.notebook()
    made.cells[1].outputs = [nbformat.v4.new_output("display_data", {"application/json": [float("inf")]})]  # fmt: skip
    back = handed_back(tmp_path, json.dumps(made))
    assert back["cells"][2]["outputs"][0]["data"]["application/json"] == ["Infinity"]


def test_a_remark_is_no_markdown(tmp_path):
    back = handed_back(tmp_path, bad.notebook(), ["called '<img src=x>![](y) `$a_b$`'"])
    (line,) = [line for line in back["cells"][0]["source"] if line.startswith("called")]
    assert not set("<>![]`$") & set(line) and "img src" in line


@pytest.mark.parametrize("text, safe", [
    ("ada", "ada"), ("=1+1", "'=1+1"), ("a;=1+1", "a;'=1+1"), ("＝1", "'＝1"), ("a; @b", "a; '@b"), ("a\t-b", "a\t'-b"), ("x-y", "x-y"),
])  # fmt: skip
def test_no_cell_of_a_table_is_a_formula(text, safe):
    assert report._no_formula(text) == safe


def test_tabs_are_blanks_in_words():
    assert grade.clean("a\tb\x07\nc") == "a    b\nc"


def test_files_that_are_too_large_say_how_to_make_them_smaller(tmp_path):
    path = tmp_path / f"{bad.NAME}.ipynb"
    bad.write(tmp_path, bad.notebook())
    for most, data in ((10, None), (1 << 25, b"[" + b"0," * submission.VALUES + b"0]")):
        path.write_bytes(data or path.read_bytes())
        words = submission.read(path, most).problem
        assert words.startswith("too large: ") and "clear the outputs" in words


def test_a_reader_that_trips_is_one_students_problem(tmp_path, monkeypatch):
    bad.write(tmp_path, bad.notebook())
    monkeypatch.setattr(submission, "parse", lambda data, exercise: {}["odd"])
    words = submission.read(tmp_path / f"{bad.NAME}.ipynb", 1 << 25).problem
    assert words == "cannot be read: KeyError: 'odd'"


# ---- before handing in ------------------------------------------------------------------------------


def validate(path, **environment):
    command = [sys.executable, "-m", "minigan.grading", "validate", path.name]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def test_validate_names_what_a_grader_will_not_look_at(tmp_path):
    name = "03_gradients_from_scratch"
    made = nbformat.read(ROOT / "solutions" / f"{name}.ipynb", as_version=4)
    for file, words in ((f"{name}.ipynb", b""), (f"{name} (1).ipynb", f"call it {name}.ipynb".encode()),
                        ("mine.ipynb", b"call it as the exercise was called.ipynb")):  # fmt: skip
        bad.write(tmp_path, made, file)
        status, out, _ = validate(tmp_path / file)
        assert status == bool(words) and words in out and b"14 / 14" in out


@pytest.mark.parametrize("encoding", ["cp1252", "cp932"])
def test_a_console_of_few_letters_gets_its_table(tmp_path, encoding):
    made = bad.notebook(bad.body("raise ValueError('✗ 🎨')"))
    bad.write(tmp_path, made)
    _, out, err = validate(tmp_path / f"{bad.NAME}.ipynb", PYTHONIOENCODING=encoding)
    assert b"PixelNorm  0 / 2" in out and b"ValueError: ? ?" in out and not err

"""A file is complete, or it is the older one; and nothing else is left."""

import os

import pytest

from minigan import atomic


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, OSError])
def test_what_goes_wrong_leaves_the_older_file(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("older")
    with pytest.raises(error), atomic.replacing(path) as file:
        file.write(b"half of")
        raise error
    assert path.read_text() == "older" and names(tmp_path) == ["a.txt"]


def test_an_error_says_what_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a.txt", tmp_path / "folder"):
        with pytest.raises(OSError, match=f"^cannot write {path}: "), atomic.replacing(path):
            pass
    assert names(tmp_path) == ["folder"]


def test_a_name_may_be_as_long_as_names_may_be(tmp_path):
    for name in ("x" * 255, "é" * 127, "🙂" * 63):
        with atomic.replacing(tmp_path / name) as file:
            file.write(b"new")
        assert (tmp_path / name).read_text() == "new"


def test_text_is_utf_8_with_the_line_ends_it_has(tmp_path):
    with atomic.replacing(tmp_path / "a.csv", "w") as file:
        file.write("é\nb\r\n")
    assert (tmp_path / "a.csv").read_bytes() == b"\xc3\xa9\nb\r\n"


@pytest.mark.skipif(os.name == "nt", reason="needs file modes")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_who_may_read_it_is_as_the_umask_says(mask, tmp_path):
    before = os.umask(mask)
    try:
        with atomic.replacing(tmp_path / "grades.csv", "w") as file:
            file.write("ada,10\n")
    finally:
        os.umask(before)
    assert (tmp_path / "grades.csv").stat().st_mode & 0o777 == 0o666 & ~mask

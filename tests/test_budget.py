"""The package stays small: its lines of code, the length of its files and what it ships."""

import pytest

from tools import lines

LONGEST = 420  # lines of a file, all counted
LONGER = {"ops/gpu/emulator/cuda.h": 551}  # and no line more


def test_a_line_of_code_is_what_python_and_cuda_execute(tmp_path):
    for name, text, count in (
        ("a.py", '"""Doc."""\n\n# why\nx = 1  # what\n', 1),
        (
            "b.py",
            'def f(a,\n      b):\n    """Doc,\n    long."""\n    return """two\nlines"""\n',
            4,
        ),
        ("c.py", 'class C:\n    "Doc."\n    x = (\n        1,\n\n    )\n', 4),
        ("e.py", "x = 1" + " + 1" * 50 + "\n", 3),
        ("d.cu", "// why\nint x; // what\n/* a\n b */ int y;\n\n", 2),
    ):
        (tmp_path / name).write_text(text)
        assert lines.code_lines(tmp_path / name) == count, name


@pytest.mark.parametrize("what", lines.BUDGETS)
def test_lines_of_code_keep_to_their_budget(what):
    count, most = lines.table()[what]
    assert 0 < count <= most, lines.text()


def test_no_file_is_too_long():
    sizes = {
        path.relative_to(lines.PACKAGE).as_posix(): len(path.read_text().splitlines())
        for path in lines.files()
    }
    long = {name: count for name, count in sizes.items() if count > LONGEST}
    assert long.keys() == LONGER.keys(), "split it; of those that have become shorter, forget them"
    assert all(count <= LONGER[name] for name, count in long.items()), long


def test_what_ships_is_quick_to_download():
    assert sum(p.stat().st_size for p in (lines.PACKAGE / "models").iterdir()) <= 30e6

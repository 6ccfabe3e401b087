"""Tables and cards know what made them: what changes a digest, and what is asked of whom."""

import json

import pytest

from tools import made

CODE = "def f(x, n=4):\n    return f'{x:{n}}{n}'\n"


@pytest.mark.parametrize("text, alike", [
    ('"""Doc."""\nimport a\n\n\ndef f(x: int, n=4) -> str:\n    """Doc."""\n'
     "    from b import c  # why\n\n    return (\n        f'{x:{n}}{n}'\n    )\n", True),
    (CODE.replace("4", "5"), False),
    (CODE.replace("{x:", "x{x:"), False),
    (CODE + "f.n = 4\n", False),
])  # fmt: skip
def test_a_digest_is_of_the_code_alone(text, alike, tmp_path):
    for name, source in (("a.py", CODE), ("b.py", text)):
        (tmp_path / name).write_text(source)
    assert (made.digest(tmp_path / "a.py") == made.digest(tmp_path / "b.py")) is alike


def test_all_that_was_made_is_known_with_what_decides_it():
    files = {made.ROOT / each.file for each in made.MADE.values()}
    assert files == {
        *(made.ROOT / made.RESULTS).glob("*.csv"),
        *(made.PACKAGE / "models").glob("*.md"),
    }
    for each in made.MADE.values():
        assert all((made.PACKAGE / source).is_file() for source in each.sources), each.file
        assert all((made.ROOT / other).is_file() for other in each.others), each.file
    assert json.loads(made.RECORD.read_text()).keys() == made.MADE.keys()


TABLE = "seed,distance,seconds\n0,{:.4f},{}\n"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A project of one table, made by p/measure.py."""
    (tmp_path / "p").mkdir()
    (tmp_path / made.RESULTS).mkdir(parents=True)
    file = f"{made.RESULTS}/t.csv"
    source = tmp_path / "p" / "measure.py"
    source.write_text(f"open({file!r}, 'w').write({TABLE.format(1, 7)!r})")
    (tmp_path / file).write_text(TABLE.format(1, 5))
    (tmp_path / "made.json").write_text("{}")
    one = made.Made(file, ("measure.py",), ("p/measure.py",), 1)
    for name, value in (("ROOT", tmp_path), ("PACKAGE", tmp_path / "p"), ("MADE", {"t": one}),
                        ("RECORD", tmp_path / "made.json")):  # fmt: skip
        monkeypatch.setattr(made, name, value)
    return source, tmp_path / file


def test_whose_sources_changed_must_be_made_again(small):
    source, table = small
    assert made.make("t") == "" and made.stale() == {}
    assert table.read_text() == TABLE.format(1, 5)  # as it was: the times are not measured again
    source.write_text(source.read_text().replace("1.0000", "1.5000"))
    assert made.stale() == {
        "t": f"{made.RESULTS}/t.csv: measure.py changed since it was made; make it again "
        "(1 min): python tools/made.py --make t"
    }
    assert made.make("t").startswith("1 of 2 values differ, such as (('distance', '1.0000'), ")
    assert made.stale() == {} and table.read_text() == TABLE.format(1.5, 7)
    table.write_text(TABLE.format(1.4, 7))
    assert "t.csv changed since it was made" in made.stale()["t"]
    table.with_name("other.csv").write_text("a\n1\n")
    assert made.stale()["other"].endswith("other.csv: tools/made.py does not say what makes it")


CARD = "## Measures\n\nDistance {:.3f} ± 0.1, all; not: a (1 %).\n### What the latents\n0.12 {}\n"


@pytest.mark.parametrize("then, now, said", [
    ((1, "x"), (1.01, "x"), ""),
    ((1, "x"), (1.3, "x"), "1 of 2 numbers differ, such as ('1.000', '1.300')"),
    ((1, "x"), (1, "0.99"), ""),
])  # fmt: skip
def test_a_card_that_differs_by_rounding_is_the_same(then, now, said):
    assert made.differs(CARD.format(*then), CARD.format(*now), False) == said


def test_a_table_that_has_lost_a_row_or_a_card_a_word_is_not_the_same():
    table, card = TABLE.format(1, 5), CARD.format(1, "")
    assert made.differs(table + "1,2.0000,5\n", table, True).startswith("2 of 4 values differ")
    assert made.differs(card, card.replace("Distance", "Spread"), False) == "other words"
    assert made.differs(card, card.replace("± 0.1", "±"), False) == "1 numbers instead of 2"

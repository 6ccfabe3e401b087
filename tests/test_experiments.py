"""The tables of the course: how they are made and read back, and what they say."""

import dataclasses
import pathlib
import sys

import numpy as np
import pytest

from minigan import training
from minigan.cli.main import main
from minigan.evaluation import equivariance
from minigan.experiments import path_length, texture_sticking
from minigan.experiments.table import Table, mean_std

from .test_training import TINY

RESULTS = pathlib.Path(__file__).parent.parent / "notebooks" / "results"


def ratio(a, b):
    """A row of `RATIOS`; two rows where b is 1; an error where b is 0."""
    row = {"a": a, "b": b, "ratio": a / b, "word": None if b < 0 else f"{a}/{b}"}
    return [row, row] if b == 1 else row


RATIOS = Table({"a": int, "b": int, "ratio": float, "word": str}, ratio)


def test_a_table_is_read_back_as_it_was_made(tmp_path):
    path = tmp_path / "t.csv"
    rows = RATIOS.make([(1, 3), (2, 1), (4, -3)], path, jobs=2)
    assert [row["a"] for row in rows] == [1, 2, 2, 4] and rows[0]["ratio"] == 1 / 3
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    assert path.read_bytes().startswith(b"a,b,ratio,word\n1,3,0.33333,1/3\n")
    read = RATIOS.read(path)
    assert read[0] == {"a": 1, "b": 3, "ratio": 0.33333, "word": "1/3"}
    assert read[3]["word"] is None and type(read[3]["a"]) is int and len(read) == 4
    with pytest.raises(ValueError, match=r"has the columns \['a', 'b', .*; expected \['step'"):
        texture_sticking.TABLE.read(path)


def test_a_task_that_fails_costs_neither_the_rows_before_it_nor_the_older_table(tmp_path):
    path = tmp_path / "t.csv"
    RATIOS.make([(7, 7)], path)
    older = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        RATIOS.make([(1, 2), (3, 4), (5, 0), (6, 6)], path, jobs=2)
    assert path.read_bytes() == older
    assert RATIOS.read(tmp_path / "t.csv.part") == [
        {"a": 1, "b": 2, "ratio": 0.5, "word": "1/2"},
        {"a": 3, "b": 4, "ratio": 0.75, "word": "3/4"},
    ]


def test_where_a_table_cannot_go_is_said_before_any_task(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*none"):
        RATIOS.make([(1, 0)], tmp_path / "none" / "t.csv")
    with pytest.raises(IsADirectoryError, match="is a folder; expected a file"):
        RATIOS.make([(1, 0)], tmp_path)


def test_mean_and_standard_deviation():
    assert mean_std([1.0, 3.0, None], 2) == "2.00 ± 1.41"
    assert mean_std([1.0], 1) == "1.0" and mean_std([None], 1) == "–" == mean_std([], 1)


def test_the_committed_table_of_path_length_is_complete():
    rows = path_length.TABLE.read(RESULTS / "path_length.csv")
    points = range(path_length.EVERY, path_length.KIMG + 1, path_length.EVERY)
    wanted = [(weight, kimg) for weight in path_length.WEIGHTS for kimg in points]
    assert [(row["pl_weight"], row["kimg"]) for row in rows] == wanted
    assert len(path_length.summary(rows).splitlines()) == 13


@pytest.mark.slow
def test_path_length_measures_all_columns(tmp_path, monkeypatch):
    """A run in miniature: two points, two seeds; a second time it goes on and finds the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGAN_QUIET", "1")
    small = training.override(TINY, {"G.img_resolution": 32, "D.img_resolution": 32, "batch": 20})
    monkeypatch.setitem(training.PRESETS, "portraits32", small)
    monkeypatch.setattr(path_length, "KIMG", 2)
    monkeypatch.setattr(path_length, "EVERY", 1)
    drawings, images = path_length.measure.drawings, path_length.measure.images
    monkeypatch.setattr(path_length.measure, "drawings", lambda n, *rest: drawings(80, *rest))
    monkeypatch.setattr(path_length.measure, "images", lambda G, n, rng: images(G, 80, rng))
    rows = path_length.run(2.0, [0, 1])
    assert [row["kimg"] for row in rows] == [1, 2] and rows == path_length.run(2.0, [0, 1])
    assert all(row.keys() == path_length.COLUMNS.keys() for row in rows)
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert rows[0]["ffd_mean"] > 0 and rows[0]["l_mean"] != rows[1]["l_mean"]


def test_each_step_helps_and_the_committed_table_says_so():
    """B to G, one seed, in miniature; then the table that the lesson reads."""
    steps = list(texture_sticking.STEPS)
    small = [texture_sticking.run(step, 0, 16)["eq_t"] for step in steps[:6]]
    found = {step: [] for step in steps}
    for row in texture_sticking.TABLE.read(RESULTS / "texture_sticking.csv"):
        found[row["step"]].append(row["eq_t"])
    assert all(len(values) == 5 for values in found.values())
    for eq_t in (small, [np.mean(found[step]) for step in steps[:6]]):
        assert all(a + 3 < b for a, b in zip(eq_t, eq_t[1:], strict=False)), eq_t
    # The miniature is the table's own first seed, with fewer latents.
    first = [found[step][0] for step in steps[:6]]
    np.testing.assert_allclose(small, first, atol=5)


def test_the_command_writes_the_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / "table.csv"
    options = ["--seeds", "0", "1", "--n", "8", "--out", str(path)]
    monkeypatch.setattr(sys, "argv", ["minigan", "experiment", "texture_sticking", *options])
    main()
    rows = texture_sticking.TABLE.read(path)
    assert len(rows) == 16 and {row["n"] for row in rows} == {8}
    text = capsys.readouterr().out
    assert text == texture_sticking.summary(rows) + "\n"
    assert "B  Fourier input" in text and text.count("±") == 16


def test_what_is_moved_is_the_input_alone():
    G = texture_sticking.STEPS["B  Fourier input"](np.random.default_rng(0))
    ws = G.mapping(np.ones((1, 8), np.float32))
    assert G.synthesis(ws).shape == (1, 3, 32, 32)
    moved = G.transformed(np.array([[1, 0, 0.125], [0, 1, 0], [0, 0, 1]]))
    np.testing.assert_allclose(moved._waves()[..., 2:], G._waves()[..., :-2], atol=1e-12)
    assert moved.params is G.params


def test_what_each_cure_is_worth_beside_all_others():
    """From G one cure is left out at a time, as in the lesson.  The cumulative table cannot say it:
    there noise costs 5 dB, since more leaks beside it, and margins and upsampling are one step."""
    finished = texture_sticking.Step(
        noise=False, margin=10, sinc=True, filtered=True, critical=False
    )
    left_out = {"noise": True, "margin": 0, "filtered": False, "critical": True, "sinc": False}

    def eq_t(step):
        G = step.build(np.random.default_rng([0, 1]))
        return equivariance.eq_t(G, np.random.default_rng(0), 16)

    best = eq_t(finished)
    lost = {k: best - eq_t(dataclasses.replace(finished, **{k: v})) for k, v in left_out.items()}
    assert lost.pop("sinc") < 15 and min(lost.values()) > 35, lost

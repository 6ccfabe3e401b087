"""The table of inversions: its numbers in cases whose answer is known, and that it can go on."""

import dataclasses
import sys

import numpy as np
import pytest

from minigan import files
from minigan.cli.main import main
from minigan.editing.inversion import statistics
from minigan.editing.perceptual import Perceptual
from minigan.editing.space import Space
from minigan.evaluation import inversion as measures
from minigan.evaluation.inversion import EDITS, NUMBERS, Found, Judge, draw
from minigan.experiments import inversion as table

SIZES = table.Sizes(n=4, steps=8, updates=2, gallery=measures._AS_EDITED)


@dataclasses.dataclass
class Setting:
    G: object
    judge: Judge
    gallery: tuple
    features: Perceptual

    def problem(self, which, n=4):
        sizes = dataclasses.replace(SIZES, n=n)
        return table.problem(which, 0, self.G, self.features, self.judge.reader, self.gallery,
                             sizes)  # fmt: skip


@pytest.fixture(scope="module")
def setting():
    G, reader = files.load("portraits32"), files.load_reader("factors32")
    gallery, read = table.generated(G, reader, SIZES.gallery)
    judge = Judge.of(G, reader, files.load_reader("identity32"), gallery[0], read)
    return Setting(G, judge, gallery, Perceptual(reader, "factors32"))


def drawn_by(G, ws):
    return Found(draw((G,), ws), ws, (G,), 1.0, 1)


def test_of_generated_pictures_their_own_w_leaves_nothing_to_wish_for(setting):
    G, judge = setting.G, setting.judge
    targets = setting.problem("generated").targets
    row = judge.score(targets, drawn_by(G, targets.ws))
    assert row.keys() == set(NUMBERS)
    for name in ("mse", "mse_face", "perceptual", "w_error", "spread", "factor_error"):
        assert row[name] == pytest.approx(0, abs=1e-5), name
    assert row["identity"] == pytest.approx(1, abs=1e-5)
    assert row["identity_share"] == row["right"] == 1 and row["others_moved"] == 0
    assert 0.5 < row["mahalanobis"] / G.w_dim**0.5 < 1.5
    # These are the pictures that editability refers to.
    ws = np.repeat(setting.gallery[0][:, None], G.num_ws, axis=1)
    all_of_them = dataclasses.replace(targets, images=draw((G,), ws), ws=ws, factors=None,
                                      face=np.ones((len(ws), 32, 32), bool))  # fmt: skip
    row = judge.score(all_of_them, drawn_by(G, ws))
    for name in EDITS:
        assert row[f"editability_{name}"] == pytest.approx(1, abs=1e-3)
        assert judge.effects[name] > 0.02


def test_what_is_wrong_with_w_is_measured_in_its_units(setting):
    G, judge, space = setting.G, setting.judge, statistics(setting.G)
    targets = setting.problem("generated").targets
    step = np.zeros_like(targets.ws)
    step[:, ::2, 0], step[:, 1::2, 0] = space.radius, -space.radius
    row = judge.score(targets, drawn_by(G, targets.ws + step))
    assert row["w_error"] == pytest.approx(1, rel=1e-4)
    even = (np.arange(G.num_ws) % 2 * -2 + 1).mean() ** 2
    assert row["spread"] == pytest.approx((1 - even) ** 0.5, rel=1e-3)
    middle = np.broadcast_to(space.mean.astype(np.float32), targets.ws.shape)
    assert judge.score(targets, drawn_by(G, middle))["mahalanobis"] < 1e-3


def test_somebody_else_is_found_out(setting):
    targets = setting.problem("drawn", 16).targets
    right = setting.judge.score(targets, Found(targets.images, None, (setting.G,), 0.0, None))
    other = np.roll(targets.images, 1, axis=0)
    wrong = setting.judge.score(targets, Found(other, None, (setting.G,), 0.0, None))
    assert right["identity"] == pytest.approx(1, abs=1e-5) and right["mse"] == 0
    assert wrong["identity"] < 0.5 and wrong["identity_share"] < 0.3
    assert wrong["factor_error"] > 2 * right["factor_error"] and wrong["right"] < 0.6
    assert right["right"] > 0.85 and wrong["mse_face"] > 0 and wrong["w_error"] is None


class Painter:
    """A generator whose pictures are the next of a list, whatever w."""

    def __init__(self, G, pictures):
        self.pictures, self.G = iter(pictures), G

    def synthesis(self, ws):
        return self.G.synthesis(ws) if len(ws) == measures._OTHERS else next(self.pictures)


def test_an_edit_is_judged_by_the_portrait_so_drawn(setting):
    judge, targets = setting.judge, setting.problem("drawn").targets
    ws = np.repeat(setting.gallery[0][:4, None], setting.G.num_ws, axis=1)
    true = [targets.edited(name, judge.effects[name]) for name in EDITS]

    def row(pictures):
        found = Found(targets.images, ws, (Painter(setting.G, pictures),), 1.0, 1)
        return judge.score(targets, found)

    same, perfect, leaks = row([targets.images] * 3), row(true), row([-a for a in true])
    assert perfect["edit_inside"] == perfect["edit_outside"] == 0 == perfect["others_moved"]
    assert same["edit_inside"] > 20 * same["edit_outside"] and same["editability_yaw"] == 0
    assert same["others_changed"] == 0 < perfect["others_changed"]
    assert leaks["edit_outside"] > 0.1
    assert perfect["editability_yaw"] > 0.3


def test_a_tuned_generator_tells_what_it_did_to_others(setting):
    targets, G = setting.problem("drawn").targets, setting.G
    moved = G.replace(params={k: a * 1.02 for k, a in G.params.items()})
    ws = np.repeat(setting.gallery[0][:4, None], G.num_ws, axis=1)
    found = Found(draw((moved,), ws), ws, (moved, G, G, G), 1.0, 1)
    row = setting.judge.score(targets, found)
    others = setting.judge.others
    assert row["others_moved"] == pytest.approx(
        np.mean((moved.synthesis(others) - G.synthesis(others)) ** 2), rel=1e-4
    )


def test_sets_are_what_they_are_called(setting):
    R = 32
    sets = {name: setting.problem(name).targets for name in table.SETS}
    plain = sets["drawn"].images
    apart = {k: np.mean((t.images - plain) ** 2) for k, t in sets.items() if k != "generated"}
    assert apart["unaligned"] > 2 * apart["aligned"] and apart["night"] > 0.05 < apart["sketch"]
    for name, t in sets.items():
        assert t.images.shape == (4, 3, R, R) and t.images.dtype == np.float32
        assert 0.05 < t.face.mean() < 0.5, name
        assert (t.ws is None) == (name != "generated") == (t.edited is not None)
        assert (t.factors is None) == (name == "negative")
        # Faces are redder than what is around them; of the negative it was once.
        red = t.images[:, 0] - t.images[:, 2]
        if name in ("drawn", "generated", "aligned", "unaligned"):
            assert red[t.face].mean() > red[~t.face].mean() + 0.1, name
    negative = sets["negative"].images
    assert np.ptp(negative, axis=1).max() == 0
    np.testing.assert_allclose(negative[:, 0], -plain.mean(axis=1), atol=1e-6)
    again = setting.problem("drawn")
    assert 0.001 < np.mean((again.again - plain) ** 2) < 0.05


def test_a_direction_leaves_narrow_components_alone(rng):
    std = np.array([2.0, 1.0, 0.5, 0.01])
    w = rng.standard_normal((4000, 4)) * std
    values = w @ [1.0, 2.0, 0.0, 50.0] + 0.1 * rng.standard_normal(4000)
    space = Space(np.zeros(4), np.diag(std**2), std**2, np.eye(4), "")
    step = measures.step_along(space, w, values)
    cosine = step @ [1, 2, 0, 0] / np.linalg.norm(step) / 5**0.5
    assert step[3] == 0 and cosine > 0.999
    # One standard deviation of w along it.
    assert np.linalg.norm(step) == pytest.approx(np.std(w @ step) / np.linalg.norm(step), rel=1e-6)


def test_99_of_100_people_are_known_again(setting):
    identity = setting.judge.identity
    assert 0.5 < measures.strict(identity) < 1
    assert setting.judge.strict == measures.strict(identity)


@pytest.mark.slow
def test_the_table_in_miniature(setting, tmp_path, monkeypatch):
    """All methods, two sets; stopped after three rows, it goes on with the fourth."""
    G, path, done, real = setting.G, tmp_path / "t.csv", [], table.run
    monkeypatch.setattr(table, "SETS", {k: table.SETS[k] for k in ("generated", "drawn")})

    def stopped(*args):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(args)
        return real(*args)

    with monkeypatch.context() as m:
        m.setattr(table, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            table.make(G, path, [0], SIZES)
    first = table.TABLE.read(path)
    assert [row["method"] for row in first] == list(table.METHODS)[:3]
    rows = table.make(G, path, [0], SIZES)
    assert rows[:3] == first and len(rows) == len(table.SETS) * len(table.METHODS)
    assert [(r["set"], r["method"]) for r in rows] == [
        (s, m) for s in table.SETS for m in table.METHODS
    ]
    whole = table.TABLE.read(path)
    assert table.make(G, path, [0], SIZES) == whole  # nothing is left
    by = {(r["set"], r["method"]): r for r in rows}
    for which in table.SETS:
        found = {m: by[which, m] for m in table.METHODS}
        loss = {m: r["mse"] + r["perceptual"] for m, r in found.items()}
        assert max(loss, key=loss.get) == "mean of W" and loss["itself"] == 0
        assert found["itself"]["identity"] == pytest.approx(1, abs=1e-4)
        assert 0 < loss["other chance"] < 0.3 * loss["mean of W"]
        assert loss["PTI"] < loss["W"] and loss["W+"] < loss["W"]
        assert found["PTI"]["others_moved"] > found["PTI, locality"]["others_moved"] > 0
        assert found["W"]["others_moved"] == 0 == found["W"]["spread"] < found["W+"]["spread"]
        assert found["W"]["numbers"] * G.num_ws == found["W+"]["numbers"]
        assert found["PTI"]["seconds"] > found["W"]["seconds"] > 0
        assert (found["W"]["w_error"] is None) == (which != "generated")
    assert by["generated", "itself"]["editability_yaw"] > 0.5
    text = table.summary(whole)
    assert text.count("###") == len(table.SETS) and "| PTI, locality |" in text
    # Of another network, or of other sizes, nothing is mixed in.
    monkeypatch.setitem(table.READERS, 32, ("factors32", "factors32", "factors32"))
    with pytest.raises(ValueError, match="measured with other identity_by; expected the same"):
        table.make(G, path, [0], SIZES)
    with pytest.raises(ValueError, match="other identity_by, n;"):
        table.make(G, path, [0], dataclasses.replace(SIZES, n=5))
    assert table.TABLE.read(path) == whole


def test_ctrl_c_leaves_no_row_of_what_was_not_finished(setting, monkeypatch):
    """A search keeps what it has; that is not what its row would say."""

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    problem = setting.problem("drawn")
    problem.done["W"] = drawn_by(setting.G, np.repeat(setting.gallery[0][:4, None],
                                                      setting.G.num_ws, axis=1))  # fmt: skip
    monkeypatch.setattr("minigan.optim.Adam.step", interrupted)
    for method in ("W+", "PTI"):
        with pytest.raises(KeyboardInterrupt):
            problem.found(method)
    assert list(problem.done) == ["W"]


def test_the_command(monkeypatch, capsys, tmp_path):
    said = {}

    def make(G, path, seeds, sizes):
        said.update(network=G.img_resolution, path=path, seeds=seeds, n=sizes.n)
        return []

    monkeypatch.setattr(table, "make", make)
    monkeypatch.setattr(table, "summary", lambda rows: f"{len(rows)} rows")
    argv = ["minigan", "measure", "inversion", "--network", "portraits32", "--n", "3",
            "--seeds", "4", "5", "--out", str(tmp_path / "t.csv")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", argv)
    main()
    assert capsys.readouterr().out == "0 rows\n"
    assert said == {"network": 32, "path": str(tmp_path / "t.csv"), "seeds": [4, 5], "n": 3}

"""A photo looked for in a network, from the command line to the report: what comes out, what is
refused, what a killed run leaves."""

import json
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

import minigan
from minigan import files
from minigan.cli.main import main
from minigan.data import images, portraits
from minigan.editing import align, inversion, invert, verdict
from minigan.editing.perceptual import Pyramid
from minigan.networks import base, stylegan2, stylegan3
from tests import official_file
from tests.test_align import SIZE, after, moved, photo_of

PICTURES = {"target.png", "reconstruction.png", "comparison.png"}
TEXTS = {"report.md", "report.json", "run.json", "latent.npz"}
MEASURE = {"value": float, "median": float, "limit": float, "outside": bool}
SCHEMA = {
    "made_with": str,
    "photo": {"file": str, "size": [int], "remarks": [str]},
    "network": {"name": str, "fingerprint": str, "num_ws": int, "resolution": int},
    "alignment": {"template": (str, None), "points": ([[float]], None),
                  "similarity": ([[float]], None), "text": str},
    "wish": {"method": str, "steps": (int, None), "minutes": (float, None), "label": (int, None),
             "calibrate": (int, None), "seed": int, "device": str, "samples": int},
    "plan": {"method": str, "steps": int, "tuning": int, "calibrate": int, "why": str,
             "compared_by": str},
    "done": {"steps": int, "tuning": int},
    "errors": {"pixel": float, "perceptual": float, "distance": float},
    "own": ({"n": int, "steps": int, "error": MEASURE, "distance": MEASURE, "doubt": MEASURE},
            {"n": int, "steps": int, "error": MEASURE, "distance": MEASURE}, None),
    "verdict": {"draws": str, "sentence": str},
    "seconds": {"search": float, "tuning": float, "verdict": float, "all": float},
    "not_done": [str],
    "finished": bool,
}  # fmt: skip


def fits(value, schema):
    """Whether JSON is of this shape: dicts name all their keys, lists one kind of entry."""
    if isinstance(schema, tuple):
        return any(fits(value, one) for one in schema)
    if isinstance(schema, dict):
        return isinstance(value, dict) and value.keys() == schema.keys() and all(
            fits(value[k], one) for k, one in schema.items()
        )  # fmt: skip
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(one, schema[0]) for one in value)
    return value is None if schema is None else type(value) is schema


def command(monkeypatch, *arguments):
    """minigan invert …; its sentence, if it refuses."""
    monkeypatch.setattr(sys, "argv", ["minigan", "invert", *map(str, arguments)])
    before = signal.getsignal(signal.SIGTERM)
    try:
        main()
    except SystemExit as end:
        return str(end.code)
    finally:
        signal.signal(signal.SIGTERM, before)


def reported(folder):
    said = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert fits(said, SCHEMA)
    return said


def seen(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """(a held-out portrait, moved in a larger picture; its landmarks there)"""
    factors = portraits.sample_factors(1, np.random.default_rng(77))
    path, similarity = tmp_path_factory.mktemp("photo") / "photo.png", moved()
    Image.fromarray(photo_of(portraits.draw(factors, SIZE)[0], similarity)).save(path)
    return path, after(portraits.landmarks(factors, SIZE)[0], similarity)


SMALL = {"z_dim": 16, "w_dim": 16, "img_resolution": 16, "channel_base": 128, "channel_max": 16}


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """{name: an official file} of 16²."""
    folder, three = tmp_path_factory.mktemp("official"), stylegan3.Config(
        **SMALL, num_layers=4, margin_size=4
    )  # fmt: skip
    few = stylegan2.MappingConfig(2)
    found = {}
    for name, config, networks in (
        (
            "conditional",
            stylegan2.Config(**SMALL, c_dim=3, mapping_kwargs=few),
            ("G", "D", "G_ema"),
        ),
        ("alone", stylegan2.Config(**SMALL, mapping_kwargs=few), ("G_ema",)),
        (
            "grey",
            stylegan2.Config(**SMALL, img_channels=1, mapping_kwargs=few),
            ("G", "D", "G_ema"),
        ),
        ("stylegan3", three, ("G", "D", "G_ema")),
    ):
        found[name] = folder / f"{name}.pkl"
        official_file.write(found[name], config, networks)
    return found


# ---- what comes out ------------------------------------------------------------------------------


def test_a_portrait_in_a_larger_picture(photo, monkeypatch, tmp_path, capsys):
    path, points = photo
    marks = [f"{x:.2f},{y:.2f}" for x, y in points]
    assert command(monkeypatch, path, "--network", "portraits64", "--outdir", tmp_path / "out",
                   "--landmarks", *marks, "--steps", 20, "--calibrate", 0) is None  # fmt: skip
    out, printed = tmp_path / "out", capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == PICTURES | TEXTS | {"pasted.png"}
    said = reported(out)
    assert said["alignment"]["template"] == "portraits" and said["finished"]
    assert said["plan"]["method"] == "w" and said["done"]["steps"] == 20
    assert said["plan"]["why"] in printed and said["alignment"]["text"] in printed
    assert said["verdict"]["draws"] == "unknown" and said["own"] is None
    assert any("--calibrate" in line for line in said["not_done"])

    wanted, similarity = align.align(seen(path), np.round(points, 2), 64, "portraits")
    assert np.array_equal(seen(out / "target.png"), images.to_uint8(wanted)[0])
    assert np.array_equal(said["alignment"]["similarity"], similarity)
    latent, G = np.load(out / "latent.npz"), minigan.load("portraits64")
    assert latent["w"].shape == (1, G.num_ws, 64) and latent["w"].dtype == np.float32
    assert len(latent["losses"]) == 21
    meta = files.read(out / "latent.npz")[2]
    assert meta["network"] == G.fingerprint == said["network"]["fingerprint"]
    assert meta["settings"]["steps"] == 20
    drawn = G.synthesis(latent["w"])
    assert np.array_equal(seen(out / "reconstruction.png"), images.to_uint8(drawn)[0])
    error = np.mean(np.square(drawn - wanted))
    middle = G.synthesis(np.tile(G.w_avg, (1, G.num_ws, 1)))
    assert error == pytest.approx(said["errors"]["pixel"], rel=1e-4)
    assert error < 0.8 * np.mean(np.square(middle - wanted))
    assert np.array_equal(seen(out / "comparison.png")[:, 64:], seen(out / "reconstruction.png"))
    assert np.array_equal(seen(out / "pasted.png"), align.paste_back(seen(path), drawn, similarity))
    for name in PICTURES | {"pasted.png"}:
        assert Image.open(out / name).info["Software"].startswith("made with minigan")
    text = (out / "report.md").read_text(encoding="utf-8")
    assert said["verdict"]["sentence"] in text and f"{said['errors']['pixel']:.4f}" in text


def test_a_class_of_an_official_network(official, photo, monkeypatch, tmp_path):
    path, points = photo
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))
    arguments = [path, "--network", official["conditional"], "--outdir", tmp_path / "out",
                 "--points", tmp_path / "points.json", "--method", "w+", "--steps", 5]  # fmt: skip
    for wrong in ((), ("--class", 3)):
        assert "expected a class from 0 to 2" in command(monkeypatch, *arguments, *wrong)
    assert not (tmp_path / "out").exists()
    assert command(monkeypatch, *arguments, "--class", 2, "--calibrate", 4) is None
    said = reported(tmp_path / "out")
    assert said["alignment"]["template"] == "ffhq" and said["wish"]["label"] == 2
    assert "D of conditional.pkl" in said["plan"]["compared_by"]
    assert said["own"]["n"] == 4 and "doubt" in said["own"]
    w = np.load(tmp_path / "out" / "latent.npz")["w"]
    assert w.shape == (1, 6, 16) and np.ptp(w, axis=1).max() > 0  # each layer has its own


def test_a_class_is_a_label_with_a_single_one():
    assert base.one_hot(2, 3).tolist() == [[0, 0, 1]] and base.one_hot(None, 0) is None


def test_tuning_an_official_stylegan3(official, tmp_path):
    G = minigan.load(official["stylegan3"])
    target = images.to_uint8(G.synthesis(G.mapping(np.ones((1, 16), np.float32))))[0]
    Image.fromarray(255 - target).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    said = invert.invert(tmp_path / "photo.png", official["stylegan3"], out,
                         wish=invert.Wish("pti", 6, calibrate=0, samples=100))  # fmt: skip
    assert said == reported(out)
    assert {p.name for p in out.iterdir()} == PICTURES | TEXTS | {"tuned.npz"}
    assert (said["plan"]["tuning"], said["done"]["tuning"]) == (3, 3)
    assert said["alignment"]["template"] is None and not (out / "pasted.png").exists()
    latent, tuned = np.load(out / "latent.npz"), minigan.load(out / "tuned.npz")
    drawn = images.to_uint8(tuned.synthesis(latent["w"]))[0]
    assert np.array_equal(seen(out / "reconstruction.png"), drawn)
    assert tuned.fingerprint != G.fingerprint and len(latent["tuning_losses"]) == 3
    assert seen(out / "comparison.png").shape == (16, 48, 3)
    assert latent["tuning_losses"][-1] < latent["tuning_losses"][0]


def test_without_a_discriminator_pixels_are_compared(official, photo, tmp_path):
    path, points = photo
    said = invert.invert(path, official["alone"], tmp_path / "out", points,
                         invert.Wish(steps=2, samples=100))  # fmt: skip
    assert Pyramid.label in said["plan"]["compared_by"]
    assert "without a discriminator" in said["plan"]["compared_by"]
    assert "doubt" not in said["own"]  # 8 own pictures: it is small


def test_the_pyramid_is_the_mean_squared_error_at_three_sizes(rng):
    a, b = rng.standard_normal((2, 2, 3, 16, 16))
    wanted = 0.0
    for times in (2, 4, 8):
        x = (a - b).reshape(2, 3, 16 // times, times, 16 // times, times).mean(axis=(3, 5))
        wanted = wanted + np.mean(np.square(x), axis=(1, 2, 3))
    eyes = Pyramid()
    found = np.sum(np.square(eyes(a) - eyes(b)), axis=1)
    assert found == pytest.approx(wanted)


# ---- whether it draws such pictures --------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    """Of portraits32: what is measured of one of its own pictures, and of a negative in grey."""
    G, D, drawn = invert._networks("portraits32")
    features, _ = invert._features(G, D, drawn, "portraits32", "cpu")
    own = G.synthesis(G.mapping(np.random.default_rng(3).standard_normal((1, 64), np.float32)))
    face = portraits.draw(portraits.sample_factors(1, np.random.default_rng(77)), 32)
    grey = np.repeat(-face.mean(axis=1, keepdims=True), 3, axis=1).astype(np.float32)
    return [verdict.measure(G, D, x, features, 4, samples=1000) for x in (own, grey)]


def test_what_the_generator_draws_and_what_not(known):
    own, grey = (verdict.verdict(found, True) for found in known)
    assert own["draws"] == "yes" and own["sentence"].startswith("This is what the generator draws")
    assert grey["draws"] == "no" and "This is not what the generator draws" in grey["sentence"]
    assert "another generator" in grey["sentence"]
    assert "--landmarks" in verdict.verdict(known[1], False)["sentence"]
    assert known[0].keys() == {"n", "steps", "error", "distance", "doubt"}
    # Both are compared with the same pictures of the generator's own.
    assert known[0]["doubt"]["limit"] == known[1]["doubt"]["limit"]
    assert known[0]["error"]["median"] == pytest.approx(known[1]["error"]["median"], rel=1e-3)


def test_one_measure_outside_may_be_chance(known):
    one = known[0] | {"distance": known[0]["distance"] | {"outside": True}}
    said = verdict.verdict(one, True)
    assert said["draws"] == "nearly" and "distance of w" in said["sentence"]
    assert verdict.verdict(None, True)["draws"] == "unknown"


# ---- how long ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "minutes, method, used, steps",
    [(10, "auto", "pti", 342), (2, "auto", "w", 120), (2, "pti", "pti", 68), (100, "w", "w", 1000),
     (0.01, "w", "w", 10)],
)  # fmt: skip
def test_what_a_budget_buys(minutes, method, used, steps, official, monkeypatch):
    """At a second a step, none of them for the generator's own pictures."""

    class Took:
        def __init__(self, settings):
            self.seconds = 1.0 * settings.steps

    monkeypatch.setattr(inversion, "optimise", lambda G, x, f, settings, c: Took(settings))
    wish = invert.Wish(method, minutes=float(minutes), calibrate=0)
    G = minigan.load(official["alone"])
    plan = invert._plan(wish, G, None, None, None, time.perf_counter())
    assert plan["method"] == used and plan["steps"] == pytest.approx(steps, abs=1)
    assert plan["tuning"] == (round(plan["steps"] / 2) if used == "pti" else 0)
    assert f"1.00 s a step: {minutes:g} min buy {plan['steps']} steps" in plan["why"]


def test_a_budget_has_a_share_for_the_generators_own_pictures(official, monkeypatch):
    took = type("Took", (), {"seconds": 0.1})
    monkeypatch.setattr(inversion, "optimise", lambda G, x, f, settings, c: took)
    G = minigan.load(official["alone"])
    plans = [invert._plan(invert.Wish("w", minutes=m), G, None, None, None, time.perf_counter())
             for m in (0.2, 2.0)]  # fmt: skip
    assert [p["calibrate"] for p in plans] == [0, 8]


# ---- stopped and killed --------------------------------------------------------------------------


class Killed(BaseException):
    pass


@pytest.mark.parametrize("how", [KeyboardInterrupt, Killed])
@pytest.mark.parametrize("when", [3, 8])  # in the search of the photo; in that of own pictures
def test_a_run_that_ended_early_goes_on(how, when, official, photo, monkeypatch, tmp_path):
    path, points = photo
    same = {"points": points, "wish": invert.Wish(steps=5, calibrate=4, samples=100)}
    whole = invert.invert(path, official["alone"], tmp_path / "whole", **same)
    made, step = [], inversion._Search.step

    def some(self, now):
        made.append(1)
        if len(made) > when:
            raise how
        return step(self, now)

    with monkeypatch.context() as patch:
        patch.setattr(inversion, "SAVE_EVERY", 0)
        patch.setattr(inversion._Search, "step", some)
        if how is Killed:
            with pytest.raises(Killed):
                invert.invert(path, official["alone"], tmp_path / "out", **same)
            assert not (tmp_path / "out" / "report.json").exists()
        else:
            said = invert.invert(path, official["alone"], tmp_path / "out", **same)
            assert not said["finished"] and said["done"]["steps"] == min(when, 5)
            assert any("--resume" in line for line in said["not_done"])
            reported(tmp_path / "out")
            assert len(np.load(tmp_path / "out" / "latent.npz")["losses"]) == min(when, 5) + 1
    made.clear()

    def counted(self, now):
        made.append(1)
        return step(self, now)

    monkeypatch.setattr(inversion._Search, "step", counted)
    said = invert.invert(path, official["alone"], tmp_path / "out", resume=True, **same)
    assert len(made) == 5 + verdict.STEPS - when  # none of them again
    assert said["finished"] and reported(tmp_path / "out") == said
    assert {p.name for p in (tmp_path / "out").iterdir()} == PICTURES | TEXTS | {"pasted.png"}
    for name in ("w", "losses"):
        a, b = (np.load(tmp_path / x / "latent.npz")[name] for x in ("out", "whole"))
        assert np.array_equal(a, b)
    assert said["own"] == whole["own"]


def test_sigterm_keeps_what_there_is(official, photo, monkeypatch, tmp_path, capsys):
    path, points = photo
    marks, out, step = [f"{x},{y}" for x, y in points], tmp_path / "out", inversion._Search.step

    def terminated(self, now):
        if now["done"] == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(self, now)

    monkeypatch.setattr(inversion._Search, "step", terminated)
    assert command(monkeypatch, path, "--network", official["alone"], "--outdir", out,
                   "--landmarks", *marks) is None  # fmt: skip
    assert "stopped early, what there is is kept; --resume" in capsys.readouterr().out
    said = reported(out)
    assert not said["finished"] and said["done"]["steps"] == 4
    assert {p.name for p in out.iterdir()} == PICTURES | TEXTS | {"pasted.png", "search.state.npz"}


# ---- what is refused -----------------------------------------------------------------------------


def test_what_is_refused_in_a_sentence(official, photo, monkeypatch, tmp_path):
    path, points = photo
    marks, out = [f"{x:.0f},{y:.0f}" for x, y in points], tmp_path / "out"
    (tmp_path / "no.png").write_text("no picture")
    faces, alone = ["--landmarks", *marks], ["--network", official["alone"]]
    grey = ["--network", official["grey"], *faces]
    for arguments, words in (
        ([path, *alone], "where is the face? Give --landmarks X,Y X,Y X,Y X,Y or --points FILE"),
        ([path, *alone, "--landmarks", *marks[:3]], "--landmarks: 3 points came; expected four"),
        ([path, *alone, "--landmarks", *marks[:3], "900,9"], "outside of the picture"),
        ([tmp_path / "no.png", *alone, "--no-align"], "no.png: cannot be read"),
        ([tmp_path / "none.png", *alone, "--no-align"], "none.png: No such file"),
        ([path, *grey], "grey.pkl draws pictures of 1 channels; expected a generator of pictures"),
        ([path, "--network", "factors32", *faces], "factors32 holds ['features']; expected a gen"),
        ([path, *alone, *faces, "--class", 0], "the network has no classes; leave it out"),
        ([path, *alone, *faces, "--resume"], "out holds no run; expected one to --resume"),
    ):
        said = command(monkeypatch, *arguments, "--outdir", out)
        assert words in said and "\n" not in said, said
        assert not out.exists()
    for wrong in (["--steps", 5, "--minutes", 1], ["--no-align"], ["--method", "w++"]):
        assert command(monkeypatch, path, *alone, *faces, *wrong, "--outdir", out) == "2"
    with pytest.raises(ValueError, match="expected one of them"):
        invert.Wish(steps=3, minutes=2.0)
    with pytest.raises(ValueError, match="expected 'auto', 'w', 'w\\+', 'pti'"):
        invert.Wish("e4e")


def test_a_folder_with_another_run_is_left_alone(official, photo, monkeypatch, tmp_path):
    path, points = photo
    marks, out = [f"{x:.0f},{y:.0f}" for x, y in points], tmp_path / "out"
    asked = [path, "--network", official["alone"], "--outdir", out, "--landmarks", *marks]
    asked += ["--steps", 2, "--calibrate", 0]
    assert command(monkeypatch, *asked) is None
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "holds a run; --resume goes on with it" in command(monkeypatch, *asked)
    other = [*asked[:-3], 3, *asked[-2:], "--resume", "--seed", 1]
    assert "a run with another steps, seed; expected the same" in command(monkeypatch, *other)
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "run.json").write_text("[]")
    assert "is not what describes a run" in command(monkeypatch, *asked, "--resume")
    (out / "run.json").unlink()
    assert "out is not an empty folder" in command(monkeypatch, *asked)


def test_four_inks(official, photo, tmp_path):
    path, points = photo
    Image.open(path).convert("CMYK").save(tmp_path / "inks.jpg", quality=95)
    said = invert.invert(tmp_path / "inks.jpg", official["alone"], tmp_path / "out", points,
                         invert.Wish(steps=1, calibrate=0, samples=100))  # fmt: skip
    assert said["photo"]["remarks"] == ["CMYK made RGB"]
    target = images.to_uint8(align.align(seen(path), points, 16)[0])[0].astype(int)
    assert np.abs(seen(tmp_path / "out" / "target.png") - target).mean() < 3


@pytest.mark.slow
def test_ten_thousand_pixels(official, photo, tmp_path):
    """Points are those of the file, not of what is kept of it."""
    path, points = photo
    times = 10_000 / SIZE
    large = Image.open(path).resize((10_000, 10_000), Image.Resampling.BILINEAR)
    large.save(tmp_path / "large.jpg", quality=90)
    said = invert.invert(tmp_path / "large.jpg", official["alone"], tmp_path / "out",
                         (points + 0.5) * times - 0.5,
                         invert.Wish(steps=1, calibrate=0, samples=100))  # fmt: skip
    assert said["photo"]["size"] == [10_000, 10_000] and said["photo"]["remarks"]
    target, similarity = align.align(seen(path), points, 16)
    similarity *= 4096 / SIZE  # what is kept has 4096 pixels
    similarity[:, 2] += (4096 / SIZE - 1) / 2
    assert np.allclose(said["alignment"]["similarity"], similarity, rtol=1e-5)
    gaps = seen(tmp_path / "out" / "target.png") - images.to_uint8(target)[0].astype(int)
    assert np.abs(gaps).mean() < 12  # so small a picture depends on how it is shrunk

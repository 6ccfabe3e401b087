"""What ships: it loads, it is what its card says, and the cards' tables are those of the files."""

import re

import numpy as np
import pytest

import minigan
from minigan import device, files
from minigan.cli import models
from minigan.data import portraits
from minigan.evaluation import measure
from tools import made

GENERATORS = ["portraits32", "portraits32-2019", "portraits32-2021", "portraits64"]
CARDS = sorted(path.stem for path in files.MODELS.glob("*.md"))


def test_every_network_has_a_card_and_is_small():
    names = {path.stem for path in files.MODELS.glob("*.npz")}
    assert {name.removesuffix("-D") for name in names} == set(CARDS)
    assert {f"{name}-D" for name in GENERATORS} <= names
    assert set(files.ALIASES.values()) <= names
    for name in CARDS:
        card = (files.MODELS / f"{name}.md").read_text(encoding="utf-8")
        above, _, below = card.partition(models.MARK.format(name))
        assert "## Known faults" in above and "## Measures" in below, name
    for name in names:
        assert (files.MODELS / f"{name}.npz").stat().st_size < 3e6
    assert sum(path.stat().st_size for path in files.MODELS.iterdir()) < 16e6  # what one downloads


@pytest.mark.parametrize("name", ["portraits", *GENERATORS])
def test_a_generator_makes_pictures_that_its_latent_decides(name, rng):
    G = minigan.load(name)
    img = G(rng.standard_normal((32, G.z_dim), np.float32))
    res = int(name[9:11]) if name[9:] else 32  # portraits64
    assert img.shape == (32, 3, res, res) and img.dtype == np.float32 and np.abs(img).max() < 2
    assert np.std(img, axis=0).mean() > 0.2  # the drawings have 0.34
    D = files.read_networks(f"{files.ALIASES.get(name, name)}-D")["D"]
    fresh, _ = portraits.sample(32, res, rng)
    worse = rng.uniform(-1, 1, fresh.shape).astype(np.float32)
    assert np.mean(D(fresh)) > np.mean(D(worse))


@pytest.mark.parametrize("name", ["factors32", "factors64", "factors64-teach"])
def test_the_reader_reads(name):
    """Well above guessing, at least for what its card calls easy."""
    found = measure.reading(files.load_reader(name), 400)
    easy = (
        "hair_style",
        "hair_color",
        "glasses",
        "clothes",
        "skin",
        "yaw",
        "pitch",
        "smile",
        "background",
    )
    assert all(found[name][1] > 0.85 for name in easy), found
    if "64" in name:  # what 32² hide
        assert found["brow_shape"][1] > 0.7 and found["age"][1] > 0.8, found


@pytest.mark.parametrize("name", ["identity32", "identity64", "identity64-teach"])
def test_the_identity_network_knows_a_person_again(name):
    found = measure.recognition(files.load_reader(name), 300)
    assert found["auc"] > 0.98 and found["same"] > 0.8 > 0.2 > found["other"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["factors32", "identity32", "portraits32-2019"])
def test_a_card_is_made_from_its_file(name):
    """The measures again, from the shipped file: the card's, but for the last digits.

    Those of the other generators are made by `make nightly`, and whenever `tools/made.py` asks.
    """
    card = (files.MODELS / f"{name}.md").read_text(encoding="utf-8")
    assert made.differs(card, models.measures(name), False) == ""


def test_export_and_card_of_a_run(tmp_path, monkeypatch):
    """From a training run to the shipped files, and a card whose hand-written part stays."""
    from minigan import training
    from tests.test_training import TINY

    config = training.override(TINY, {"G.img_resolution": 32, "D.img_resolution": 32})
    training.train(config, tmp_path / "run")
    models.export(tmp_path / "run", "tiny", tmp_path)
    G = files.load(tmp_path / "tiny.npz")
    whole = files.load(tmp_path / "run" / "checkpoint.npz")
    z = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    np.testing.assert_allclose(G(z), whole(z), atol=0.02)
    assert list(files.read_networks(tmp_path / "tiny-D.npz")) == ["D"]
    (tmp_path / "tiny.md").write_text("# tiny\n\nBy hand.\n\n")
    monkeypatch.setattr(models, "generator_tables", lambda *args: "the tables")
    for _ in range(2):  # twice gives the same
        models.write_card("tiny", tmp_path)
    text = (tmp_path / "tiny.md").read_text()
    assert (
        text.startswith("# tiny\n\nBy hand.\n\n<!-- from here on made by")
        and text.count("the tables") == 1
    )
    assert text.count("By hand.") == 1 and "0.04 kimg of drawn portraits" in text
    assert device.machine() in text  # that of the run, as its log has it
    assert device.machine() in (tmp_path / "run" / "log.csv").read_text()
    for picture in re.findall(r"\]\(([^)]+\.png)\)", text):
        assert (tmp_path / picture).stat().st_size > 500
    with pytest.raises(ValueError, match="expected a training checkpoint"):
        files.save(tmp_path / "run" / "checkpoint.npz", {"G": G})
        models.export(tmp_path / "run", "tiny", tmp_path)

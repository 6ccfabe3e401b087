"""The second discriminator: it sees at once what D may overlook, and never changes its eyes."""

import dataclasses
import math

import numpy as np
import pytest

from minigan import files, training
from minigan.data import portraits
from minigan.data.stream import open_data
from minigan.evaluation.measure import _auc
from minigan.networks import stylegan2
from minigan.training import step
from minigan.training.config import Config
from minigan.training.feature_discriminator import FeatureDiscriminator

SMALL = {"img_resolution": 32, "channel_base": 64, "channel_max": 8}
TINY = Config(
    G=stylegan2.Config(**SMALL, z_dim=4, w_dim=4, mapping_kwargs={"num_layers": 2}),
    D=stylegan2.DiscriminatorConfig(**SMALL), batch=8, kimg=0.016, loss="relativistic",
)  # fmt: skip


def expert(name="factors"):
    f = files.load_reader(name)
    return FeatureDiscriminator.init(f.config, np.random.default_rng(0), f)


def test_it_looks_through_the_network_it_is_given(rng):
    f, mine = files.load_reader("factors"), expert()
    images = portraits.draw_randomly(portraits.people(1000, rng), 32, rng)
    seen = mine.see(images)
    assert np.abs(seen.mean(axis=0)).max() < 0.2 and np.abs(seen.std(axis=0) - 1).max() < 0.2
    raw = f.trunk(images)
    wanted = (raw - mine.buffers["mean"]) / mine.buffers["std"]
    np.testing.assert_allclose(seen, wanted, rtol=1e-4, atol=1e-4)
    assert mine(images).shape == (1000, 1) and not mine(images).any()  # no opinion as yet


@pytest.mark.parametrize("name", ["factors", "identity"])
def test_it_is_saved_and_read(name, tmp_path, rng):
    mine = expert(name)
    files.save(tmp_path / "e.npz", {"expert": mine})
    again = files.read_networks(tmp_path / "e.npz")["expert"]
    images = portraits.draw_randomly(portraits.people(4, rng), 32, rng)
    assert again.config == mine.config and np.array_equal(again.see(images), mine.see(images))


def test_it_finds_smiles_that_are_missing(rng):
    """Drawings against drawings that never smile: 80 steps of the head tell which is which."""
    config = dataclasses.replace(TINY, expert="factors", expert_lr=0.03)
    state = training.start(config)
    eyes = {k: v.copy() for k, v in state.expert.buffers.items()}
    for _ in range(80):
        all_of_them, serious = portraits.people(32, rng), portraits.people(32, rng)
        serious["smile"] = np.zeros(32, np.float32)
        real, fake = (portraits.draw_randomly(f, 32, rng) for f in (all_of_them, serious))
        state, loss = step._learn_feature_discriminator(config, state, real, fake)
    people = portraits.people(1000, rng)
    logits = state.expert(portraits.draw_randomly(people, 32, rng))[:, 0]
    smiles = np.abs(people["smile"]) > 0.5
    assert loss < 0.6  # log 2 = 0.69 is chance
    assert _auc(logits[smiles], logits[~smiles]) > 0.8
    assert all(np.array_equal(eyes[k], v) for k, v in state.expert.buffers.items())


@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_its_word_counts_in_gs_loss(weight):
    """At first it says 0: that adds weight · log 2, and leaves G's step as it is without it.  After
    that step it has something to say, and G moves elsewhere."""
    data = open_data(TINY)
    config = dataclasses.replace(TINY, expert="identity", expert_weight=weight)
    alone, stats_alone = training.advance(TINY, training.start(TINY), data)
    state, stats = training.advance(config, training.start(config), data)
    added = stats["g_loss"] - stats_alone["g_loss"]
    assert added == pytest.approx(weight * math.log(2), abs=1e-5)
    for network in ("G", "D"):
        theirs = getattr(alone, network).params
        assert all(np.array_equal(theirs[k], v) for k, v in getattr(state, network).params.items())
    state, _ = training.advance(config, state, data)
    alone, _ = training.advance(TINY, alone, data)
    assert any(not np.array_equal(alone.G.params[k], v) for k, v in state.G.params.items())


def test_an_ordinary_logistic_run_can_have_one():
    config = dataclasses.replace(TINY, expert="identity", loss="logistic", augment="bg")
    state, stats = training.advance(config, training.start(config), open_data(config))
    assert math.isfinite(stats["expert_loss"]) and state.expert.params["out.weight"].any()


def test_a_file_without_eyes_is_refused(tmp_path):
    for name, error, said in (
        ("portraits", ValueError, "expected a reader of portraits"),
        (str(tmp_path / "none.npz"), FileNotFoundError, "there is no file"),
    ):
        config = dataclasses.replace(TINY, expert=name)
        with pytest.raises(error, match=said):
            training.train(config, tmp_path / "run")
        assert not (tmp_path / "run").exists()

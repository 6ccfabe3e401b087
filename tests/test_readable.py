"""A generator that is asked to be readable: the regression behind it, and what it does in a run."""

import dataclasses

import numpy as np
import pytest

from minigan import autograd, files, training
from minigan.data import portraits
from minigan.data.stream import open_data
from minigan.training import readable
from tests.test_feature_discriminator import TINY

CONFIG = dataclasses.replace(TINY, expert="factors", readable_weight=2.0, mixing_prob=0.5)


@pytest.fixture
def moments():
    return readable.Moments.of(5)


def grown(moments, w, r, parts=10):
    for one, other in zip(np.split(w, parts), np.split(r, parts), strict=True):
        moments = moments.add(one, other)
    return moments


def test_the_fit_is_that_of_least_squares(moments, rng, monkeypatch):
    """Batch by batch, with nothing forgotten, as of all at once; with a penalty of 0."""
    monkeypatch.setattr(readable, "MEMORY", 1.0)
    monkeypatch.setattr(readable, "PENALTY", 0.0)
    k = len(readable.COLUMNS)
    w = rng.normal(2, 1, (200, 5)) @ rng.normal(size=(5, 5))
    r = w @ rng.normal(size=(5, k)) + rng.normal(size=(200, k)) + 3
    wanted = np.linalg.lstsq(np.concatenate([np.ones((200, 1)), w], axis=1), r)[0]
    np.testing.assert_allclose(grown(moments, w, r).fit(), wanted, rtol=1e-6)


def test_old_pictures_are_forgotten(moments, rng):
    k = len(readable.COLUMNS)
    w, a = rng.normal(size=(4000, 5)), rng.normal(size=(5, k))
    then = grown(moments, w, w @ a, 400)
    now = grown(then, w, -w @ a, 2000)
    assert np.abs(now.fit()[1:] + a).max() < 0.1 * np.abs(a).max()
    assert now.steps == 2400


def test_what_is_linear_costs_nothing_and_what_is_not_has_a_gradient(moments, rng):
    k = len(readable.COLUMNS)
    w, a = rng.normal(size=(2000, 5)), rng.normal(size=(5, k))
    bent = np.abs(w) @ a
    assert readable.loss(moments, w, w @ a) == 0.0  # no fit as yet
    linear, other = (grown(moments, w, r, 400) for r in (w @ a + 1, bent))
    assert readable.loss(linear, w, w @ a + 1) < 1e-4
    residual = readable.loss(other, w, bent)
    assert residual == pytest.approx(
        np.var(bent, axis=0).mean(), rel=0.1
    )  # |w| and w: uncorrelated
    autograd.check_grads(lambda r: readable.loss(other, w[:7], r), bent[:7], order=1)
    autograd.check_grads(lambda w: readable.loss(other, w, bent[:7]), w[:7], order=1)


def test_readings_have_the_scale_of_drawings(rng):
    f = files.load_reader("factors")
    drawn = portraits.draw_randomly(portraits.people(1000, rng), 32, rng)
    r = readable.read(f, drawn)
    assert r.shape == (1000, 10)
    hidden = {"brow_shape", "age"}  # at 32²
    names = [f.name for f in portraits.FACTORS if not f.choices and f.name != "background"]
    seen = [name not in hidden for name in names]
    assert np.abs(r.std(axis=0) - 1)[seen].max() < 0.1
    people = portraits.people(1000, rng)
    r = readable.read(f, portraits.draw_randomly(people, 32, rng))
    for column, name in enumerate(names):
        if name not in hidden:
            assert np.corrcoef(r[:, column], people[name])[0, 1] > 0.9, name


def test_a_run_goes_on_bit_for_bit_with_its_moments(tmp_path, monkeypatch):
    monkeypatch.setattr(readable, "PATIENCE", 2)
    data, states = open_data(CONFIG), [training.start(CONFIG)]
    for _ in range(6):
        states.append(training.advance(CONFIG, states[-1], data)[0])
    training.checkpoint.save(tmp_path, CONFIG, states[4], [], data)
    state, _ = training.checkpoint.restore(tmp_path / "checkpoint.npz", CONFIG, data)
    assert 0 < state.moments.steps < 4  # where two styles were mixed, there is no one w
    for _ in range(2):
        state, _ = training.advance(CONFIG, state, data)
    assert all(np.array_equal(v, state.G.params[k]) for k, v in states[6].G.params.items())
    for part in ("xx", "xr"):
        assert np.array_equal(getattr(states[6].moments, part), getattr(state.moments, part))
    plain = dataclasses.replace(CONFIG, readable_weight=0.0)
    other = training.start(plain)
    for _ in range(6):
        other, _ = training.advance(plain, other, data)
    assert any(not np.array_equal(v, state.G.params[k]) for k, v in other.G.params.items())


def test_an_expert_that_reads_is_needed():
    with pytest.raises(ValueError, match="readable_weight is 2.0, and there is no expert"):
        dataclasses.replace(TINY, readable_weight=2.0)
    with pytest.raises(ValueError, match="the expert's task is 'identity'; expected 'factors'"):
        training.start(dataclasses.replace(CONFIG, expert="identity"))

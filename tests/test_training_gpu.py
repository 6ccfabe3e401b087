"""Training on a GPU, or on the emulator: the numbers of the CPU, and nothing lost on the way."""

import dataclasses

import numpy as np
import pytest

from minigan import training
from minigan.autograd import vjp
from minigan.data import portraits
from minigan.data.stream import open_data
from minigan.networks import reader
from minigan.training import augment, step
from minigan.training.feature_discriminator import FeatureDiscriminator
from tests import arrays
from tests.arrays import get, put
from tests.test_gpu import pytestmark  # noqa: F401  (which devices)
from tests.test_training import CONFIGS, EVERYTHING, same


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "expert"])
def test_steps_are_those_of_the_cpu(name):
    """The losses of the first steps.  Later ones part ways: Adam divides by small roots."""
    config = CONFIGS[name]
    data = open_data(config)
    there, here = training.start(config).to("gpu"), training.start(config)
    for _ in range(2):
        there, mine = training.advance(config, there, data)
        here, expected = training.advance(config, here, data)
        assert mine.keys() == expected.keys()
        for key, value in expected.items():
            assert mine[key] == pytest.approx(value, rel=1e-2, abs=1e-3), key
    assert there.images == here.images and there.G.params.keys() == here.G.params.keys()


def test_an_experts_step_is_that_of_the_cpu():
    """With small eyes: a whole step of 32² networks takes the emulator minutes."""
    config = reader.Config(channels=(2, 2, 2, 2), features=4)
    mine = FeatureDiscriminator.init(config, np.random.default_rng(0))
    start = training.start(CONFIGS["tiny"])
    start = dataclasses.replace(
        start, expert=mine, expert_adam=CONFIGS["tiny"].expert_adam.init(mine.params)
    )
    rng = np.random.default_rng(1)
    real, fake = (portraits.draw_randomly(portraits.people(4, rng), 32, rng) for _ in range(2))
    here, there = start, start.to("gpu")
    for _ in range(2):
        here, expected = step._learn_feature_discriminator(CONFIGS["tiny"], here, real, fake)
        there, got = step._learn_feature_discriminator(CONFIGS["tiny"], there, put(real), put(fake))
        assert got == pytest.approx(expected, rel=1e-4)
    for key, value in here.expert.params.items():
        assert np.abs(get(there.expert.params[key]) - value).max() < 1e-3, key


def test_augmentation_is_that_of_the_cpu():
    rng = np.random.default_rng
    images = rng(0).standard_normal((4, 3, 24, 24))

    def results(images):
        y, pullback = vjp(lambda x: augment.augment(x, 0.9, rng(1), "bgcfnc"), images)
        return get(y), get(pullback(y))

    for got, expected in zip(results(put(images)), results(images), strict=True):
        assert np.abs(got - expected).max() <= 1e-11 * np.abs(expected).max()


def test_a_run_stops_resumes_and_ends_the_same(tmp_path):
    whole = training.train(EVERYTHING, tmp_path / "whole", device="gpu").to("cpu")
    short = dataclasses.replace(EVERYTHING, kimg=0.016)
    training.train(short, tmp_path / "parts", device="gpu")
    parts = training.train(EVERYTHING, tmp_path / "parts", resume=True, device="gpu").to("cpu")
    same(whole, parts)
    saved, _ = training.restore(tmp_path / "parts" / "checkpoint.npz", EVERYTHING)
    same(saved, parts)  # the file holds NumPy arrays: the CPU can go on from it
    training.train(dataclasses.replace(EVERYTHING, kimg=0.044), tmp_path / "parts", resume=True)


def test_it_comes_apart_in_words():
    config = CONFIGS["tiny"]
    state = training.start(config).to("gpu")
    weight = state.D.params["b8.conv0.weight"]
    broken = state.D.params | {"b8.conv0.weight": weight * float("nan")}
    state = dataclasses.replace(state, D=state.D.replace(params=broken))
    with pytest.raises(training.Diverged, match="not finite first at b8.conv0"):
        training.advance(config, state, open_data(config))


def test_the_cpu_waits_seldom():
    """Some looks at a loss and at what is finite; not one for each parameter."""
    if arrays.current != "emulator":
        pytest.skip("only the stand-in counts")
    from minigan.ops.gpu.emulator.cupy import settings

    config = CONFIGS["tiny"]
    data, state = open_data(config), training.start(config).to("gpu")
    state, _ = training.advance(config, state, data)
    settings.syncs = 0
    training.advance(config, state, data)
    assert settings.syncs <= 12

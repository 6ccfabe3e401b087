"""The quality sheet: what it calls broken, and its numbers."""

import numpy as np
import pytest

from minigan import files
from minigan.data import portraits
from minigan.evaluation import measure, sheet


def halves(one, other):
    """The left half of each of `one` beside the right half of `other`."""
    width = one.shape[3] // 2
    return np.concatenate([one[..., :width], other[..., width:]], axis=3)


@pytest.fixture(params=["factors32", "factors64"])
def reader(request):
    return files.load_reader(request.param)


def test_hardly_a_drawing_is_broken(reader):
    pictures = measure.drawings(2000, reader.config.resolution, np.random.default_rng(1))
    assert sheet.broken(pictures, reader).mean() <= 0.001
    least = {32: 0.02, 64: 0.003}[reader.config.resolution]  # at 32² an iris has two pixels
    assert sheet.odd_eyes(pictures, reader).mean() <= least


@pytest.mark.parametrize("a, b", [("blue", "brown"), ("green", "grey"), ("blue", "green")])
def test_eyes_of_two_colours_are_odd(reader, rng, a, b):
    choices = portraits.BY_NAME["eye_color"].choices
    people = portraits.people(64, rng) | {"yaw": np.zeros(64, np.float32)}
    one, other = (
        portraits.draw(
            people | {"eye_color": choices.index(c)}, reader.config.resolution, range(64)
        )
        for c in (a, b)
    )
    assert sheet.odd_eyes(halves(one, other), reader).mean() > 0.95
    assert sheet.odd_eyes(one, reader).mean() < 0.05


@pytest.mark.parametrize(
    "factor, a, b",
    [
        ("hair_color", "blond", "violet"),
        ("hair_style", "bun", "spikes"),
        ("clothes", "navy", "mustard"),
    ],
)
def test_two_halves_that_do_not_fit_are_broken(reader, rng, factor, a, b):
    """One half of a portrait and the other half of the same with another choice."""
    choices = portraits.BY_NAME[factor].choices
    people = portraits.people(64, rng) | {"yaw": np.zeros(64, np.float32)}
    one, other = (
        portraits.draw(people | {factor: choices.index(c)}, reader.config.resolution, range(64))
        for c in (a, b)
    )
    assert sheet.broken(halves(one, other), reader).mean() > 0.9
    assert sheet.broken(one, reader).mean() < 0.05 > sheet.broken(other, reader).mean()


def test_of_missing_eyes_a_third_is_found(reader, rng):
    n, size = 64, reader.config.resolution
    people = portraits.people(n, rng) | {"glasses": 0, "yaw": np.zeros(n, np.float32)}
    pictures = portraits.draw(people, size, range(n))
    at = slice(int(0.40 * size), int(0.56 * size)), slice(int(0.52 * size), int(0.70 * size))
    pictures[:, :, *at] = pictures[:, :, int(0.6 * size), int(0.62 * size)][:, :, None, None]
    assert sheet.broken(pictures, reader).mean() > 1 / 3

"""The measures of a model card find what they are for, on generators made to fail in one way."""

import numpy as np
import pytest

from minigan import features, measure
from minigan.data import portraits
from minigan.runs import Portraits


@pytest.fixture(scope="module")
def reader():
    return features.load("factors")


class Painter:
    """A generator of real drawings: the floor of every measure.  Its latent is not theirs."""

    z_dim, num_ws, img_resolution = 2, 1, 32

    def __init__(self, **fixed):
        self.fixed = fixed

    def mapping(self, z, truncation_psi=1):
        return z[:, None]

    def synthesis(self, ws, noise_mode, rng):
        factors = portraits.sample_factors(len(ws), rng) | {
            name: np.full(len(ws), value) for name, value in self.fixed.items()
        }
        return portraits.draw(factors, 32, rng.integers(1 << 40, size=len(ws)))


class Copier(Painter):
    """It shows its training pictures, with the faintest noise."""

    def synthesis(self, ws, noise_mode, rng):
        data = Portraits(32, 0)
        pictures = np.concatenate([data.batch(8 * int(i), 8)[0] for i in rng.integers(0, 100, 8)])
        return pictures[: len(ws)] + 0.01 * rng.standard_normal(
            pictures[: len(ws)].shape, np.float32
        )


def test_coverage_finds_what_is_missing(reader):
    """Drawings cover everything; without glasses, two values are missed and one is too common."""
    for values in measure.coverage(Painter(), reader, 1500).values():
        for _, real, fake in values:
            assert real / 2 <= fake <= 2 * real
    found = measure.coverage(Painter(glasses=0), reader, 600)["glasses"]
    assert found[0][2] > 0.95 and found[1][2] < 0.03 and found[2][2] < 0.03


def test_shares_are_those_of_the_table(rng):
    found = measure.shares(portraits.sample_factors(4000, rng))
    np.testing.assert_allclose(found["glasses"], [0.6, 0.2, 0.2], atol=0.03)
    np.testing.assert_allclose(found["smile"], 0.25, atol=0.03)


def test_copies_are_found():
    data = Portraits(32, 0)
    copied = measure.memorised(Copier(), data, 800, n=60)
    assert copied["trained on"][0] < 0.2 * copied["never seen"][0]
    honest = measure.memorised(Painter(), data, 800, n=100)
    assert honest["trained on"][0] == pytest.approx(honest["never seen"][0], rel=0.1)


def test_distances_rank_drawings_before_blurred_ones(reader):
    found = measure.distances(Painter(), reader, 400, seeds=(0, 1))
    floor, bad = (found[k]["frechet"] for k in ("drawings (floor)", "blurred (bad)"))
    assert max(floor) < min(bad)
    assert np.mean(found["G, ψ = 1"]["frechet"]) < 1.5 * np.mean(floor)


def test_blurring_keeps_block_means(rng):
    for size, block in ((32, 2), (64, 4)):
        x = rng.normal(size=(2, 3, size, size))
        y = measure.blurred(x)
        assert y.shape == x.shape and y[0, 0, 4, 4] == y[0, 0, 5, 5]
        at = slice(2 * block, 3 * block)
        assert y[1, 2, 2 * block, 2 * block] == pytest.approx(x[1, 2, at, at].mean())


def test_auc():
    assert measure._auc(np.array([3.0, 2.0]), np.array([0.0, 1.0])) == 1
    assert measure._auc(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5
    assert measure._auc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5

"""Networks that read portraits: their losses, their units, and that they learn."""

import dataclasses

import numpy as np
import pytest

from minigan import autograd, files
from minigan.data import portraits
from minigan.networks import reader
from minigan.training.reader import (
    factors_loss,
    identity_loss,
    strangers_and_siblings,
    train,
)

TINY = {"channels": (4, 4, 4, 4), "features": 8, "embedding": 4}


@pytest.fixture(params=["factors", "identity", "factors of 64²"])
def network(request):
    config = reader.Config(task=request.param.split()[0], **TINY)
    if "64" in request.param:
        config = dataclasses.replace(config, resolution=64, channels=(3, *config.channels))
    return reader.Network.init(config, np.random.default_rng(0))


def test_reading_undoes_the_targets(rng):
    """What a perfect network says is read back as the factors, in their own units."""
    factors = portraits.sample_factors(50, rng)
    config = reader.Config(**TINY)

    class Perfect(reader.Network):
        def outputs(self, images):
            return reader.targets(factors)

    read = Perfect.init(config, rng).read(np.zeros((50, 3, 32, 32), np.float32))
    for name, value in factors.items():
        np.testing.assert_allclose(read[name], value, atol=2e-6, err_msg=name)


def test_doubt_is_that_of_the_least_certain_choice(rng):
    """By hand: two of six hair colours equally likely, and everything else certain."""
    wanted = 50 * reader.targets(portraits.sample_factors(3, rng))
    first, last = {name: (a, b) for name, a, b in _columns()}["hair_color"]
    wanted[1, first:last] = 0
    wanted[1, first : first + 2] = 50
    wanted[2, first:last] = np.log([0.7, 0.1, 0.05, 0.05, 0.05, 0.05])

    class Said(reader.Network):
        def outputs(self, images):
            return wanted

    doubt = Said.init(reader.Config(**TINY), rng).doubt(np.zeros((3, 3, 32, 32), np.float32))
    np.testing.assert_allclose(doubt, [0, 0.5, 0.3], atol=1e-6)


def _columns():
    return [(f.name, first, last) for f, first, last in reader.columns()]


def test_losses_by_other_formulas(rng):
    factors = portraits.sample_factors(9, rng)
    wanted = reader.targets(factors)
    outputs = rng.normal(size=wanted.shape)
    total = 0.0
    for f, first, last in reader.columns():
        y = outputs[:, first:last]
        if f.choices:
            p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
            total -= np.log(p[np.arange(9), factors[f.name]]).mean()
        else:
            total += ((y - wanted[:, first:last]) ** 2).mean()
    got = factors_loss(outputs, wanted)
    assert got == pytest.approx(total / len(portraits.FACTORS), rel=1e-6)

    z = rng.normal(size=(6, 3))
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    p = np.exp(u @ u.T / 0.1)
    np.fill_diagonal(p, 0)
    partner = p[np.arange(6), (np.arange(6) + 3) % 6]
    want = -np.log(partner / p.sum(axis=1)).mean()
    assert identity_loss(z) == pytest.approx(want, rel=1e-6)


def test_gradients(network, rng):
    size = network.config.resolution
    images = rng.normal(size=(4, 3, size, size))
    wanted = reader.targets(portraits.sample_factors(4, rng)).astype(np.float64)
    params = {name: p.astype(np.float64) for name, p in network.params.items()}

    def loss(params):
        y = network.replace(params=params).outputs(images)
        return identity_loss(y) if wanted is None else factors_loss(y, wanted)

    if network.config.task == "identity":
        wanted = None
    autograd.check_grads(loss, params, order=1, eps=1e-7)


def test_siblings_differ_in_one_factor_of_identity(rng):
    drawn = strangers_and_siblings(40, rng)
    assert list(drawn) == list(portraits.people(2, rng)) and len(drawn["yaw"]) == 40
    seen = set()
    for i in range(20):
        differ = [name for name in portraits.IDENTITY if drawn[name][i] != drawn[name][20 + i]]
        assert len(differ) == 1
        f, pair = portraits.BY_NAME[differ[0]], drawn[differ[0]][[i, 20 + i]]
        seen |= set(differ)
        if not f.choices:
            assert (f.high - f.low) / 4 <= np.ptp(pair) <= (f.high - f.low) * 3 / 4
            assert f.low <= pair.min() and pair.max() <= f.high
        else:
            assert pair.max() < len(f.choices)
    assert len(seen) > 4 and np.any(drawn["yaw"][:20] != drawn["yaw"][20:])


@pytest.mark.parametrize("task, start", [("factors", 1.0), ("identity", 3.4)])
def test_training_learns(task, start, rng):
    """After 3,000 drawings the loss on fresh ones is well below that of a network that guesses."""
    network = train(reader.Config(task=task), 3)
    someone = portraits.people(64, rng)
    images = portraits.draw_randomly(someone, 32, rng)
    if task == "factors":
        loss = factors_loss(network.outputs(images), reader.targets(someone))
    else:
        again = portraits.draw_randomly(portraits.people(64, rng, someone), 32, rng)
        loss = identity_loss(network.outputs(np.concatenate([images, again])))
    assert loss < 0.8 * start


def test_larger_pictures_are_averaged_in_blocks(network, rng):
    size = network.config.resolution
    small = rng.uniform(-1, 1, (3, 3, size, size)).astype(np.float32)
    large = small.repeat(4, axis=2).repeat(4, axis=3)
    np.testing.assert_allclose(network(large), network(small), atol=1e-5)
    if network.config.task == "identity":
        np.testing.assert_allclose(np.linalg.norm(network(small), axis=1), 1, atol=1e-5)


def test_saved_and_loaded(network, tmp_path):
    files.save(tmp_path / "f.npz", {"features": network}, half=True)
    again = files.load_reader(tmp_path / "f.npz")
    assert again.config == network.config and again.fingerprint == network.fingerprint
    other = network.replace(params=network.params | {"fc.bias": network.params["fc.bias"] + 1})
    assert other.fingerprint != network.fingerprint


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda n: reader.Config(task="age"), "task is 'age'"),
        (lambda n: reader.Config(channels=(1, 2)), r"channels are \(1, 2\); expected 4 whole"),
        (lambda n: reader.Config(resolution=64), "expected 5 whole numbers"),
        (lambda n: reader.Config(resolution=48), "resolution is 48; expected 32, 64"),
        (lambda n: n(np.zeros((2, 3, 48, 48), np.float32)), r"shape \(2, 3, 48, 48\)"),
        (lambda n: n(np.zeros((2, 1, 32, 32), np.float32)), r"shape \(2, 1, 32, 32\)"),
        (lambda n: n(np.full((2, 3, 32, 32), np.nan, np.float32)), "NaN"),
        (lambda n: n.replace(config=reader.Config(task="identity")).read(np.zeros((1, 3, 32, 32))), "'factors'"),
    ],
)  # fmt: skip
def test_bad_input(call, error, rng):
    with pytest.raises(ValueError, match=error):
        call(reader.Network.init(reader.Config(**TINY), rng))

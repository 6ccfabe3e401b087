"""The statistics of W, and the perceptual distance, by other formulas."""

import numpy as np
import pytest

from minigan import files
from minigan.editing import space
from minigan.editing.perceptual import Perceptual
from minigan.editing.space import statistics
from minigan.networks import reader, stylegan1, stylegan2
from tests.test_inversion import linear, small


@pytest.fixture
def W(rng):
    """Of w = z·M, whose covariance is MᵀM; M 7 × 5, its columns of lengths 2.6 … 0.026."""
    M = rng.standard_normal((7, 5)) * [1, 1, 0.5, 0.1, 0.01]
    G = linear(M, np.zeros((1, 5, 1, 8, 8)), np.zeros((1, 8, 8)))
    return statistics(G, samples=100_000), M


def test_statistics_of_a_linear_mapping(W):
    W, M = W
    wanted = M.T @ M
    assert np.abs(W.mean).max() < 0.02
    np.testing.assert_allclose(W.covariance, wanted, atol=0.02 * wanted.max())
    np.testing.assert_allclose(W.std, np.sqrt(np.diag(wanted)), rtol=0.02)
    assert W.radius == pytest.approx(np.sqrt(np.trace(wanted)), rel=0.01)
    np.testing.assert_allclose(W.variances, np.linalg.eigvalsh(wanted)[::-1], rtol=0.02)
    spread = W.components.T @ W.covariance @ W.components
    np.testing.assert_allclose(spread, np.diag(W.variances), atol=1e-12 * wanted.max())


def test_whitening(W, rng):
    W, M = W
    w = rng.standard_normal((50_000, 7)) @ M
    v = W.whiten(w)
    np.testing.assert_allclose(np.cov(v.T), np.eye(5), atol=0.03)
    np.testing.assert_allclose(W.unwhiten(v), w, atol=1e-9)
    np.testing.assert_allclose(W.power(0.5) @ W.power(0.5), W.covariance, atol=1e-12)
    apart = w - W.mean
    wanted = np.einsum("nd,de,ne->n", apart, np.linalg.inv(W.covariance), apart)
    np.testing.assert_allclose(W.distance(w) ** 2, wanted, rtol=1e-8)
    assert np.sqrt(np.mean(wanted)) == pytest.approx(np.sqrt(5), rel=0.02)
    layers = W.distance(w[:6].reshape(2, 3, 5))
    np.testing.assert_allclose(layers.ravel(), W.distance(w[:6]), rtol=1e-12)


def test_a_direction_that_is_not_used_is_no_infinity(rng):
    """Four numbers from three: the fourth component is rounding."""
    M = rng.standard_normal((3, 4))
    W = statistics(linear(M, np.zeros((1, 4, 1, 8, 8)), np.zeros((1, 8, 8))), samples=1000)
    assert W.variances[3] < 1e-12 * W.variances[0]
    distance = W.distance(rng.standard_normal((100, 3)) @ M)
    assert np.sqrt(np.mean(distance**2)) == pytest.approx(np.sqrt(3), rel=0.1)


def test_computed_once_for_each_generator(monkeypatch):
    """Whatever the weights are called or where they lie; other weights, labels, samples: anew."""
    calls, real = [], space._of
    monkeypatch.setattr(space, "_known", {})
    monkeypatch.setattr(space, "_of", lambda *args: calls.append(args) or real(*args))
    G = small("stylegan2")
    copy = G.replace(params={k: a.copy() for k, a in G.params.items()})
    assert statistics(G, samples=20) is statistics(copy, samples=20) and len(calls) == 1
    moved = G.replace(params=G.params | {"mapping.fc1.bias": G.params["mapping.fc1.bias"] + 100})
    assert moved.fingerprint != G.fingerprint
    for other in (moved, G.replace(params={k: a + 1 for k, a in G.params.items()})):
        assert np.abs(statistics(other, samples=20).mean - statistics(G, samples=20).mean).max() > 0
    first = statistics(G, samples=20, seed=1)
    assert len(calls) == 4 and first.mean.tolist() != statistics(G, samples=20).mean.tolist()


def test_of_labels(rng):
    G = small("stylegan2, 3 labels")
    z = np.random.RandomState(123).randn(50, 8)
    for label in np.eye(3):
        wanted = G.mapping(z, np.repeat(label[None], 50, axis=0))[:, 0]
        np.testing.assert_allclose(statistics(G, label, 50).mean, wanted.mean(axis=0))
    means = [statistics(G, label, 4000).mean for label in np.eye(3)]
    mixed = statistics(G, None, 4000)
    np.testing.assert_allclose(mixed.mean, np.mean(means, axis=0), atol=0.1 * mixed.radius)
    assert mixed.radius > statistics(G, np.eye(3)[0], 4000).radius


def test_too_few_samples():
    with pytest.raises(ValueError, match=r"samples is 8; expected a whole number from 9 to"):
        statistics(small("stylegan2"), samples=8)


# ---- the perceptual distance ---------------------------------------------------------------------


def eyes():
    """A small network of each kind, and the sizes of its maps of pictures of 32²."""
    rng = np.random.default_rng(0)
    tiny = {"channels": (4, 5, 6, 7), "features": 8, "embedding": 4}
    for task in ("factors", "identity"):
        yield reader.Network.init(reader.Config(task=task, **tiny), rng), [32, 16, 16, 8, 4]
    for architecture in ("resnet", "skip", "orig"):
        config = stylegan2.DiscriminatorConfig(
            32, 3, channel_base=64, channel_max=8, architecture=architecture
        )
        yield config.build(rng), [16, 8, 4]
    config = stylegan1.DiscriminatorConfig(32, 3, channel_base=64, channel_max=8)
    yield config.build(rng), [16, 8, 4]


@pytest.mark.parametrize("network, sizes", list(eyes()))
def test_the_distance_by_its_definition(network, sizes, rng):
    a, b = rng.uniform(-1, 1, (2, 5, 3, 32, 32)).astype(np.float32)  # 5: no whole groups of 4
    maps = [list(network.maps(images)) for images in (a, b)]
    assert [m.shape[2] for m in maps[0]] == sizes
    wanted = np.zeros(5)
    for x, y in zip(*maps, strict=True):
        x, y = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (x, y))
        wanted += ((x - y) ** 2).sum(axis=1).mean(axis=(1, 2))
    see = Perceptual(network, "mine")
    np.testing.assert_allclose(see.distance(a, b), wanted, rtol=1e-3)
    np.testing.assert_array_equal(see.distance(a, a), 0)
    assert see.label == f"perceptual (mine, {network.fingerprint})"


def test_the_last_map_is_what_the_discriminator_judges(rng):
    """Blocks and what follows, put together by hand, are the whole."""
    config = stylegan2.DiscriminatorConfig(
        32, 3, channel_base=64, channel_max=8, mbstd_num_channels=0
    )
    D = config.build(rng)
    img = rng.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    *_, x = D.maps(img)
    x = stylegan2.conv(D.params, "b4.conv", x, act="lrelu")
    x = stylegan2.dense(D.params, "b4.fc", x.reshape(2, -1), "lrelu")
    np.testing.assert_array_equal(stylegan2.dense(D.params, "b4.out", x), D(img))


def test_maps_that_say_what_the_pixels_say_are_left_out(rng):
    config = stylegan2.DiscriminatorConfig(1024, 1, channel_base=1024, channel_max=1)
    D = config.build(rng)
    img = rng.uniform(-1, 1, (1, 1, 1024, 1024)).astype(np.float32)
    assert [m.shape[2] for m in D.maps(img)] == [512, 256, 128, 64, 32, 16, 8, 4]
    seen = Perceptual(D, "D")(img)
    assert seen.shape == (1, sum(4**i for i in range(2, 9)))


def test_pictures_that_do_not_fit():
    D = stylegan2.DiscriminatorConfig(32, 3, channel_base=64, channel_max=8)
    see = Perceptual(D.build(np.random.default_rng(0)), "D")
    with pytest.raises(ValueError, match=r"img has shape \(1, 1, 32, 32\)"):
        see(np.zeros((1, 1, 32, 32), np.float32))


def test_the_fingerprint_of_what_ships_is_as_it_was():
    assert files.load_reader("factors").fingerprint in (files.MODELS / "factors32.md").read_text()

"""Manners show the same portraits, and landmarks are where the pictures have them."""

import numpy as np
import pytest

from minigan.data import portraits, stream

R = 64
SUMS = {
    32: [0.14692, 0.12013, 0.41833, 0.3082, -0.09101, 0.00198, 0.23878, 0.13129],
    64: [-0.22046, -0.01193, -0.21769, -0.09299, -0.09578, 0.00312, -0.17159, -0.15229],
    100: [0.02395, -0.52902, -0.02294, -0.00668, -0.06907, -0.38552, -0.06523, 0.14958],
}


def test_the_painted_portraits_are_those_that_networks_were_trained_on():
    """What each picture sums up to along a wave, to the rounding of a machine's sines."""
    for size, expected in SUMS.items():
        factors = portraits.sample_factors(4, np.random.default_rng(size))
        wave = np.cos(1.7 * np.arange(3 * size * size, dtype=np.float64) ** 1.1)
        drawn = [portraits.draw(factors, size, [0, 1, 1 << 39, 3]), portraits.draw(factors, size)]
        sums = [image.reshape(4, -1).astype(np.float64) @ wave / size for image in drawn]
        assert np.abs(np.concatenate(sums) - expected).max() < 1e-4
        assert np.array_equal(drawn[1], portraits.draw(factors, size, manner="painted"))


@pytest.mark.parametrize("manner", portraits.MANNERS[1:])
def test_a_manner_is_drawn_as_the_painted_ones_are(manner, rng):
    """Of one dtype and range, the same for the same seed, with any neighbours, and in each size."""
    factors = portraits.sample_factors(70, rng)  # more than are drawn at once
    seeds = rng.integers(1 << 40, size=70)
    images = portraits.draw(factors, 32, seeds, manner)
    assert images.dtype == np.float32 and images.shape == (70, 3, 32, 32)
    assert np.abs(images).max() <= 1 and np.array_equal(
        images[66:67],
        portraits.draw({k: v[66:67] for k, v in factors.items()}, 32, seeds[66], manner),
    )
    one = {k: v[:8] for k, v in factors.items()}
    plain, chance = portraits.draw(one, R, manner=manner), portraits.draw(one, R, 5, manner)
    assert 1e-3 < np.mean((plain - chance) ** 2) < 0.03
    large = portraits.draw(one, 256, manner=manner).reshape(8, 3, 64, 4, 64, 4).mean(axis=(3, 5))
    assert np.sqrt(np.mean((large - plain) ** 2)) < 0.12
    drawn, found = portraits.sample(3, 32, np.random.default_rng(4), manner)
    random = portraits.draw_randomly(found, 32, np.random.default_rng(4), manner)
    assert drawn.shape == random.shape and not np.array_equal(drawn, random)
    batch = stream.Portraits(32, 0, manner).batch(5, 2)[0]
    assert np.array_equal(batch[1:], stream.Portraits(32, 0, manner).batch(6, 1)[0])
    assert not np.array_equal(batch, stream.Portraits(32, 0).batch(5, 2)[0])


def test_a_sketch_is_near_in_shape_and_has_no_colour(rng):
    images, factors = portraits.sample(32, R, rng, "sketch")
    grey = images.mean(axis=1, keepdims=True)
    assert np.abs(images - grey).max() < 0.1  # the paper's warmth; painted ones reach 1
    seeds = np.arange(32)
    sketch, painted = (
        portraits.draw(factors, R, seeds, m).mean(axis=1) for m in ("sketch", "painted")
    )
    assert edges_agree(sketch, painted) > 0.8 > 2 * edges_agree(np.roll(sketch, 1, axis=0), painted)


def test_at_night_it_is_dark_and_blue_and_the_rim_is_warm_where_the_light_is(rng):
    factors = portraits.sample_factors(32, rng) | {"light": np.full(32, 0.8, np.float32)}
    seeds = np.arange(32)
    night, painted = (portraits.draw(factors, R, seeds, m) for m in ("night", "painted"))
    assert night.mean() < -0.5 < painted.mean()
    corner = night[:, :, :8, :8].mean(axis=(0, 2, 3))
    assert corner[2] > corner[0] + 0.1  # the sky
    warmth = (night[:, 0] - night[:, 2])[:, 20:50]
    left, right = warmth[:, :, : R // 2], warmth[:, :, R // 2 :]
    assert np.quantile(right, 0.97) > 0.4 > 0.1 > np.quantile(left, 0.97)
    other = portraits.draw(
        factors | {"light": -factors["light"], "yaw": -factors["yaw"]}, R, None, "night"
    )
    mirrored = portraits.draw(factors, R, None, "night")[..., ::-1]
    assert np.abs(other - mirrored).max() < 1e-4
    assert edges_agree(night.mean(axis=1), painted.mean(axis=1)) > 0.5


def edges_agree(a, b):
    """The mean correlation of how steep two stacks of pictures [N, R, R] are."""
    steep = [np.hypot(*np.gradient(p, axis=(1, 2))).reshape(len(p), -1) for p in (a, b)]
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(*steep, strict=True)]))


def test_an_unknown_manner_is_named():
    with pytest.raises(
        ValueError, match="draw: manner is 'robot'; expected one of painted, sketch"
    ):
        portraits.draw({}, 32, manner="robot")


def centre(weight):
    """The centroid of weights [N, R, R]: [N, 2], x and y in pixels."""
    at = np.arange(weight.shape[-1])
    total = weight.sum(axis=(1, 2))
    return np.stack([weight.sum(axis=1) @ at, weight.sum(axis=2) @ at], axis=1) / total[:, None]


def test_landmarks_of_eyes_are_where_another_colour_of_the_eyes_shows(rng):
    n = 48
    factors = portraits.sample_factors(n, rng)
    factors |= {"glasses": 0, "eye_shape": np.ones(n), "hair_style": 2}  # nothing hides an eye
    factors["yaw"] *= 0.8
    points = portraits.landmarks(factors, R)
    assert points.shape == (n, 4, 2) and points.dtype == np.float64
    brown, blue = (portraits.draw(factors | {"eye_color": c}, R) for c in (0, 1))
    change = np.minimum(np.abs(brown - blue).sum(axis=1), 0.1)
    gaze = R / 1.68 * np.stack([0.030 * factors["yaw"], 0.018 * factors["pitch"]], axis=1)
    middle = points[:, :2, 0].mean(axis=1)
    for eye, side in ((0, -1), (1, 1)):
        half = side * (np.arange(R) - middle[:, None]) > 0
        found = centre(change * half[:, None])
        error = np.abs(found - points[:, eye] - gaze)
        assert error.max() < 0.4 and error.mean() < 0.1, error.max(axis=0)


def test_landmarks_of_the_mouth_are_where_its_line_ends(rng):
    """At 512², its outermost pixels: the line goes on beyond the corner by half its width."""
    n, size = 24, 512
    factors = portraits.sample_factors(n, rng)
    factors |= {"skin": np.zeros(n), "hair_style": 0, "hair_color": 0, "clothes": 0, "glasses": 0,
                "background": np.full(n, 0.6), "age": np.zeros(n)}  # fmt: skip
    factors |= {"mouth_open": np.zeros(n), "yaw": 0.35 * factors["yaw"]}
    factors["pitch"] *= 0.5  # the corners are on the face
    images = portraits.draw(factors, size)
    points = portraits.landmarks(factors, size)
    red = images[:, 0] - images[:, 1] > 0.6
    for mask, marks in zip(red, points, strict=True):
        rows, columns = np.nonzero(mask)
        for corner, at in ((2, columns.min()), (3, columns.max())):
            y = rows[np.abs(columns - at) < 2].mean()
            x = at + (0.016 if corner == 2 else -0.016) * size / 1.68
            assert np.abs((x, y) - marks[corner]).max() < 0.5 * size / R


def test_landmarks_have_a_unit_and_follow_the_factors():
    shares = portraits.landmarks({})
    assert np.allclose(portraits.landmarks({}, 100), 100 * shares - 0.5)
    left, right, *mouth = shares[0]
    assert np.allclose(left[0] + right[0], 1) and left[1] == right[1] and left[0] < right[0]
    assert mouth[0][0] < mouth[1][0] and mouth[0][1] > left[1]
    turned = portraits.landmarks({"yaw": np.float32([-1, 1])})
    assert np.allclose(turned[0, :, 0], 1 - turned[1, [1, 0, 3, 2], 0])
    with pytest.raises(ValueError, match="unknown factors"):
        portraits.landmarks({"hat": 1})
    with pytest.raises(ValueError, match="landmarks: resolution is 0; expected a whole number"):
        portraits.landmarks({}, 0)

"""How far an edit may go: by hand on made-up curves, and on generators of which all is known."""

import numpy as np
import pytest

from minigan import files
from minigan.data import portraits
from minigan.editing import budget as budgets
from minigan.editing.budget import budget, ideal, measured, sweep, thresholds
from minigan.editing.directions import Direction, in_w
from minigan.editing.space import statistics
from minigan.networks import reader as readers
from minigan.networks import stylegan2

ALPHAS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])


def test_the_first_crossing_counts_for_each_picture_and_side():
    """Ten pictures; one may be lost."""
    fine = np.ones((6, 10))
    assert budget(fine, ALPHAS, 0.9) == (-2, 3)
    one = fine.copy()
    one[3:, 0] = 0
    assert budget(one, ALPHAS, 0.9) == (-2, 3)  # nine of ten are left
    assert budget(one, ALPHAS, 0.9, share=0.95) == (-2, 0)
    back = fine.copy()
    back[3, :2] = 0  # two are lost at 1 and come back at 2
    assert budget(back, ALPHAS, 0.9) == (-2, 0)
    turns = fine.copy()
    turns[3, 0] = turns[4, 1] = 0  # at no step are two below, but two were
    assert budget(turns, ALPHAS, 0.9) == (-2, 1)
    below = fine.copy()
    below[:2, :5] = 0
    assert budget(below, ALPHAS, 0.9) == (0, 3)
    below[0] = 1
    assert budget(below, ALPHAS, 0.9) == (0, 3)
    mean = np.full((6, 10), 1.0)
    mean[4:, :2] = 0.85  # the mean stays above 0.9
    assert budget(mean, ALPHAS, 0.9) == (-2, 1)


def test_the_threshold_itself_suffices():
    assert budget(np.full((6, 1), 0.92), ALPHAS, 0.92) == (-2, 3)
    assert budget(np.full((6, 1), 0.9199), ALPHAS, 0.92) == (0, 0)


def test_steps_may_lie_on_one_side():
    assert budget(np.ones((3, 1)), np.array([0.0, 1, 2]), 0.5) == (0, 2)
    assert budget(np.ones((2, 1)), np.array([-1.0, 0]), 0.5) == (-1, 0)


@pytest.mark.parametrize("alphas", [[1.0, 2, 3], [0.0, 2, 1], [-1.0, 0, 0], [[0.0]]])
def test_without_a_start_at_zero_there_is_no_budget(alphas):
    with pytest.raises(ValueError, match="0 among them"):
        budget(np.ones((len(alphas), 4)), np.array(alphas), 0.5)


def test_other_shapes_are_refused():
    for values in (np.ones(6), np.ones((5, 2)), np.ones((6, 0))):
        with pytest.raises(ValueError, match=r"expected \[6, N\]"):
            budget(values, ALPHAS, 0.5)
    with pytest.raises(ValueError, match="share"):
        budget(np.ones((6, 2)), ALPHAS, 0.5, share=90)


# ---- the sweep -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets():
    """(G, D, a reader, an identity network), all of 32² and small."""
    rng = np.random.default_rng(1)
    config = stylegan2.Config(32, 3, 8, 8, 0, stylegan2.MappingConfig(2), 256, 8)
    about = stylegan2.DiscriminatorConfig(32, channel_base=256, channel_max=8)
    tiny = {"channels": (4, 4, 4, 4), "features": 8, "embedding": 6}
    return (config.build(rng), about.build(rng),
            *(readers.Network.init(readers.Config(task, **tiny), rng) for task in ("factors", "identity")))  # fmt: skip


@pytest.fixture(scope="module")
def seen(nets):
    """(G, ws, direction, photos, its sweep)."""
    G, D, reader, identity = nets
    rng = np.random.default_rng(2)
    ws = G.mapping(rng.standard_normal((6, 8), np.float32))
    direction = in_w(G, rng.standard_normal(8), "d", "random", layers=[1, 2, 3])
    photos = rng.uniform(-1, 1, (6, 3, 32, 32)).astype(np.float32)
    return G, ws, direction, photos, sweep(G, ws, direction, ALPHAS, reader, identity, D, photos)


def test_a_sweep_says_what_the_networks_say_one_by_one(nets, seen):
    _, D, reader, identity = nets
    G, ws, direction, photos, s = seen
    start = identity(G.synthesis(ws))
    for i, alpha in enumerate(ALPHAS):
        there = np.array(ws)
        there[:, 1:4] += (alpha * direction.sigma * direction.vector).astype(np.float32)
        images = G.synthesis(there)
        for name, value in reader.read(images).items():
            np.testing.assert_allclose(s.read[name][i], value, atol=1e-4)
        here = identity(images)
        np.testing.assert_allclose(s.identity[i], np.sum(here * start, axis=1), atol=1e-5)
        np.testing.assert_allclose(s.photo[i], np.sum(here * identity(photos), axis=1), atol=1e-5)
        logits = np.concatenate([D(images[:4]), D(images[4:])])[:, 0]  # groups of four
        np.testing.assert_allclose(s.logits[i], logits, atol=1e-4)
        distances = statistics(G).distance(there.astype(np.float64))
        np.testing.assert_allclose(s.distance[i] ** 2, np.mean(distances**2, axis=1), rtol=1e-5)
    assert s.middle == 2 and s.reader == reader.fingerprint and s.judge == identity.fingerprint
    assert np.abs(s.identity[2] - 1).max() < 1e-5 and s.identity.min() < 0.999
    assert (s.photo[2] < 0.999).all()


def test_nothing_but_the_pictures_decides(nets, seen):
    """Without D and photos: the same, and nothing of them.  In S the distance stays."""
    _, _, reader, identity = nets
    G, ws, direction, _, s = seen
    less = sweep(G, ws, direction, ALPHAS, reader, identity)
    assert less.photo is None and less.logits is None
    assert np.array_equal(less.identity, s.identity)
    channel = Direction("c", "s", {"b8.conv1": {1: 1.0}}, G.fingerprint)
    styles = sweep(G, ws, channel, np.array([0.0, 5.0]), reader, identity)
    np.testing.assert_allclose(styles.distance[1], styles.distance[0])
    assert styles.identity[1].min() < 0.9999
    with pytest.raises(ValueError, match="0 among them"):
        sweep(G, ws, direction, [1.0, 2.0], reader, identity)


def made_up(read, identity=None):
    """A `Sweep` of these readings [A, N], the others constant."""
    shape = np.shape(next(iter(read.values())))
    all_ = {f.name: np.zeros(shape, int if f.choices else float) for f in portraits.FACTORS} | read
    identity = np.ones(shape) if identity is None else identity
    return budgets.Sweep(ALPHAS, all_, identity, None, None, np.ones(shape), "r", "i")


def test_changes_in_standard_deviations():
    s = made_up({
        "smile": np.outer(ALPHAS, [0.1, 0.2]), "background": np.array([[0.95, 0.1]] * 2 + [[0.9, 0.1]] + [[0.1, 0.1]] * 3),
        "glasses": np.array([[0, 1]] * 3 + [[2, 0]] * 3),
    })  # fmt: skip
    np.testing.assert_allclose(s.change("smile"), np.outer(ALPHAS, [0.1, 0.2]) * np.sqrt(3))
    np.testing.assert_allclose(s.change("background")[[0, 3], 0], np.array([0.05, 0.2]) * 12**0.5)
    np.testing.assert_array_equal(s.change("glasses"), [[0, 0]] * 3 + [[1, -1]] * 3)


def test_identity_by_factors():
    half = 0.5 / np.sqrt(12)  # of the factor skin
    for name, values, lost in (
        ("hair_style", [0, 0, 0, 0, 1, 1], [4, 5]), ("eye_color", [1, 0, 0, 0, 0, 0], [0]),
        ("skin", [half * 1.01, half * 0.99, 0, 0, -half * 1.01, 0], [0, 4]),
        ("smile", [9, 9, 0, 9, 9, 9], []),
    ):  # fmt: skip
        s = made_up({name: np.array(values)[:, None]})
        assert np.flatnonzero(~s.same[:, 0]).tolist() == lost, name


def test_what_a_direction_is_told_of_itself():
    d = Direction("d", "w", np.ones(8), "g", (0,))
    cosines = np.ones((6, 10))
    cosines[0], cosines[4], cosines[5] = 0.8, 0.8, 0.1
    s = made_up({
        "smile": np.outer([-0.9, -0.4, 0, 0.2, 0.3, 0.9], np.ones(10)),
        "yaw": np.outer([9, 0.3, 0, 0.1, 9, 9], np.tile([1, -1], 5)),
        "clothes": np.outer([3, 0, 0, 1, 3, 3], np.arange(10) < 4).astype(int),
    }, cosines)  # fmt: skip
    got = measured(d, "smile", s, {"strict": 0.9, "loose": 0.6})
    assert (got.strict, got.loose) == ((-1, 1), (-2, 2))
    assert got.effect == pytest.approx(0.3 * np.sqrt(3))  # from −1 to 1
    assert got.reach == pytest.approx((-0.4 * np.sqrt(3), 0.2 * np.sqrt(3)))
    assert got.side_effects["yaw"] == pytest.approx(0.3 * np.sqrt(3))
    assert got.side_effects["clothes"] == pytest.approx(0.4)
    assert "smile" not in got.side_effects and got.side_effects["age"] == 0
    assert (got.factor, got.reader, got.identity) == ("smile", "r", "i")


# ---- thresholds, the floor -----------------------------------------------------------------------


def test_thresholds_are_quantiles_of_people():
    """Of a network that sees how bright a picture is, and of the shipped one."""

    class Bright:
        config, seen = readers.Config("identity"), []

        def __call__(self, images):
            angle = np.pi / 2 * images.mean(axis=(1, 2, 3))
            self.seen.append(np.stack([np.cos(angle), np.sin(angle)], axis=1))
            return self.seen[-1]

    got = thresholds(Bright(), 400)
    a, b = Bright.seen
    cosines = np.sort(np.sum(a * b, axis=1))
    assert cosines[3] <= got["strict"] <= cosines[4]
    others = np.sort([x @ y for x, y in zip(a, b[np.arange(400) - 1], strict=True)])
    assert others[-5] <= got["loose"] <= others[-4]
    shipped = thresholds(files.load_reader("identity"), 300)
    assert 0.4 < shipped["loose"] < 0.8 < shipped["strict"] < 0.97


def test_the_floor_of_a_smile_is_near_nothing():
    """A smile does not make another person, and 0 change is the same picture; skin does."""
    identity = files.load_reader("identity")
    smile = ideal(identity, "smile", [-1.0, 1.0], 40)
    skin = ideal(identity, "skin", [0.0, 1.0], 40)
    assert smile.shape == (2, 40) and np.median(smile) > 0.98
    assert np.median(skin.min(axis=0)) < 0.9
    rng = np.random.default_rng([0, 14])
    mine = portraits.people(40, rng)["smile"]
    at = ideal(identity, "smile", [mine[3]], 40)[0]
    assert at[3] == pytest.approx(1, abs=1e-5) and at.min() < 1 - 1e-5


def test_what_is_an_artefact(nets):
    G, D, *_ = nets
    low, middle = (budgets.least_logit(G, D, 64, quantile=q) for q in (0.01, 0.5))
    assert low < middle and low == budgets.least_logit(G, D, 64)

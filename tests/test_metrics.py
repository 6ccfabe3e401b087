"""Measures against the reference vectors, against cases known by hand, and against themselves."""

import math

import numpy as np
import pytest
import scipy.linalg

from minigan import latents
from minigan.evaluation import metrics


def cases(golden, name):
    arrays, meta = golden(f"metrics/{name}")
    return arrays, meta["cases"]


def test_frechet_distance_is_the_reference(golden):
    arrays, table = cases(golden, "fid_kid")
    for case in table:
        part = lambda key, case=case: arrays[f"{case['id']}_{key}"].astype(np.float64)  # noqa: E731
        got = metrics.frechet_distance(part("real_features"), part("gen_features"))
        assert got == pytest.approx(case["fid"], rel=1e-6)
        moments = [part(k) for k in ("mu_real", "sigma_real", "mu_gen", "sigma_gen")]
        assert metrics.frechet_from_moments(*moments) == pytest.approx(case["fid"], rel=1e-6)


def test_frechet_distance_by_the_formula_with_a_matrix_root(rng):
    a, b = rng.normal(size=(200, 4)), 0.5 + rng.normal(size=(150, 4)) @ rng.normal(size=(4, 4))
    s, t = np.cov(a.T, ddof=0), np.cov(b.T, ddof=0)
    want = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(
        s + t - 2 * scipy.linalg.sqrtm(s @ t).real
    )
    assert metrics.frechet_distance(a, b) == pytest.approx(want, rel=1e-9)


def test_kernel_distance_is_the_reference(golden):
    arrays, table = cases(golden, "fid_kid")
    for case in table:
        real, fake = (arrays[f"{case['id']}_{k}_features"] for k in ("real", "gen"))
        # The reference computes in float32 and draws from NumPy's old generator.
        got, _ = metrics.kernel_distance(real, fake, np.random.RandomState(5), 7, 50)
        assert got == pytest.approx(case["kid_numpy_seed5_7subsets_of_50"], rel=2e-6)
        if case["kid_all_samples_one_subset"] is not None:
            got, std = metrics.kernel_distance(real, fake, np.random.default_rng(0), 1)
            assert got == pytest.approx(case["kid_all_samples_one_subset"], rel=2e-6)
            assert np.isnan(std)  # one subset, and it is the whole: nothing that could vary


def test_kernel_distance_is_unbiased(rng):
    """Of two samples of one distribution its mean is 0, whatever their size."""
    found = [metrics.kernel_distance(*rng.normal(size=(2, 20, 3)), rng, 1)[0] for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20


def test_precision_and_recall_are_the_reference(golden):
    arrays, table = cases(golden, "precision_recall")
    for case in table:
        real, fake = (arrays[f"{case['id']}_{k}"] for k in ("real", "gen"))
        got = metrics.precision_recall(real, fake, case["nhood_size"])
        assert got == pytest.approx((case["precision"], case["recall"]), rel=1e-8)


def test_precision_and_recall_say_different_things(rng):
    real = rng.normal(size=(400, 2))
    few = 0.1 * rng.normal(size=(400, 2))  # all in the middle: precise, but little variety
    many = 4 * rng.normal(size=(400, 2))
    precision, recall = metrics.precision_recall(real, few)
    assert precision > 0.9 and recall < 0.3
    precision, recall = metrics.precision_recall(real, many)
    assert precision < 0.5 and recall > 0.8


def test_slerp_is_the_reference(golden):
    arrays, _ = golden("metrics/slerp")
    got = latents.slerp(arrays["a"], arrays["b"], arrays["t"])
    np.testing.assert_allclose(got, arrays["y"], rtol=1e-8, atol=1e-12)


def test_nearest_finds_the_nearest(rng):
    points, others = rng.normal(size=(300, 3)), rng.normal(size=(50, 3))
    want = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1)
    np.testing.assert_allclose(metrics.nearest(points, others), want, atol=1e-7)


class Affine:
    """A generator whose images are a linear map of w, and w one of z."""

    z_dim, params, buffers = 3, {}, {}

    def __init__(self, a):
        self.a = a

    def replace(self, **_):
        return self

    def mapping(self, z):
        return z[:, None]

    def synthesis(self, ws):
        return ws[:, 0] @ self.a


class Identity:
    params, buffers = {}, {}

    def replace(self, **_):
        return self

    def __call__(self, x):
        return x


def test_feature_path_length_of_a_linear_generator(rng):
    """In w it is ‖(b − a)A‖² exactly; for z the speed along the great circle is the angle."""
    got = metrics.feature_path_length(Affine(2 * np.eye(3)), Identity(), rng, "w", n=4000)
    assert got == pytest.approx(4 * 2 * 3, rel=0.05)  # E‖b − a‖² = 2·3; trimming takes a little
    z = np.random.default_rng(5).standard_normal((2, 3000, 3))
    cosine = np.sum(z[0] * z[1], 1) / np.linalg.norm(z[0], axis=1) / np.linalg.norm(z[1], axis=1)
    got = metrics.feature_path_length(Affine(np.eye(3)), Identity(), rng, "z", "end", n=3000)
    assert got == pytest.approx(np.mean(np.arccos(cosine) ** 2), rel=0.06)


def test_readability_tells_all_from_one_and_from_none(rng):
    x = rng.normal(size=(4000, 6))
    spread, alone, noise = x @ np.ones(6), 3 * x[:, 4] - 1, rng.normal(size=4000)
    together, single, _ = metrics.readability(x, spread)
    assert together > 0.99 and single == pytest.approx(1 / 6, abs=0.05)
    together, single, which = metrics.readability(x, alone)
    assert together > 0.99 and single > 0.99 and which == 4
    assert abs(metrics.readability(x, noise)[0]) < 0.02
    choice = np.eye(3)[np.digitize(x[:, 0], [0.0, 1.0])]
    fit = np.linalg.lstsq(np.c_[x, np.ones(4000)], choice)[0]
    rest = choice - np.c_[x, np.ones(4000)] @ fit
    want = 1 - np.var(rest, axis=0).sum() / np.var(choice, axis=0).sum()
    assert metrics.readability(x, choice)[0] == pytest.approx(want, abs=0.03)


def test_several_targets_are_read_as_each_alone(rng):
    x = rng.normal(size=(300, 20))
    targets = {"number": x[:, 3] + rng.normal(size=300),
               "choice": np.eye(3)[np.digitize(x[:, 0], [0.0, 1.0])]}  # fmt: skip
    found = metrics.readabilities(x, targets)
    assert found == {name: metrics.readability(x, y) for name, y in targets.items()}
    assert found["number"][2] == 3 and found["choice"][2] == 0
    with pytest.raises(ValueError, match="flat is the same throughout"):
        metrics.readabilities(x, targets | {"flat": np.zeros(300)})


def test_kernel_distance_claims_no_spread_of_whole_sets(rng):
    """Ten subsets that are all the whole set agree, which says nothing of the uncertainty."""
    a, b = rng.normal(size=(2, 300, 3))
    assert np.isnan(metrics.kernel_distance(a, b, rng, 10, 1000)[1])
    assert np.isnan(metrics.kernel_distance(a, b[:100], rng, 10, 100)[1])
    assert metrics.kernel_distance(a, b, rng, 10, 100)[1] > 0


def test_readability_is_not_biased_by_a_small_sample(rng):
    """64 coordinates that together explain a tenth: an unpenalised fit to 750 samples, judged on
    the other 750, would report next to nothing."""
    weights = np.full(64, math.sqrt(0.1 / 64))
    values = {}
    for n in (1500, 6000):
        found = []
        for _ in range(12):
            x = rng.normal(size=(n, 64))
            y = x @ weights + math.sqrt(0.9) * rng.normal(size=n)
            found.append(metrics.readability(x, y)[0])
        values[n] = np.mean(found)
    assert values[1500] == pytest.approx(0.1, abs=0.05)
    assert values[6000] == pytest.approx(0.1, abs=0.015)


def test_readability_of_as_many_coordinates_as_samples(rng):
    """A fifth is left out, so 256 weights meet 256 samples: noise must not become knowledge, nor a
    fit that interpolates a catastrophe."""
    x = rng.normal(size=(320, 256))
    assert -0.2 < metrics.readability(x, rng.normal(size=320))[0] < 0.1
    assert 0.05 < metrics.readability(x, x[:, :3].sum(axis=1) + rng.normal(size=320))[0] < 0.9


def test_the_penalty_of_readability_is_that_of_leave_one_out(rng):
    """Generalised cross-validation comes close to leaving out each sample in turn."""
    x = rng.normal(size=(120, 30))
    y = (x[:, :1] + 3 * rng.normal(size=(120, 1))) * 0.5
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    weights = metrics._ridge(np.linalg.eigh(x.T @ x / 120), y, x.T @ y / 120)

    def left_out(penalty):  # the exact shortcut: rest / (1 − leverage)
        hat = x @ np.linalg.solve(x.T @ x + 120 * penalty * np.eye(30), x.T)
        return np.mean(((y - hat @ y)[:, 0] / (1 - np.diag(hat))) ** 2)

    errors = {p: left_out(p) for p in np.geomspace(1e-6, 1e3, 28)}
    mine = next(p for p in errors if np.allclose(
        weights, np.linalg.solve(x.T @ x + 120 * p * np.eye(30), x.T @ y)))  # fmt: skip
    assert errors[mine] < 1.02 * min(errors.values()) < 0.9 * errors[1e-6]


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: metrics.readability(np.zeros((50, 2)), np.zeros(50)), "y is the same throughout"),
        (lambda: metrics.readability(np.zeros((50, 2)), np.zeros(40)), r"y \(40,\)"),
        (lambda: metrics.frechet_distance(np.zeros((5, 2)), np.zeros((5, 3))), r"b has shape \(5, 3\)"),
        (lambda: metrics.frechet_distance(np.zeros(5), np.zeros(5)), r"a has shape \(5,\)"),
        (lambda: metrics.kernel_distance(np.full((5, 2), np.nan), np.zeros((5, 2)), None), "a holds NaN"),
        (lambda: metrics.precision_recall(np.zeros((5, 2)), np.zeros((4, 2)), 4), "from 1 to 3"),
        (lambda: metrics.precision_recall(np.zeros((5, 2)), np.zeros((4, 2)), True), "k is True"),
        (lambda: metrics.feature_path_length(None, None, None, "w+"), "space is 'w\\+'"),
        (lambda: metrics.feature_path_length(None, None, None, "w", "start"), "sampling 'start'"),
    ],
)  # fmt: skip
def test_bad_input(call, error):
    with pytest.raises(ValueError, match=error):
        call()

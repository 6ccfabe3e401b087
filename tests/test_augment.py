"""ADA against the official pipeline, its derivatives, its controller, and that it does not leak."""

import json

import numpy as np
import pytest
import scipy.special

from minigan import autograd
from minigan.training import augment

from .conftest import GOLDEN


class Percentile:
    """In place of `augment.Draw`: the official pipeline's debug mode, each number at a percentile."""

    p = 1.0

    def __init__(self, n, q, noise):
        self.n, self.q, self.noise = n, q, noise

    def uniform(self, low, high, neutral, p=None):
        return np.full(self.n, low + (high - low) * self.q)

    def integer(self, count):
        return np.full(self.n, int(np.floor(count * self.q)))

    def normal(self, std):  # without the √2 that would make it a percentile, as the official one
        return np.full(self.n, scipy.special.erfinv(2 * self.q - 1) * std)

    def pair(self, kind, *args):
        return [getattr(self, kind)(*args)] * 2

    def half_normal(self, std):
        return np.full(self.n, scipy.special.erfinv(self.q) * std)

    def second_rotation(self, p):
        return np.zeros(self.n)

    def pixels(self, shape):
        return self.noise[: shape[0], : shape[1]]

    def box(self, size):
        return np.full(self.n, size), np.full(self.n, self.q), np.full(self.n, self.q)


def cases():
    for name in ("augment_single_classes", "augment_combined", "augment_imgfilter"):
        for case in json.loads(str(np.load(GOLDEN / "ada" / f"{name}.npz")["meta_json"]))["cases"]:
            yield pytest.param(name, case, id=f"{name}-{case['id']}")


@pytest.mark.parametrize("name, case", list(cases()))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_pipeline_is_the_official_one(name, case, dtype, monkeypatch):
    d = np.load(GOLDEN / "ada" / f"{name}.npz")
    # The vectors were made with filters rounded to float32.
    monkeypatch.setattr(augment, "SYM6", d["Hz_geom"].astype(np.float64))
    monkeypatch.setattr(augment, "_bands", lambda: d["Hz_fbank"].astype(np.float64))
    images = d["img"].astype(dtype)
    images = images[:, :1] if "[:, :1]" in case.get("input", "") else images
    draw = Percentile(len(images), case["debug_percentile"], d["rgb_noise"])
    got = augment.apply(images, set(case["ctor"]), draw)
    wanted = d[f"{case['id']}_y"]
    assert got.dtype == dtype and got.shape == wanted.shape
    assert np.abs(got - wanted).max() < (1e-8 if dtype == np.float64 else 3e-5)


def test_the_filters_are_those_of_the_official_one():
    d = np.load(GOLDEN / "ada" / "augment_combined.npz")
    assert np.abs(augment.SYM6 - d["Hz_geom_f64"]).max() < 1e-12
    assert np.abs(augment._bands() - d["Hz_fbank_f64"]).max() < 1e-12
    impulse = np.zeros(43)
    impulse[21] = 1
    assert (
        np.abs(augment._bands().sum(axis=0) - impulse).max() < 1e-12
    )  # together they change nothing


@pytest.mark.parametrize("groups", augment.GROUPS[1:])
def test_it_is_differentiable_to_second_order(groups, rng):
    x = rng.standard_normal((2, 3, 22 if "f" in groups else 8, 22 if "f" in groups else 8))
    weight = rng.standard_normal(x.shape)

    def f(x):
        y = augment.augment(x, 0.9, np.random.default_rng(3), groups)
        return np.sum(np.tanh(y) * weight)

    autograd.check_grads(f, x, order=2)


@pytest.mark.parametrize("groups", augment.GROUPS[1:])
def test_without_strength_nothing_changes_and_float32_stays(groups, rng):
    x = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    assert augment.augment(x, 0.0, rng, groups) is x
    y = augment.augment(x, 1.0, rng, groups)
    assert y.dtype == np.float32 and y.shape == x.shape
    gray = augment.augment(x[:, :1], 1.0, rng, groups)
    assert gray.shape == (4, 1, 32, 32) and np.isfinite(gray).all()


def test_each_transform_comes_as_often_as_asked(rng):
    """p = 0.3: about 30 % of flat images change brightness; half of 30 % flip."""
    n = 4000
    x = np.broadcast_to(np.linspace(-1, 1, 8), (n, 3, 8, 8)).copy()
    flipped = augment.apply(x, {"xflip"}, augment.Draw(n, 0.3, rng))
    assert abs((flipped[:, 0, 4, 0] > 0).mean() - 0.15) < 0.03
    brighter = augment.apply(x, {"brightness"}, augment.Draw(n, 0.3, rng))
    assert abs((np.abs(brighter - x).max(axis=(1, 2, 3)) > 1e-9).mean() - 0.3) < 0.03
    wide = np.broadcast_to(np.linspace(-1, 1, 16), (n, 3, 16, 16)).copy()
    moved = augment.apply(wide, {"xint"}, augment.Draw(n, 0.3, rng))
    changed = np.abs(moved - wide).max(axis=(1, 2, 3)) > 0.05
    assert abs(changed.mean() - 0.3 * 0.75) < 0.03  # of −2 … 2 pixels along x, a quarter round to 0
    turned = augment.apply(x, {"rotate"}, augment.Draw(n, 0.3, rng))
    assert abs((np.abs(turned - x).max(axis=(1, 2, 3)) > 0.05).mean() - 0.3) < 0.04


def test_the_controller_follows_the_sign():
    assert augment.adapt(0.2, 0.7, 0.6, 32, 500) == pytest.approx(0.2 + 32 / 500e3)
    assert augment.adapt(0.2, 0.5, 0.6, 32, 500) == pytest.approx(0.2 - 32 / 500e3)
    assert augment.adapt(0.2, 0.6, 0.6, 32, 500) == 0.2
    assert augment.adapt(0.0, -1.0, 0.6, 32, 500) == 0.0  # clamped below …
    assert augment.adapt(1.0, 1.0, 0.6, 32, 500) > 1.0  # … only


@pytest.mark.parametrize("groups", ["c", "bcg", "ada", None])
def test_unknown_groups_are_named(groups, rng):
    with pytest.raises(ValueError, match="groups is .*; expected one of"):
        augment.augment(np.zeros((1, 3, 8, 8)), 0.5, rng, groups)


def test_images_too_small_to_filter_are_named(rng):
    with pytest.raises(ValueError, match="at least 22 pixels"):
        augment.augment(np.zeros((1, 3, 16, 16)), 0.5, rng, "bgcf")


def test_the_blur_of_what_d_sees_is_the_official_one():
    d = np.load(GOLDEN / "loss" / "discriminator_input_blur.npz")
    for case in json.loads(str(d["meta_json"]))["cases"]:
        got = augment.blur(d["img"].astype(np.float64), case["blur_sigma"])
        np.testing.assert_allclose(got, d[f"{case['id']}_y"], atol=1e-6)
    np.testing.assert_array_equal(augment.blur(d["img"], 0.3), d["img"])

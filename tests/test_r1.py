"""R1, by its own phase (lazy) and in D's own update: one penalty, whatever D's view of the images."""

import dataclasses

import numpy as np
import pytest

from minigan import autograd, training
from minigan.data.stream import open_data
from minigan.training import augment
from tests.test_stylegan2 import LOSS, loss_inputs, official_epsilon  # noqa: F401
from tests.test_training import TINY, recorded


def d_gradients(monkeypatch, config, state, data):
    """What Adam is given for D in step 0: {"main": …, "r1": … if that is a phase}; and the stats."""
    given = recorded(monkeypatch)
    _, stats = training.advance(config, state, data)
    ours = [g for g in given if g.keys() == state.D.params.keys()]
    return dict(zip(("main", "r1"), ours, strict=False)), stats


def r1_gradient(monkeypatch, config, state, data):
    """R1's share of D's gradient, as for a single step: by its own phase, or as the difference
    that gamma makes."""
    with monkeypatch.context() as patch:
        with_r1, stats = d_gradients(patch, config, state, data)
    if config.r1_interval > 1:
        return {k: g / config.r1_interval for k, g in with_r1["r1"].items()}, stats
    with monkeypatch.context() as patch:
        without, _ = d_gradients(patch, dataclasses.replace(config, gamma=0.0), state, data)
    return {k: g - without["main"][k] for k, g in with_r1["main"].items()}, stats


@pytest.mark.usefixtures("official_epsilon")
@pytest.mark.parametrize("interval", [1, 4])
def test_r1_is_the_official_one(monkeypatch, interval):
    """In D's own update and as a phase: the gradients of the reference vectors."""
    G, D, d, hyper = loss_inputs(np.float32)
    golden = np.load(LOSS / "stylegan2_uncond_r16_discriminator_r1.npz")
    config = dataclasses.replace(
        TINY, G=G.config, D=D.config, batch=len(d["real_img"]), gamma=hyper["r1_gamma"],
        r1_interval=interval, d_lr=1e-12,
    )  # fmt: skip
    state = training.start(config)
    state = dataclasses.replace(state, G=G, G_ema=G, D=D)
    data = type("Data", (), {"batch": lambda self, i, n: (d["real_img"], None)})()
    grads, stats = r1_gradient(monkeypatch, config, state, data)
    for name, got in grads.items():
        want = golden[f"grad/{name}"] if f"grad/{name}" in golden else 0 * got
        assert np.abs(got - want).max() <= 5e-5 * np.abs(want).max() + 1e-6, name
    assert stats["r1"] == pytest.approx(golden["stat/D/reg"].mean(), rel=1e-6)


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("how", ["blur", "augment", "both"])
def test_r1_takes_the_slope_at_the_images_themselves(monkeypatch, how, interval):
    """One definition for both intervals: γ/2·mean ‖Jᵀ∇D‖², J the matrix of D's view, found by
    showing it one pixel after the other."""
    config = dataclasses.replace(
        TINY, r1_interval=interval, d_lr=1e-12, blur_kimg=100.0,
        blur_sigma=0.0 if how == "augment" else 1.5, augment="" if how == "blur" else "bgc",
    )  # fmt: skip
    size = 3 * 8 * 8
    mixes = np.random.default_rng(5).normal(size=(size, size)).astype(np.float32) / size**0.5
    monkeypatch.setattr(
        augment, "augment", lambda x, *_: np.reshape(np.reshape(x, (-1, size)) @ mixes, x.shape)
    )
    state, data = training.start(config), open_data(config)
    grads, stats = r1_gradient(monkeypatch, config, state, data)
    real, _ = data.batch(0, 4)
    sigma = config.blur_sigma
    pixels = augment.blur(np.eye(size, dtype=np.float32).reshape(-1, 3, 8, 8), sigma)
    jacobian = pixels.reshape(size, size) @ (
        mixes if config.augment else np.eye(size, dtype=np.float32)
    )

    def wanted(params):
        D = state.D.replace(params=params)
        seen = np.reshape(np.reshape(real, (4, size)) @ jacobian, real.shape)
        slopes = autograd.grad(lambda x: np.sum(D(x)))(seen)
        return 0.5 * config.gamma * np.sum((np.reshape(slopes, (4, size)) @ jacobian.T) ** 2) / 4

    value, want = autograd.value_and_grad(wanted)(state.D.params)
    assert stats["r1"] == pytest.approx(float(value), rel=1e-3)
    for name, got in grads.items():
        assert np.allclose(got, want[name], rtol=2e-3, atol=1e-5), name
    assert max(np.abs(g).max() for g in grads.values()) > 1e-4

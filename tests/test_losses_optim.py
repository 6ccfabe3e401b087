"""Losses against their formulas, R1 against finite differences, Adam against torch's."""

import numpy as np
import pytest

from minigan import autograd, losses, optim
from minigan.autograd import check_grads, grad


def test_logistic_losses_are_cross_entropies(rng):
    real, fake = rng.normal(0, 3, (2, 50, 1))
    sigmoid = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    assert losses.d_logistic(real, fake) == pytest.approx(
        -np.mean(np.log(sigmoid(real))) - np.mean(np.log(1 - sigmoid(fake)))
    )
    assert losses.g_nonsaturating(fake) == pytest.approx(-np.mean(np.log(sigmoid(fake))))


def test_relativistic_losses_judge_pairs(rng):
    real, fake = rng.normal(0, 3, (2, 50, 1))
    want = np.mean([np.log(1 + np.exp(f - r)) for r, f in zip(real, fake, strict=True)])
    assert losses.d_relativistic(real, fake) == pytest.approx(want)
    assert losses.g_relativistic(real, fake) == pytest.approx(losses.d_relativistic(fake, real))
    assert losses.d_relativistic(real + 9, fake + 9) == pytest.approx(
        want
    )  # only differences count
    check_grads(lambda x: losses.d_relativistic(x, fake), real, order=2)
    check_grads(lambda x: losses.g_relativistic(real, x), fake, order=2)


def test_losses_do_not_overflow():
    far = np.array([[1e4], [-1e4]], np.float32)
    for value in (losses.d_logistic(far, far), losses.g_nonsaturating(far)):
        assert np.isfinite(value) and value.dtype == np.float32
    assert np.isfinite(grad(losses.g_nonsaturating)(far)).all()


def test_nonsaturating_slope_where_d_is_sure():
    assert grad(losses.g_nonsaturating)(np.array([[-30.0]]))[0, 0] == pytest.approx(-1)


def test_r1_of_a_linear_discriminator(rng):
    images, w = rng.normal(size=(5, 2, 3)), rng.normal(size=(6, 1))
    penalty = lambda w: losses.r1_penalty(lambda x: x.reshape(5, 6) @ w, images, 10.0)  # noqa: E731
    assert penalty(w) == pytest.approx(5.0 * np.sum(w**2))
    np.testing.assert_allclose(grad(penalty)(w), 10.0 * w)


def test_r1_against_differences(rng):
    images, second = rng.normal(size=(4, 1, 6)), rng.normal(size=(5, 1))

    def penalty(w):
        return losses.r1_penalty(lambda x: np.tanh(x[:, 0] @ w) @ second, images, 3.0)

    w, slopes, eps = rng.normal(size=(6, 5)), np.zeros((4, 6)), 1e-6
    for i in range(6):
        step = np.zeros(6)
        step[i] = eps
        above, below = (np.tanh((images[:, 0] + s) @ w) @ second for s in (step, -step))
        slopes[:, i] = (above - below)[:, 0] / (2 * eps)
    assert penalty(w) == pytest.approx(1.5 * np.mean(np.sum(slopes**2, axis=1)))
    check_grads(penalty, w, order=1, rng=rng)


def test_adam_is_torchs(golden):
    arrays, meta = golden("loss/adam_steps")
    for i, case in enumerate(meta["cases"]):
        adam = optim.Adam(case["lr"], tuple(case["betas"]), case["eps"])
        if case.get("reg_interval"):
            adam = adam.lazy(case["reg_interval"])
            assert adam.lr == pytest.approx(case["effective_lr"], rel=1e-9)
            assert adam.betas == pytest.approx(case["effective_betas"])
        params = {"p": arrays[f"c{i:02d}_p0"]}
        state = adam.init(params)
        for g, expected in zip(arrays[f"c{i:02d}_grads"], arrays[f"c{i:02d}_p"], strict=True):
            params, state = adam.step(params, {"p": g}, state)
            np.testing.assert_allclose(params["p"], expected, rtol=1e-12, atol=1e-15)


def test_adam_keeps_float32_and_changes_nothing_in_place(rng):
    params = {"a": rng.standard_normal(3, np.float32)}
    kept, adam = params["a"].copy(), optim.Adam(betas=(0.9, 0.99))
    state = adam.init(params)
    new, state = adam.step(params, {"a": np.ones(3, np.float32)}, state)
    new, state = adam.step(new, {"a": np.ones(3, np.float32)}, state)
    assert np.array_equal(params["a"], kept) and state["step"] == 2
    assert {new["a"].dtype, state["m"]["a"].dtype, state["v"]["a"].dtype} == {np.dtype("f4")}


def test_adam_refuses_other_names_and_shapes():
    adam, params = optim.Adam(), {"a": np.zeros(2)}
    with pytest.raises(ValueError, match=r"differ in the names \['a', 'b'\]"):
        adam.step(params, {"b": np.zeros(2)}, adam.init(params))
    with pytest.raises(ValueError, match=r"grads\['a'\] has shape \(3,\); expected \(2,\)"):
        adam.step(params, {"a": np.zeros(3)}, adam.init(params))


def test_half_life():
    # StyleGAN's: 10 000 images, batch 32
    assert optim.ema_beta(32, 10_000) == pytest.approx(0.99778, abs=1e-5)
    average = {"w": np.array([8.0])}
    for _ in range(10):
        average = optim.ema(average, {"w": np.array([0.0])}, optim.ema_beta(10, 100))
    assert average["w"] == pytest.approx([4.0])


def test_path_length_of_a_generator_that_ignores_w_is_zero_and_so_is_its_slope(rng):
    """The root of a sum of squares has no slope at 0; NaN would end the training."""
    ws, noise = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 1, 4, 4))

    def penalty(scale):
        synthesis = lambda w: scale * np.reshape(np.sum(w, axis=(1, 2)), (2, 1, 1, 1)) + 0 * noise  # noqa: E731
        return losses.path_length(synthesis, ws, noise, 0.0)[0]

    assert penalty(0.0) == 0 and autograd.grad(penalty)(0.0) == 0

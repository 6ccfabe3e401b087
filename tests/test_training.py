"""Training: nothing is lost, nothing is silent, and each part of a step is what it says."""

import dataclasses
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from minigan import autograd, device, files, latents, layers, losses, ops, optim, training
from minigan.cli.train import setting
from minigan.data import images
from minigan.networks import reader as features
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.training import augment, loop, step
from minigan.training import config as settings
from minigan.training.config import Config
from minigan.training.warm_start import transfer

ROOT = pathlib.Path(__file__).parent.parent
SMALL = {"img_resolution": 8, "channel_base": 64, "channel_max": 8}
G2 = stylegan2.Config(
    **SMALL, z_dim=4, w_dim=4, mapping_kwargs={"num_layers": 2, "lr_multiplier": 0.1}
)
D2 = stylegan2.DiscriminatorConfig(**SMALL)
TINY = Config(G=G2, D=D2, batch=4, kimg=0.04, kimg_per_tick=0.016, gamma=1.0, r1_interval=4)
EVERYTHING = dataclasses.replace(
    TINY, pl_weight=2.0, pl_interval=2, mixing_prob=0.9, mirror=True, augment="bgc", ada_kimg=0.1
)
GROWING = dataclasses.replace(
    TINY,
    G=stylegan1.Config(img_resolution=16, channel_base=64, channel_max=8, z_dim=4, w_dim=4),
    D=stylegan1.DiscriminatorConfig(img_resolution=16, channel_base=64, channel_max=8),
    grow=(0.012, 0.012), r1_interval=1, loss="wgan-gp",
)  # fmt: skip
STYLEGAN3 = dataclasses.replace(
    TINY, blur_sigma=1.0, blur_kimg=0.03,
    G=stylegan3.Config(img_resolution=G2.img_resolution, channel_base=64, channel_max=8, z_dim=4,
                       w_dim=4, num_layers=3, num_critical=1, margin_size=2, filter_size=4),
)  # fmt: skip
RELATIVISTIC = dataclasses.replace(TINY, loss="relativistic", r1_interval=2)
EXPERT = training.override(
    RELATIVISTIC, {"G.img_resolution": 32, "D.img_resolution": 32, "expert": "identity"}
)
CONFIGS = {
    "tiny": TINY, "everything": EVERYTHING, "growing": GROWING, "relativistic": RELATIVISTIC,
    "stylegan3": STYLEGAN3, "expert": EXPERT,
}  # fmt: skip


def same(a, b):
    """Two states are equal, bit for bit."""
    for field in dataclasses.fields(training.State):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if field.name in a.networks:
            assert one.config == two.config
            arrays = [(n.params | n.buffers) for n in (one, two)]
        elif field.name in a.adams:
            assert one["step"] == two["step"]
            arrays = [{f"{k}/{n}": v for k in "mv" for n, v in s[k].items()} for s in (one, two)]
        else:
            assert one == two, field.name
            continue
        assert arrays[0].keys() == arrays[1].keys()
        for name, value in arrays[0].items():
            assert value.dtype == arrays[1][name].dtype and np.array_equal(
                value, arrays[1][name]
            ), name


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("MINIGAN_QUIET", "1")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_resumed_run_is_the_uninterrupted_one(name, tmp_path):
    config = CONFIGS[name]
    whole = training.train(config, tmp_path / "whole")
    training.train(dataclasses.replace(config, kimg=0.016), tmp_path / "parts")
    again = training.train(config, tmp_path / "parts", resume=True)
    same(whole, again)
    same(whole, training.restore(tmp_path / "parts" / "checkpoint.npz", config)[0])
    rows = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + len((tmp_path / "whole" / "log.csv").read_text().splitlines()) - 1
    assert whole.images == 40 and whole.step == 10


def test_mean_squares_move_once_a_step_and_reach_the_average():
    """StyleGAN3's layers divide by the root of what they have seen; only D's step moves that."""
    state, data = training.start(STYLEGAN3), training.open_data(STYLEGAN3)
    key = next(k for k in state.G.buffers if k.endswith("magnitude_ema"))
    after, _ = training.advance(STYLEGAN3, state, data)
    assert state.G.buffers[key] == 1 != after.G.buffers[key]
    assert after.G_ema.buffers[key] == after.G.buffers[key]
    # One step of the decay: the mean square itself lies 1/(1 − β) times as far off.
    beta = STYLEGAN3.G.magnitude_ema_beta
    seen = 1 + (after.G.buffers[key] - 1) / (1 - beta)
    assert 0.05 < seen < 3


def test_d_sees_blurred_pictures_at_first():
    config = dataclasses.replace(STYLEGAN3, blur_sigma=2.0, blur_kimg=1.0)
    state = training.start(config)
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    spread = []
    for seen in (0, 500, 900, 1000):
        state = dataclasses.replace(state, images=seen)
        spread.append(step._as_d_sees(config, state, None)(x).std())
    assert spread[0] < 0.7 * spread[1] < spread[2] <= spread[3] == x.std()


def test_learning_rates_cool_down_at_the_end():
    """Constant, then a line to 0 over the last images; with it Adam's steps shrink."""
    config = dataclasses.replace(TINY, kimg=0.4, cooldown_kimg=0.1)
    paces = [config.pace(images) for images in (0, 300, 350, 400, 500)]
    assert paces == pytest.approx([1, 1, 0.5, 0, 0]) and TINY.pace(39) == 1
    state, data = training.start(config), training.open_data(config)
    name = "synthesis.b4.const"

    def moved(images):
        later = dataclasses.replace(state, images=images, step=1)
        return np.abs(
            training.advance(config, later, data)[0].G.params[name] - state.G.params[name]
        )

    # β₁ = 0 and a fresh state: each step is lr times the gradient's sign.
    assert moved(0).max() == pytest.approx(config.g_lr, rel=1e-3)
    assert moved(350).max() == pytest.approx(config.g_lr / 2, rel=1e-3)


def test_relativistic_penalties_fall_on_reals_and_fakes(monkeypatch):
    """Of the three phases of a step, the losses get pairs and the penalty both sets."""
    seen = []
    real_penalty = losses.r1_penalty
    monkeypatch.setattr(
        losses,
        "r1_penalty",
        lambda D, x, gamma: seen.append((x, gamma)) or real_penalty(D, x, gamma),
    )
    config = RELATIVISTIC
    state, data = training.start(config), training.open_data(config)
    training.advance(config, state, data)
    (real, weight), (fake, same_weight) = seen
    assert np.array_equal(real, data.batch(0, 4)[0]) and not np.array_equal(real, fake)
    assert weight == same_weight == config.gamma * 2
    logits = []
    monkeypatch.setattr(
        losses, "g_relativistic", lambda r, f: logits.append(r) or losses.softplus(np.mean(r - f))
    )
    training.advance(config, state, data)
    np.testing.assert_allclose(logits[0], state.D(data.batch(0, 4)[0]))


def test_a_step_is_a_function_of_its_state():
    state, data = training.start(EVERYTHING), training.open_data(EVERYTHING)
    one, two = (training.advance(EVERYTHING, state, data)[0] for _ in range(2))
    same(one, two)
    other = dataclasses.replace(EVERYTHING, seed=1)
    assert not np.array_equal(
        training.start(other).G.params["mapping.fc0.weight"], state.G.params["mapping.fc0.weight"]
    )


RUN = """
import sys
from tests.test_training import *
config = dataclasses.replace(EVERYTHING, kimg=0.4, kimg_per_tick=0.008)
training.train(config, sys.argv[1], resume=pathlib.Path(sys.argv[1], "checkpoint.npz").exists())
"""


def start_run(folder):
    environment = {**os.environ, "MINIGAN_QUIET": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env=environment, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_the_same(tmp_path):
    config = dataclasses.replace(EVERYTHING, kimg=0.4, kimg_per_tick=0.008)
    begun = time.monotonic()
    whole = training.train(config, tmp_path / "whole")
    length = time.monotonic() - begun
    chance = random.Random(0)
    kills = 0
    while kills < 10:
        before = images_in(tmp_path / "killed")
        run = start_run(tmp_path / "killed")
        while images_in(tmp_path / "killed") == before and run.poll() is None:
            time.sleep(0.01)  # it imports, and comes to its first checkpoint
        time.sleep(chance.uniform(0, length / 20))
        if run.poll() is not None:
            break
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        # What was saved can be read at any moment, and no more than a tick was lost.
        training.restore(tmp_path / "killed" / "checkpoint.npz", config)
    assert kills == 10
    run = start_run(tmp_path / "killed")
    assert run.wait(120) == 0, run.stderr.read()
    same(whole, training.restore(tmp_path / "killed" / "checkpoint.npz", config)[0])


def images_in(folder):
    path = folder / "checkpoint.npz"
    if not path.exists():
        return -1
    with np.load(path) as file:
        return json.loads(str(file["meta_json"]))["state"]["images"]


def test_ctrl_c_saves_and_returns(tmp_path, monkeypatch, capsys):
    advance, steps = training.advance, []

    def interrupted(*args):
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt
        return advance(*args)

    monkeypatch.setattr(loop, "advance", interrupted)
    stopped = training.train(TINY, tmp_path)
    assert "stopped at 0.0 kimg and saved; --resume goes on" in capsys.readouterr().out
    assert stopped.step == 6
    same(stopped, training.restore(tmp_path / "checkpoint.npz", TINY)[0])  # between two ticks
    monkeypatch.setattr(loop, "advance", advance)
    same(training.train(TINY, tmp_path, resume=True), training.train(TINY, tmp_path / "whole"))


@pytest.mark.parametrize("where", ["synthesis.b8.conv0", "b8.conv1", "mapping.fc1"])
def test_nan_stops_with_its_step_and_layer(where, tmp_path, monkeypatch):
    state = training.train(dataclasses.replace(TINY, kimg=0.016), tmp_path)
    which = "G" if where.startswith(("synthesis", "mapping")) else "D"
    network = getattr(state, which)
    weight = network.params[f"{where}.weight"].copy()
    weight.flat[0] = np.nan
    broken = network.replace(params=network.params | {f"{where}.weight": weight})
    state = dataclasses.replace(state, **{which: broken})
    monkeypatch.setattr(loop, "restore", lambda *args: (state, []))
    with pytest.raises(training.Diverged) as error:
        training.train(TINY, tmp_path, resume=True)
    text = str(error.value)
    assert "came apart at step 4" in text and f"not finite first at {where}" in text
    assert f"the last good checkpoint is {tmp_path / 'checkpoint.npz'}" in text


def test_too_high_a_rate_is_noticed(tmp_path):
    config = dataclasses.replace(TINY, g_lr=1e30, d_lr=1e30)
    with (
        pytest.raises(training.Diverged, match="came apart at step [0-9]+ "),
        np.errstate(all="ignore"),
    ):
        training.train(config, tmp_path)
    assert training.restore(tmp_path / "checkpoint.npz", config)[0].step == 0


FULL = """
import resource, sys
from tests.test_training import *
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # a disk that takes 20 kB a file
try:
    training.train(dataclasses.replace(TINY, kimg=0.2), sys.argv[1], resume=True)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_the_older_checkpoint(tmp_path):
    state = training.train(TINY, tmp_path)
    environment = {**os.environ, "MINIGAN_QUIET": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "cannot write" in run.stdout and "the older file there is intact" in run.stdout, (
        run.stderr
    )
    same(state, training.restore(tmp_path / "checkpoint.npz", TINY)[0])
    assert not list(tmp_path.glob(".*")), "temporary files are left"


# ---- what a step does ----------------------------------------------------------------------------


def recorded(monkeypatch):
    """The gradients that Adam is given, in turn."""
    given = []
    step = optim.Adam.step

    def seen(self, params, grads, state):
        given.append(grads)
        return step(self, params, grads, state)

    monkeypatch.setattr(optim.Adam, "step", seen)
    return given


def test_r1_is_lazy_with_its_factor(monkeypatch):
    given = recorded(monkeypatch)
    state, data = training.start(TINY), training.open_data(TINY)
    after, stats = training.advance(TINY, state, data)
    g, d, r1 = given  # step 0 regularises
    real, _ = data.batch(0, 4)
    D = state.D.replace(params=TINY.d_adam.step(state.D.params, d, state.d_adam)[0])
    wanted = autograd.grad(
        lambda p: losses.r1_penalty(D.replace(params=p), real, TINY.gamma * TINY.r1_interval)
    )(D.params)
    for name, value in r1.items():
        assert np.allclose(value, wanted[name], rtol=1e-3, atol=1e-6), name
    assert max(np.abs(v).max() for v in r1.values()) > 1e-4
    assert stats["r1"] == pytest.approx(float(losses.r1_penalty(D, real, TINY.gamma)), rel=1e-4)
    given.clear()
    training.advance(TINY, after, data)
    assert len(given) == 2  # the next does not


def test_path_length_is_lazy_with_its_factor(monkeypatch):
    config = dataclasses.replace(TINY, pl_weight=3.0, pl_interval=2, gamma=0.0)
    given, weights = recorded(monkeypatch), []
    path_length = losses.path_length

    def with_one(*args):
        value, mean = path_length(*args)
        weights.append(float(autograd.stop_gradient(value).sum()))
        return value, mean

    monkeypatch.setattr(losses, "path_length", with_one)
    state, data = training.start(config), training.open_data(config)
    state, stats = training.advance(config, state, data)
    assert len(given) == 3 and len(weights) == 1
    lazy = {k: v.copy() for k, v in given[1].items()}
    given.clear()
    eager = dataclasses.replace(config, pl_weight=1.0, pl_interval=1)
    training.advance(eager, training.start(eager), data)
    # G's first Adam step differs by the lazy correction of the rate alone; the direction of the
    # regulariser's gradient is the same, six times as long.
    one, six = (np.concatenate([v.ravel() for v in g.values()]) for g in (given[1], lazy))
    assert np.linalg.norm(six) / np.linalg.norm(one) == pytest.approx(6, rel=0.05)
    assert state.pl_mean == stats["pl_length"] > 0


def test_the_lazy_correction_of_adam():
    assert TINY.d_adam == optim.Adam(0.002 * 0.8, (0.0, 0.99**0.8))
    assert TINY.g_adam == optim.Adam(0.002, (0.0, 0.99))
    assert EVERYTHING.g_adam == optim.Adam(0.002, (0.0, 0.99)).lazy(2)
    assert GROWING.d_adam == optim.Adam(0.002, (0.0, 0.99))


def test_ada_follows_the_reals_as_d_sees_them(monkeypatch):
    config = dataclasses.replace(TINY, augment="bgc", ada_interval=2, ada_kimg=1.0)
    data = training.open_data(config)
    seen = []
    apply = augment.augment
    monkeypatch.setattr(augment, "augment", lambda x, p, *a: seen.append(p) or apply(x, p, *a))
    state = dataclasses.replace(training.start(config), p=0.5, signs=3.0, signs_count=4)
    for logit, direction in ((5.0, 1), (-5.0, -1)):
        D = state.D.replace(params=state.D.params | {
            "b4.out.weight": 0 * state.D.params["b4.out.weight"],
            "b4.out.bias": np.array([logit], np.float32)})  # fmt: skip
        now = dataclasses.replace(state, D=D, step=1, signs=0.0, signs_count=0)
        after, stats = training.advance(config, now, data)
        assert stats["r_t"] == direction
        assert after.p == pytest.approx(0.5 + direction * 4 / 1000)
        assert (after.signs, after.signs_count) == (0.0, 0)
    assert set(seen) == {0.5} and len(seen) >= 6  # fakes for G, reals and fakes for D: the same p


def steps(config, n):
    """The states after 0 … n steps."""
    states, data = [training.start(config)], training.open_data(config)
    for _ in range(n):
        states.append(training.advance(config, states[-1], data)[0])
    return states


@pytest.fixture
def judged(monkeypatch):
    """What discriminators are shown, as plain arrays."""
    shown = []
    for module in (stylegan1, stylegan2):
        judge = module.Discriminator._judge

        def seen(self, img, c, judge=judge):
            shown.append(autograd.variable.plain(img))
            return judge(self, img, c)

        monkeypatch.setattr(module.Discriminator, "_judge", seen)
    return shown


def test_while_growing_reals_are_as_coarse_as_fakes(judged):
    steps(GROWING, 1)  # at 8² of 16²
    assert len(judged) >= 3
    for seen in judged[:3]:  # G's fakes, the reals, D's fakes
        assert np.array_equal(seen, seen[:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3))


def test_about_half_the_reals_are_mirrored(judged):
    config = dataclasses.replace(TINY, mirror=True, gamma=0.0)
    data = training.open_data(config)
    steps(config, 12)
    seen, kept = np.concatenate(judged[1::3]), data.batch
    drawn = np.concatenate([kept(4 * i, 4)[0] for i in range(12)])
    same = (seen == drawn).all(axis=(1, 2, 3))
    turned = (seen == drawn[:, :, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ turned).all() and 12 <= turned.sum() <= 36


def test_styles_are_mixed_among_the_layers_in_use(monkeypatch):
    cuts = []
    mix = latents.style_mix
    monkeypatch.setattr(latents, "style_mix", lambda a, b, cut: cuts.append(cut) or mix(a, b, cut))
    always = dataclasses.replace(GROWING, mixing_prob=1.0, grow=(1.0, 1.0), batch=1)
    steps(always, 12)
    assert len(cuts) == 24 and set(cuts) == {1, 2, 3}  # six layers, of which four are in use
    cuts.clear()
    steps(dataclasses.replace(always, mixing_prob=0.0), 3)
    assert cuts == []


def test_r1_goes_through_the_augmentation(monkeypatch):
    config = dataclasses.replace(TINY, augment="bgc")
    calls, apply = [], augment.augment
    monkeypatch.setattr(augment, "augment", lambda x, *a: calls.append(x) or apply(x, *a))
    state = dataclasses.replace(training.start(config), p=0.5)
    state, _ = training.advance(config, state, training.open_data(config))
    assert len(calls) == 4  # G's fakes, reals, D's fakes, and the reals of R1 …
    calls.clear()
    training.advance(config, state, training.open_data(config))
    assert len(calls) == 3  # … which come in every fourth step


def test_penalties_of_every_step(monkeypatch):
    given = []
    for name in ("r1_penalty", "gradient_penalty"):
        penalty = getattr(losses, name)

        def seen(D, real, *args, penalty=penalty, name=name):
            value = penalty(D, real, *args)
            given.append((name, real, args, autograd.variable.plain(value)))
            return 1000.0 * value  # so that it shows in the loss

        monkeypatch.setattr(losses, name, seen)
    for config, name in (
        (dataclasses.replace(TINY, r1_interval=1), "r1_penalty"),
        (GROWING, "gradient_penalty"),
    ):
        given.clear()
        state, data = training.start(config), training.open_data(config)
        for _ in range(2):
            state, stats = training.advance(config, state, data)
            assert stats["d_loss"] > 900 * float(given[-1][3]) - 10
        assert [g[0] for g in given] == [name] * 2
        if name == "r1_penalty":
            assert given[0][2] == (TINY.gamma,)


def test_the_average_follows_g(rng):
    state, data = training.start(TINY), training.open_data(TINY)
    after, _ = training.advance(TINY, state, data)
    beta = optim.ema_beta(4, 0.05 * 4)  # the ramp: half-life a twentieth of what was seen
    name = "synthesis.b8.conv1.weight"
    wanted = beta * state.G.params[name] + (1 - beta) * after.G.params[name]
    assert np.allclose(after.G_ema.params[name], wanted)
    assert np.array_equal(after.G_ema.w_avg, after.G.w_avg) and np.abs(after.G.w_avg).max() > 0


def test_growing_resets_adam_and_never_jumps():
    data, state = training.open_data(GROWING), training.start(GROWING)
    lods, counts = [], []
    for _ in range(10):
        state, stats = training.advance(GROWING, state, data)
        lods.append(stats["lod"])
        counts.append(state.g_adam["step"])
    # 12 images at rest at 8², 12 fading in 16²
    assert lods == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0])
    assert counts == [1, 2, 3, 4, 1, 2, 1, 2, 3, 4]


def test_the_split_can_be_logged_at_each_tick(tmp_path):
    rows = []
    config = dataclasses.replace(TINY, split_each_tick=True)
    training.train(config, tmp_path, on_tick=lambda state, row: rows.append(row["w_share"]))
    assert len(rows) == 3 and all(0 < share <= 1 for share in rows)
    assert "w_share" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_a_run_that_ignores_w_is_told_so(tmp_path, capsys):
    state = training.start(TINY)
    dead = {k: 0 * v if k.endswith("affine.weight") else v for k, v in state.G.params.items()}
    dead |= {k: v + 1 for k, v in dead.items() if k.endswith("noise_strength")}
    training.does_w_matter(state.G.replace(params=dead), 0)
    out = capsys.readouterr().out
    assert "WARNING: w explains less than 50 % of the variance" in out
    training.does_w_matter(state.G, 0)
    out = capsys.readouterr().out
    assert "WARNING" not in out and "b8.conv1" in out


# ---- wrong use -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch": 0}, "batch is 0; expected a whole number from 1"),
        ({"kimg": -1}, "kimg is -1; expected a number from 0"),
        ({"kimg": 0}, "kimg is 0; expected more than 0"),
        ({"gamma": "much"}, "gamma is 'much'; expected a number from 0"),
        ({"g_lr": float("nan")}, "g_lr is nan; expected a number from 0"),
        ({"loss": "hinge"}, "loss is 'hinge'; expected 'logistic', 'relativistic' or 'wgan-gp'"),
        ({"loss": "relativistic", "r1_interval": 1}, "r1_interval is 1; expected 2 or more"),
        ({"mirror": 1}, "mirror is 1; expected True or False"),
        ({"beta2": 1.0}, "beta2 is 1.0 .*expected less than 1"),
        ({"mixing_prob": 1.5}, "mixing_prob 1.5; expected .* at most 1"),
        ({"G": 3}, "G is 3; expected a generator's settings"),
        ({"G": D2}, "G is DiscriminatorConfig.* expected a generator's"),
        ({"D": G2}, "D is Config.* expected a discriminator's"),
        (
            {"batch": 6},
            "batch is 6; expected a multiple of D's mbstd_group_size, 4: set batch=8, or "
            "D.mbstd_group_size=3$",
        ),
        ({"batch": 5}, "set batch=8, or D.mbstd_group_size=1$"),
        ({"augment": "bgcf"}, "augment is 'bgcf', for 3 channels of 8 pixels .* 32 pixels or more"),
        ({"blur_sigma": 8.0}, "blur_sigma is 8.0; expected less than G's img_resolution"),
        ({"grow": 8}, "grow is 8; expected a list of numbers"),
        ({"grow": (1, "a")}, "grow is .*; expected a list of numbers"),
        ({"data": 3}, "data is 3; expected a word"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0"),
        ({"augment": "xyz"}, "groups is 'xyz'"),
        ({"grow": (1, 1)}, "grow is .*networks of stylegan1"),
        (
            {"expert": "factors"},
            "img_resolution is 8 .* expected 32 or more, and 3, with an expert",
        ),
        ({"expert": "factors", "loss": "wgan-gp"}, "'wgan-gp'; expected .* with an expert"),
        (
            {"D": stylegan2.DiscriminatorConfig(img_resolution=16)},
            "G's img_resolution is 8 and D's 16",
        ),
    ],
)
def test_a_wrong_setting_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"D.mbstd_group_size": 0},
            "mbstd_group_size is 0; expected a whole number from 1 or None",
        ),
        ({"D.mbstd_num_channels": 3}, "mbstd_num_channels is 3; expected a divisor of .*, 8"),
        ({"G.mapping_kwargs.activation": "gelu"}, "activation is 'gelu'; expected 'linear'"),
        ({"G.mapping_kwargs.num_layers": 0}, "num_layers is 0; expected a whole number from 1"),
        ({"G.mapping_kwargs.num_layers": "two"}, "num_layers is 'two'; expected a whole number"),
        ({"G.mapping_kwargs.lr_multiplier": 0}, "lr_multiplier is 0 .*expected a number above 0"),
        ({"G.mapping_kwargs": 3}, "mapping_kwargs is 3; expected a MappingConfig"),
        ({"G.mapping_kwargs": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"G.conv_clamp": -1}, "conv_clamp is -1; expected a number above 0, or None"),
        ({"G.conv_clamp": "no"}, "conv_clamp is 'no'; expected a number or None"),
        ({"G.conv_clamp": float("nan")}, "conv_clamp is nan; expected a number or None"),
        ({"G.resample_filter": "wide"}, "resample_filter is 'wide'; expected a list of numbers"),
        ({"G.use_noise": 1}, "use_noise is 1; expected True or False"),
        ({"G.img_resolution": "8"}, "img_resolution is '8'; expected a whole number"),
        ({"batch.size": 3}, "there is no setting 'batch.size'"),
        ({"G.batch": 3}, "there is no setting 'G.batch'; expected one of"),
    ],
)
def test_a_wrong_setting_of_a_network_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        training.override(TINY, change)


def test_the_groups_of_the_minibatch_statistics_divide_the_batch():
    """As `layers.minibatch_stddev` would have it, for each batch and group: refused just where that
    would refuse."""
    for batch in range(1, 10):
        for group in (None, *range(1, 6)):
            x = np.zeros((batch, 1, 1, 1), np.float32)
            change = {"batch": batch, "D.mbstd_group_size": group}
            try:
                layers.minibatch_stddev(x, group)
            except ValueError:
                with pytest.raises(ValueError, match=f"batch is {batch}; expected a multiple"):
                    training.override(TINY, change)
                training.override(TINY, change | {"D.mbstd_num_channels": 0})
            else:
                training.override(TINY, change)


def test_settings_are_checked_however_annotations_are_kept(monkeypatch):
    """`from __future__ import annotations` makes words of them."""
    source = pathlib.Path(settings.__file__).read_text(encoding="utf-8")
    module = types.ModuleType("stringified")
    monkeypatch.setitem(sys.modules, "stringified", module)
    exec("from __future__ import annotations\n" + source, module.__dict__)
    assert module.Config.__annotations__["batch"] == "int"
    for change in ({"batch": "x"}, {"batch": 0}, {"g_lr": "x"}, {"gamma": -1.0}, {"mirror": 1},
                   {"data": 3}, {"grow": 8}):  # fmt: skip
        with pytest.raises(ValueError) as error:
            Config(**change)
        with pytest.raises(ValueError, match=f"^{re.escape(str(error.value))}$"):
            module.Config(**change)


def test_labelled_pictures_train_a_conditional_network(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        images.write_png(tmp_path / f"{i}.png", picture)
    labels = {"labels": [[f"{i}.png", i % 3] for i in range(6)]}
    (tmp_path / "dataset.json").write_text(json.dumps(labels))
    plain = dataclasses.replace(TINY, data=str(tmp_path))
    with pytest.raises(
        ValueError, match="labels of .* have 3 numbers.*set G.c_dim and D.c_dim to 3"
    ):
        training.open_data(plain)
    with pytest.raises(ValueError, match="the networks' img_channels is 1; expected 3"):
        training.open_data(training.override(plain, {"G.img_channels": 1, "D.img_channels": 1}))
    config = training.override(plain, {"G.c_dim": 3, "D.c_dim": 3})
    state = training.train(config, tmp_path / "run")
    same(state, training.restore(tmp_path / "run" / "checkpoint.npz", config)[0])
    assert training.config_of(tmp_path / "run" / "checkpoint.npz") == config
    with pytest.raises(ValueError, match="c is None; expected labels"):
        state.G(rng.standard_normal((1, 4), np.float32))


def test_a_checkpoint_of_another_config_is_refused(tmp_path):
    training.train(TINY, tmp_path)
    for other, name in (
        (dataclasses.replace(TINY, gamma=2.0), "gamma"),
        (dataclasses.replace(TINY, G=dataclasses.replace(G2, z_dim=5)), "G"),
    ):
        with pytest.raises(ValueError, match=f"is of another config: it differs in {name} "):
            training.train(other, tmp_path, resume=True)
    with pytest.raises(FileExistsError, match="exists; resume it, or name another folder"):
        training.train(TINY, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        training.train(TINY, tmp_path / "empty", resume=True)
    files.save(tmp_path / "net.npz", {"G": training.start(TINY).G})
    with pytest.raises(ValueError, match="expected a training checkpoint"):
        training.restore(tmp_path / "net.npz", TINY)


def test_what_came_apart_at_once_says_how_to_begin_again(tmp_path):
    """Nothing is replaced unasked: another process may be at work in the same folder."""
    said = "checkpoint.npz, from before the first step: delete it to begin again there"
    with pytest.raises(training.Diverged, match=said), np.errstate(all="ignore"):
        training.train(dataclasses.replace(TINY, g_lr=1e30), tmp_path / "run")
    with pytest.raises(FileExistsError, match="exists; resume it, or name another folder"):
        training.train(TINY, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").unlink()
    same(training.train(TINY, tmp_path / "run"), training.train(TINY, tmp_path / "another"))


@pytest.fixture
def photos(tmp_path):
    """A folder of six pictures."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.integers(3, 252, (8, 8, 3), dtype=np.uint8)
        images.write_png(tmp_path / "photos" / f"{i}.png", picture)
    return tmp_path / "photos"


def test_a_run_follows_its_pictures_to_another_place(tmp_path, photos):
    config = dataclasses.replace(TINY, data=str(photos))
    whole = training.train(config, tmp_path / "whole")
    training.train(dataclasses.replace(config, kimg=0.016), tmp_path / "run")
    photos.rename(tmp_path / "moved")
    said = "there is no folder or zip .*photos; if it has moved, say where: --data"
    with pytest.raises(FileNotFoundError, match=said):
        training.train(config, tmp_path / "run", resume=True)
    moved = dataclasses.replace(config, data=str(tmp_path / "moved"), kimg=0.028)
    training.train(moved, tmp_path / "run", resume=True)
    assert training.config_of(tmp_path / "run" / "checkpoint.npz").data == moved.data
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "moved")
    packed = dataclasses.replace(config, data=str(tmp_path / "packed.zip"))
    same(whole, training.train(packed, tmp_path / "run", resume=True))


def test_a_run_does_not_go_on_with_other_pictures(tmp_path, photos):
    config = dataclasses.replace(TINY, data=str(photos), kimg=0.016)
    training.train(config, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint.npz"

    def resumed(data=photos):
        longer = dataclasses.replace(config, data=str(data), kimg=0.02)
        return training.restore(checkpoint, longer, training.open_data(longer))

    original = images.Images(photos, 8).pictures[5].transpose(1, 2, 0)
    images.write_png(photos / "5.png", original + np.uint8(2))  # as another decoder might read it
    resumed()

    def refused(counts):
        said = f"photos does not hold the pictures .*{counts}.*--init .*checkpoint.npz"
        with pytest.raises(ValueError, match=said):
            resumed()

    images.write_png(photos / "5.png", 255 - original)
    refused("6 then, 6 now")
    images.write_png(photos / "5.png", original)
    images.write_png(photos / "6.png", original)
    refused("6 then, 7 now")
    (photos / "5.png").unlink()
    resumed()  # which of two is the sixth does not matter
    (photos / "6.png").rename(photos / "+.png")
    refused("6 then, 6 now")  # but the order does
    with pytest.raises(ValueError, match="it differs in data .*'portraits' here"):
        resumed("portraits")


def test_a_checkpoint_of_another_make_is_said(tmp_path):
    path = tmp_path / "checkpoint.npz"
    training.train(dataclasses.replace(TINY, kimg=0.004), tmp_path)
    networks, arrays, meta = files.read(path)
    for part, value in (
        ("config", meta["config"] | {"gravity": 9.8}),
        ("config", {k: v for k, v in meta["config"].items() if k != "D"}),
        ("config", 3),
        ("state", meta["state"] | {"gravity": 9.8}),
    ):
        files.save(path, networks, arrays, **meta | {part: value})
        said = "checkpoint.npz is not a checkpoint that this minigan can read|is of another config"
        with pytest.raises(ValueError, match=said):
            training.restore(path, TINY)
        if part == "config":
            with pytest.raises(ValueError, match=said):
                training.config_of(path)


def test_a_run_begins_with_the_networks_of_another(tmp_path):
    """The larger generator first shows the smaller one's pictures, enlarged; what is new is noted."""
    training.train(TINY, tmp_path / "small")
    path = tmp_path / "small" / "checkpoint.npz"
    old = files.read_networks(path)
    config = training.override(TINY, {"G.img_resolution": 16, "D.img_resolution": 16})
    state = transfer(training.start(config), [path])
    z = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    small = old["G_ema"](z)
    filt = state.G_ema.buffers["synthesis.b16.resample_filter"]
    np.testing.assert_allclose(state.G_ema(z), ops.upsample2d(small, filt), atol=1e-5)
    for name in ("G", "D"):
        for key, value in old[name].params.items():
            got = getattr(state, name).params.get(key)
            assert got is None or got.shape != value.shape or np.array_equal(got, value), key
    assert np.array_equal(state.D.params["b8.conv0.weight"], old["D"].params["b8.conv0.weight"])
    again = training.train(config, tmp_path / "large", init=[path])
    assert again.images == 40
    with pytest.raises(ValueError, match="no parameter of .* fits the networks of this config"):
        training.train(GROWING, tmp_path / "other", init=[_unfit(tmp_path)])
    assert not (tmp_path / "other").exists()


def test_a_wider_generator_first_shows_the_narrower_ones_pictures(tmp_path):
    training.train(TINY, tmp_path / "narrow")
    path = tmp_path / "narrow" / "checkpoint.npz"
    old = files.read_networks(path)
    wide = training.override(TINY, {"G.channel_base": 96, "G.channel_max": 12})
    state = transfer(training.start(wide), [path])
    z = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    for name in ("G", "G_ema"):
        now, before = getattr(state, name), old[name]
        assert now.config.channels(8) > before.config.channels(8)
        np.testing.assert_allclose(now(z), before(z), atol=1e-5)
    after = training.train(wide, tmp_path / "wide", init=[path])
    for key in ("synthesis.b8.conv1.weight", "synthesis.b8.torgb.weight"):
        rows, columns = old["G"].params[key].shape[:2]
        assert not state.G.params[key][:rows, columns:].any()  # not heard at first
        assert np.all(after.G.params[key][:rows, columns:])  # and then they learn


def test_a_narrower_generator_does_not_begin_with_a_wider_one(tmp_path):
    wide = training.override(TINY, {"G.channel_base": 96, "G.channel_max": 12})
    files.save(tmp_path / "wide.npz", {"G": training.start(wide).G})
    said = "has 12 channels at 4 × 4, and this config's 8; expected no more: set G.channel_base=96 "
    with pytest.raises(ValueError, match=said + "G.channel_max=12 G.w_dim=4"):
        training.train(TINY, tmp_path / "narrow", init=[tmp_path / "wide.npz"])
    assert not (tmp_path / "narrow").exists()


def settings_said(error):
    """What an error says to set, as `--set` reads it."""
    words = shlex.split(str(error.value).partition(": set ")[2])
    return dict(setting(word) for word in words)


SETTINGS = {
    "tiny": {
        "G.activation": "relu", "G.architecture": "resnet", "G.resample_filter": [1, 2, 1],
        "G.conv_clamp": 256.0, "G.use_noise": False, "G.mapping_kwargs.activation": "relu",
        "G.mapping_kwargs.lr_multiplier": 0.01, "G.mapping_kwargs.num_layers": 1,
        "D.activation": "relu", "D.architecture": "skip", "D.resample_filter": [1, 1],
        "D.conv_clamp": 256.0,
    },
    "growing": {"G.mapping_kwargs.lr_multiplier": 0.1, "G.mapping_kwargs.num_layers": 2},
    "stylegan3": {
        "G.num_critical": 0, "G.first_cutoff": 1.5, "G.first_stopband": 3.5,
        "G.last_stopband_rel": 1.5, "G.margin_size": 3, "G.output_scale": 0.5, "G.conv_kernel": 1,
        "G.filter_size": 6, "G.lrelu_upsampling": 1, "G.use_radial_filters": True,
        "G.num_layers": 4, "G.conv_clamp": 1.0,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "which, name", [(which, name) for which, changes in SETTINGS.items() for name in changes]
)
def test_what_would_change_the_parameters_meaning_is_refused(which, name, tmp_path):
    """With what to set; and so set, the run begins with the very same networks."""
    theirs = CONFIGS[which]
    ours = training.override(theirs, {name: SETTINGS[which][name]})
    old = training.start(theirs)
    files.save(tmp_path / "old.npz", {"G": old.G, "D": old.D})
    with pytest.raises(
        ValueError, match="would mean something else under this config: set "
    ) as error:
        training.train(ours, tmp_path / "run", init=[tmp_path / "old.npz"])
    assert not (tmp_path / "run").exists()
    assert list(settings_said(error)) == [name]
    again = training.override(ours, settings_said(error))
    state = transfer(training.start(dataclasses.replace(again, seed=7)), [tmp_path / "old.npz"])
    for network in ("G", "D"):
        got, wanted = getattr(state, network), getattr(old, network)
        assert got.config == wanted.config
        assert all(np.array_equal(got.params[k], v) for k, v in wanted.params.items())


def test_a_stylegan3_of_another_resolution_has_other_filters(tmp_path):
    files.save(tmp_path / "G.npz", {"G": training.start(STYLEGAN3).G})
    larger = training.override(STYLEGAN3, {"G.img_resolution": 16, "D.img_resolution": 16})
    with pytest.raises(ValueError, match="set G.img_resolution=8$"):
        transfer(training.start(larger), [tmp_path / "G.npz"])


def test_networks_of_another_paper_are_no_beginning(tmp_path):
    config = dataclasses.replace(GROWING, grow=())
    files.save(tmp_path / "first.npz", {"G": training.start(config).G})
    ours = training.override(TINY, {"G.img_resolution": 16, "D.img_resolution": 16})
    with pytest.raises(ValueError, match="expected a file of the same kind of networks"):
        transfer(training.start(ours), [tmp_path / "first.npz"])


def test_a_discriminator_warms_up_another_papers_generator(tmp_path, capsys):
    """StyleGAN3's D is StyleGAN2's: a whole StyleGAN2 run can lend it."""
    old = training.start(TINY)
    files.save(tmp_path / "run.npz", {"G": old.G, "D": old.D, "G_ema": old.G_ema})
    fresh = training.start(STYLEGAN3)
    state = transfer(fresh, [tmp_path / "run.npz"])
    out = capsys.readouterr().out
    assert "copied 0 of" in out and f"copied {len(old.D.params)} of {len(old.D.params)}" in out
    assert all(np.array_equal(state.D.params[k], v) for k, v in old.D.params.items())
    assert state.G is fresh.G


def test_a_run_is_begun_with_networks_or_continued(tmp_path):
    with pytest.raises(ValueError, match="--init begins a run and --resume continues one"):
        training.train(TINY, tmp_path, resume=True, init=["portraits32"])


@pytest.mark.parametrize(
    "change",
    [{}, {"G.use_noise": True}, {"G.mapping_kwargs.w_avg_beta": 0.9}, {"G.channel_base": 640}],
)
def test_what_is_accepted_draws_the_same_pictures(change, tmp_path):
    theirs = training.override(TINY, {"G.use_noise": False})
    old = training.start(theirs)
    files.save(tmp_path / "old.npz", {"G": old.G, "D": old.D})
    ours = training.override(theirs, change | {"seed": 7, "D.mbstd_group_size": 2})
    state = transfer(training.start(ours), [tmp_path / "old.npz"])
    z = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    img = old.G(z)
    np.testing.assert_array_equal(state.G(z), img)
    np.testing.assert_array_equal(state.D(img), old.D(img))


def test_how_much_of_each_network_was_copied_is_printed(tmp_path, capsys):
    old = training.start(TINY)
    files.save(tmp_path / "G.npz", {"G": old.G})
    total = {name: len(getattr(old, name).params) for name in ("G", "D")}

    def said(change, *paths):
        transfer(training.start(training.override(TINY, change)), paths)
        return capsys.readouterr().out

    everything = "init: copied {0} of {0} parameters of {1}\n".format
    assert said({}, tmp_path / "G.npz") == (
        everything(total["G"], "G") + everything(total["G"], "G_ema")
        + f"init: copied 0 of {total['D']} parameters of D\n"
    )  # fmt: skip
    files.save(tmp_path / "D.npz", {"D": old.D})
    assert everything(total["D"], "D") in said({}, tmp_path / "G.npz", tmp_path / "D.npz")
    # Of D's 17 parameters the biases of 8² and those after the minibatch statistics are as before.
    narrow = said({"D.channel_max": 4, "D.channel_base": 32}, tmp_path / "D.npz")
    shapes = {k: v.shape for k, v in old.D.params.items()}
    here = training.start(
        training.override(TINY, {"D.channel_max": 4, "D.channel_base": 32})
    ).D.params
    same_shape = sum(shapes[k] == v.shape for k, v in here.items())
    assert 0 < same_shape < total["D"]
    assert f"init: copied {same_shape} of {total['D']} parameters of D\n" in narrow


def test_a_larger_discriminator_sees_what_the_smaller_one_saw(tmp_path):
    """Its first block hands on, of flat colours, what the old first layer made of them."""
    config = training.override(TINY, {"D.channel_base": 96, "D.channel_max": 12})
    state = training.start(config)
    rng = np.random.default_rng(0)
    b = {"b8.fromrgb.bias": rng.standard_normal(12).astype(np.float32)}
    files.save(tmp_path / "D.npz", {"D": state.D.replace(params=state.D.params | b)})
    large = training.override(config, {"G.img_resolution": 16, "D.img_resolution": 16})
    new = transfer(training.start(large), [tmp_path / "D.npz"]).D
    old = files.read_networks(tmp_path / "D.npz")["D"]
    assert new.config.channels(16) == 6  # half as many channels must tell all
    colours = rng.uniform(-1, 1, (32, 3, 1, 1)).astype(np.float32)
    seen = {}
    with layers.watch(lambda name, y: seen.update({name: y[..., 3:5, 3:5]})):
        old(np.tile(colours, (1, 1, 8, 8)))
        wanted = seen["b8.fromrgb"]
        new(np.tile(colours, (1, 1, 16, 16)))
        assert np.abs(seen["b16.conv1"]).max() == 0
    error = np.square(seen["b16.skip"] - wanted).mean()
    assert error < 0.02 * wanted.var()


def _unfit(folder):
    config = features.Config(channels=(2, 2, 2, 2), features=4)
    network = features.Network.init(config, np.random.default_rng(0))
    files.save(folder / "unfit.npz", {"features": network})
    return folder / "unfit.npz"


def gpu_here():
    try:
        return bool(device.cupy())
    except RuntimeError:
        return False


def command(*args):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, args)], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "MINIGAN_QUIET": "1"},
    )  # fmt: skip


def test_the_command_trains_resumes_and_says_what_is_wrong(tmp_path):
    tiny = ("--set", "G.img_resolution=8", "D.img_resolution=8", "G.channel_max=8", "D.channel_max=8",
            "batch=4", "kimg_per_tick=0.008")  # fmt: skip
    run = command("train", "--outdir", tmp_path / "a", "--kimg", 0.016, *tiny)
    assert run.returncode == 0 and "does w matter?" in run.stdout, run.stderr
    run = command("train", "--outdir", tmp_path / "a", "--kimg", 0.024, "--resume")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "a" / "log.csv").read_text().count("\n") == 4
    assert files.load(tmp_path / "a" / "checkpoint.npz").img_resolution == 8
    (tmp_path / "nothing").mkdir()
    for args, message in [
        (
            ("--config", "portraits33"),
            "error: there is no config 'portraits33'; expected portraits32,",
        ),
        (("--set", "batchh=3"), "error: there is no setting 'batchh'; expected one of"),
        (("--set", "batch"), "error: --set batch: expected NAME=VALUE"),
        (
            ("--set", "G.img_resolution=48"),
            "error: Config: img_resolution is 48; expected a power of two",
        ),
        (("--data", tmp_path / "nothing"), "holds no picture that can be read"),
        (("--data", tmp_path / "none"), "error: there is no folder or zip"),
        *([] if gpu_here() else [(("--device", "gpu"), "error: the GPU ")]),
        (("--resume",), "error: there is no file"),
        (
            ("--resume", "--config", "portraits32", "--outdir", tmp_path / "a"),
            "is of another config: it differs in D",
        ),
        (
            ("--resume", "--set", "gamma=7", "--outdir", tmp_path / "a"),
            "is of another config: it differs in gamma",
        ),
    ]:
        run = command("train", "--outdir", tmp_path / "b", *args)
        assert run.returncode == 1 and message in run.stderr, (args, run.stderr)
        assert run.stderr.count("\n") == 1, run.stderr  # one sentence

"""A training step: each part of it is what it says, and no setting is wrong in silence."""

import dataclasses
import inspect
import re
import sys
import types

import numpy as np
import pytest

from minigan import autograd, latents, layers, losses, optim, training
from minigan.data.stream import open_data
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.training import augment, step
from minigan.training.config import Config

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


def test_mean_squares_move_once_a_step_and_reach_the_average():
    """StyleGAN3's layers divide by the root of what they have seen; only D's step moves that."""
    state, data = training.start(STYLEGAN3), open_data(STYLEGAN3)
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
    state, data = training.start(config), open_data(config)
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
    state, data = training.start(config), open_data(config)
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
    state, data = training.start(EVERYTHING), open_data(EVERYTHING)
    one, two = (training.advance(EVERYTHING, state, data)[0] for _ in range(2))
    same(one, two)
    other = dataclasses.replace(EVERYTHING, seed=1)
    assert not np.array_equal(
        training.start(other).G.params["mapping.fc0.weight"], state.G.params["mapping.fc0.weight"]
    )


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
    state, data = training.start(TINY), open_data(TINY)
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
    state, data = training.start(config), open_data(config)
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
    data = open_data(config)
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
    states, data = [training.start(config)], open_data(config)
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
    data = open_data(config)
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
    state, _ = training.advance(config, state, open_data(config))
    assert len(calls) == 4  # G's fakes, reals, D's fakes, and the reals of R1 …
    calls.clear()
    training.advance(config, state, open_data(config))
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
        state, data = training.start(config), open_data(config)
        for _ in range(2):
            state, stats = training.advance(config, state, data)
            assert stats["d_loss"] > 900 * float(given[-1][3]) - 10
        assert [g[0] for g in given] == [name] * 2
        if name == "r1_penalty":
            assert given[0][2] == (TINY.gamma,)


def test_the_average_follows_g(rng):
    state, data = training.start(TINY), open_data(TINY)
    after, _ = training.advance(TINY, state, data)
    beta = optim.ema_beta(4, 0.05 * 4)  # the ramp: half-life a twentieth of what was seen
    name = "synthesis.b8.conv1.weight"
    wanted = beta * state.G.params[name] + (1 - beta) * after.G.params[name]
    assert np.allclose(after.G_ema.params[name], wanted)
    assert np.array_equal(after.G_ema.w_avg, after.G.w_avg) and np.abs(after.G.w_avg).max() > 0


def test_growing_resets_adam_and_never_jumps():
    data, state = open_data(GROWING), training.start(GROWING)
    lods, counts = [], []
    for _ in range(10):
        state, stats = training.advance(GROWING, state, data)
        lods.append(stats["lod"])
        counts.append(state.g_adam["step"])
    # 12 images at rest at 8², 12 fading in 16²
    assert lods == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0])
    assert counts == [1, 2, 3, 4, 1, 2, 1, 2, 3, 4]


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
    source = inspect.getsource(inspect.getmodule(Config))
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

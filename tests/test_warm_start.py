"""A run begins with another's networks: the same images at first, or it is refused."""

import dataclasses
import shlex

import numpy as np
import pytest

from minigan import files, layers, ops, training
from minigan.cli.train import setting
from minigan.evaluation.measure import styles
from minigan.networks import reader
from minigan.training.warm_start import warm_start
from tests.test_training import CONFIGS, GROWING, STYLEGAN3, TINY, quiet  # noqa: F401


def test_a_run_begins_with_the_networks_of_another(tmp_path):
    """The larger generator first shows the smaller one's pictures, enlarged; what is new is noted."""
    training.train(TINY, tmp_path / "small")
    path = tmp_path / "small" / "checkpoint.npz"
    old = files.read_networks(path)
    config = training.override(TINY, {"G.img_resolution": 16, "D.img_resolution": 16})
    state = warm_start(training.start(config), [path])
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
    state = warm_start(training.start(wide), [path])
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


@pytest.mark.parametrize("changed", [{"G.w_dim": 12}, {"G.mapping_kwargs.num_layers": 5}])
def test_another_mapping_network_is_fresh_and_leads_to_the_old_styles(changed, tmp_path, capsys):
    """W has the old mean and covariance as the synthesis network sees them: those of its styles."""
    old = training.start(dataclasses.replace(TINY, seed=3)).G
    rng = np.random.default_rng(0)
    drift = {
        k: rng.standard_normal(v.shape, np.float32) for k, v in old.params.items() if "affine" in k
    }
    old = old.replace(params=old.params | drift)
    files.save(tmp_path / "old.npz", {"G_ema": old})
    config = training.override(TINY, changed)
    fresh = training.start(config)
    state = warm_start(fresh, [tmp_path / "old.npz"])
    assert state.G.config == config.G and "a fresh mapping network" in capsys.readouterr().out
    for name in ("G", "G_ema"):
        new = getattr(state, name)
        for key, value in new.params.items():
            if "mapping" in key:
                assert np.array_equal(value, fresh.G.params[key])
            elif "affine" not in key:
                assert np.array_equal(value, old.params[key]), key
        z = rng.standard_normal((20_000, 4), np.float32)
        wanted, got = (styles(G, G.mapping(z)[:, 0]) for G in (old, new))
        np.testing.assert_allclose(got.mean(axis=0), wanted.mean(axis=0), atol=0.05)
        np.testing.assert_allclose(
            np.cov(got.T), np.cov(wanted.T), atol=0.05 * np.cov(wanted.T).max()
        )
        np.testing.assert_allclose(new.w_avg, new.mapping(z)[:, 0].mean(axis=0), atol=0.02)
    assert all(np.array_equal(v, state.G_ema.params[k]) for k, v in state.G.params.items())


def settings_said(error):
    """What an error says to set, as `--set` reads it."""
    words = shlex.split(str(error.value).partition(": set ")[2])
    return dict(setting(word) for word in words)


SETTINGS = {
    "tiny": {
        "G.activation": "relu", "G.architecture": "resnet", "G.resample_filter": [1, 2, 1],
        "G.conv_clamp": 256.0, "G.use_noise": False, "G.mapping_kwargs.activation": "relu",
        "G.mapping_kwargs.lr_multiplier": 0.01,
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
    state = warm_start(training.start(dataclasses.replace(again, seed=7)), [tmp_path / "old.npz"])
    for network in ("G", "D"):
        got, wanted = getattr(state, network), getattr(old, network)
        assert got.config == wanted.config
        assert all(np.array_equal(got.params[k], v) for k, v in wanted.params.items())


def test_a_stylegan3_of_another_resolution_has_other_filters(tmp_path):
    files.save(tmp_path / "G.npz", {"G": training.start(STYLEGAN3).G})
    larger = training.override(STYLEGAN3, {"G.img_resolution": 16, "D.img_resolution": 16})
    with pytest.raises(ValueError, match="set G.img_resolution=8$"):
        warm_start(training.start(larger), [tmp_path / "G.npz"])


def test_networks_of_another_paper_are_no_beginning(tmp_path):
    config = dataclasses.replace(GROWING, grow=())
    files.save(tmp_path / "first.npz", {"G": training.start(config).G})
    ours = training.override(TINY, {"G.img_resolution": 16, "D.img_resolution": 16})
    with pytest.raises(ValueError, match="expected a file of the same kind of networks"):
        warm_start(training.start(ours), [tmp_path / "first.npz"])


def test_a_discriminator_warms_up_another_papers_generator(tmp_path, capsys):
    """StyleGAN3's D is StyleGAN2's: a whole StyleGAN2 run can lend it."""
    old = training.start(TINY)
    files.save(tmp_path / "run.npz", {"G": old.G, "D": old.D, "G_ema": old.G_ema})
    fresh = training.start(STYLEGAN3)
    state = warm_start(fresh, [tmp_path / "run.npz"])
    out = capsys.readouterr().out
    assert "copied 0 of" in out and f"copied {len(old.D.params)} of {len(old.D.params)}" in out
    assert all(np.array_equal(state.D.params[k], v) for k, v in old.D.params.items())
    assert state.G is fresh.G


@pytest.mark.parametrize(
    "change",
    [{}, {"G.use_noise": True}, {"G.mapping_kwargs.w_avg_beta": 0.9}, {"G.channel_base": 640}],
)
def test_what_is_accepted_draws_the_same_pictures(change, tmp_path):
    theirs = training.override(TINY, {"G.use_noise": False})
    old = training.start(theirs)
    files.save(tmp_path / "old.npz", {"G": old.G, "D": old.D})
    ours = training.override(theirs, change | {"seed": 7, "D.mbstd_group_size": 2})
    state = warm_start(training.start(ours), [tmp_path / "old.npz"])
    z = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    img = old.G(z)
    np.testing.assert_array_equal(state.G(z), img)
    np.testing.assert_array_equal(state.D(img), old.D(img))


def test_how_much_of_each_network_was_copied_is_printed(tmp_path, capsys):
    old = training.start(TINY)
    files.save(tmp_path / "G.npz", {"G": old.G})
    total = {name: len(getattr(old, name).params) for name in ("G", "D")}

    def said(change, *paths):
        warm_start(training.start(training.override(TINY, change)), paths)
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
    new = warm_start(training.start(large), [tmp_path / "D.npz"]).D
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
    config = reader.Config(channels=(2, 2, 2, 2), features=4)
    network = reader.Network.init(config, np.random.default_rng(0))
    files.save(folder / "unfit.npz", {"features": network})
    return folder / "unfit.npz"

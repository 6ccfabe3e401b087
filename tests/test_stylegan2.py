"""StyleGAN2 against the official networks, loaded by name, and against its own derivatives."""

import json
import math
import pathlib

import numpy as np
import pytest

from minigan import autograd, layers, losses
from minigan.networks import stylegan2

GOLDEN = pathlib.Path(__file__).parent / "golden" / "stylegan2"
GENERATORS = sorted(GOLDEN.glob("generator_*.npz"))
DISCRIMINATORS = sorted(GOLDEN.glob("discriminator_*.npz"))
DTYPE = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def flattened(kwargs):
    """The official keyword arguments, some of which come nested, as fields of a config."""
    kwargs = dict(kwargs)
    for nested in ("synthesis_kwargs", "block_kwargs", "epilogue_kwargs"):
        kwargs |= kwargs.pop(nested, {})
    return kwargs


def network(cls, config, arrays, prefix, dtype):
    """A network of the arrays named prefix + name, split as a fresh one is."""
    fresh = cls.init(config, np.random.default_rng(0))
    found = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    assert found.keys() == fresh.params.keys() | fresh.buffers.keys()
    for part in (fresh.params, fresh.buffers):
        assert all(found[name].shape == value.shape for name, value in part.items())
    pick = lambda part: {name: found[name].astype(dtype) for name in part}  # noqa: E731
    return cls(config, pick(fresh.params), pick(fresh.buffers))


def load(path, cls, config_cls, key, prefix, dtype):
    arrays = dict(np.load(path))
    meta = json.loads(str(arrays["meta_json"]))
    return network(cls, config_cls(**flattened(meta[key])), arrays, prefix, dtype), arrays


@pytest.fixture
def official_epsilon(monkeypatch):
    """The vectors were made with weights and styles divided by their largest magnitudes, as in
    half precision: neutral, but for the ε of the demodulation, which here is scaled to match."""

    def demodulation(w, styles):
        unit = np.abs(w).max(axis=(1, 2, 3)) * math.sqrt(w[0].size)
        unit = unit * np.abs(styles).max(axis=1, keepdims=True)  # [N, O]
        total = np.square(styles) @ np.sum(np.square(w), axis=(2, 3)).T
        return 1.0 / np.sqrt(total + 1e-8 * np.square(unit))

    monkeypatch.setattr(layers, "_demodulation", demodulation)


def close(got, wanted, dtype, double=1e-10, single=1e-5):
    assert got.dtype == dtype and got.shape == wanted.shape
    scale = np.abs(wanted).max()
    assert np.abs(got - wanted).max() <= (double if dtype == np.float64 else single) * scale


@DTYPE
@pytest.mark.parametrize("path", GENERATORS, ids=lambda p: p.stem)
def test_the_generator_is_the_official_one(path, dtype, official_epsilon):
    G, d = load(path, stylegan2.Generator, stylegan2.Config, "G_kwargs", "G/", dtype)
    z, c = d["z"].astype(dtype), d["c"].astype(dtype)
    for psi in (1, 0.7):
        ws = G.mapping(z, c, psi)
        close(ws, np.repeat(d[f"w_psi{psi}"][:, None], G.num_ws, axis=1), dtype)
    close(G.mapping(z, c, 0.7, 3), d["ws_psi0.7_cutoff3"], dtype)
    close(G(z, c), d["img_psi1_noise_const"], dtype)
    if G.config.use_noise:
        close(G(z, c, noise_mode="none"), d["img_psi1_noise_none"], dtype)
    close(G(z, c, 0.7, 3), d["img_psi0.7_cutoff3_noise_const"], dtype)
    close(G.synthesis(d["ws_random"].astype(dtype)), d["img_ws_random_noise_const"], dtype)
    w = G.mapping(z, c)[:, 0].mean(axis=0)
    # The vectors' β is that of the StyleGAN3 repository.
    close(w + 0.998 * (G.w_avg - w), d["w_avg_after_one_update"], dtype)


@DTYPE
@pytest.mark.parametrize("path", DISCRIMINATORS, ids=lambda p: p.stem)
def test_the_discriminator_is_the_official_one(path, dtype):
    D, d = load(
        path, stylegan2.Discriminator, stylegan2.DiscriminatorConfig, "D_kwargs", "D/", dtype
    )
    close(D(d["img"].astype(dtype), d["c"].astype(dtype)), d["logits"], dtype)


@pytest.mark.parametrize(
    "up, down, demodulate", [(1, 1, True), (2, 1, True), (1, 2, True), (1, 1, False)]
)
def test_fused_and_unfused_are_the_same(up, down, demodulate, rng):
    x, w, s = (rng.standard_normal(shape) for shape in ((3, 4, 8, 8), (5, 4, 3, 3), (3, 4)))
    noise = rng.standard_normal((3, 1, 8 * up // down, 8 * up // down))
    f = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    one, two = (
        layers.modulated_conv2d(
            x, w, s, noise, up, down, 1, f, demodulate, act="lrelu", fused_modconv=fused
        )
        for fused in (False, True)
    )
    assert np.abs(one - two).max() < 1e-12 * np.abs(one).max()

    def loss(s, fused):
        y = layers.modulated_conv2d(x, w, s, None, up, down, 1, f, demodulate, fused_modconv=fused)
        return np.sum(np.sin(y))

    a, b = (autograd.grad(loss)(s, fused) for fused in (False, True))
    assert np.abs(a - b).max() < 1e-10 * np.abs(a).max()


# ---- losses on these networks --------------------------------------------------------------------

LOSS = GOLDEN.parent / "loss"


def loss_inputs(dtype):
    path = LOSS / "stylegan2_uncond_r16_networks_and_inputs.npz"
    G, d = load(path, stylegan2.Generator, stylegan2.Config, "G_kwargs", "G/", dtype)
    D, _ = load(
        path, stylegan2.Discriminator, stylegan2.DiscriminatorConfig, "D_kwargs", "D/", dtype
    )
    hyper = json.loads(str(d["meta_json"]))["hyper"]
    return G, D, {k: v.astype(dtype) for k, v in d.items() if v.dtype.kind == "f"}, hyper


def gradients_are(name, loss, params, dtype):
    """The loss's value, and that its gradients are those of the file; returns (value, file)."""
    d = np.load(LOSS / f"stylegan2_uncond_r16_{name}.npz")
    value, grads = autograd.value_and_grad(loss)(params)
    single, double = (5e-5, 1e-6), (1e-9, 1e-12)
    relative, absolute = double if dtype == np.float64 else single
    without = json.loads(str(d["meta_json"]))["params_with_no_gradient"]
    for key, got in grads.items():
        wanted = np.zeros_like(got) if key in without else d[f"grad/{key}"]
        assert got.dtype == dtype and got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= relative * np.abs(wanted).max() + absolute, key
    return value, d


@DTYPE
def test_the_discriminator_learns_as_the_official_one(dtype, official_epsilon):
    G, D, d, hyper = loss_inputs(dtype)
    fake = G(d["z"])

    def loss(params):
        judge = D.replace(params=params)
        return losses.d_logistic(judge(d["real_img"]), judge(fake))

    value, wanted = gradients_are("discriminator_logistic", loss, D.params, dtype)
    close(D(fake), wanted["stat/scores/fake"], dtype)
    close(np.array(value), wanted["stat/D/loss"].mean(), dtype)


@DTYPE
def test_r1_is_the_official_one(dtype):
    _, D, d, hyper = loss_inputs(dtype)

    def loss(params):
        return losses.r1_penalty(D.replace(params=params), d["real_img"], hyper["r1_gamma"])

    value, wanted = gradients_are("discriminator_r1", loss, D.params, dtype)
    close(np.array(value), wanted["stat/D/reg"].mean(), dtype)


@DTYPE
def test_the_generator_learns_as_the_official_one(dtype, official_epsilon):
    G, D, d, hyper = loss_inputs(dtype)

    def loss(params):
        return losses.g_nonsaturating(D(G.replace(params=params)(d["z"])))

    value, wanted = gradients_are("generator_nonsaturating", loss, G.params, dtype)
    close(np.array(value), wanted["stat/G/loss"].mean(), dtype)


def path_length_loss(G, d, hyper, path_length=losses.path_length):
    z = d["z"][: len(d["z"]) // hyper["pl_batch_shrink"]]

    def loss(params):
        network = G.replace(params=params)
        penalty, _ = path_length(
            network.synthesis, network.mapping(z), d["pl_noise_y"], hyper["pl_mean_before"],
            hyper["pl_decay"],
        )  # fmt: skip
        return hyper["pl_weight"] * penalty

    return loss


@DTYPE
def test_path_length_is_the_official_one(dtype, official_epsilon):
    G, _, d, hyper = loss_inputs(dtype)
    loss = path_length_loss(G, d, hyper)
    value, wanted = gradients_are("generator_path_length", loss, G.params, dtype)
    close(np.array(value), wanted["stat/G/reg"].mean(), dtype)
    z = d["z"][:2]
    _, pl_mean = losses.path_length(
        G.synthesis, G.mapping(z), d["pl_noise_y"], hyper["pl_mean_before"]
    )
    close(np.array(pl_mean), wanted["pl_mean_after"], dtype)


def detached(synthesis, ws, noise, pl_mean, decay):
    value, pl_mean = losses.path_length(synthesis, ws, noise, pl_mean, decay)
    return autograd.stop_gradient(value), pl_mean


def wrong_axis(synthesis, ws, noise, pl_mean, decay):
    y = noise / math.sqrt(math.prod(noise.shape[2:]))
    jacobian = autograd.grad(lambda w: np.sum(synthesis(w) * y))(ws)
    lengths = np.sqrt(np.mean(np.sum(np.square(jacobian), axis=1), axis=1))  # over layers: wrong
    pl_mean = pl_mean + decay * (np.mean(lengths) - pl_mean)
    return np.mean(np.square(lengths - pl_mean)), pl_mean


@pytest.mark.parametrize("wrong", [detached, wrong_axis])
def test_what_others_get_wrong_about_path_length_is_seen(wrong, official_epsilon):
    G, _, d, hyper = loss_inputs(np.float64)
    with pytest.raises((AssertionError, ValueError)):
        gradients_are(
            "generator_path_length", path_length_loss(G, d, hyper, wrong), G.params, np.float64
        )

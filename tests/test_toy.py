"""The toy against the official layers' vectors, SciPy, and a second way to write it."""

import dataclasses
import math
import pathlib

import numpy as np
import pytest
import scipy.signal

from minigan import autograd, toy
from minigan.data import signals
from minigan.evaluation import metrics, variance
from minigan.experiments import style_mixing, styles_or_concatenation
from minigan.latents import style_mix
from minigan.toy import training as toy_training

CONFIG = toy.Config(z_dim=4, w_dim=3, channels=5, d_channels=5, num_layers=2)


def generator(rng, style="adain", **changes):
    """A float32 generator with every parameter away from its special start."""
    G = toy.Generator.init(dataclasses.replace(CONFIG, style=style, **changes), rng)
    params = {k: p + 0.3 * rng.standard_normal(p.shape, np.float32) for k, p in G.params.items()}
    w_avg = rng.standard_normal(G.config.w_dim, np.float32)
    return dataclasses.replace(G, params=params, buffers=G.buffers | {"mapping.w_avg": w_avg})


def in_float64(G):
    convert = lambda d: {k: v.astype(np.float64) for k, v in d.items()}  # noqa: E731
    return dataclasses.replace(G, params=convert(G.params), buffers=convert(G.buffers))


def latents(rng, n, d=4, dtype=np.float32):
    return rng.standard_normal((n, d)).astype(dtype)


# ---- parts, against code that is not ours ----------------------------------------------------------


@pytest.mark.parametrize("case", [0, 2])
def test_dense_is_the_official_layer(golden, case):
    arrays, meta = golden("ops/small_layers")
    kind = meta["cases"][case]
    params = {f"fc.{k}": arrays[f"c{case:02d}_param_{k}"] for k in ("weight", "bias")}
    lr = kind["ctor"].get("lr_multiplier", 1)
    got = toy.dense(params, "fc", arrays[f"c{case:02d}_x0"].astype(np.float64), lr_multiplier=lr)
    np.testing.assert_allclose(got, arrays[f"c{case:02d}_y"], rtol=0, atol=3e-6)


@pytest.mark.parametrize("case", [10, 13])
def test_minibatch_stddev_is_the_official_layer(golden, case):
    arrays, _ = golden("ops/small_layers")
    x, y = arrays[f"c{case:02d}_x0"].astype(np.float64), arrays[f"c{case:02d}_y"]
    n, c = x.shape[:2]
    got = toy.minibatch_stddev(x.reshape(n, c, -1))
    np.testing.assert_allclose(got, y.reshape(n, c + 1, -1), rtol=0, atol=1e-12 * np.abs(y).max())


def test_conv1d_is_scipys_correlation(rng):
    x, w = rng.normal(size=(2, 3, 8)), rng.normal(size=(4, 3, 3))
    got = toy.conv1d({"c.weight": w}, "c", x)
    for n in range(2):
        for o in range(4):
            want = sum(scipy.signal.correlate(x[n, i], w[o, i], "same") for i in range(3))
            np.testing.assert_allclose(got[n, o], want * math.sqrt(2 / 9))


def test_upsample_is_zero_insertion_and_1331(rng):
    x = rng.normal(size=(1, 1, 6))
    stuffed = np.zeros(12)
    stuffed[::2] = x[0, 0]
    want = scipy.signal.convolve(stuffed, [0.25, 0.75, 0.75, 0.25])[1:-2]
    np.testing.assert_allclose(toy.upsample(x)[0, 0], want, atol=1e-15)


def test_pixel_norm_puts_latents_on_a_sphere(rng):
    lengths = np.linalg.norm(toy.pixel_norm(rng.normal(3, 1, (9, 16))), axis=1)
    np.testing.assert_allclose(lengths, 4.0, rtol=1e-6)


def test_adain_sets_the_statistics_and_erases_the_old(rng):
    x, scale, bias = rng.normal(3, 2, (2, 3, 16)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    y = toy.adain(x, scale, bias)
    np.testing.assert_allclose(y.mean(axis=2), bias, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=2), np.abs(scale + 1), rtol=1e-6)
    np.testing.assert_allclose(toy.adain(50 * x - 7, scale, bias), y, atol=1e-6)


def test_one_spike_quiets_the_rest_of_a_channel(rng):
    n, h = 4096, 400.0
    x = rng.standard_normal((1, 1, n))
    x[0, 0, 0] = h
    assert toy.instance_norm(x)[0, 0, 1:].std() == pytest.approx((1 + h**2 / n) ** -0.5, rel=0.02)


# ---- the whole, written a second way ----------------------------------------------------------------


def reference(G, ws, noises):
    """The generator, sample by sample, with SciPy: conv → noise → bias → lrelu → AdaIN."""
    p = {k.removeprefix("synthesis."): v for k, v in G.params.items()}
    out = []
    for n, w in enumerate(ws):
        x = p["b4.const"][0]
        if G.config.style.startswith("concat"):
            x = np.concatenate([x, np.repeat(w[0][:, None], 4, axis=1)])
        for i, (layer, _) in enumerate(G.config.layers):
            if i in (2, 4, 6):
                stuffed = np.zeros((len(x), 2 * x.shape[1]))
                stuffed[:, ::2] = x
                x = scipy.signal.convolve(stuffed, [[0.25, 0.75, 0.75, 0.25]])[:, 1:-2]
            if f"{layer}.weight" in p:
                kernel = p[f"{layer}.weight"] * math.sqrt(2 / p[f"{layer}.weight"][0].size)
                x = np.stack([scipy.signal.correlate(np.pad(x, ((0, 0), (1, 1))), k, "valid")[0]
                              for k in kernel])  # fmt: skip
            x = x + np.outer(
                p[f"{layer}.noise_strength"], noises[layer][min(n, len(noises[layer]) - 1), 0]
            )
            x = x + p[f"{layer}.bias"][:, None]
            x = np.maximum(x, 0.2 * x)
            if G.config.style == "adain":
                a = (
                    p[f"{layer}.affine.weight"] @ w[i] / math.sqrt(len(w[i]))
                    + p[f"{layer}.affine.bias"]
                )
                scale, bias = a[: len(x)], a[len(x) :]
                x = (x - x.mean(axis=1)[:, None]) / np.sqrt(x.var(axis=1)[:, None] + 1e-8)
                x = x * (1 + scale)[:, None] + bias[:, None]
            elif G.config.style.startswith("concat"):
                x = x / np.sqrt((x**2).mean(axis=0) + 1e-8)
        out.append(p["torgb.weight"][:, :] @ x / math.sqrt(len(x)) + p["torgb.bias"][:, None])
    return np.stack(out)  # fmt: skip


@pytest.mark.parametrize("style", toy.STYLES)
def test_synthesis_is_the_reference(style, rng):
    G = in_float64(generator(rng, style, z_dim=3))
    ws = rng.normal(size=(3, 8, 3))
    noises = {
        name: G.buffers[f"synthesis.{name}.noise_const"][None, None] for name, _ in G.config.layers
    }
    np.testing.assert_allclose(G.synthesis(ws), reference(G, ws, noises), rtol=1e-10, atol=1e-12)  # fmt: skip


def test_mapping_is_the_reference(rng):
    G = in_float64(generator(rng))
    z = rng.normal(size=(3, 4))
    x = z / np.sqrt((z**2).mean(axis=1)[:, None] + 1e-8)
    for i in range(2):
        weight, bias = (G.params[f"mapping.fc{i}.{k}"] for k in ("weight", "bias"))
        x = x @ weight.T * 0.01 * math.sqrt(2 / weight.shape[1]) + 0.01 * bias
        x = np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(G.mapping(z), np.repeat(x[:, None], 8, axis=1), rtol=1e-12)


# ---- the interface ----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", toy.STYLES)
def test_interface(style, rng):
    G = generator(rng, style, z_dim=3)
    z = latents(rng, 6, 3)
    ws = G.mapping(z)
    assert ws.shape == (6, G.num_ws, 3) and (G.num_ws, G.z_dim, G.img_resolution) == (8, 3, 32)
    for mode in ("const", "none", "random"):
        img = G(z, noise_mode=mode, rng=np.random.default_rng(1))
        assert img.shape == (6, 1, 32) and img.dtype == np.float32
        again = G.synthesis(ws, mode, np.random.default_rng(1))
        assert np.array_equal(img, again)
    assert toy.Discriminator.init(CONFIG, rng)(img[:4]).shape == (4, 1)


def test_truncation(rng):
    G, z = generator(rng), latents(rng, 5)
    ws = G.mapping(z)
    np.testing.assert_allclose(G.mapping(z, truncation_psi=0), np.broadcast_to(G.w_avg, ws.shape))
    half = G.mapping(z, truncation_psi=0.5, truncation_cutoff=3)
    np.testing.assert_allclose(half[:, :3], (ws[:, :3] + G.w_avg) / 2, rtol=1e-6)
    assert np.array_equal(half[:, 3:], ws[:, 3:])
    np.testing.assert_allclose(
        G.mapping(z, truncation_psi=-1) + ws, np.broadcast_to(2 * G.w_avg, ws.shape), rtol=1e-5
    )


def test_style_mixing_takes_layers(rng):
    a, b = rng.normal(size=(2, 1, 8, 3))
    mixed = style_mix(a, b, 3)
    assert np.array_equal(mixed[:, :3], a[:, :3]) and np.array_equal(mixed[:, 3:], b[:, 3:])


def test_without_adain_the_latent_does_nothing(rng):
    G = generator(rng, "off")
    x = G(latents(rng, 20))
    assert np.array_equal(x, np.broadcast_to(x[:1], x.shape))
    grads = autograd.grad(lambda z: np.sum(G(z) ** 2))(latents(rng, 4))
    assert not grads.any()


def test_a_fresh_generator_has_no_noise_yet(rng):
    G = toy.Generator.init(CONFIG, rng)
    z = latents(rng, 3)
    assert np.array_equal(G(z, noise_mode="none"), G(z, noise_mode="random", rng=rng))
    assert set(np.unique(G.params["synthesis.b4.const"])) == {1.0}


@pytest.mark.parametrize("style", toy.STYLES)
def test_derivatives_of_g_and_d_to_second_order(style, rng):
    G = in_float64(generator(rng, style, img_resolution=8, z_dim=3))
    z = latents(rng, 2, 3, np.float64)
    some = {k: v for k, v in G.params.items() if "conv1" in k or "fc1" in k or "const" in k}

    def output(some):
        return dataclasses.replace(G, params=G.params | some)(z)

    autograd.check_grads(output, some, order=2, rng=rng, tol=1e-5)
    D = toy.Discriminator.init(dataclasses.replace(CONFIG, img_resolution=8), rng)
    autograd.check_grads(lambda x: D(x), rng.normal(size=(4, 1, 8)), order=2, rng=rng, tol=1e-5)


def test_training_losses_stay_float32_to_second_order(rng):
    G, D = generator(rng), toy.Discriminator.init(CONFIG, rng)
    real, z = signals.sample(4, rng), latents(rng, 4)
    loss, grads = autograd.value_and_grad(toy_training.d_loss)(D.params, D, real, G(z), 1.0)
    (g, w), g_grads = autograd.value_and_grad(toy_training.g_loss, has_aux=True)(
        G.params, G, D, z, rng, mixing_prob=1.0
    )
    every = [loss, g, w, *grads.values(), *g_grads.values()]
    assert {np.asarray(a).dtype for a in every} == {np.dtype(np.float32)}


# ---- bad input --------------------------------------------------------------------------------------

Z = np.zeros((2, 4), np.float32)
BAD = {
    "list": (lambda G, D: G([[0.0] * 4]), TypeError, "z is list; expected an array of float32"),
    "integers": (lambda G, D: G(np.zeros((2, 4), int)), TypeError, "z is an array of int64"),
    "z_dim": (lambda G, D: G(Z[:, :3]), ValueError, r"z has shape \(2, 3\); expected \[N, 4\]"),
    "one z": (lambda G, D: G(Z[0]), ValueError, r"z has shape \(4,\); expected \[N, 4\]"),
    "NaN": (lambda G, D: G(Z * np.nan), ValueError, "z holds 8 NaN; expected numbers"),
    "ws": (lambda G, D: G.synthesis(np.zeros((2, 7, 3))), ValueError, r"ws has shape \(2, 7, 3\); expected \[N, 8, 3\]"),
    "psi": (lambda G, D: G(Z, truncation_psi="0.7"), ValueError, "truncation_psi is '0.7'; expected a number"),
    "psi NaN": (lambda G, D: G(Z, truncation_psi=math.nan), ValueError, "truncation_psi is nan"),
    "cutoff": (lambda G, D: G(Z, truncation_cutoff=9), ValueError, "truncation_cutoff is 9; expected None or an int from 0 to 8"),
    "labels": (lambda G, D: G(Z, Z), ValueError, "c was given; expected None"),
    "noise": (lambda G, D: G(Z, noise_mode="off"), ValueError, "noise_mode is 'off'; expected 'const'"),
    "no rng": (lambda G, D: G(Z, noise_mode="random"), TypeError, "rng is NoneType; expected a numpy.random.Generator"),
    "seed": (lambda G, D: toy.Generator.init(CONFIG, 0), TypeError, "rng is int; expected"),
    "image": (lambda G, D: D(np.zeros((2, 3, 32))), ValueError, r"img has shape \(2, 3, 32\); expected \[N, 1, 32\]"),
    "batch": (lambda G, D: D(np.zeros((6, 1, 32))), ValueError, "batch size 6; expected a multiple of 4"),
    "style": (lambda G, D: toy.Config(style="Adain"), ValueError, "style is 'Adain'; expected one of"),
    "dims": (lambda G, D: toy.Config(style="concat_z", z_dim=8), ValueError, "z_dim is 8 and w_dim 16; expected equal"),
    "length": (lambda G, D: toy.Config(img_resolution=24), ValueError, "img_resolution is 24; expected a power of two"),
    "channels": (lambda G, D: toy.Config(channels=0), ValueError, "channels is 0; expected an int > 0"),
    "signals": (lambda G, D: signals.read(np.zeros((2, 32))), ValueError, r"x has shape \(2, 32\); expected \[N, 1, 32\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_came_and_what_was_expected(name, rng):
    call, error, message = BAD[name]
    G, D = toy.Generator.init(CONFIG, rng), toy.Discriminator.init(CONFIG, rng)
    with pytest.raises(error, match=message):
        call(G, D)


# ---- data and measures ------------------------------------------------------------------------------


def test_factors_can_be_read_back(rng):
    factors = signals.draw_factors(1000, rng)
    x = signals.render(factors, rng)
    assert x.shape == (1000, 1, 32) and x.dtype == np.float32
    read = signals.read(x)
    correlations = [np.corrcoef(factors[:, i], read[:, i])[0, 1] for i in range(4)]
    assert min(correlations) > 0.94
    np.testing.assert_allclose(signals.read(signals.clean(factors))[:, 0], factors[:, 0], atol=0.02)


def test_chance_explains_its_share_of_the_data(rng):
    factors = signals.draw_factors(20_000, rng)
    chance = np.var(signals.render(factors, rng) - signals.clean(factors), axis=0).mean()
    share = chance / np.var(signals.render(factors, rng), axis=0).mean()
    assert 0.05 < share < 0.065  # "about 6 %" in lesson 04


def test_sliced_wasserstein_of_a_shift(rng):
    a = rng.normal(size=(500, 3))
    shift = np.array([3.0, 0.0, 4.0])
    got = metrics.sliced_wasserstein(a, rng.permutation(a) + shift, rng, projections=20_000)
    assert got == pytest.approx(5 / math.sqrt(3), rel=0.02)  # the mean of cos² is 1/3
    with pytest.raises(ValueError, match="expected equal"):
        metrics.sliced_wasserstein(a, a[1:], rng)


def test_separability_of_separable_and_of_random_factors(rng):
    latents = rng.normal(size=(4000, 3))
    score, accuracy = metrics.linear_separability(latents, latents @ rng.normal(size=(3, 2)))
    assert score < 1.2 and accuracy.min() > 0.97
    score, accuracy = metrics.linear_separability(latents, rng.normal(size=(4000, 2)))
    assert score == pytest.approx(4, rel=0.01) and accuracy.max() < 0.55


def test_separability_weighs_the_two_sides_by_their_share(rng):
    x = np.repeat([1.0, 0.0], [1000, 3000])  # a quarter is predicted True, all of it rightly;
    factor = x + np.tile([0.2, 0.0, 0.0], 1334)[:4000]  # of the rest a third is True all the same
    order = rng.permutation(4000)
    score, _ = metrics.linear_separability(x[order, None], factor[order, None])
    h = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    assert score == pytest.approx(math.exp(0.75 * h), rel=0.02)


def test_separability_is_not_bought_by_collapse(rng):
    """A factor that does not vary, or hardly, is refused by its number: it would score as perfect.
    One with ties at its median is at 2 by chance, like any other."""
    latents, factors = rng.normal(size=(4000, 3)), rng.normal(size=(4000, 2))
    for collapsed in (0.3, np.where(rng.random(4000) < 0.03, 1.0, 0.0)):
        with pytest.raises(ValueError, match="of factor 1, in one half"):
            metrics.linear_separability(
                latents, np.stack([factors[:, 0], factors[:, 1] * 0 + collapsed], 1)
            )
    with pytest.raises(ValueError, match="in one half of the samples"):
        metrics.linear_separability(latents, np.arange(4000.0)[:, None])  # sorted
    skewed = np.where(rng.random((4000, 1)) < 0.1, 1.0, 0.0)
    assert metrics.linear_separability(latents, skewed)[0] == pytest.approx(2, rel=0.02)


def test_variance_split_books_an_interaction_as_such(rng):
    """x = w·noise: neither decides anything alone."""

    @dataclasses.dataclass(frozen=True)
    class Product:
        buffers: dict
        z_dim = 1

        def mapping(self, z):
            return z[:, None]

        def synthesis(self, ws, noise_mode="const", rng=None):
            return ws * (rng or np.random.default_rng(0)).standard_normal((len(ws), 1, 1))

    split = variance.variance_split(Product({}), rng, n=40_000)
    assert split["w"] == pytest.approx(0, abs=0.05) == split["noise"]
    assert split["both"] == pytest.approx(1, abs=0.08)


def test_variance_split_of_a_known_generator(rng):
    @dataclasses.dataclass(frozen=True)
    class Known:
        """Variance 9 from w, 16 from noise; its one layer's noise map is a buffer."""

        buffers: dict
        z_dim = 2

        def mapping(self, z):
            return np.repeat(z[:, None], 1, axis=1)

        def synthesis(self, ws, noise_mode="const", rng=None):
            noise = self.buffers["synthesis.b4.noise_const"]
            if noise_mode == "random":
                noise = rng.standard_normal((len(ws), 2))
            return (3 * ws[:, 0] + 4 * noise)[:, None]

    G = Known({"synthesis.b4.noise_const": np.zeros(2)})
    split = variance.variance_split(G, rng, n=20_000)
    assert split["w"] == pytest.approx(9 / 25, abs=0.02)
    assert split["noise"] == pytest.approx(16 / 25, abs=0.02)
    assert split["both"] == pytest.approx(0, abs=0.03)
    ((name, w, noise),) = split["layers"]
    assert name == "b4" and w == pytest.approx(9 / 25, abs=0.03) and noise > 0.05


# ---- training ---------------------------------------------------------------------------------------

SHORT = toy_training.Training(steps=5, batch=4)


def test_the_same_seed_gives_the_same_weights():
    first, second = (toy_training.train(CONFIG, np.random.default_rng(3), SHORT)[0] for _ in "ab")
    other = toy_training.train(CONFIG, np.random.default_rng(4), SHORT)[0]
    assert all(np.array_equal(first.params[k], second.params[k]) for k in first.params)
    assert np.array_equal(first.w_avg, second.w_avg) and first.w_avg.any()
    assert not np.array_equal(
        first.params["synthesis.b4.const"], other.params["synthesis.b4.const"]
    )


def test_w_avg_tends_to_the_mean_of_w():
    still = toy_training.Training(steps=300, batch=8, lr=0.0, gamma=0.0, w_avg_beta=0.95)
    G, _, _ = toy_training.train(CONFIG, np.random.default_rng(5), still)
    w = G.mapping(latents(np.random.default_rng(6), 5000))[:, 0]
    np.testing.assert_allclose(G.w_avg, w.mean(axis=0), atol=5 * w.std() / math.sqrt(8 * 39))


def test_r1_is_part_of_the_training_in_every_nth_step():
    def d_losses(gamma):
        config = dataclasses.replace(SHORT, gamma=gamma, lr=0.0, r1_interval=2)
        _, _, history = toy_training.train(CONFIG, np.random.default_rng(3), config)
        return np.array([h["d_loss"] for h in history])

    penalty = d_losses(1.0) - d_losses(0.0)  # lr = 0: the same networks in every step
    assert (penalty > 0).tolist() == [True, False, True, False, True]
    np.testing.assert_allclose(d_losses(3.0) - d_losses(0.0), 3 * penalty, rtol=1e-3, atol=1e-5)


def test_a_loss_that_is_not_finite_stops_with_the_step(rng):
    bad = dataclasses.replace(SHORT, lr=1e30)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"came apart at step \d .*lower lr"),
    ):
        toy_training.train(CONFIG, rng, bad)


def test_rivals_have_as_many_parameters():
    target = styles_or_concatenation.parameters(toy.Config())
    for style in toy.STYLES:
        assert styles_or_concatenation.parameters(
            styles_or_concatenation.matched(style)
        ) == pytest.approx(target, rel=0.03)


def test_the_committed_table_is_complete():
    root = pathlib.Path(__file__).parent.parent
    rows = styles_or_concatenation.TABLE.read(
        root / "notebooks/results/styles_or_concatenation.csv"
    )
    assert {(r["style"], r["seed"]) for r in rows} == {(s, i) for s in toy.STYLES for i in range(5)}
    assert {r["steps"] for r in rows} == {toy_training.Training().steps}
    assert "mean ± standard deviation over 5 seeds" in styles_or_concatenation.summary(rows)


def test_lesson_04_says_what_its_table_says():
    """If this fails after the table was made anew, lesson 04, "What came out", must change too."""
    root = pathlib.Path(__file__).parent.parent
    rows = styles_or_concatenation.TABLE.read(
        root / "notebooks/results/styles_or_concatenation.csv"
    )

    def of(column):
        styles = ([r[column] for r in rows if r["style"] == s] for s in toy.STYLES)
        return (np.array(values, float) for values in styles)

    adain, off, concat_w, concat_z = of("distance")
    assert abs(adain.mean() - concat_w.mean()) < min(adain.std(ddof=1), concat_w.std(ddof=1))
    assert (concat_z < adain).all() and 1.7 < adain.mean() / concat_z.mean() < 2
    assert abs(off.mean() - concat_z.mean()) < min(off.std(ddof=1), concat_z.std(ddof=1))
    adain, off, concat_w, concat_z = of("w_share")
    assert (adain > 0.94).all() and (concat_w < 0.94).all() and (concat_z < 0.94).all()
    assert (off == 0).all()
    adain, _, concat_w, concat_z = of("noise_share")  # of the data: 0.044
    assert adain.mean() < 0.044 / 3 and min(concat_w.mean(), concat_z.mean()) > 2 * 0.044
    (z, _, z_concat_w, classic), (w, _, w_concat_w, _) = of("separability_z"), of("separability_w")
    assert z.mean() / w.mean() > 1.5 and w.mean() < min(w_concat_w.mean(), classic.mean())
    assert w.max() > min(w_concat_w.min(), classic.min())  # "though the dots overlap"
    assert (classic < z).all() and (classic < z_concat_w).all()


def test_a_missing_folder_is_found_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        styles_or_concatenation.TABLE.make(
            styles_or_concatenation.tasks([0], 10**9), tmp_path / "missing" / "table.csv"
        )


def test_a_collapsed_toy_is_measured_as_far_as_it_goes(rng):
    """One seed's collapse must not cost the table of all the others."""
    G = toy.Generator.init(toy.Config(), rng)
    name = "synthesis.torgb.weight"
    flat = dataclasses.replace(G, params=G.params | {name: 1e-6 * G.params[name]})
    row = styles_or_concatenation.evaluate(flat, rng)
    assert row["separability_z"] is None and row["separability_w"] is None
    assert row["distance"] > 0.3 and 0 <= row["w_share"] <= 1


@pytest.mark.slow
def test_the_comparison_in_miniature(tmp_path):
    path = tmp_path / "table.csv"
    rows = styles_or_concatenation.TABLE.make(
        styles_or_concatenation.tasks([0, 1], 20), path, jobs=2
    )
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    read = styles_or_concatenation.TABLE.read(path)
    assert len(read) == 8 and set(read[0]) == set(styles_or_concatenation.COLUMNS)
    again = styles_or_concatenation.run("adain", 1, 20)
    one = next(r for r in rows if r["style"] == "adain" and r["seed"] == 1)
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in one.items() if k != "seconds"
    }


@pytest.mark.slow
def test_training_approaches_the_data_and_uses_its_latent():
    start = toy.Generator.init(toy.Config(), np.random.default_rng(0))
    G, _, _ = toy_training.train(
        toy.Config(), np.random.default_rng(0), toy_training.Training(steps=400)
    )
    before, after = (
        styles_or_concatenation.evaluate(g, np.random.default_rng(1)) for g in (start, G)
    )
    assert after["distance"] < 0.15 < before["distance"]
    assert after["w_share"] > 0.8


# ---- mixing regularisation -----------------------------------------------------------------------


def test_follows_knows_whose_factor_it_is():
    class Two:
        """Layers before 4 set the position, those after it the width; nothing else varies."""

        num_ws, z_dim = 8, 2

        def mapping(self, z):
            return np.repeat(z[:, None], 8, axis=1)

        def synthesis(self, ws):
            squash = lambda x, low, high: low + (high - low) / (1 + np.exp(-2 * x))  # noqa: E731
            factors = np.zeros((len(ws), 4))
            factors[:, 0] = squash(ws[:, 3, 0], 0.3, 0.7)
            factors[:, 1] = squash(ws[:, 4, 1], 0.05, 0.14)
            factors[:, 2] = 5.0
            return signals.clean(factors)

    found = style_mixing.follows(Two(), np.random.default_rng(0))
    assert found["position"][0] > 0.95 and found["position"][1] < 0.05
    assert found["width"][1] > 0.9 and found["width"][0] < 0.05
    assert max(found["frequency"]) < 0.05


def test_the_committed_table_of_mixing_is_complete():
    root = pathlib.Path(__file__).parent.parent
    rows = style_mixing.TABLE.read(root / "notebooks/results/style_mixing.csv")
    assert [(r["mixing_prob"], r["seed"]) for r in rows] == [
        (p, s) for s in range(5) for p in style_mixing.PROBS
    ]
    assert "over 5 seeds, 1200 steps" in style_mixing.summary(rows)


def test_lesson_05_says_what_its_table_says():
    """If this fails after the table was made anew, lesson 05, §4, must change too."""
    root = pathlib.Path(__file__).parent.parent
    rows = style_mixing.TABLE.read(root / "notebooks/results/style_mixing.csv")
    without, mixing = (
        {k: np.array([r[k] for r in rows if r["mixing_prob"] == p]) for k in style_mixing.COLUMNS}
        for p in style_mixing.PROBS
    )
    growth, less = (t["distance_mixed"] - t["distance"] for t in (without, mixing))
    assert (0 < less).all() and (less < growth).all()
    gap = abs(mixing["distance"].mean() - without["distance"].mean())
    assert gap < max(mixing["distance"].std(ddof=1), without["distance"].std(ddof=1))
    sides = [t["position_coarse"] > t["position_fine"] for t in (without, mixing)]
    assert not sides[0].all() and sides[1].all()
    clear = np.sort(mixing["position_coarse"])
    assert clear[[0, -1]].round(2).tolist() == [0.52, 0.94]  # quoted
    for table in (without, mixing):
        assert (table["width_fine"] > 5 * table["width_coarse"]).all()
        assert max(table["frequency_coarse"].max(), table["frequency_fine"].max()) < 0.1
        assert table["roughness_coarse"].mean() < table["roughness_fine"].mean() < 0.15
    assert without["width_fine"].mean() < mixing["width_fine"].mean()


@pytest.mark.slow
def test_the_table_of_mixing_in_miniature(tmp_path):
    path = tmp_path / "table.csv"
    style_mixing.TABLE.make(style_mixing.tasks([0, 1], 20), path, jobs=2)
    rows = style_mixing.TABLE.read(path)
    assert len(rows) == 4 and set(rows[0]) == set(style_mixing.COLUMNS)
    again = style_mixing.run(0.9, 1, 20)
    assert {k: float(f"{v:.5g}") for k, v in again.items()} == rows[3]

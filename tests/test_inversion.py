"""Looking for the w of a picture: against the official projector, against answers known by
algebra, and against what a search promises of batches, noise and killed runs."""

import dataclasses
import json
import math
import sys
import types

import numpy as np
import pytest

from minigan import autograd, files
from minigan.editing import inversion, space
from minigan.editing.inversion import Settings, optimise
from minigan.editing.perceptual import Perceptual
from minigan.editing.tuning import tune
from minigan.networks import base, stylegan1, stylegan2, stylegan3
from tests.conftest import GOLDEN
from tests.test_stylegan2 import flattened, network


class Linear(base.Generator):
    """images = Σ over layers and numbers of ws·A, + b; w = z·M.  Its noise maps do nothing."""

    num_ws = property(lambda self: len(self.params["A"]))

    def _mapping(self, z, c):
        return z @ self.params["mapping.M"]

    def _synthesis(self, ws, noises):
        a = self.params["A"]
        flat = np.reshape(ws, (ws.shape[0], -1)) @ np.reshape(a, (-1, math.prod(a.shape[2:])))
        return np.reshape(flat, (ws.shape[0], *a.shape[2:])) + self.params["b"]


def linear(M, A, b, noise_sizes=()):
    config = types.SimpleNamespace(
        z_dim=len(M), w_dim=M.shape[1], img_channels=b.shape[0], img_resolution=b.shape[1]
    )
    buffers = {"mapping.w_avg": np.zeros(M.shape[1])}
    buffers |= {
        f"synthesis.noise_const{i}.noise_const": np.zeros((n, n)) for i, n in enumerate(noise_sizes)
    }
    return Linear(config, {"mapping.M": M, "A": A, "b": b}, buffers)


@pytest.fixture
def some_linear(rng):
    """4 layers of 6 numbers, 3 × 8 × 8 pixels; W is twice as wide as narrow."""
    M, A, b = (rng.standard_normal(n) for n in ((7, 6), (4, 6, 3, 8, 8), (3, 8, 8)))
    return linear(np.linalg.qr(M)[0] * np.linspace(1, 2, 6), A, b)


SMALL = {
    "stylegan1": stylegan1.Config(16, 3, 8, 8, channel_base=64, channel_max=8),
    "stylegan2": stylegan2.Config(
        16, 3, 8, 8, 0, stylegan2.MappingConfig(2), channel_base=64, channel_max=8
    ),
    "stylegan2, 3 labels": stylegan2.Config(
        16, 3, 8, 8, 3, stylegan2.MappingConfig(2), channel_base=64, channel_max=8
    ),
    "stylegan3": stylegan3.Config(
        16, 3, 8, 8, channel_base=64, channel_max=8, num_layers=4, margin_size=4
    ),
}


def small(name, seed=0):
    """A generator of 16² in float64, whose noise counts where it has some."""
    G = SMALL[name].build(np.random.default_rng(seed))
    wide = {k: a.astype(np.float64) for k, a in G.params.items()}
    wide |= {k: a + 0.1 for k, a in wide.items() if k.endswith("noise_strength")}
    return G.replace(
        params=wide,
        buffers={k: a.astype(np.float64) for k, a in G.buffers.items()},
    )


def pooled(P, pool, to_unit):
    """The vectors' stand-in for a feature network."""

    def features(images):
        n, c, h, w = images.shape
        x = np.reshape(to_unit(images), (n, c, h // pool, pool, w // pool, pool))
        return np.reshape(np.mean(x, axis=(3, 5)), (n, -1)) @ P

    return features


# ---- the official projector ----------------------------------------------------------------------

NAMES = {
    "num_steps": "steps", "w_avg_samples": "samples", "initial_learning_rate": "lr",
    "initial_noise_factor": "latent_noise", "lr_rampdown_length": "rampdown",
    "lr_rampup_length": "rampup", "noise_ramp_length": "latent_noise_ramp",
    "regularize_noise_weight": "noise_weight",
}  # fmt: skip


def close(got, wanted, relative):
    wanted = np.asarray(wanted)
    assert np.shape(got) == wanted.shape
    assert np.abs(got - wanted).max() <= relative * np.abs(wanted).max()


def projector_cases():
    arrays = np.load(GOLDEN / "inversion/projector.npz")
    return json.loads(str(arrays["meta_json"]))["cases"]


@pytest.mark.parametrize("case", projector_cases(), ids=lambda case: case["id"])
def test_the_official_projector(case, golden, monkeypatch):
    """The same draws give the same losses and the same w after every step."""
    d, meta = golden("inversion/projector")
    mine = {k.removeprefix(case["id"] + "_"): d[k] for k in d.files if k.startswith(case["id"])}
    args = {NAMES[k]: v for k, v in case["args"].items()}
    s = Settings("w", noise=True, pixel=0, **args)
    steps = range(s.steps)
    close([s.lr_at(i) for i in steps], mine["lr"], 1e-10)
    close(np.array([s.noise_at(i) for i in steps]) * mine["w_std"], mine["w_noise_scale"], 1e-10)
    if case.get("only") == "schedule":
        return
    if case["generator"] == "linear":
        M, A, b, P = (d[f"linear_{k}"].astype(np.float64) for k in "MAbP")
        G, target = linear(M, A, b, case["noise_sizes"]), d["linear_target"]
    else:
        config = stylegan2.Config(**flattened(meta["G_kwargs"]))
        G = network(stylegan2.Generator, config, d, "G/", np.float64)
        P, target = d["P"].astype(np.float64), d["target"]
    W = space.statistics(G, samples=s.samples)
    close(W.mean, mine["w_avg"], 1e-10)
    assert W.radius == pytest.approx(float(mine["w_std"]), rel=1e-10)

    drawn = {k[len("noise0/") :].removesuffix(".noise_const"): a for k, a in mine.items()
             if k.startswith("noise0/")}  # fmt: skip
    monkeypatch.setattr(inversion, "_draw", lambda seed, which, shape: mine["w_draws"][which][None])
    monkeypatch.setattr(
        inversion, "_maps", lambda G, seed: {k: a[None, None] for k, a in drawn.items()}
    )
    features = pooled(P, case["pool"], lambda x: (x + 1) / 2)
    close(features(target[None] / 127.5 - 1), mine["target_features"][None], 1e-10)
    search = inversion._Search(G, target[None] / 127.5 - 1, features, s, None, None)
    now = search.begin()
    for i in steps:
        now = search.step(now)
        close(now["params"]["latent"][0, 0], mine["w"][i], 1e-9)
        close(now["losses"][i, 0], mine["loss"][i], 1e-9)
        for layer in drawn if i in (0, s.steps - 1) else ():
            key = "step0" if i == 0 else "last"
            name = layer if case["generator"] == "linear" else f"{layer}.noise_const"
            close(now["params"][f"noise.{layer}"][0, 0], mine[f"noise_after_{key}/{name}"], 1e-9)
    rough = sum(inversion.roughness(a[None, None].astype(np.float64))[0] for a in drawn.values())
    assert rough == pytest.approx(mine["reg_loss"][0], rel=1e-9)


# ---- answers that are known ----------------------------------------------------------------------


def least_squares(G, targets, W=None, prior=0.0):
    """The ws [N, num_ws, w_dim] of least mean squared error, plus prior·mean ‖v‖²/w_dim."""
    rows = G.params["A"].reshape(G.num_ws * G.w_dim, -1)
    wanted = (targets - G.params["b"]).reshape(len(targets), -1)
    scale = rows.shape[1] ** -0.5
    rows, wanted = rows * scale, wanted * scale
    if prior:
        weight = (prior / (G.num_ws * G.w_dim)) ** 0.5
        rows = np.concatenate([rows, weight * np.kron(np.eye(G.num_ws), W.power(-0.5))], axis=1)
        still = weight * np.tile(W.mean @ W.power(-0.5), G.num_ws)
        wanted = np.concatenate([wanted, np.repeat(still[None], len(targets), axis=0)], axis=1)
    found = np.linalg.lstsq(rows.T, wanted.T)[0].T
    return found.reshape(-1, G.num_ws, G.w_dim)


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("prior", [0.0, 2.0])
def test_of_a_linear_generator_the_answer_of_least_squares(some_linear, rng, whitened, prior):
    """Targets that it cannot draw; also where the prior pulls."""
    G, targets = some_linear, rng.uniform(-1, 1, (2, 3, 8, 8))
    s = Settings("w+", 400, latent_noise=0, whitened=whitened, prior=prior, samples=500)
    found = optimise(G, targets, None, s)
    wanted = least_squares(G, targets, space.statistics(G, samples=500), prior)
    assert np.abs(wanted - found.last.ws).max() < 1e-3 * np.abs(wanted).max()
    start = Settings("w+", 1, samples=500)
    assert np.abs(wanted - optimise(G, targets, None, start).last.ws).max() > 0.1


@pytest.mark.parametrize("where", ["w", "z"])
def test_one_w_for_all_layers(some_linear, rng, where):
    """As least squares of one layer, whose A is the sum of all; z reaches all of W here."""
    G, targets = some_linear, rng.uniform(-1, 1, (2, 3, 8, 8))
    one = G.replace(params=G.params | {"A": G.params["A"].sum(axis=0, keepdims=True)})
    wanted = least_squares(one, targets)
    found = optimise(G, targets, None, Settings(where, 400, latent_noise=0, samples=500))
    assert found.last.ws.shape == (2, 4, 6)
    assert np.ptp(found.last.ws, axis=1).max() < 1e-12
    assert np.abs(wanted - found.last.ws).max() < 1e-3 * np.abs(wanted).max()


def test_a_generated_portrait_is_found_again():
    """Nearer than the nearest of 1,000 others."""
    G = files.load("portraits32")
    rng = np.random.default_rng(3)
    targets = G(rng.standard_normal((2, G.z_dim), np.float32))
    others = np.concatenate([G(rng.standard_normal((100, G.z_dim), np.float32)) for _ in range(10)])
    nearest = [np.mean((others - t) ** 2, axis=(1, 2, 3)).min() for t in targets]
    found = optimise(G, targets, None, Settings("w", 80, latent_noise=0))
    error = np.mean((found.best.images(G) - targets) ** 2, axis=(1, 2, 3))
    assert (error < nearest).all()


# ---- noise ---------------------------------------------------------------------------------------


def test_roughness_by_hand():
    """Each number here is counted on paper."""
    i = np.arange(16)
    flat, board = np.ones((16, 16)), np.where((i + i[:, None]) % 2, -1.0, 1.0)
    pairs = np.where(i // 2 % 2, -1.0, 1.0) * np.ones((16, 1))  # + + − − in x, the same in y
    both = np.stack([flat, board, pairs])[:, None]
    # flat: 2 at 16² and at 8²; the board: 2, and nothing is left of it; pairs: 1 (in y) and 2.
    np.testing.assert_allclose(inversion.roughness(both), [4, 2, 3])
    np.testing.assert_allclose(inversion.roughness(both[:, :, :4, :4]), [2, 2, 1])
    autograd.check_grads(inversion.roughness, np.random.default_rng(0).normal(size=(2, 1, 16, 16)))


def test_free_noise_maps(rng):
    """They take part, stay normalised, and are each target's own."""
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (2, 3, 16, 16))
    s = Settings("w", 12, noise=True, noise_weight=0.0, samples=100)
    found = optimise(G, targets, None, s)
    assert found.best.noises.keys() == G.config.conv_layers.keys()
    for a in found.last.noises.values():
        np.testing.assert_allclose(a.mean(axis=(1, 2, 3)), 0, atol=1e-12)
        np.testing.assert_allclose(np.mean(a**2, axis=(1, 2, 3)), 1)
        assert np.abs(a[0] - a[1]).max() > 0.01
    own = np.mean((found.last.images(G) - targets) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(own, found.losses[-1])
    fixed = optimise(G, targets, None, dataclasses.replace(s, noise=False))
    assert fixed.last.noises == {} and not np.allclose(fixed.losses[-1], found.losses[-1])
    smooth = optimise(G, targets, None, dataclasses.replace(s, noise_weight=1e3))

    def rough(code):
        return sum(inversion.roughness(a).sum() for a in code.noises.values())

    assert rough(smooth.last) < 0.5 * rough(found.last)


def test_stylegan3_has_no_noise_to_free(rng):
    G, targets = small("stylegan3"), rng.uniform(-1, 1, (1, 3, 16, 16))
    found = optimise(G, targets, None, Settings("w", 3, noise=True, samples=100))
    assert found.best.noises == {}


def test_every_layer_of_w_plus_gets_noise_of_its_own(monkeypatch, rng):
    shapes, real = [], inversion._draw
    monkeypatch.setattr(inversion, "_draw", lambda *args: shapes.append(args[2]) or real(*args))
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (2, 3, 16, 16))
    optimise(G, targets, None, Settings("w+", 4, samples=100))
    assert shapes == [(6, 8)] * 3  # in the last quarter there is none


# ---- targets on their own ------------------------------------------------------------------------

KINDS = [
    ("stylegan1", {"space": "w+"}),
    ("stylegan2", {"space": "w", "noise": True}),
    ("stylegan2", {"space": "w+", "whitened": True, "prior": 0.1}),
    ("stylegan2", {"space": "z"}),
    ("stylegan2, 3 labels", {"space": "z"}),
    ("stylegan2, 3 labels", {"space": "w", "whitened": True}),
    ("stylegan3", {"space": "w+"}),
]


@pytest.mark.parametrize("name, settings", KINDS, ids=str)
def test_a_batch_is_its_targets_one_by_one(name, settings, rng):
    G, targets = small(name), rng.uniform(-1, 1, (2, 3, 16, 16))
    c = np.eye(3)[[0, 2]] if G.c_dim else None
    features = pooled(rng.standard_normal((48, 10)), 4, lambda x: x)
    s = Settings(steps=12, samples=100, **settings)
    both = optimise(G, targets, features, s, c)
    assert both.losses.shape == (13, 2) and both.done == 12
    assert both.losses[-1].mean() < both.losses[0].mean()
    for i in range(2):
        one = optimise(G, targets[[i]], features, s, None if c is None else c[[i]])
        for a, b in ((one.best, both.best), (one.last, both.last)):
            np.testing.assert_allclose(a.ws[0], b.ws[i], rtol=1e-6, atol=1e-6)
            for layer in a.noises:
                np.testing.assert_allclose(a.noises[layer][0], b.noises[layer][i], atol=1e-6)
        np.testing.assert_allclose(one.losses[:, 0], both.losses[:, i], rtol=1e-6)
        assert one.steps[0] == both.steps[i]


def test_where_a_search_begins(rng):
    """At the mean of W, of the target's own label if there is one; or where it is told to."""
    targets, s = rng.uniform(-1, 1, (2, 3, 16, 16)), Settings("w+", 1, 0.0, samples=100)
    G = small("stylegan2, 3 labels")
    found = optimise(G, targets, None, s, np.eye(3)[[2, 0]])
    means = [space.statistics(G, np.eye(3)[i], 100).mean for i in (2, 0)]
    np.testing.assert_allclose(found.last.ws, np.repeat(np.array(means)[:, None], 6, axis=1))
    G, ws = small("stylegan2"), rng.standard_normal((2, 6, 8))
    whitened = dataclasses.replace(s, whitened=True)
    for settings in (s, whitened):
        np.testing.assert_allclose(optimise(G, targets, None, settings, start=ws).last.ws, ws)
    found = optimise(G, targets, None, dataclasses.replace(s, space="w"), start=ws).last.ws
    np.testing.assert_allclose(found, np.repeat(ws.mean(axis=1, keepdims=True), 6, axis=1))
    z = rng.standard_normal((2, 8))
    found = optimise(G, targets, None, dataclasses.replace(s, space="z"), start=z).last.ws
    np.testing.assert_allclose(found, G.mapping(z))


def test_the_best_is_kept_beside_the_last(rng):
    """At a learning rate at which it gets worse again; with noise on w nothing counts as best."""
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (3, 3, 16, 16))
    s = Settings("w+", 20, 3.0, rampdown=0.0, latent_noise=0, samples=100)
    found = optimise(G, targets, None, s)
    np.testing.assert_array_equal(found.steps, found.losses.argmin(axis=0))
    assert (found.steps < 20).any()
    for code, losses in ((found.best, found.losses.min(axis=0)), (found.last, found.losses[-1])):
        error = np.mean((code.images(G) - targets) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(error, losses)
    noisy = optimise(G, targets, None, dataclasses.replace(s, latent_noise=0.05))
    assert (noisy.steps >= 15).all()


def test_a_step_computes_no_gradient_of_a_weight(monkeypatch, rng):
    """Neither the generator's nor the judge's: half of a backward pass."""

    def refused(*args):
        raise AssertionError("the gradient of a weight")

    monkeypatch.setattr(sys.modules["minigan.ops.conv2d"], "_weight_grad", refused)
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (1, 3, 16, 16))
    D = stylegan2.DiscriminatorConfig(16, 3, channel_base=64, channel_max=8).build(rng)
    D = D.replace(params={k: a.astype(np.float64) for k, a in D.params.items()})
    see = Perceptual(D, "D")
    found = optimise(G, targets, see, Settings("w+", 3, noise=True, samples=100))
    assert found.losses[-1] < found.losses[0]
    with pytest.raises(AssertionError, match="of a weight"):
        tune(G, targets, found.best.ws, see)


# ---- searches that end early ---------------------------------------------------------------------


def same(a, b):
    for x, y in ((a.best, b.best), (a.last, b.last)):
        np.testing.assert_array_equal(x.ws, y.ws)
        assert x.noises.keys() == y.noises.keys()
        for layer in x.noises:
            np.testing.assert_array_equal(x.noises[layer], y.noises[layer])
    np.testing.assert_array_equal(a.losses, b.losses)
    np.testing.assert_array_equal(a.steps, b.steps)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_search_goes_on_bit_for_bit(error, tmp_path, monkeypatch, rng):
    """Killed in step 8 of 12, when what it held after 7 was on disk; or stopped by Ctrl-C."""
    monkeypatch.setattr(inversion, "SAVE_EVERY", 0 if error is RuntimeError else 1e9)
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (2, 3, 16, 16))
    features = pooled(rng.standard_normal((48, 10)), 4, lambda x: x)
    s, path = Settings("w+", 12, noise=True, samples=100), tmp_path / "state.npz"
    whole = optimise(G, targets, features, s)
    calls = iter(range(100))

    def stopped(images):
        if next(calls) == 8:  # the targets were the first
            raise error
        return features(images)

    if error is RuntimeError:
        with pytest.raises(RuntimeError):
            optimise(G, targets, stopped, s, state=path)
    else:
        early = optimise(G, targets, stopped, s, state=path)
        assert early.done == 7
        np.testing.assert_array_equal(early.losses[:7], whole.losses[:7])
        error = np.mean((early.last.images(G) - targets) ** 2, axis=(1, 2, 3))
        assert (early.losses[-1] > error).all() and (early.steps == 7).all()
    again = optimise(G, targets, features, s, state=path)
    same(again, whole)
    same(optimise(G, targets, features, s, state=path), whole)  # nothing is left to do
    assert path.stat().st_size < 100_000


def test_a_state_of_another_search_is_refused(tmp_path, rng):
    G, targets = small("stylegan2"), rng.uniform(-1, 1, (1, 3, 16, 16))
    s, path = Settings("w", 2, samples=100), tmp_path / "state.npz"
    optimise(G, targets, None, s, state=path)
    for args, word in (
        ((G, targets, None, Settings("w", 3, samples=100)), "settings"),
        ((G, targets + 0.1, None, s), "inputs"),
        ((small("stylegan2", 1), targets, None, s), "network"),
    ):
        with pytest.raises(ValueError, match=rf"state.npz is of a search with other {word}"):
            optimise(*args, state=path)
    files.save(path, {"G": stylegan2.Config(8).build(rng)})
    with pytest.raises(ValueError, match="is not the state of a search"):
        optimise(G, targets, None, s, state=path)


@pytest.mark.parametrize(
    "change, error",
    [
        ({"targets": np.zeros((1, 3, 32, 32))}, r"targets has shape \(1, 3, 32, 32\)"),
        ({"targets": np.zeros((1, 1, 16, 16))}, r"targets has shape \(1, 1, 16, 16\)"),
        ({"targets": np.zeros((0, 3, 16, 16))}, "expected at least one"),
        ({"targets": np.zeros((1, 3, 16, 16), np.float32)}, "targets are float32; expected float64"),
        ({"targets": np.zeros((1, 3, 16, 16), np.uint8)}, "targets is an array of uint8"),
        ({"targets": np.full((1, 3, 16, 16), np.nan)}, "targets holds 768 NaN"),
        ({"start": np.zeros((1, 5, 8))}, r"start has shape \(1, 5, 8\); expected \[1, 6, 8\]"),
        ({"c": np.zeros((1, 3))}, "the network has no labels"),
        ({"G": small("stylegan2, 3 labels")}, r"c is None; expected labels of shape \[1, 3\]"),
    ],
)  # fmt: skip
def test_bad_input(change, error):
    args = {"G": small("stylegan2"), "targets": np.zeros((1, 3, 16, 16)), "features": None}
    with pytest.raises((ValueError, TypeError), match=error):
        optimise(**args | {"settings": Settings("w+", 1, samples=100)} | change)


@pytest.mark.parametrize(
    "settings, error",
    [
        ({"space": "s"}, "space is 's'; expected 'z', 'w', 'w\\+'"),
        ({"steps": 0}, "steps is 0"),
        ({"lr": -1}, "lr is -1"),
        ({"space": "z", "whitened": True}, "expected 'w' or 'w\\+' with whitened or prior"),
        ({"space": "z", "prior": 0.1}, "expected 'w' or 'w\\+' with whitened or prior"),
    ],
)
def test_bad_settings(settings, error):
    with pytest.raises(ValueError, match=error):
        Settings(**settings)

"""Looking for the w of a picture: against the official projector, against answers known by
algebra, and against what a search promises of batches, noise and killed runs."""

import dataclasses
import math
import types

import numpy as np
import pytest

from minigan import autograd, files
from minigan.editing import inversion, space
from minigan.editing.inversion import Settings, optimise
from minigan.networks import base, stylegan1, stylegan2, stylegan3
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
    buffers |= {f"noise_const{i}.noise_const": np.zeros((n, n)) for i, n in enumerate(noise_sizes)}
    return Linear(config, {"mapping.M": M, "A": A, "b": b}, buffers)


@pytest.fixture
def some_linear(rng):
    """4 layers of 6 numbers, 3 × 8 × 8 pixels."""
    M, A, b = (rng.standard_normal(n) for n in ((7, 6), (4, 6, 3, 8, 8), (3, 8, 8)))
    return linear(M, A, b)


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
    import json

    from tests.conftest import GOLDEN

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

"""Tuning a generator to a picture: against the official code, and what must stay as it was."""

import numpy as np
import pytest

from minigan import autograd
from minigan.editing import inversion, tuning
from minigan.editing.inversion import optimise
from minigan.editing.tuning import Locality, Settings, towards, tune
from minigan.networks import stylegan2
from tests.test_inversion import close, linear, pooled, small
from tests.test_stylegan2 import flattened, network


def pti(golden, what):
    """(arrays of the file, G, features, [(case, its arrays)])."""
    d, meta = golden("inversion/pti")
    G = network(stylegan2.Generator, stylegan2.Config(**flattened(meta["G_kwargs"])), d, "G/",
                np.float64)  # fmt: skip
    features = pooled(d["P"].astype(np.float64), meta["pool"], lambda x: x)
    found = []
    for case in (c for c in meta["cases"] if c["what"] == what):
        mine = {k.removeprefix(f"{case['id']}_"): d[k] for k in d.files if k.startswith(case["id"])}
        found.append((case, mine))
    assert found
    return d, G, features, found


def test_where_locality_looks(golden):
    for case, mine in pti(golden, "w_r")[3]:
        ws, others = mine["w_p"].astype(np.float64), mine["w_z"].astype(np.float64)
        found = towards(ws, others, case["alpha"])
        close(found, mine["w_r"], 1e-10)
        assert np.linalg.norm(found - ws) == pytest.approx(case["alpha"])


def test_each_w_has_a_distance_of_its_own(rng):
    ws, others = rng.standard_normal((2, 3, 4, 5))
    assert np.linalg.norm(towards(ws, others, 2.5) - ws, axis=(1, 2)) == pytest.approx(2.5)


HYPER = {
    "max_pti_steps": "steps", "pti_learning_rate": "lr", "pt_l2_lambda": "pixel",
    "pt_lpips_lambda": "perceptual",
}  # fmt: skip


def test_the_official_tuning(golden, monkeypatch):
    """Loss by loss, update by update; in turn where there are several pictures."""
    d, G, features, cases = pti(golden, "tuning")
    for case, mine in cases:
        hyper, n = case["hyper"], case["pictures"]
        local = Locality(
            hyper["regulizer_l2_lambda"], hyper["regulizer_lpips_lambda"], hyper["regulizer_alpha"],
            hyper["latent_ball_num_of_samples"], hyper["locality_regularization_interval"],
        )  # fmt: skip
        s = {HYPER[k]: v for k, v in hyper.items() if k in HYPER} | {"batch": 1}
        s["steps"] *= n
        s["enough"] = hyper["LPIPS_value_threshold"] if n == 1 else 0.0
        s["locality"] = local if hyper["use_locality_regularization"] else None
        z = iter(mine.get("z", ()))
        monkeypatch.setattr(
            tuning, "_draw", lambda seed, which, shape, z=z: np.stack([next(z) for _ in range(shape[0])])
        )  # fmt: skip
        targets, ws = (
            np.concatenate([d[f"{k}{i}"] for i in range(n)]).astype(np.float64)
            for k in ("target", "pivot")
        )
        found = tune(G, targets, ws, features, Settings(**s))
        assert found.updates == case["updates"] and not list(z)
        for name, key in (("loss", "loss"), ("pixel", "l2"), ("perceptual", "lpips")):
            close(found.losses[name], mine[key], 1e-9)
        assert found.losses["locality"] == pytest.approx(mine["ball"], rel=1e-9, abs=1e-12)
        after = {k.removeprefix("G_after/"): a for k, a in mine.items() if k.startswith("G_after/")}
        for name, wanted in after.items():
            close(found.G.params[name], wanted, 1e-9)
        for name in case["unchanged"]:
            assert found.G.params[name] is G.params[name]


def test_the_official_pivot(golden, monkeypatch):
    """Half a tenth of the projector's learning rate, on the same ramp."""
    d, _, _, cases = pti(golden, "pivot")
    for case, mine in cases:
        M, A, b, P = (d[f"linear_{k}"].astype(np.float64) for k in "MAbP")
        G = linear(M, A, b)
        args = case["args"]
        s = inversion.Settings("w", args["num_steps"], 0.01, pixel=0, samples=args["w_avg_samples"])
        monkeypatch.setattr(
            inversion, "_draw", lambda seed, which, shape, mine=mine: mine["w_draws"][which][None]
        )
        close([s.lr_at(i) for i in range(s.steps)], mine["lr"], 1e-10)
        features = pooled(P, case["pool"], lambda x: (x + 1) / 2)
        found = optimise(G, d["linear_target"][None] / 127.5 - 1, features, s)
        close(found.last.ws[0, 0], mine["w"][-1], 1e-9)
        close(found.losses[:-1, 0], mine["dist"], 1e-9)


def test_the_official_locality(golden):
    """Its loss and gradients where the generator has moved, in three arrays."""
    d, G, features, cases = pti(golden, "locality_loss")
    moved = {k.removeprefix("G_tuned/"): d[k].astype(np.float64) for k in d.files
             if k.startswith("G_tuned/")}  # fmt: skip
    for case, mine in cases:
        local = Locality(case["l2_lambda"], case["lpips_lambda"], case["alpha"], case["num_z"])
        near = tuning._near(G, mine["w_p"].astype(np.float64), None, mine["z"], local, features)
        close(near[0], mine["w_r"], 1e-10)

        def loss(params, near=near, local=local):
            return tuning._stay(G.replace(params=params), near, local, features)

        value, grads = autograd.value_and_grad(loss)(G.params | moved)
        close(value, mine["loss"], 1e-10)
        wanted = {k.removeprefix("grad/"): a for k, a in mine.items() if k.startswith("grad/")}
        assert wanted
        for name, gradient in wanted.items():
            assert np.abs(grads[name] - gradient).max() <= 1e-9 * np.abs(gradient).max() + 1e-12
        assert all(np.all(grads[name] == 0) for name in case["no_gradient"])


@pytest.fixture
def apart():
    """(G, features, a target that G does not draw, its pivot, other pictures' ws)."""
    G, P = small("stylegan2"), np.random.default_rng(1).standard_normal((48, 10)) / 10
    features = pooled(P, 4, lambda x: x)
    z = np.random.default_rng(2).standard_normal((18, G.z_dim))
    ws = G.mapping(z)
    target = G.synthesis(ws[:2]) + 0.3 * small("stylegan2", 5).synthesis(ws[:2])
    return G, features, target, ws[:2], ws[2:]


def test_tuning_draws_the_target_and_the_mapping_stays(apart):
    G, features, target, ws, _ = apart
    before = {name: a.copy() for name, a in G.params.items()}
    given = ws.copy()
    found = tune(G, target, ws, features, Settings(40, 0.003))
    first = np.mean((G.synthesis(ws) - target) ** 2)
    assert found.losses["pixel"][0] == pytest.approx(first)
    assert np.mean((found.G.synthesis(ws) - target) ** 2) < 0.4 * first
    np.testing.assert_array_equal(ws, given)
    for name, a in before.items():
        np.testing.assert_array_equal(G.params[name], a)
        same = np.array_equal(found.G.params[name], a)
        assert same == name.startswith("mapping."), name
    assert found.updates == len(found.losses["loss"]) == 40


def test_it_stops_when_all_targets_are_near_enough(apart):
    G, features, target, ws, _ = apart
    all_steps = tune(G, target, ws, features, Settings(40, 3e-4))
    eyes = [
        np.sum((features(tune(G, target, ws, features, Settings(n, 3e-4)).G.synthesis(ws))
                - features(target)) ** 2, axis=1).max() for n in (5, 6)
    ]  # fmt: skip
    found = tune(G, target, ws, features, Settings(40, 3e-4, enough=eyes[1] * (1 + 1e-9)))
    assert eyes[0] > eyes[1] > all_steps.losses["perceptual"][-1]
    assert found.updates == 6 and len(found.losses["loss"]) == 7
    in_turn = Settings(40, 3e-4, enough=eyes[1], batch=1)
    assert 6 < tune(G, target, ws, features, in_turn).updates < 40


def test_targets_take_turns(rng):
    """Two of three for each update: 0 1, 2 0, 1 2.  At a learning rate of 0 each has one loss."""
    G, features = small("stylegan2"), pooled(rng.standard_normal((48, 10)), 4, lambda x: x)
    ws, targets = G.mapping(rng.standard_normal((3, 8))), rng.uniform(-1, 1, (3, 3, 16, 16))
    found = tune(G, targets, ws, features, Settings(3, 0.0, batch=2))
    each = np.mean((G.synthesis(ws) - targets) ** 2, axis=(1, 2, 3))
    wanted = [each[[0, 1]].mean(), each[[2, 0]].mean(), each[[1, 2]].mean()]
    np.testing.assert_allclose(found.losses["pixel"], wanted)


def test_locality_holds_other_pictures(apart):
    """As far as others move without it; nearer to the pivot they move less with it."""
    G, features, target, ws, others = apart
    moved = {}
    for weight in (0.0, 1.0):
        local = Locality(weight, weight, samples=4) if weight else None
        tuned = tune(G, target, ws, features, Settings(40, 0.003, locality=local))
        moved[weight] = np.mean((tuned.G.synthesis(others) - G.synthesis(others)) ** 2)
        assert (tuned.losses["locality"][1:] > 1e-9).all() == bool(weight)
    assert tuned.losses["locality"][0] < 1e-20
    assert moved[1.0] < 0.8 * moved[0.0]


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2, 3 labels", "stylegan3"])
def test_every_generator_can_be_tuned(name, rng):
    G, features = small(name), pooled(rng.standard_normal((48, 10)) / 10, 4, lambda x: x)
    c = np.eye(3)[[0, 2]] if G.c_dim else None
    ws = G.mapping(rng.standard_normal((2, 8)), c)
    target = G.synthesis(ws) + 0.1
    s = Settings(6, 3e-4, locality=Locality(interval=2))
    found = tune(G, target, ws, features, s, c)
    assert found.losses["loss"][-1] < found.losses["loss"][0]
    fixed = [k for k in G.params if k.startswith(("mapping.", "synthesis.input."))]
    assert all(found.G.params[name] is G.params[name] for name in fixed)


def test_ctrl_c_keeps_what_there_is(apart):
    G, features, target, ws, _ = apart
    calls = iter(range(100))

    def interrupted(images):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return features(images)

    found = tune(G, target, ws, interrupted, Settings(40, 0.003))
    assert found.updates == 3
    wanted = tune(G, target, ws, features, Settings(3, 0.003))
    for name, a in wanted.G.params.items():
        np.testing.assert_array_equal(found.G.params[name], a)


@pytest.mark.parametrize(
    "change, error",
    [
        ({"ws": np.zeros((2, 5, 8))}, r"ws has shape \(2, 5, 8\)"),
        ({"targets": np.zeros((3, 3, 16, 16))}, r"targets has shape \(3, 3, 16, 16\)"),
        ({"targets": np.full((2, 3, 16, 16), np.nan)}, "targets holds 1536 NaN"),
        ({"c": np.zeros((2, 3))}, "the network has no labels"),
    ],
)
def test_bad_input(apart, change, error):
    G, features, target, ws, _ = apart
    with pytest.raises(ValueError, match=error):
        tune(**{"G": G, "targets": target, "ws": ws, "features": features} | change)
    for settings in ({"steps": 0}, {"lr": -1.0}, {"batch": 0}):
        with pytest.raises(ValueError, match="expected"):
            Settings(**settings)

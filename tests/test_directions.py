"""Directions: against the official code, other libraries, and what was planted."""

import collections
import dataclasses
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from minigan import files
from minigan.editing import directions, stylespace
from minigan.editing.directions import Direction, edit, extremes, in_w, svm
from minigan.editing.space import statistics
from minigan.networks import stylegan2
from tests.official_file import payload, standing_in
from tests.test_inversion import SMALL, linear, small

NETWORKS = ("stylegan1", "stylegan2", "stylegan3")


def cases(golden, name, what=None):
    """[(case, its arrays)], and all arrays."""
    d, meta = golden(f"editing/{name}")
    found = [c for c in meta["cases"] if what in (None, c.get("what"))]
    assert found
    return d, [(c, {k[4:]: d[k] for k in d.files if k.startswith(c["id"] + "_")}) for c in found]


# ---- golden --------------------------------------------------------------------------------------


def test_who_trains_the_official_boundary(golden):
    """The rows exactly, and from them scikit-learn's SVC the official boundary."""
    from sklearn.svm import SVC

    for case, mine in cases(golden, "interfacegan", "train_boundary")[1]:
        scores = mine["scores"].astype(np.float64).ravel()
        if case["invalid_value"] is not None:
            scores[scores == case["invalid_value"]] = np.nan
        known = np.flatnonzero(np.isfinite(scores))
        rows = np.arange(len(scores)) if len(known) == len(mine["order_high_to_low"]) else known
        assert len(known) == case["n"] or case["invalid_value"] is not None
        train, held = extremes(
            scores, case["chosen_num_or_ratio"], case["split_ratio"], case["numpy_seed"]
        )
        assert len(rows) and np.array_equal(train, mine["train"])
        assert np.array_equal(held, mine["val"])
        high = np.arange(len(train)) < len(train) // 2
        assert np.array_equal(high, mine["train_label"].astype(bool))
        fitted = SVC(kernel="linear", C=case["svm"]["C"]).fit(mine["w"][train], high)
        normal = fitted.coef_[0] / np.linalg.norm(fitted.coef_)
        assert normal @ mine["boundary"].ravel() > 1 - 1e-6


def test_conditions(golden):
    for case, mine in cases(golden, "interfacegan", "project_boundary")[1]:
        others = mine.get("conditions", np.zeros((0, case["D"]))).reshape(-1, case["D"])
        assert len(others) == case["conditions"]
        primal = mine["primal"].ravel()
        got = directions.condition(primal, list(others))
        exact = 1e-7 if len(others) == 2 else 1e-12  # theirs has an epsilon there
        np.testing.assert_allclose(got, mine["projected"].ravel(), atol=exact)
        if len(others):
            np.testing.assert_allclose(others @ got, 0, atol=1e-12)
    np.testing.assert_allclose(  # the same condition twice
        directions.condition(primal, [others[0]] * 3), directions.condition(primal, others[:1])
    )
    with pytest.raises(ValueError, match="lies within"):
        directions.condition(others[0] + others[1], others)


def test_adding_is_what_is_official_for_w_plus(golden):
    """[1, L, D] adds: the last code of theirs is the first moved along all layers."""
    for case, mine in cases(golden, "interfacegan", "linear_interpolate")[1]:
        if len(case["shape"]) == 2:
            continue
        _, num_ws, w_dim = case["shape"]
        G = linear(np.eye(w_dim), np.zeros((num_ws, w_dim, 1, 8, 8)), np.zeros((1, 8, 8)))
        d = Direction("n", "w", mine["boundary"].ravel().astype(np.float64), G.fingerprint,
                      tuple(range(num_ws)))  # fmt: skip
        for alpha, wanted in zip(
            np.linspace(case["start_distance"], case["end_distance"], case["steps"]),
            mine["edited"], strict=True,
        ):  # fmt: skip
            same, ws = edit(G, mine["w"].astype(np.float64), d, float(alpha))
            assert same is G
            np.testing.assert_allclose(ws[0], wanted, atol=1e-6)


def test_sefa_is_the_official_one(golden):
    d, found = cases(golden, "sefa")
    for case, mine in found:
        prefix = f"r{case['resolution']}_affine/"
        values, vectors = directions.factorise(d[prefix + n] for n in case["concatenated"])
        np.testing.assert_allclose(values, mine["values"], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(vectors, mine["directions"], atol=1e-9)
        if case["variant"] == "sefa":  # which layers: of a network whose affine weights are these
            assert chosen(case) == case["concatenated"]


def chosen(case):
    config = dataclasses.replace(SMALL["stylegan2"], img_resolution=case["resolution"])
    some = [a for a in stylespace.layers(config.build(np.random.default_rng(0)))
            if a.index in case["layers"]]  # fmt: skip
    return [a.name for a in some if not a.rgb or a.index == len(config.conv_layers)]


def test_the_papers_score_of_channels(golden):
    for case, mine in cases(golden, "stylespace", "attribute_channels")[1]:
        w = mine["w"].astype(np.float64)
        s = np.concatenate([
            w @ mine[f"affine_weight/{i}"].T.astype(np.float64) + mine[f"affine_bias/{i}"]
            for i in range(len(case["widths"]))
        ], axis=1)  # fmt: skip
        mean, std = s.mean(axis=0), s.std(axis=0)
        np.testing.assert_allclose(mean, mine["mean"], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(std, mine["std"], rtol=1e-12)
        got = stylespace.scores(s[mine["positives"]], mean, std)
        flat = mine["flat_index_of_all"]
        np.testing.assert_allclose(got, mine["signal_to_noise"], rtol=1e-10)
        assert np.array_equal(np.argsort(-got), flat)


# ---- against other libraries, and planted --------------------------------------------------------


@pytest.fixture
def planted(rng):
    """(w [4000, 8] of very different widths, unit n, scores w·n with some noise)."""
    M = np.linalg.qr(rng.standard_normal((8, 8)))[0] * np.geomspace(2, 0.1, 8)
    M = M @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    n = rng.standard_normal(8)
    n /= np.linalg.norm(n)
    w = rng.standard_normal((4000, 8)) @ M + rng.standard_normal(8)
    return w, n, w @ n + 0.05 * rng.standard_normal(len(w)), M


def test_planted_directions_are_found_where_the_difference_of_means_fails(planted):
    w, n, scores, M = planted
    space = statistics(linear(M, np.zeros((1, 8, 1, 8, 8)), np.zeros((1, 8, 8))))
    for normal, right in (svm(w, scores, 0.5, 1.0), svm(w, scores, space=space)):
        assert normal @ n > 0.9 and min(right.values()) > 0.9
    assert directions.ridge(w, scores) @ n > 0.99
    assert abs(directions.difference(w, scores) @ n) < 0.6
    unlabelled = np.where(np.arange(len(w)) % 3 == 0, np.nan, scores)
    assert directions.ridge(w, unlabelled) @ n > 0.99
    assert svm(w, -unlabelled, 0.5, 1.0)[0] @ n < -0.9


def test_a_cut_leaves_what_is_narrow_out(planted):
    w, _, scores, M = planted
    space = statistics(linear(M, np.zeros((1, 8, 1, 8, 8)), np.zeros((1, 8, 8))))
    normal = svm(w, scores, space=space, keep=3)[0]
    np.testing.assert_allclose(space.components[:, 3:].T @ normal, 0, atol=1e-12)
    assert np.linalg.norm(space.components[:, :3].T @ normal) == pytest.approx(1)


def test_rows_twice_change_nothing(planted):
    w, _, scores, _ = planted
    once = svm(w, scores, 0.5, 1.0)[0]
    twice = svm(np.repeat(w, 2, axis=0), np.repeat(scores, 2), 0.5, 0.5)[0]
    assert once @ twice > 0.999  # but for which are held out


def test_yes_and_no_are_never_mixed(rng):
    """300 labels, 20 of them yes, some not known."""
    scores = np.zeros(300)
    scores[rng.permutation(300)[:20]] = 1
    scores[::7] = np.nan
    for share in (0.5, 100):
        train, held = extremes(scores, share)
        high, low = np.split(train, 2)
        assert (scores[high] == 1).all() and (scores[low] == 0).all()
        assert len(train) + len(held) == 2 * int(np.nansum(scores))
    for bad in (np.full(9, np.nan), np.ones(9), [0.0, 1.0]):
        with pytest.raises(ValueError, match="extremes"):
            extremes(np.array(bad))


def test_ridge_is_scikit_learns(planted):
    from sklearn.linear_model import RidgeCV

    w, _, scores, _ = planted
    x = (w - w.mean(axis=0)) / np.sqrt(np.mean((w - w.mean(axis=0)) ** 2))
    theirs = RidgeCV(np.geomspace(1e-6, 1e3, 28) * len(x)).fit(x, scores).coef_
    assert directions.ridge(w, scores) @ theirs / np.linalg.norm(theirs) > 1 - 1e-6


def test_principal_components_are_scikit_learns(planted):
    from sklearn.decomposition import PCA

    _, _, _, M = planted
    G = linear(M, np.zeros((3, 8, 1, 8, 8)), np.zeros((1, 8, 8)))
    w = G.mapping(np.random.RandomState(123).randn(10_000, 8))[:, 0]
    theirs = PCA(5).fit(w)
    found = directions.components(G, 5, layers=[0, 2])
    for d, v, width, share in zip(
        found, theirs.components_, theirs.explained_variance_, theirs.explained_variance_ratio_,
        strict=True,
    ):  # fmt: skip
        assert abs(d.vector @ v) > 1 - 1e-8 and d.vector[np.abs(d.vector).argmax()] > 0
        assert d.sigma == pytest.approx(np.sqrt(width), rel=1e-3)
        assert d.details["share"] == pytest.approx(share) and d.layers == (0, 2)
    assert sum(d.details["share"] for d in directions.components(G, 99)) == pytest.approx(1)


def test_sefa_of_a_network(rng):
    """NumPy's SVD of rows of length 1; what was planted first; of StyleGAN3 too."""
    G = small("stylegan2")
    n = rng.standard_normal(8)
    params = {k: a + 3 * rng.standard_normal((len(a), 1)) * n if "affine.weight" in k else a
              for k, a in G.params.items()}  # fmt: skip
    G = G.replace(params=params)
    rows = np.concatenate([a for k, a in params.items() if k.endswith("affine.weight")
                           and ("conv" in k or "b16.torgb" in k)])  # fmt: skip
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    _, sizes, theirs = np.linalg.svd(rows)
    found = directions.sefa(G, 3)
    for d, size, v in zip(found, sizes, theirs, strict=False):
        assert abs(d.vector @ v) > 1 - 1e-12
        assert d.details["eigenvalue"] == pytest.approx(size**2)
    assert abs(found[0].vector @ n) > 0.95 * np.linalg.norm(n)
    scaled = {k: a * np.arange(1, len(a) + 1)[:, None] if "affine.weight" in k else a
              for k, a in params.items()}  # fmt: skip
    again = directions.sefa(G.replace(params=scaled), 3)
    np.testing.assert_allclose(again[2].vector, found[2].vector, atol=1e-9)
    assert len(directions.sefa(small("stylegan3"), 2, [1, 2])) == 2
    with pytest.raises(ValueError, match="expected some from 0 to 5"):
        directions.sefa(G, 3, [9])


def test_the_sign_is_what_generating_says(rng):
    G = small("stylegan2")
    ws = G.mapping(rng.standard_normal((16, 8)))
    d = in_w(G, rng.standard_normal(8), "d", "random")

    def read(images):
        return images.mean(axis=(1, 2, 3))

    up, down = (np.mean(read(G.synthesis(edit(G, ws, d, a)[1]))) for a in (1.0, -1.0))
    gain = up - down
    turned = directions.facing(G, d, lambda x: -np.sign(gain) * read(x), ws)
    np.testing.assert_array_equal(turned.vector, -d.vector)
    assert directions.facing(G, turned, lambda x: -np.sign(gain) * read(x), ws) is turned
    s = Direction("s", "s", {"b8.conv1": {2: 1.5}}, G.fingerprint)
    one, other = (directions.facing(G, s, lambda x, sign=sign: sign * read(x), ws).vector
                  for sign in (1, -1))  # fmt: skip
    assert {one["b8.conv1"][2], other["b8.conv1"][2]} == {1.5, -1.5}


# ---- S -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_take_the_w_that_they_say(name, rng):
    """Each layer's styles change with its own w only; the numbers are all there, once."""
    G = small(name)
    found = stylespace.layers(G)
    assert (
        len(stylespace.names(G)) == len(set(stylespace.names(G))) == sum(a.channels for a in found)
    )
    assert [a.index for a in found if a.rgb] == {
        "stylegan1": [], "stylegan2": [1, 3, 5], "stylegan3": [5]}[name]  # fmt: skip
    ws = G.mapping(rng.standard_normal((1, 8)))
    for a in found:
        for i in range(G.num_ws):
            there = np.array(ws)
            there[:, i] += 1
            key, other = f"synthesis.{a.name}.affine", G.replace(params=silent(G, a.name))
            same = np.array_equal(other.synthesis(there), other.synthesis(ws))
            assert same is (i != a.index), (key, i)


def silent(G, name):
    """Parameters of which only this layer's affine map looks at w."""
    return {k: 0 * a if k.endswith("affine.weight") and f".{name}." not in k else a
            for k, a in G.params.items()}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_an_edit_of_biases_is_an_edit_of_styles(name, rng, monkeypatch):
    """Against a generator whose affine layers' outputs are changed where they come out."""
    G = small(name)
    layer = next(a for a in stylespace.layers(G) if a.index == 2)
    d = Direction("d", "s", {layer.name: {3: -2.0, 1: 0.5}}, G.fingerprint, sigma=1.5)
    ws = G.mapping(rng.standard_normal((3, 8)))
    edited, same = edit(G, ws, d, 2.0)
    assert (
        same is ws
        and edited.config == G.config
        and not np.array_equal(edited.synthesis(ws), G.synthesis(ws))
    )
    got = edited.synthesis(ws)
    module = sys.modules[type(G).__module__]
    word = "_dense" if name == "stylegan1" else "dense"
    real = getattr(module, word)

    def moved(params, key, w):
        s = real(params, key, w)
        if key == f"synthesis.{layer.name}.affine":
            s = s + 3 * np.array([0, 0.5, 0, -2.0] + [0] * (s.shape[1] - 4))
        return s

    monkeypatch.setattr(module, word, lambda params, key, *args: real(params, key, *args)
                        if ".affine" not in key else moved(params, key, *args))  # fmt: skip
    np.testing.assert_allclose(got, G.synthesis(ws), atol=1e-12)


def test_of_torgb_the_convolution_sees_a_step_over_the_root_of_c(rng, monkeypatch):
    G = small("stylegan2")
    ws, real = G.mapping(rng.standard_normal((2, 8))), stylegan2.layers._modulated_conv2d
    seen = []

    def conv(x, weight, styles, **kwargs):
        if not kwargs.get("demodulate", True):
            seen.append(styles)
        return real(x, weight, styles, **kwargs)

    monkeypatch.setattr(stylegan2.layers, "_modulated_conv2d", conv)
    channels = next(a for a in stylespace.layers(G) if a.name == "b16.torgb").channels
    d = Direction("d", "s", {"b16.torgb": {0: channels**0.5}}, G.fingerprint)
    G.synthesis(ws)
    before = seen.pop()
    edited, _ = edit(G, ws, d, 0.25)
    edited.synthesis(ws)
    np.testing.assert_allclose(seen[-1] - before, [[0.25] + [0] * (channels - 1)] * 2, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_effects_of_channels_are_the_derivatives(name, rng):
    """Against finite differences of edits, picture by picture."""
    G = small(name)
    A = rng.standard_normal((3, 3 * 16 * 16)) / 30
    ws = G.mapping(rng.standard_normal((5, 8)))
    ws = ws + 0.1 * rng.standard_normal(ws.shape)

    def read(images):
        return np.tanh(np.reshape(images, (len(images), -1)) @ A.T)

    # StyleGAN3's styles know of each other in a batch; one by one they do not.
    got = stylespace.effects(G, read, ws, batch=1 if name == "stylegan3" else 3)
    std, names = stylespace.spread(G)[1], stylespace.names(G)
    unit = np.concatenate([read(G.synthesis(w[None])) for w in ws]).std(axis=0)
    for c in rng.permutation(len(names))[:12]:
        layer, channel = names[c]
        d = Direction(
            "d", "s", {layer: {int(channel): 1.0}}, G.fingerprint, sigma=float(std[c]) + 1e-9
        )
        up, down = (
            np.concatenate([read(g.synthesis(w[None])) for w in ws])
            for g in (edit(G, ws, d, a)[0] for a in (1e-7, -1e-7))
        )
        E = (up - down) / 2e-7 / unit  # [5, 3]
        np.testing.assert_allclose(got.mean[:, c], E.mean(axis=0), atol=1e-5)
        share = np.abs(E.mean(axis=0)) / np.sqrt(np.sum(np.mean(E**2, axis=0)))
        np.testing.assert_allclose(got.selectivity[:, c], share, atol=1e-4)
        np.testing.assert_allclose(got.consistency[:, c], E.mean(axis=0) / E.std(axis=0), rtol=1e-3)
    assert got.selectivity.max() <= 1
    rgb = np.concatenate([np.full(a.channels, a.rgb) for a in stylespace.layers(G)])
    without = stylespace.effects(G, read, ws, rgb=False, batch=1 if name == "stylegan3" else 3)
    assert not without.mean[:, rgb].any() and without.mean[:, ~rgb].any()
    np.testing.assert_allclose(without.mean[:, ~rgb], got.mean[:, ~rgb])


def test_effects_find_the_channel_that_was_planted(rng):
    """The last toRGB looks at one channel, and no other toRGB at any."""
    G = small("stylegan2")
    weight = np.zeros_like(G.params["synthesis.b16.torgb.weight"])
    weight[:, 2] = 1
    params = {k: 0 * a if "torgb.weight" in k else a for k, a in G.params.items()}
    G = G.replace(params=params | {"synthesis.b16.torgb.weight": weight})
    ws = G.mapping(rng.standard_normal((4, 8)))
    found = stylespace.effects(G, lambda x: np.mean(x, axis=(2, 3)), ws)
    rgb = [c for c, (name, _) in enumerate(stylespace.names(G)) if "torgb" in name]
    active = [stylespace.names(G)[c] for c in rgb if np.abs(found.mean[:, c]).max() > 0]
    assert active == [("b16.torgb", 2)]


# ---- the type and its file -----------------------------------------------------------------------


def some(G):
    w = in_w(G, np.arange(1.0, 9), "w", "svm", [1, 3], 12, accuracy_all=0.75)
    full = dataclasses.replace(
        w, name="measured", factor="smile", effect=0.2, reach=(-1.0, 2.0), strict=(-2.0, 1.5),
        loose=(-3.0, 4.0), side_effects={"yaw": 0.1}, reader="abc", identity="def",
    )  # fmt: skip
    s = Direction("s", "s", {"b8.conv1": {2: 1.5, 0: -1.0}}, G.fingerprint, sigma=0.5)
    return w, full, s


def test_a_file_gives_back_what_was_saved(tmp_path, rng):
    G = small("stylegan2")
    wanted = some(G)
    directions.save(tmp_path / "d.npz", *wanted)
    found = directions.read(tmp_path / "d.npz")
    assert list(found) == ["w", "measured", "s"]
    ws = G.mapping(rng.standard_normal((2, 8)))
    for d in wanted:
        a, b = vars(d).copy(), vars(found[d.name]).copy()
        assert np.array_equal(a.pop("vector"), b.pop("vector")) and a == b
        one, other = (
            g.synthesis(there) for g, there in (edit(G, ws, x, 1.5) for x in (d, found[d.name]))
        )
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="different names"):
        directions.save(tmp_path / "d.npz", wanted[0], wanted[0])


def test_what_is_moved_is_the_named_layers_by_sigma(rng):
    G = small("stylegan2")
    ws, (w, *_) = G.mapping(rng.standard_normal((2, 8))), some(G)
    assert np.linalg.norm(w.vector) == pytest.approx(1)
    samples = G.mapping(rng.standard_normal((20_000, 8)))[:, 0]
    assert w.sigma == pytest.approx(np.std(samples @ w.vector), rel=0.03)
    moved = edit(G, ws, w, -2.0)[1] - ws
    np.testing.assert_allclose(moved[:, [0, 2, 4, 5]], 0)
    np.testing.assert_allclose(moved[:, [1, 3]] - -2 * w.sigma * w.vector, 0, atol=1e-12)
    rows = dataclasses.replace(w, vector=rng.standard_normal((6, 8)))
    moved = edit(G, ws, rows, 1.0)[1] - ws
    np.testing.assert_allclose(moved[0, [1, 3]], w.sigma * rows.vector[[1, 3]], atol=1e-12)


def test_another_generator_is_refused(rng):
    G, other = small("stylegan2"), small("stylegan2", seed=1)
    ws = G.mapping(rng.standard_normal((1, 8)))
    for d in some(G):
        with pytest.raises(ValueError, match="expected the same"):
            edit(other, ws, d, 1.0)
        edit(other, ws, d, 1.0, anyway=True)
        with pytest.raises(ValueError, match="has none such"):
            edit(small("stylegan3"), ws, dataclasses.replace(
                d, **({"layers": (99,)} if d.space == "w" else {})), 1.0, anyway=True)  # fmt: skip
    with pytest.raises(ValueError, match="alpha"):
        edit(G, ws, some(G)[0], float("nan"))


@pytest.mark.parametrize("change", [
    {"space": "z"}, {"name": ""}, {"sigma": 0.0}, {"sigma": float("nan")}, {"n": -1},
    {"vector": np.full(8, np.nan)}, {"vector": np.zeros((1, 2, 3))}, {"vector": {}}, {"layers": ()},
    {"layers": (1.5,)}, {"layers": (-1,)}, {"details": {"a": "b"}}, {"side_effects": {"a": None}},
    {"strict": "far"}, {"space": "s"}, {"space": "s", "layers": (), "vector": {"a": {-1: 1.0}}},
    {"space": "s", "layers": (), "vector": {"a": {1: float("inf")}}},
], ids=repr)  # fmt: skip
def test_bad_directions_are_refused(change):
    d = some(small("stylegan2"))[0]
    with pytest.raises((ValueError, TypeError)):
        dataclasses.replace(d, **change)


def test_other_files_are_no_directions(tmp_path):
    d = some(small("stylegan2"))[0]
    about = {k: v for k, v in vars(d).items() if k != "vector"}
    for i, (arrays, meta) in enumerate([
        ({}, {}), ({}, {"directions": 5}), ({}, {"directions": [about]}),
        ({"vector/0": d.vector}, {"directions": [about | {"sigma": "x"}]}),
        ({"vector/0": d.vector}, {"directions": [about | {"more": 1}]}),
        ({}, {"directions": [about | {"space": "s", "vector": {"a": {"b": 1}}, "layers": []}]}),
    ]):  # fmt: skip
        files.save(tmp_path / f"{i}.npz", {}, arrays, **meta)
        with pytest.raises(ValueError, match="does not hold directions"):
            directions.read(tmp_path / f"{i}.npz")


# ---- other people's ------------------------------------------------------------------------------


def torch_tensor(array, zipped):
    """The bytes that `torch.save` writes of a float32 tensor; of two if array is a list."""
    arrays = array if isinstance(array, list) else [array]
    with standing_in() as stand_in:

        class Tensor:
            def __init__(self, a):
                self.a, self.key = a, object()

            def __reduce__(self):
                shape = self.a.shape
                strides = tuple(s // self.a.itemsize for s in self.a.strides)
                return stand_in["_rebuild_tensor_v2"], (
                    self.key, 0, shape, strides, False, collections.OrderedDict())  # fmt: skip

        tensors = [Tensor(np.ascontiguousarray(a, np.float32)) for a in arrays]
        keys = {id(t.key): ("storage", stand_in["FloatStorage"], str(i), "cpu", t.a.size)
                + (() if zipped else (None,)) for i, t in enumerate(tensors)}  # fmt: skip
        inner = io.BytesIO()
        pickler = pickle.Pickler(inner, 2)
        pickler.persistent_id = lambda value: keys.get(id(value))
        pickler.dump(tensors if len(tensors) > 1 else tensors[0])
        if not zipped:
            whole = payload(tensors[0].a, stand_in)
            head = whole[: whole.index(b"FloatStorage")]
            head = head[: head.rindex(b"\x80\x02")]  # the three pickles before the storage
            tail = pickle.dumps(["0"], 2) + struct.pack("<q", tensors[0].a.size)
            return head + inner.getvalue() + tail + tensors[0].a.tobytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("age/data.pkl", inner.getvalue())
        archive.writestr("age/byteorder", "little")
        for i, t in enumerate(tensors):
            archive.writestr(f"age/data/{i}", t.a.tobytes())
        archive.writestr("age/version", "3\n")
    return out.getvalue()


@pytest.mark.parametrize("form", ["npy", "zipped", "legacy"])
def test_directions_of_other_people(form, tmp_path, rng):
    G = small("stylegan2")
    ws = G.mapping(rng.standard_normal((2, 8)))
    for shape in ((8,), (1, 8), (6, 8)):
        n, path = rng.standard_normal(shape).astype(np.float32), tmp_path / "n.anything"
        if form == "npy":
            with open(path, "wb") as file:
                np.save(file, n)
        else:
            path.write_bytes(torch_tensor(n, form == "zipped"))
        assert np.array_equal(files.read_array(path), n)
        d = directions.read_foreign(path, G, "age")
        np.testing.assert_allclose(edit(G, ws, d, 2.0)[1] - ws - 2.0 * n, 0, atol=1e-6)
        whole = path.read_bytes()
        for cut in (0, 5, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:cut])
            with pytest.raises(ValueError, match="no .npy, and no .pt"):
                files.read_array(path)
    np.save(tmp_path / "m.npy", np.zeros((5, 8)))
    with pytest.raises(ValueError, match="none such"):
        directions.read_foreign(tmp_path / "m.npy", G, "age")


def test_nothing_is_run_and_nothing_else_is_read(tmp_path):
    bad = {
        "two": torch_tensor([np.zeros(3), np.ones(3)], True),
        "objects": b"",
        "code": pickle.dumps(types.SimpleNamespace, 2),
        "words": b"hello",
    }
    out = io.BytesIO()
    np.save(out, np.array([{}], object), allow_pickle=True)
    bad["objects"] = out.getvalue()
    out = io.BytesIO()
    np.save(out, np.array(["a"]))
    bad["letters"] = out.getvalue()
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="no .npy, and no .pt"):
            files.read_array(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        files.read_array(tmp_path / "none")

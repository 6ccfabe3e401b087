"""StyleGAN3 against the official networks, loaded by name, and against its own derivatives."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from minigan import autograd
from minigan.networks import stylegan3
from tests.test_stylegan2 import close, load

GOLDEN = pathlib.Path(__file__).parent / "golden" / "stylegan3"
GENERATORS = sorted(GOLDEN.glob("generator_*.npz"))
INPUTS = sorted(GOLDEN.glob("synthesis_input_*.npz"))
DTYPE = pytest.mark.parametrize("dtype", [np.float64, np.float32])
TINY = stylegan3.Config(
    img_resolution=16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_layers=3,
    num_critical=1, margin_size=2, filter_size=4,
)  # fmt: skip


def official(path, dtype):
    return load(path, stylegan3.Generator, stylegan3.Config, "G_kwargs", "G/", dtype)


@pytest.mark.parametrize("path", GENERATORS, ids=lambda p: p.stem)
def test_every_layer_has_the_official_rates_and_filters(path):
    d = dict(np.load(path))
    meta = json.loads(str(d["meta_json"]))
    config = stylegan3.Config(**meta["G_kwargs"])
    (channels, rate, size), found = stylegan3.schedule(config)
    assert meta["input"] == {
        "bandwidth": config.first_cutoff, "channels": channels, "sampling_rate": rate,
        "size": [size, size],
    }  # fmt: skip
    assert len(found) == len(meta["layers"]) == config.num_layers + 1
    for layer, theirs in zip(found, meta["layers"], strict=True):
        ours = {
            "name": layer.name, "in_channels": layer.in_channels, "up_factor": layer.up,
            "out_channels": layer.out_channels, "down_factor": layer.down,
            "in_sampling_rate": layer.in_rate, "out_sampling_rate": layer.out_rate,
            "tmp_sampling_rate": layer.middle_rate, "up_taps": layer.up_taps,
            "down_taps": layer.down_taps, "padding": [*layer.padding] * 2,
            "in_size": [layer.in_size] * 2, "out_size": [layer.out_size] * 2,
            "is_critically_sampled": layer.critical, "is_torgb": layer.torgb,
            "conv_kernel": layer.kernel,
        }  # fmt: skip
        assert ours == {name: theirs[name] for name in ours}
        for name in ("in_cutoff", "out_cutoff", "in_half_width", "out_half_width"):
            assert getattr(layer, name) == pytest.approx(theirs[name], rel=1e-12)
        radial = config.use_radial_filters and not layer.critical
        for way, f in (
            ("up_filter", layer.up_filter()), ("down_filter", layer.down_filter(radial)),
        ):  # fmt: skip
            key = f"synthesis.{layer.name}.{way}"
            if layer.torgb:
                assert f is None and f"G/{key}" not in d
                continue
            assert f.ndim == (2 if radial and way == "down_filter" else 1)
            np.testing.assert_allclose(f, d[f"design_f64/{key}"], rtol=1e-9, atol=1e-13)
            np.testing.assert_allclose(f.astype(np.float32), d[f"G/{key}"], rtol=1e-5, atol=1e-8)


@DTYPE
@pytest.mark.parametrize("path", GENERATORS, ids=lambda p: p.stem)
def test_the_generator_is_the_official_one(path, dtype):
    G, d = official(path, dtype)
    z = d["z"].astype(dtype)
    c = d["c"].astype(dtype) if G.c_dim else None
    ws = G.mapping(z, c)
    close(ws, np.repeat(d["w_psi1"][:, None], G.num_ws, axis=1), dtype)
    close(G.mapping(z, c, 0.7, 3), d["ws_psi0.7_cutoff3"], dtype)
    close(G(z, c), d["img_psi1"], dtype)
    if "ws_random" in d:
        close(G.synthesis(d["ws_random"].astype(dtype)), d["img_ws_random"], dtype)
    # The file holds the inverse, as the buffer does.
    moved = G.transformed(np.linalg.inv(d["transform_A"].astype(np.float64)))
    key = "synthesis.input.transform"
    np.testing.assert_allclose(moved.buffers[key], d["transform_A"], atol=1e-7)
    moved = G.replace(buffers=G.buffers | {key: d["transform_A"].astype(dtype)})
    close(moved(z, c, 0.8), d["img_psi0.8_transform_A"], dtype)


@DTYPE
@pytest.mark.parametrize("path", GENERATORS, ids=lambda p: p.stem)
def test_mean_squares_move_as_the_official_ones(path, dtype):
    G, d = official(path, dtype)
    c = d["c"].astype(dtype) if G.c_dim else None
    ws = G.mapping(d["z"].astype(dtype), c)
    _, changed = stylegan3.synthesis(G.params, G.buffers, G.config, ws, update_emas=True)
    wanted = {k.removeprefix("after_update_emas/"): v for k, v in d.items() if "after_upd" in k}
    w_avg = wanted.pop("mapping.w_avg")
    assert changed.keys() == wanted.keys()
    for name, value in wanted.items():
        assert abs(changed[name] - value) < (1e-10 if dtype == np.float64 else 1e-5) * value
    mean = ws[:, 0].mean(axis=0)
    close(mean + 0.998 * (G.w_avg - mean), w_avg, dtype)
    assert all(np.array_equal(G.buffers[k], official(path, dtype)[0].buffers[k]) for k in changed)


@DTYPE
@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.stem)
def test_the_input_is_the_official_one(path, dtype):
    d = dict(np.load(path))
    twin = GOLDEN / path.name.replace("synthesis_input", "generator")
    G, _ = official(twin, dtype)
    arrays = {k.removeprefix("G/"): v.astype(dtype) for k, v in d.items() if k.startswith("G/")}
    assert len(arrays) == 6
    params = G.params | {k: v for k, v in arrays.items() if k in G.params}
    buffers = G.buffers | {k: v for k, v in arrays.items() if k in G.buffers}
    w = d["w_psi1"][:1].astype(dtype)
    for key in ("input_identity", "input_transform_A", "input_transform_B_scale"):
        if key not in d:
            continue
        if "transform" in key:
            user = d[key.removeprefix("input_")].astype(dtype)
            buffers = buffers | {"synthesis.input.transform": user}
        got = stylegan3.fourier_features(params, buffers, G.config, w)
        close(got, d[key], dtype, double=1e-6)  # the vectors' own differ by 1e-6


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(0)
    for config in (TINY, dataclasses.replace(TINY, conv_kernel=1, use_radial_filters=True)):
        G = stylegan3.Generator.init(config, rng)
        params = {k: v.astype(np.float64) for k, v in G.params.items()}
        params["synthesis.input.affine.weight"] = rng.normal(size=(4, 4)) * 0.3
        buffers = {k: v.astype(np.float64) for k, v in G.buffers.items()}
        ws = rng.normal(size=(2, G.num_ws, 4))
        y = rng.normal(size=(2, 3, 16, 16))

        def f(params, ws=ws, buffers=buffers, config=config, y=y):
            return np.sum(stylegan3.synthesis(params, buffers, config, ws)[0] * y)

        grads = autograd.grad(f)(params)
        for name in params:
            if name.startswith("mapping"):
                continue
            step = rng.normal(size=params[name].shape) * 1e-6
            difference = f(params | {name: params[name] + step}) - f(
                params | {name: params[name] - step}
            )
            got = 2 * np.sum(grads[name] * step)
            assert difference == pytest.approx(got, rel=2e-4, abs=1e-9), name


def test_float32_throughout():
    G = stylegan3.Generator.init(TINY, np.random.default_rng(0))
    assert {a.dtype for a in (G.params | G.buffers).values()} == {np.dtype(np.float32)}
    ws = G.mapping(np.ones((2, 4), np.float32))
    img, changed = stylegan3.synthesis(G.params, G.buffers, TINY, ws, update_emas=True)
    assert {img.dtype, *(v.dtype for v in changed.values())} == {np.dtype(np.float32)}


def test_a_shift_of_the_canvas_shifts_the_picture():
    """A quarter of the canvas to the right and an eighth down: the same samples, further on."""
    G = stylegan3.Generator.init(
        stylegan3.Config(
            img_resolution=32, z_dim=8, w_dim=8, channel_base=256, channel_max=8, num_layers=6
        ),
        np.random.default_rng(0),
    )
    z = np.random.default_rng(1).standard_normal((2, 8), np.float32)
    img = G(z)
    moved = G.transformed([[1, 0, 8 / 32], [0, 1, 4 / 32], [0, 0, 1]])(z)
    error = np.square(moved[:, :, 4:, 8:] - img[:, :, :-4, :-8]).mean()
    assert error < 1e-3 * img.var()
    assert np.square(moved - img).mean() > 0.1 * img.var()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_critical": 14}, "num_critical is 14"),
        ({"first_cutoff": 0}, "first_cutoff is 0; expected a number above 0"),
        ({"img_resolution": 48}, "img_resolution is 48; expected a power of two"),
        ({"channel_base": 8}, "channel_base is 8; expected about img_resolution"),
        ({"margin_size": -1}, "margin_size is -1"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        stylegan3.Config(**{"img_resolution": 64} | changes)


def test_a_matrix_without_inverse_is_refused():
    G = stylegan3.Generator.init(TINY, np.random.default_rng(0))
    for matrix in (np.zeros((3, 3)), np.eye(2), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="transformed: matrix is .*expected 3 × 3"):
            G.transformed(matrix)

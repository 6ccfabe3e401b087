"""EQ-T, EQ-T_frac, EQ-R: the official operators, and networks whose answer is known."""

import json
import math
import pathlib

import numpy as np
import pytest

from minigan import toy
from minigan.evaluation import equivariance
from minigan.networks import stylegan1, stylegan2, stylegan3

GOLDEN = pathlib.Path(__file__).parent / "golden" / "metrics" / "equivariance_operators.npz"
OPERATORS = {
    "apply_integer_translation": equivariance.integer_translation,
    "apply_fractional_translation": equivariance.fractional_translation,
    "apply_fractional_rotation": equivariance.rotation,
    "apply_fractional_pseudo_rotation": equivariance.pseudo_rotation,
}


@pytest.mark.parametrize("case", range(8))
def test_operators_are_the_official_ones(case):
    d = np.load(GOLDEN)
    about = json.loads(str(d["meta_json"]))["cases"][case]
    y, known = OPERATORS[about["op"]](d[about["x"]].astype(np.float64), *about["args"])
    mask = d[f"{about['id']}_mask"]
    np.testing.assert_array_equal(np.broadcast_to(known, mask.shape), mask > 0)
    assert known.any()
    np.testing.assert_allclose((y * known), d[f"{about['id']}_y"] * known, atol=1e-12)


class Sines:
    """Pictures that are a function of place: sines, mixed at each pixel alone."""

    z_dim, c_dim, img_resolution = 4, 0, 64

    def __init__(self, matrix=None, spoil=lambda x: x, band=2.0):
        self.inverse = np.eye(3) if matrix is None else np.linalg.inv(matrix)
        self.spoil, self.band = spoil, band
        self.freqs = np.random.default_rng(0).uniform(-band, band, (8, 2))

    def transformed(self, matrix):
        return Sines(matrix, self.spoil, self.band)

    def mapping(self, z, c=None):
        return z.astype(np.float64)

    def synthesis(self, ws):
        at = (np.arange(64) + 0.5) / 64 - 0.5
        x, y = np.meshgrid(at, at)
        place = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.inverse.T
        waves = np.sin(2 * math.pi * (place[..., :2] @ self.freqs.T))  # [64, 64, 8]
        mixed = np.einsum("hwf,nkf->nkhw", waves, np.sin(np.outer(ws[:, 0], np.arange(24)))
                          .reshape(-1, 3, 8))  # fmt: skip
        return self.spoil(mixed)


def rectified(x):
    return np.maximum(x, 0.2 * x)


def nearest(x):
    """The picture at half its size, every pixel then doubled."""
    return np.repeat(np.repeat(x[:, :, ::2, ::2], 2, axis=2), 2, axis=3)


def measured(measure, G, n=24):
    return measure(G, np.random.default_rng(1), n)


def test_a_function_of_place_is_equivariant_to_rounding():
    assert measured(equivariance.eq_t, Sines()) > 250
    # Also with a raw nonlinearity: what acts at each pixel alone commutes with whole shifts.
    assert measured(equivariance.eq_t, Sines(spoil=rectified)) > 250


def test_references_that_interpolate_have_a_ceiling():
    assert 45 < measured(equivariance.eq_t_frac, Sines()) < 90
    assert 45 < measured(equivariance.eq_r, Sines()) < 90
    # The kinks of the nonlinearity are beyond any band: fractions of a pixel show them.
    smooth, kinked = (measured(equivariance.eq_t_frac, Sines(spoil=f, band=9.0))
                      for f in (lambda x: x, rectified))  # fmt: skip
    assert kinked < smooth - 5


def test_doubled_pixels_are_not_equivariant():
    """Shifts by an odd number of pixels put other samples in each pair."""
    assert measured(equivariance.eq_t, Sines(spoil=nearest)) < 40


def test_a_picture_that_stays_where_it_is_is_not_equivariant():
    still = Sines()
    still.transformed = lambda matrix: still
    assert measured(equivariance.eq_t, still) < 20
    assert measured(equivariance.eq_r, still) < 20


def test_the_direction_of_each_transform_matters():
    """A canvas moved the other way is as wrong as one that is not moved."""
    for measure in (equivariance.eq_t, equivariance.eq_t_frac, equivariance.eq_r):
        wrong = Sines()
        wrong.transformed = lambda matrix: Sines(np.linalg.inv(matrix))
        assert measured(measure, wrong) < 20


def test_decibels_are_those_of_a_range_of_two(monkeypatch):
    """A moved picture that is wrong by 0.2 everywhere: 10·log₁₀(2²/0.2²) = 20."""
    plain = Sines()
    plain.transformed = lambda matrix: Sines(matrix, lambda x: x + 0.2)
    assert measured(equivariance.eq_t, plain) == pytest.approx(20.0, abs=1e-9)
    # EQ-R compares under the filter of `pseudo_rotation`: if that added 1, 10·log₁₀(4) would remain.
    filtered = equivariance.pseudo_rotation

    def and_one(x, angle):
        y, known = filtered(x, angle)
        return y + 1, known

    monkeypatch.setattr(equivariance, "pseudo_rotation", and_one)
    assert measured(equivariance.eq_r, Sines()) == pytest.approx(10 * math.log10(4), abs=0.05)


@pytest.fixture(scope="module")
def untrained():
    """StyleGAN3-T and R and StyleGAN2, mean squares settled."""
    rng, found = np.random.default_rng(0), {}
    small = {"img_resolution": 32, "z_dim": 8, "w_dim": 8, "channel_max": 8}
    for name, more in (("T", {}), ("R", {"conv_kernel": 1, "use_radial_filters": True})):
        G = stylegan3.Config(
            **small, channel_base=256, num_layers=6, magnitude_ema_beta=0.0, **more
        ).build(rng)
        z = rng.standard_normal((16, 8), np.float32)
        found[name] = G.with_new_emas(G.mapping(z))[1]
    found["2"] = stylegan2.Config(**small, channel_base=256).build(rng)
    found["1"] = stylegan1.Config(**small, channel_base=256).build(rng)
    return found


def test_untrained_networks_rank_as_in_the_paper(untrained):
    eq_t = {name: measured(equivariance.eq_t, G) for name, G in untrained.items()}
    assert min(eq_t["T"], eq_t["R"]) > 45
    assert max(eq_t["1"], eq_t["2"]) < min(eq_t["T"], eq_t["R"]) - 15
    eq_r = {name: measured(equivariance.eq_r, untrained[name]) for name in "TR"}
    assert eq_r["R"] > eq_r["T"] + 8


def test_the_canvas_of_a_stylegan2_can_be_moved(untrained):
    G = untrained["2"]
    same = equivariance.moved_constants(G, np.eye(3))
    for name, value in (G.params | G.buffers).items():
        np.testing.assert_allclose((same.params | same.buffers)[name], value, atol=1e-6)
    moved = equivariance.moved_constants(G, [[1, 0, 0.25], [0, 1, 0], [0, 0, 1]])
    old, new = (g.params["synthesis.b4.const"] for g in (G, moved))
    np.testing.assert_allclose(new[:, :, 1:], old[:, :, :-1], atol=1e-6)  # a sample to the right
    noise = "synthesis.b32.conv1.noise_const"
    np.testing.assert_allclose(
        moved.buffers[noise][:, 8:], G.buffers[noise][:, :-8], atol=1e-6
    )  # fmt: skip
    turned = equivariance.moved_constants(G, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(
        turned.params["synthesis.b4.const"], np.rot90(old, axes=(1, 2)), atol=1e-6
    )


def test_bad_arguments_are_refused(untrained):
    with pytest.raises(ValueError, match="n is 0; expected a whole number from 1"):
        equivariance.eq_t(untrained["T"], np.random.default_rng(0), 0)
    with pytest.raises(TypeError, match="rng is int"):
        equivariance.eq_t(untrained["T"], 0)
    G = toy.Generator.init(toy.Config(), np.random.default_rng(0))
    with pytest.raises(TypeError, match="G is a minigan.toy.model.Generator; expected one with"):
        equivariance.eq_t(G, np.random.default_rng(0), 8)
    tiny = stylegan3.Config(img_resolution=8, z_dim=4, w_dim=4, channel_base=32, channel_max=4,
                            num_layers=3, num_critical=1, margin_size=4)  # fmt: skip
    with pytest.raises(ValueError, match="no pixel of 8 × 8 is known on both sides"):
        equivariance.eq_r(tiny.build(np.random.default_rng(0)), np.random.default_rng(0), 8)

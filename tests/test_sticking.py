"""The steps from StyleGAN2 to StyleGAN3, untrained; and a StyleGAN3 that learns by imitation."""

import csv
import dataclasses
import pathlib

import numpy as np
import pytest

import minigan
from minigan.evaluation import equivariance
from minigan.experiments import texture_sticking
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.training import distill

TABLE = pathlib.Path(__file__).parent.parent / "notebooks" / "results" / "texture_sticking.csv"


def test_each_step_helps_and_the_committed_table_says_so():
    """B to G, one seed, in miniature; then the table that the lesson reads."""
    steps = list(texture_sticking.STEPS)
    small = [texture_sticking.run(step, 0, 16)["eq_t"] for step in steps[:6]]
    found = texture_sticking.read(TABLE)
    assert list(found) == steps and all(len(v["eq_t"]) == 5 for v in found.values())
    for eq_t in (small, [np.mean(found[step]["eq_t"]) for step in steps[:6]]):
        assert all(a + 3 < b for a, b in zip(eq_t, eq_t[1:], strict=False)), eq_t
    # The miniature is the table's own first seed, with fewer latents.
    first = [found[step]["eq_t"][0] for step in steps[:6]]
    np.testing.assert_allclose(small, first, atol=5)


def test_the_command_writes_the_table(tmp_path):
    path = tmp_path / "table.csv"
    texture_sticking.compare([0, 1], 8, path)
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and set(rows[0]) == set(texture_sticking.COLUMNS)
    assert "B  Fourier input" in texture_sticking.summary(path) and "±" in texture_sticking.summary(
        path
    )
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        texture_sticking.compare([0], 2, tmp_path / "none" / "table.csv")


def test_what_is_moved_is_the_input_alone():
    G = texture_sticking.STEPS["B  Fourier input"](np.random.default_rng(0))
    ws = G.mapping(np.ones((1, 8), np.float32))
    assert G.synthesis(ws).shape == (1, 3, 32, 32)
    moved = G.transformed(np.array([[1, 0, 0.125], [0, 1, 0], [0, 0, 1]]))
    np.testing.assert_allclose(moved._waves()[..., 2:], G._waves()[..., :-2], atol=1e-12)
    assert moved.params is G.params


SMALL = {"img_resolution": 16, "z_dim": 4, "w_dim": 4, "channel_base": 64, "channel_max": 4}
TWO = stylegan2.MappingConfig(2)
PUPIL = stylegan3.Config(**SMALL, mapping_kwargs=TWO, num_layers=3, num_critical=1, margin_size=2,
                         magnitude_ema_beta=0.9)  # fmt: skip


def test_a_pupil_learns_what_its_teacher_draws(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_QUIET", "1")
    teacher = stylegan2.Config(**SMALL, mapping_kwargs=TWO).build(np.random.default_rng(0))
    errors = []
    for kimg in (0.08, 1.0):
        pupil, error = distill.distill(PUPIL, teacher, kimg, tmp_path / "pupil.npz")
        errors.append(error)
    assert errors[1] < 0.5 * errors[0]
    z = np.random.default_rng(1).standard_normal((3, 4), np.float32)
    np.testing.assert_array_equal(pupil.mapping(z)[:, 0], teacher.mapping(z)[:, 0])
    magnitudes = [v for k, v in pupil.buffers.items() if k.endswith("magnitude_ema")]
    assert len(magnitudes) == 4 and all(0 < v != 1 for v in magnitudes)
    read = minigan.load(tmp_path / "pupil.npz")
    np.testing.assert_array_equal(read(z), pupil(z))
    again, _ = distill.distill(PUPIL, teacher, 1.0, tmp_path / "again.npz")
    np.testing.assert_array_equal(again(z), pupil(z))


def test_a_teacher_that_does_not_fit_is_refused(tmp_path):
    build = lambda **changes: stylegan2.Config(**SMALL | changes, mapping_kwargs=TWO).build(  # noqa: E731
        np.random.default_rng(0)
    )
    # Of the same shapes; but what they mean is something else.
    others = [
        dataclasses.replace(PUPIL, mapping_kwargs=stylegan2.MappingConfig(2, **change)).build(
            np.random.default_rng(0)
        )
        for change in ({"lr_multiplier": 0.1}, {"activation": "relu"})
    ]
    first = stylegan1.Config(**SMALL, mapping_kwargs={"num_layers": 2, "w_avg_beta": 0.998})
    others.append(first.build(np.random.default_rng(0)))
    for config, teacher, message in (
        (PUPIL, build(w_dim=8), "mapping network has other parameters"),
        (PUPIL, build(img_resolution=32), "teacher draws 32²; expected 16²"),
        (build().config, build(), "expected stylegan3's"),
        *((PUPIL, other, "mapping network is .*; expected as config's, ") for other in others),
    ):
        with pytest.raises(ValueError, match=message):
            distill.distill(config, teacher, 0.01, tmp_path / "pupil.npz")
    assert not list(tmp_path.iterdir())


def test_what_each_cure_is_worth_beside_all_others():
    """From G one cure is left out at a time, as in the lesson.  The cumulative table cannot say it:
    there noise costs 5 dB, since more leaks beside it, and margins and upsampling are one step."""
    finished = texture_sticking.Step(
        noise=False, margin=10, sinc=True, filtered=True, critical=False
    )
    left_out = {"noise": True, "margin": 0, "filtered": False, "critical": True, "sinc": False}

    def eq_t(step):
        G = step.build(np.random.default_rng([0, 1]))
        return equivariance.eq_t(G, np.random.default_rng(0), 16)

    best = eq_t(finished)
    lost = {k: best - eq_t(dataclasses.replace(finished, **{k: v})) for k, v in left_out.items()}
    assert lost.pop("sinc") < 15 and min(lost.values()) > 35, lost

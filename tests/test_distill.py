"""A StyleGAN3 that learns another network's pictures."""

import dataclasses

import numpy as np
import pytest

import minigan
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.training import distill

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

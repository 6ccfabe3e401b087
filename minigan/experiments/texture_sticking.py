"""From StyleGAN2 to StyleGAN3 in steps, all untrained: what makes details stick to pixels?

    python -m minigan experiment texture_sticking

measures EQ-T over several seeds and writes a row for each to a CSV file; lesson 10 reads it.

The steps are those of StyleGAN3's Table 2, on a toy of 32²: four convolutions, two at 16 samples
and two at 32.  Weights are random: whether a network glues details to its pixels is a matter of how
it is built, before it has learned anything.

Read first: `networks/stylegan3.py`, `evaluation/equivariance.py`.
"""

import dataclasses
import math

import numpy as np

from minigan import filters, layers, ops
from minigan.evaluation import equivariance
from minigan.experiments.table import Table, mean_std
from minigan.networks import stylegan2, stylegan3

RATES = (16, 16, 32, 32)  # of the four layers
_CHANNELS, _TAPS = 16, 6  # of maps; of filters, for each sample of the lower rate
COLUMNS = {"step": str, "seed": int, "n": int, "eq_t": float, "eq_t_frac": float}


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A generator that has come so far.  Made by `build`; it has what `evaluation` asks of one."""

    noise: bool  # noise maps that stay at their pixels
    margin: int  # samples beyond each edge
    sinc: bool  # upsampling by a windowed sinc; else by [1, 3, 3, 1]
    filtered: bool  # the nonlinearity at twice the rate, between filters
    critical: bool  # cutoffs at half the sampling rate; else lower, by the transition's half width
    params: dict = dataclasses.field(default_factory=dict, repr=False)
    inverse: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3), repr=False)

    z_dim, c_dim, img_resolution = 8, 0, 32

    def build(self, rng):
        """With random weights.  rng: numpy.random.Generator."""
        params = {"input.freqs": rng.uniform(-2, 2, (_CHANNELS, 2)),
                  "input.phases": rng.random(_CHANNELS)}  # fmt: skip
        for i, rate in enumerate(RATES):
            size = rate + 2 * self.margin
            params |= {
                f"L{i}.weight": rng.standard_normal((_CHANNELS, _CHANNELS, 3, 3)),
                f"L{i}.style": rng.standard_normal((_CHANNELS, self.z_dim)),
                f"L{i}.bias": 0.2 * rng.standard_normal(_CHANNELS),
                f"L{i}.noise": 0.2 * rng.standard_normal((1, 1, size, size)),
            }
        params["torgb.weight"] = rng.standard_normal((3, _CHANNELS, 1, 1)) / math.sqrt(_CHANNELS)
        return dataclasses.replace(self, params=params)

    def transformed(self, matrix):
        return dataclasses.replace(self, inverse=np.linalg.inv(matrix))

    def mapping(self, z, c=None):
        return np.float64(z)[:, None]

    def synthesis(self, ws):
        """ws [N, 1, 8] -> images [N, 3, 32, 32]."""
        p, before = self.params, RATES[0]
        x = np.repeat(self._waves(), len(ws), axis=0)
        for i, rate in enumerate(RATES):
            if rate > before:  # the map grows, the margin stays as wide
                f = (
                    self._low_pass(before, rate)
                    if self.sinc
                    else filters.setup_filter([1, 3, 3, 1])
                )
                x = ops.upsample2d(x, f)
                cut, before = self.margin, rate
                x = x[:, :, cut : x.shape[2] - cut, cut : x.shape[3] - cut] if cut else x
            styles = 1 + 0.5 * ws[:, 0] @ p[f"L{i}.style"].T / math.sqrt(self.z_dim)
            x = layers.modulated_conv2d(x, p[f"L{i}.weight"], styles, padding=1)
            if self.noise:
                x = x + p[f"L{i}.noise"]
            x = self._activated(x, p[f"L{i}.bias"], rate)
        m = self.margin
        x = x[:, :, m : m + 32, m : m + 32]
        return 0.25 * ops.conv2d(x, p["torgb.weight"])

    def _waves(self):
        size = RATES[0] + 2 * self.margin
        at = (np.arange(size) + 0.5 - size / 2) / RATES[0]
        x, y = np.meshgrid(at, at)
        place = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.inverse.T
        turns = place[..., :2] @ self.params["input.freqs"].T + self.params["input.phases"]
        return math.sqrt(2) * np.moveaxis(np.sin(2 * math.pi * turns), -1, 0)[None]

    def _low_pass(self, low, high):
        """For the signals of rate `low`, at rate `high` (StyleGAN3 §3.2, configs E and G)."""
        half = (math.sqrt(2) - 1) * low / 2
        cutoff = low / 2 if self.critical else low / 2 - half
        return filters.design_lowpass_filter(_TAPS * high // low, cutoff, 2 * half, high)

    def _activated(self, x, b, rate):
        if not self.filtered:
            return ops.bias_act(x, b, act="lrelu")
        f = self._low_pass(rate, 2 * rate)
        taps = len(f)
        return ops.filtered_lrelu(x, f, f, b, 2, 2, padding=[taps - 1, taps - 2] * 2)


def _stylegan3(rng, **changes):
    """StyleGAN3 itself, with the mean squares that its own signals have."""
    config = stylegan3.Config(
        img_resolution=32, z_dim=8, w_dim=8, channel_base=512, channel_max=_CHANNELS,
        num_layers=6, magnitude_ema_beta=0.0, **changes,
    )  # fmt: skip
    G = config.build(rng)
    return G.with_new_emas(G.mapping(rng.standard_normal((32, 8), np.float32)))[1]


def _stylegan2(rng):
    G = stylegan2.Config(img_resolution=32, z_dim=8, w_dim=8, channel_base=512,
                         channel_max=_CHANNELS).build(rng)  # fmt: skip
    strengths = {k: v + np.float32(0.2) for k, v in G.params.items() if "noise_strength" in k}
    return G.replace(params=G.params | strengths)


STEPS = {
    "A  StyleGAN2": _stylegan2,
    "B  Fourier input": Step(True, 0, False, False, True).build,
    "C  no noise": Step(False, 0, False, False, True).build,
    "E  margins, sinc upsampling": Step(False, 10, True, False, True).build,
    "F  filtered nonlinearity": Step(False, 10, True, True, True).build,
    "G  cutoffs lowered": Step(False, 10, True, True, False).build,
    "T  schedule of bands": _stylegan3,
    "R  1×1, radial filters": lambda rng: _stylegan3(
        rng, conv_kernel=1, use_radial_filters=True
    ),
}  # fmt: skip


def run(step: str, seed: int, n: int) -> dict:
    """Measure one; a row of the table."""
    G = STEPS[step](np.random.default_rng([seed, 1]))
    found = {"step": step, "seed": seed, "n": n}
    for name, measure in (("eq_t", equivariance.eq_t), ("eq_t_frac", equivariance.eq_t_frac)):
        found[name] = measure(G, np.random.default_rng([seed, 2]), n)
    return found


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], n: int = 96) -> list[tuple]:
    """Every step with every seed, n latents for each number: arguments of `run`."""
    return [(step, seed, n) for seed in seeds for step in STEPS]


def summary(rows: list[dict]) -> str:
    """The table as text: mean ± standard deviation over seeds, a line for each step."""
    lines = [f"{'untrained, dB':30}{'EQ-T':>14}{'EQ-T_frac':>14}"]
    for step in STEPS:
        cells = [mean_std((row[name] for row in rows if row["step"] == step), 1)
                 for name in ("eq_t", "eq_t_frac")]  # fmt: skip
        lines.append(f"{step:30}{cells[0]:>14}{cells[1]:>14}")
    return "\n".join(lines)

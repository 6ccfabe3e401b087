"""What makes W readable?  Generators of 32², trained for equal minutes, that differ in one setting.

    python -m minigan experiment readable_w

trains each variant below for MINUTES of one core, and writes a row of quality and of readability to
a CSV file: how much of each factor of a portrait a linear map reads from its w.  The rate falls to
0 over the last third.  The variants with a feature discriminator begin with a reader, trained in
the same minutes.  The first seed has all variants, the others those that came out best.

Read first: `evaluation/sheet.py`, `training/loop.py`.
"""

import pathlib
import tempfile
import time

from minigan import files, training
from minigan.data.stream import open_data
from minigan.evaluation import sheet
from minigan.experiments.table import Table
from minigan.networks.reader import Config
from minigan.training import reader as reader_training
from minigan.training.step import advance, start

MINUTES = 15.0  # of one core, for each run
BASE = {"loss": "relativistic", "ema_rampup": 0.0}
BOTH = {"G.w_dim": 256, "G.mapping_kwargs.num_layers": 6}
# From the preset portraits32: w_dim 64, three layers of mapping, mixing_prob .5.
VARIANTS = {
    "as it was": {},
    "w_dim 256": {"G.w_dim": 256},
    "depth 6": {"G.mapping_kwargs.num_layers": 6},
    "depth 8": {"G.mapping_kwargs.num_layers": 8},
    "mixing .1": {"mixing_prob": 0.1},
    "mixing .9": {"mixing_prob": 0.9},
    "path length": {"pl_weight": 2.0},
    "feature D": {"expert": True},
    "256, 6, .9": BOTH | {"mixing_prob": 0.9},
    "256, 6, .9, feature D": BOTH | {"mixing_prob": 0.9, "expert": True},
    "256, 6, .1, feature D": BOTH | {"mixing_prob": 0.1, "expert": True},
}
AGAIN = ("256, 6, .9", "256, 6, .9, feature D")  # with further seeds, too
COLUMNS = {"variant": str, "seed": int, "minutes": float, "kimg": float} | dict.fromkeys(
    sheet.NUMBERS, float
)


def run(variant: str, seed: int, minutes: float) -> dict:
    """Train one variant for so many minutes of one core, and measure it; a row of the table."""
    settings = BASE | VARIANTS[variant] | {"seed": seed}
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if settings.pop("expert", False):
            f = reader_training.train(Config(), 60, seed=100 + seed)
            settings["expert"] = str(pathlib.Path(folder, "reader.npz"))
            files.save(settings["expert"], {"features": f})
        config = training.override(training.preset("portraits32"), settings)
        left = 60 * minutes - (time.process_time() - begun)
        kimg = left / _seconds(config)
        config = training.override(config, {"kimg": kimg, "cooldown_kimg": kimg / 3})
        state = training.train(config, pathlib.Path(folder, "run"))
    spent = (time.process_time() - begun) / 60
    row = {"variant": variant, "seed": seed, "minutes": spent, "kimg": state.images / 1000}
    return row | sheet.quick(state.G_ema)


def _seconds(config):
    """What 1,000 pictures cost, by 48 steps: three rounds of the lazy penalties."""
    state, data = start(config), open_data(config)
    for step in range(64):
        if step == 16:  # what is compiled, or fetched for the first time, is not counted
            begun = time.process_time()
        state, _ = advance(config, state, data)
    return (time.process_time() - begun) / (48 * config.batch / 1000)


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], minutes: float = MINUTES) -> list[tuple]:
    """Every variant with the first seed, AGAIN with the others: arguments of `run`."""
    return [
        (variant, seed, minutes)
        for seed in seeds for variant in (VARIANTS if seed == seeds[0] else AGAIN)
    ]  # fmt: skip


def summary(rows: list[dict]) -> str:
    """The table as text, a line for each run."""
    names = ("kimg", "distance", "recall", "coverage", "smile", "mouth_open", "eye_shape", "pitch")
    lines = [f"{'variant':24}{'seed':>5}" + "".join(f"{name:>12}" for name in names)]
    for row in rows:
        cells = "".join(f"{row[name]:12.3g}" for name in names)
        lines.append(f"{row['variant']:24}{row['seed']:5}{cells}")
    return "\n".join(lines)

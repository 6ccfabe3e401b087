"""What makes W readable?  portraits32 trained on for equal minutes, with one setting changed.

    python -m minigan experiment readable_w

begins each variant below with the shipped network, trains it for MINUTES of one core, the rate
falling to 0 over the second half, and writes a row of quality and of readability to a CSV file: how
much of each factor of a portrait a linear map reads from its w.  From nothing, so few minutes give
no faces whose smile could be read.  The first seed has all variants, the others those of AGAIN.

A feature discriminator sees through a reader that is trained first, always the same; the minute
that it takes is not counted.

Read first: `evaluation/sheet.py`, `training/warm_start.py`.
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
from minigan.training.warm_start import warm_start

MINUTES = 5.0  # of one core, for each run
NETWORK = "portraits32"
# As the network's own last stage was, but for the batch, which is half as large here.
BASE = {
    "loss": "relativistic", "ema_rampup": 0.0, "batch": 16, "mixing_prob": 0.1, "expert": True,
    "G.channel_max": 128, "G.channel_base": 4096, "ema_kimg": 5.0,
}  # fmt: skip
_DEEP = {"G.w_dim": 256, "G.mapping_kwargs.num_layers": 6}
VARIANTS = {
    "as it was": {},
    "mixing .5": {"mixing_prob": 0.5},
    "mixing .9": {"mixing_prob": 0.9},
    "path length": {"pl_weight": 20.0},
    "no feature D": {"expert": False},
    "w_dim 256": {"G.w_dim": 256},
    "depth 6": {"G.mapping_kwargs.num_layers": 6},
    "depth 8": {"G.mapping_kwargs.num_layers": 8},
    "256, 6, .9": _DEEP | {"mixing_prob": 0.9},
    "256, 6, .9, no feature D": _DEEP | {"mixing_prob": 0.9, "expert": False},
    "asked for": {"readable_weight": 2.0},
    "asked for, mixing .5": {"readable_weight": 2.0, "mixing_prob": 0.5},
}
AGAIN = ("as it was", "asked for, mixing .5")
COLUMNS = {"variant": str, "seed": int, "minutes": float, "kimg": float} | dict.fromkeys(
    sheet.NUMBERS, float
)


def run(variant: str, seed: int, minutes: float) -> dict:
    """Train one variant for so many minutes of one core, and measure it; a row of the table."""
    settings = BASE | VARIANTS[variant] | {"seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        if settings.pop("expert"):
            reader = reader_training.train(Config(), 60, seed=1)
            settings["expert"] = str(pathlib.Path(folder, "reader.npz"))
            files.save(settings["expert"], {"features": reader})
        config, begun = training.override(training.preset(NETWORK), settings), time.process_time()
        kimg = max(60 * minutes / _seconds(config), config.batch / 1000)
        config = training.override(config, {"kimg": kimg, "cooldown_kimg": kimg / 2})
        init = (NETWORK, f"{NETWORK}-D")
        state = training.train(config, pathlib.Path(folder, "run"), init=init)
    spent = (time.process_time() - begun) / 60
    row = {"variant": variant, "seed": seed, "minutes": spent, "kimg": state.images / 1000}
    return row | sheet.quick(state.G_ema)


def _seconds(config):
    """What 1,000 pictures cost, by 32 steps: two rounds of the lazy penalties."""
    state = warm_start(start(config), (NETWORK, f"{NETWORK}-D"))
    data = open_data(config)
    for step in range(36):
        if step == 4:  # what is compiled, or fetched for the first time, is not counted
            begun = time.process_time()
        state, _ = advance(config, state, data)
    return (time.process_time() - begun) / (32 * config.batch / 1000)


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], minutes: float = MINUTES) -> list[tuple]:
    """Every variant with the first seed, AGAIN with the others: arguments of `run`."""
    return [
        (variant, seed, minutes)
        for seed in seeds for variant in (VARIANTS if seed == seeds[0] else AGAIN)
    ]  # fmt: skip


def summary(rows: list[dict]) -> str:
    """The table as text, a line for each run."""
    names = ("kimg", "distance", "recall", "coverage", "broken",
             "w_yaw", "w_pitch", "w_smile", "w_mouth_open", "w_eye_shape")  # fmt: skip
    lines = [f"{'variant':26}{'seed':>4}" + "".join(f"{name[:9]:>10}" for name in names)]
    for row in rows:
        cells = "".join(f"{row[name]:10.3g}" for name in names)
        lines.append(f"{row['variant']:26}{row['seed']:4}{cells}")
    return "\n".join(lines)

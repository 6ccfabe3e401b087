"""Does path length regularisation make a generator more even?  Runs that differ in it only.

    python -m minigan experiment path_length

trains portraits32 with each weight (0: without; 2: the paper's; 100) for 40 kimg, some 20 minutes
of one core, in runs/path-length-WEIGHT, goes on there if it was stopped, and writes a row for every
10 kimg to a CSV file, which lesson 09 reads.

Read first: `losses.py`, `training/loop.py`.
"""

import dataclasses
import pathlib

import numpy as np

from minigan import autograd, files, training
from minigan.evaluation import measure, metrics
from minigan.experiments.table import Table

WEIGHTS = (0.0, 2.0, 100.0)
KIMG, EVERY = 40, 10
MEASURES = ("l", "l_unevenness", "ffd", "fpl_z", "fpl_w")
COLUMNS = {"pl_weight": float, "kimg": int} | {
    f"{name}_{kind}": float for name in MEASURES for kind in ("mean", "std")
}


def measured(G, reader, seeds: list[int]) -> dict:
    """What is measured of a generator: "mean" and "std" over the seeds of the sampling."""
    found = {name: [] for name in MEASURES}
    for seed in seeds:
        rng = np.random.default_rng([seed, 20])
        y = rng.standard_normal((64, 3, 32, 32), np.float32) / 32
        ws = G.mapping(rng.standard_normal((64, G.z_dim), np.float32))
        jacobian = autograd.grad(lambda w, y=y: np.sum(G.synthesis(w) * y))(np.array(ws))
        ell = np.sqrt(np.mean(np.sum(jacobian**2, axis=2), axis=1))  # ℓ of Eq. 4
        found["l"].append(ell.mean())
        found["l_unevenness"].append(ell.std() / ell.mean())
        real = reader(measure.drawings(2000, 32, rng))
        fake = reader(measure.images(G, 2000, rng))
        found["ffd"].append(metrics.frechet_distance(real, fake))
        for space in ("z", "w"):
            rng = np.random.default_rng([seed, 21])
            length = metrics.feature_path_length(G, reader, rng, space, "end", 200)
            found[f"fpl_{space}"].append(length)
    return {
        f"{name}_{kind}": float(reduced)
        for name, values in found.items()
        for kind, reduced in (("mean", np.mean(values)), ("std", np.std(values, ddof=1)))
    }


def run(weight: float, seeds: list[int]) -> list[dict]:
    """Train with this weight and measure every EVERY kimg; rows of the table."""
    config = dataclasses.replace(
        training.PRESETS["portraits32"], loss="relativistic", pl_weight=weight, kimg=KIMG,
        cooldown_kimg=0, kimg_per_tick=1, snapshot_kimg=EVERY,
    )  # fmt: skip
    folder = pathlib.Path("runs", f"path-length-{weight:g}")
    training.train(config, folder, resume=(folder / "checkpoint.npz").exists())
    reader, rows = files.load_reader("factors"), []
    for path in sorted(folder.glob("network*.npz")):
        about = {"pl_weight": weight, "kimg": int(path.stem.removeprefix("network"))}
        rows.append(about | measured(files.load(path), reader, seeds))
    return rows


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], weights: list[float] = WEIGHTS) -> list[tuple]:
    """Every weight, with all seeds: arguments of `run`.  Raises: ValueError for a single seed."""
    if len(seeds) < 2:
        raise ValueError(f"path_length: seeds are {seeds}; expected two or more, for their spread")
    return [(weight, seeds) for weight in weights]


def summary(rows: list[dict]) -> str:
    """The table as text, a line for each point of a run; mean ± standard deviation over seeds."""
    columns = {"l_unevenness": 3, "fpl_w": 0, "ffd": 1}
    lines = [f"{'weight':>6}{'kimg':>6}" + "".join(f"{name:>16}" for name in columns)]
    for row in rows:
        cells = [f"{row[f'{name}_mean']:.{digits}f} ± {row[f'{name}_std']:.{digits}f}"
                 for name, digits in columns.items()]  # fmt: skip
        lines.append(f"{row['pl_weight']:6g}{row['kimg']:6}" + "".join(f"{c:>16}" for c in cells))
    return "\n".join(lines)

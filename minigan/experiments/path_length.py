"""Three runs that differ in path length regularisation only, and what it does to them.

    python minigan/experiments/path_length.py --weight 0
    python minigan/experiments/path_length.py --weight 2       the paper's
    python minigan/experiments/path_length.py --weight 100

Each trains portraits32 for 40 kimg (some 20 minutes of one core) in runs/path-length-WEIGHT, goes
on there if it was stopped, and writes notebooks/results/path_length-WEIGHT.csv for lesson 09.
"""

import argparse
import csv
import dataclasses
import pathlib

import numpy as np

from minigan import atomic, autograd, files, training
from minigan.evaluation import measure, metrics

ROOT = pathlib.Path(__file__).parent.parent
KIMG, EVERY = 40, 10


def row(G, reader, kimg):
    """What is measured of a generator: three seeds each, "mean" and "std" over them."""
    found = {"kimg": f"{kimg:g}"}
    lengths, relative, quality = [], [], []
    for seed in measure.SEEDS:
        rng = np.random.default_rng([seed, 20])
        y = rng.standard_normal((64, 3, 32, 32), np.float32) / 32
        ws = G.mapping(rng.standard_normal((64, G.z_dim), np.float32))
        jacobian = autograd.grad(lambda w, y=y: np.sum(G.synthesis(w) * y))(np.array(ws))
        ell = np.sqrt(np.mean(np.sum(jacobian**2, axis=2), axis=1))  # ℓ of Eq. 4
        lengths.append(ell.mean())
        relative.append(ell.std() / ell.mean())
        real = reader(measure.drawings(2000, 32, rng))
        quality.append(metrics.frechet_distance(real, reader(measure.images(G, 2000, rng))))
    found |= _spread("l", lengths) | _spread("l_unevenness", relative) | _spread("ffd", quality)
    for space in ("z", "w"):
        values = [
            metrics.feature_path_length(
                G, reader, np.random.default_rng([seed, 21]), space, "end", 200
            )
            for seed in measure.SEEDS
        ]
        found |= _spread(f"fpl_{space}", values)
    return found


def _spread(name, values):
    return {
        f"{name}_mean": f"{np.mean(values):.5g}",
        f"{name}_std": f"{np.std(values, ddof=1):.3g}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weight", type=float, required=True, help="of path length: 0, 2 or 100")
    weight = parser.parse_args().weight
    config = dataclasses.replace(
        training.PRESETS["portraits32"], loss="relativistic", pl_weight=weight, kimg=KIMG,
        cooldown_kimg=0, kimg_per_tick=1, snapshot_kimg=EVERY,
    )  # fmt: skip
    folder = ROOT / "runs" / f"path-length-{weight:g}"
    training.train(config, folder, resume=(folder / "checkpoint.npz").exists())
    reader, rows = files.load_reader("factors"), []
    for path in sorted(folder.glob("network*.npz")):
        kimg = int(path.stem.removeprefix("network"))
        G = files.read_networks(path)["G_ema"]
        rows.append({"pl_weight": f"{weight:g}"} | row(G, reader, kimg))
    with atomic.replacing(
        ROOT / "notebooks" / "results" / f"path_length-{weight:g}.csv", "w"
    ) as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""Does modulation match or beat concatenation?  Four toys, equal parameters and steps, many seeds.

The lesson this course grew from claims it; here it is measured.  `python -m minigan toy compare`
trains every style with every seed and writes a row for each to a CSV file; lesson 04 reads it.
"""

import concurrent.futures
import csv
import dataclasses
import os
import time

import numpy as np

from minigan import toy
from minigan.data import signals
from minigan.evaluation import metrics, variance
from minigan.toy import training as toy_training

SAMPLES = 4096
COLUMNS = ("style", "seed", "steps", "parameters", "distance", "floor", "separability_z",
           "separability_w", "w_share", "noise_share", "both_share", "seconds")  # fmt: skip


def matched(style, config=None):
    """`config` in another style, its channels chosen so that G has as many parameters as may be."""
    config = toy.Config() if config is None else config
    target = parameters(config)
    candidates = [dataclasses.replace(config, style=style, channels=c) for c in range(4, 129)]
    return min(candidates, key=lambda candidate: abs(parameters(candidate) - target))


def parameters(config):
    """The number of G's parameters."""
    G = toy.Generator.init(config, np.random.default_rng(0))
    return sum(p.size for p in G.params.values())


def evaluate(G, rng):
    """Measures of one trained toy: a dict with the columns from `distance` to `both_share`."""
    z = rng.standard_normal((SAMPLES, G.z_dim), np.float32)
    x = G(z, noise_mode="random", rng=rng)
    held_out, more = (signals.sample(SAMPLES, rng) for _ in range(2))
    directions = int(rng.integers(2**32))  # the same for the distance and its floor

    def distance(a, b):
        return metrics.sliced_wasserstein(a, b, np.random.default_rng(directions))

    factors = signals.read(x)
    has_w = G.config.style != "concat_z"
    split = variance.variance_split(G, rng)
    return {
        "distance": distance(x, held_out),
        "floor": distance(more, held_out),
        "separability_z": _or_none(metrics.linear_separability, z, factors)[0],
        "separability_w": _or_none(metrics.linear_separability, G.mapping(z)[:, 0], factors)[0]
        if has_w
        else None,
        "w_share": split["w"],
        "noise_share": split["noise"],
        "both_share": split["both"],
    }


def _or_none(measure, *args):
    """A measure, or (None,) where a collapsed toy leaves nothing to measure."""
    try:
        return measure(*args)
    except ValueError:
        return (None,)


def run(style, seed, steps):
    """Train and measure one toy; a row of the table."""
    config = matched(style)
    start = time.perf_counter()
    G, _, _ = toy_training.train(
        config, np.random.default_rng(seed), toy_training.Training(steps=steps)
    )
    seconds = time.perf_counter() - start
    row = {"style": style, "seed": seed, "steps": steps, "parameters": parameters(config)}
    return row | evaluate(G, np.random.default_rng(seed + 1_000_000)) | {"seconds": seconds}


def compare(seeds, steps, path, jobs=1):
    """Run all styles and seeds, `jobs` at a time, and write the CSV file `path` in one go.

    Returns the rows.  Raises: as `write_table`.
    """
    tasks = [(style, seed, steps) for seed in seeds for style in toy.STYLES]
    return write_table(path, COLUMNS, run, tasks, jobs)


def write_table(path, columns, run, tasks, jobs=1):
    """run(*task) for every task, `jobs` processes at a time; the rows it gives, as a CSV file.

    Returns the rows.  Raises: FileNotFoundError, before any task, if path's folder is missing.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"compare: path is {path}, but there is no folder {folder}")
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        rows = list(pool.map(run, *zip(*tasks, strict=True)))
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    os.replace(temporary, path)
    return rows


def read(path):
    """The rows of a CSV file that `compare` wrote: dicts; numbers as floats, missing ones None."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {k: v if k == "style" else float(v) if v else None for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def summary(rows):
    """A text table of the mean ± standard deviation over seeds (two or more), a line per style."""
    columns = {"distance": 3, "separability_z": 1, "separability_w": 1, "w_share": 3}

    def cell(some, column, digits):
        values = [row[column] for row in some if row[column] is not None]
        if not values:
            return "–"
        return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"

    seeds = len({row["seed"] for row in rows})
    lines = [
        f"mean ± standard deviation over {seeds} seeds, {int(rows[0]['steps'])} steps each",
        f"floor of the distance (real against real): {cell(rows, 'floor', 3)}",
        f"{'style':9}{'parameters':>10}" + "".join(f"{c:>16}" for c in columns),
    ]
    for style in toy.STYLES:
        some = [row for row in rows if row["style"] == style]
        cells = [cell(some, column, digits) for column, digits in columns.items()]
        lines.append(
            f"{style:9}{int(some[0]['parameters']):>10}" + "".join(f"{c:>16}" for c in cells)
        )
    return "\n".join(lines)

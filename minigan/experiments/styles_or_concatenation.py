"""Does modulation match or beat concatenation?  Four toys, equal parameters and steps, many seeds.

The lesson this course grew from claims it; here it is measured.

    python -m minigan experiment styles_or_concatenation

trains every style with every seed and writes a row for each to a CSV file; lesson 04 reads it.
"""

import dataclasses
import time

import numpy as np

from minigan import toy
from minigan.data import signals
from minigan.evaluation import metrics, variance
from minigan.experiments.table import Table, mean_std
from minigan.toy import training as toy_training
from minigan.toy.training import Training

SAMPLES = 4096
COLUMNS = {"style": str, "seed": int, "steps": int, "parameters": int} | dict.fromkeys(
    ("distance", "floor", "separability_z", "separability_w", "w_share", "noise_share",
     "both_share", "seconds"), float,
)  # fmt: skip


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


def run(style: str, seed: int, steps: int) -> dict:
    """Train and measure one toy; a row of the table."""
    config = matched(style)
    start = time.perf_counter()
    G, _, _ = toy_training.train(config, np.random.default_rng(seed), Training(steps=steps))
    seconds = time.perf_counter() - start
    row = {"style": style, "seed": seed, "steps": steps, "parameters": parameters(config)}
    return row | evaluate(G, np.random.default_rng(seed + 1_000_000)) | {"seconds": seconds}


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], steps: int = Training.steps) -> list[tuple]:
    """Every style with every seed: arguments of `run`."""
    return [(style, seed, steps) for seed in seeds for style in toy.STYLES]


def summary(rows: list[dict]) -> str:
    """The table as text: mean ± standard deviation over seeds, a line for each style."""
    columns = {"distance": 3, "separability_z": 1, "separability_w": 1, "w_share": 3}
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"mean ± standard deviation over {seeds} seeds, {rows[0]['steps']} steps each",
        f"floor of the distance (real against real): {mean_std((r['floor'] for r in rows), 3)}",
        f"{'style':9}{'parameters':>10}" + "".join(f"{c:>16}" for c in columns),
    ]
    for style in toy.STYLES:
        some = [row for row in rows if row["style"] == style]
        cells = [mean_std((r[name] for r in some), digits) for name, digits in columns.items()]
        lines.append(f"{style:9}{some[0]['parameters']:>10}" + "".join(f"{c:>16}" for c in cells))
    return "\n".join(lines)

"""Does mixing regularisation make styles independent?  Toys trained with and without, many seeds.

    python -m minigan experiment style_mixing

trains both with every seed and writes a row for each to a CSV file, which lesson 05 reads.
Measured as the paper does, by what happens when styles are mixed at test time (StyleGAN, Table 2),
and by the known factors, which the paper could not.

Read first: `toy/training.py`.
"""

import numpy as np

from minigan import latents, toy
from minigan.data import signals
from minigan.evaluation import metrics
from minigan.experiments.table import Table, mean_std
from minigan.toy import training as toy_training

PROBS = (0.0, 0.9)
CUT = 4  # of 8 layers: those of length 4 and 8 before it, 16 and 32 after
COLUMNS = {"mixing_prob": float, "seed": int, "steps": int} | dict.fromkeys(
    ("floor", "distance", "distance_mixed",
     *(f"{factor}_{source}" for factor in signals.FACTORS for source in ("coarse", "fine"))), float,
)  # fmt: skip


def follows(G, rng, n=2000, cut=CUT):
    """Which source decides each factor: {factor: (r² with the coarse one, r² with the fine one)}.

    n mixtures of two latents, the first `cut` layers of A, the others of B.  r² is the squared
    correlation of the mixture's factor with that of A's own signal, and with B's.
    """
    ws = [G.mapping(rng.standard_normal((n, G.z_dim), np.float32)) for _ in "AB"]
    mixed, a, b = (
        signals.read(G.synthesis(w)) for w in (latents.style_mix(*ws, cut), ws[0], ws[1])
    )
    return {
        factor: tuple(_r2(mixed[:, i], source[:, i]) for source in (a, b))
        for i, factor in enumerate(signals.FACTORS)
    }


def _r2(x, y):
    return float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() > 0 and y.std() > 0 else 0.0


def distances(G, rng, n=4096):
    """{"floor", "distance", "distance_mixed"}: sliced Wasserstein distances to the data: of other
    data, of signals of one latent each, and of two latents each, cut anywhere."""
    held_out, more = (signals.sample(n, rng) for _ in range(2))
    a, b = (G.mapping(rng.standard_normal((n, G.z_dim), np.float32)) for _ in "AB")
    cuts = rng.integers(1, G.num_ws, n)[:, None, None]
    mixed = np.where(np.arange(G.num_ws)[:, None] < cuts, a, b)
    directions = int(rng.integers(2**32))  # the same for all three

    def distance(x):
        return metrics.sliced_wasserstein(x, held_out, np.random.default_rng(directions))

    return {
        "floor": distance(more),
        "distance": distance(G.synthesis(a, "random", rng)),
        "distance_mixed": distance(G.synthesis(mixed, "random", rng)),
    }


def run(mixing_prob: float, seed: int, steps: int) -> dict:
    """Train and measure one toy; a row of the table."""
    training = toy_training.Training(steps=steps, mixing_prob=mixing_prob)
    G, _, _ = toy_training.train(toy.Config(), np.random.default_rng(seed), training)
    rng = np.random.default_rng(seed + 1_000_000)
    row = {"mixing_prob": mixing_prob, "seed": seed, "steps": steps} | distances(G, rng)
    for factor, (coarse, fine) in follows(G, rng).items():
        row |= {f"{factor}_coarse": coarse, f"{factor}_fine": fine}
    return row


TABLE = Table(COLUMNS, run)


def tasks(seeds: list[int], steps: int = toy_training.Training.steps) -> list[tuple]:
    """Without and with, every seed: arguments of `run`."""
    return [(prob, seed, steps) for seed in seeds for prob in PROBS]


def summary(rows: list[dict]) -> str:
    """The table as text: mean ± standard deviation over seeds, without and with mixing."""
    seeds = len({row["seed"] for row in rows})
    lines = [f"mean ± standard deviation over {seeds} seeds, {rows[0]['steps']} steps each",
             f"{'':28}{'without mixing':>16}{'with':>16}"]  # fmt: skip
    names = {"floor": "floor (data against data)", "distance": "distance, one latent",
             "distance_mixed": "distance, two mixed"}  # fmt: skip
    for factor in signals.FACTORS:
        names[f"{factor}_coarse"] = f"{factor}: r² with coarse"
        names[f"{factor}_fine"] = f"{factor}: r² with fine"
    for column, name in names.items():
        cells = [mean_std((row[column] for row in rows if row["mixing_prob"] == prob), 3)
                 for prob in PROBS]  # fmt: skip
        lines.append(f"{name:28}{cells[0]:>16}{cells[1]:>16}")
    return "\n".join(lines)

"""Measures as Markdown tables: what a model card and `minigan measure` show.

Read first: `measure.py`.  Not here: measuring, and the writing of cards (`cli/models.py`).
"""

import numpy as np

from minigan.data import portraits
from minigan.evaluation.measure import CARD, SEEDS, N, covered


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _spread(values, digits):
    values = np.asarray(values)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def of_generator(found: dict) -> str:
    """All tables of what `measure.every` found.

    With "variance", what `variance.variance_split` gives, beside it: whose variance it is, too.
    """
    sizes, reader = found["sizes"], found["reader"]
    n = sizes.distances
    parts = [
        f"Features: `{reader['name']}`, fingerprint {reader['fingerprint']}, {reader['features']} "
        "numbers a picture. The distances below are *not* FID and compare only among themselves. "
        f"Mean ± standard deviation over {len(SEEDS)} seeds of the sampling; one training run.",
    ]
    if sizes != CARD:
        parts.append(
            f"**Quick:** fewer samples than a model card has, {n} pictures instead of "
            f"{CARD.distances}. The numbers scatter more, and distances and what is read from "
            "latents depend on N: compare them with others of the same N only."
        )
    parts.append(f"### Distances to {n} drawings")
    rows = [
        [name, _spread(row["frechet"], 3), _spread(row["kernel"], 2),
         _spread(row["precision"], 3), _spread(row["recall"], 3)]
        for name, row in found["distances"].items()
    ]  # fmt: skip
    parts.append(table([f"N = {n} of", f"FFD-{reader['name']}-N{n}", "kernel distance",
                        f"precision (k = 3, N = {min(n, 2000)})", "recall"], rows))  # fmt: skip
    parts.append("### Smoothness and separability")
    rows = [[name, _spread(values, 2)] for name, values in found["path_lengths"].items()]
    parts.append(table([f"feature path length, N = {sizes.paths}", "mean ± std"], rows))
    numbers = sum(not f.choices and f.name != "background" for f in portraits.FACTORS)
    score = found["separability"]
    if not isinstance(score, str):
        score = f"z {score['z']:.2f}, w {score['w']:.2f}"
    parts.append(f"Linear separability of {numbers} factors (1 is perfect, {2**numbers} is chance; "
                 f"N = {n}): {score}.")  # fmt: skip
    parts += _readable_tables(found["readable"], n)
    parts += _coverage_tables(found["coverage"])
    if found["memorised"] is not None:
        copies = dict(found["memorised"])
        parts += [
            "### Copies?",
            f"Median distance of {sizes.copies} pictures to the nearest of "
            f"{copies.pop('others'):,}: root mean square per pixel value, in a range of −1 … 1. "
            "Trained on: the last that it saw, read back by seed and number.",
        ]
        rows = [[name, *(f"{v:.4f}" for v in pair)] for name, pair in copies.items()]
        parts.append(table(["nearest among those", "fakes", "new drawings"], rows))
    parts.append("### Does the picture move as the canvas does?")
    moved = found["equivariance"]
    row = ["mean ± std", *(_spread(values, 1) for values in moved.values())]
    parts.append(table([f"of N = {sizes.canvases}, dB", *moved], [row]))
    varied = found["variety"]
    row = ["std of a pixel", *(f"{v:.3f}" for v in varied.values())]
    parts += ["### Variety", table(["ψ", *map(str, varied)], [row])]
    if "variance" in found:
        parts += _variance_table(found["variance"])
    return "\n\n".join(parts)


def of_sheet(numbers: dict[str, float]) -> list[str]:
    """The cells of a line for what `sheet.quick` found."""
    digits = {"distance": 1, "coverage": 0, "broken": 3, "odd_eyes": 3}
    return [f"{value:.{digits.get(name, 2)}f}" for name, value in numbers.items()]


def _variance_table(split):
    w, noise, both = (f"{100 * split[k]:.1f} %" for k in ("w", "noise", "both"))
    rows = [
        [name, f"{100 * w:.1f} %", f"{100 * noise:.2f} %"] for name, w, noise in split["layers"]
    ]
    return [
        f"Of the variance at ψ = 1, w alone explains {w}, the noise alone {noise}; {both} are due "
        "to both together. If the w of one layer, or its noise, alone is drawn anew:",
        table(["layer", "w", "noise"], rows),
    ]


def of_factors(found: dict, size: int, n: int = N) -> str:
    """The table of what `measure.reading` found on n drawings of size² pixels."""
    rows = []
    for name, (kind, value) in found.items():
        f = portraits.BY_NAME[name]
        guess = max(f.shares or [1 / len(f.choices)]) if f.choices else 0
        rows.append([name, f"{value:.3f}", kind, f"{guess:.2f}"])
    head = ["factor", "value", "of what", "by guessing"]
    return f"On {n} fresh drawings at {size}²:\n\n" + table(head, rows)


def of_agreement(found: dict, name: str, other: str, n: int = N) -> str:
    """The table of what `measure.agreement` found."""
    rows = [[factor, f"{value:.3f}", kind] for factor, (kind, value) in found.items()]
    said = f"On {n} pictures by `{name}` at ψ = 1, beside what `{other}` reads:\n\n"
    return said + table(["factor", "agreement", "of what"], rows)


def of_identity(found: dict, size: int, n: int = 1000) -> str:
    """The table of what `measure.recognition` found on n people."""
    rows = [
        ["cosine, one person twice (every attribute drawn anew)", f"{found['same']:.3f}"],
        ["cosine, two people", f"{found['other']:.3f}"],
        [
            f"the nearest of {n:,} is the same person (by guessing {1 / n:g})",
            f"{found['found']:.3f}",
        ],
        [
            "a pair of one person is nearer than a pair of two (by guessing 0.5)",
            f"{found['auc']:.4f}",
        ],
    ] + [
        [f"… where the two differ in {name} only", f"{auc:.3f}"]
        for name, auc in found["one factor"].items()
    ]
    return f"On {n:,} people drawn twice at {size}²:\n\n" + table(["measure", "value"], rows)


def _readable_tables(found, n):
    layers = range(len(next(iter(found.values()))["layers"]))
    level = {f.name: f.level for f in portraits.FACTORS}
    rows = [
        [name, level[name]]
        + [f"{row[s][0]:z.2f} ({row[s][1]:z.2f})" for s in ("z", "w", "s")]
        + [_strongest(row["layers"], i) for i in layers]
        for name, row in found.items()
    ]
    return [
        "### What the latents say about the factors",
        f"Share of a factor's variance in {n} pictures that a linear map reads from z, from w and "
        "from all styles s (in brackets: from the best single coordinate), cross-validated. Then, "
        "with a w of its own in each layer, from that layer's w alone; **bold** where it is "
        "strongest.",
        table(["factor", "level", "z", "w", "s", *(f"w{i}" for i in layers)], rows),
    ]


def _strongest(values, i):
    text = f"{values[i]:z.2f}"
    return f"**{text}**" if i == int(np.argmax(values)) and values[i] > 0.05 else text


def _coverage_tables(found):
    rows, missed = [], []
    for factor, values in found.items():
        for name, real, fake in values:
            if not covered(real, fake):
                missed.append(f"{factor} {name} ({100 * fake:.1f} % for {100 * real:.1f} %)")
        rows.append([factor, ", ".join(f"{name} {100 * fake:.0f} ({100 * real:.0f})"
                                       for name, real, fake in values)])  # fmt: skip
    count = sum(len(values) for values in found.values())
    verdict = (
        f"All {count} lie within a factor of two of the drawings'." if not missed
        else f"{count - len(missed)} of {count} lie within a factor of two of the drawings'; not: "
        + "; ".join(missed) + "."
    )  # fmt: skip
    return [
        "### Coverage",
        "Per cent of G's pictures at ψ = 1 with each value (in brackets: of the drawings), both as "
        f"the reader sees them. {verdict}",
        table(["factor", "values"], rows),
    ]

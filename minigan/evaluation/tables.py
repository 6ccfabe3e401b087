"""Model cards: what ships is described by a command, not by hand.

    python -m minigan export --run runs/portraits32 --name portraits32    a run's networks, halved
    python -m minigan features --task factors --out minigan/models/factors32.npz
    python -m minigan card --network portraits32                          measure it; the card anew

In minigan/models/NAME.md all below the marker is made by the last command, from the shipped file
alone; what stands above it is written by hand.

Read first: `evaluation/measure.py`.
"""

import pathlib

import numpy as np

from minigan import atomic, device, files, latents, show
from minigan.data import images, portraits, stream
from minigan.evaluation import measure, variance
from minigan.evaluation.measure import SEEDS, N
from minigan.networks.reader import Config, Network

MARK = "<!-- from here on made by: python -m minigan card --network {} -->"


def export(run, name, folder=files.MODELS):
    """A run's G_ema and D as folder/NAME.npz and NAME-D.npz, float16, with how they were made.

    Raises: as `files.read`; ValueError if the run's checkpoint is no training checkpoint.
    """
    checkpoint, folder = pathlib.Path(run, "checkpoint.npz"), pathlib.Path(folder)
    networks, _, meta = files.read(checkpoint)
    if not {"G_ema", "D"} <= networks.keys() or "log" not in meta:
        raise ValueError(f"{checkpoint} holds {sorted(networks)}; expected a training checkpoint")
    made = {
        "config": meta["config"],
        "images": meta["state"]["images"],
        "log": meta["log"],
        "seconds": sum(row["seconds"] for row in meta["log"]),
        "machines": list(dict.fromkeys(row.get("machine", "?") for row in meta["log"])),
        "stream": meta.get("stream"),
    }
    files.save(folder / f"{name}.npz", {"G_ema": networks["G_ema"]}, half=True, made=made)
    files.save(folder / f"{name}-D.npz", {"D": networks["D"]}, half=True)


def train_features(task, kimg, seed, path):
    """`training.reader.train`, saved with how it was made."""
    from minigan.training import reader

    network = reader.train(Config(task=task), kimg, seed)
    made = {"command": f"python -m minigan features --task {task} --kimg {kimg:g} --seed {seed}",
            "machine": device.machine()}  # fmt: skip
    files.save(path, {"features": network}, half=True, made=made)


def write(name, folder=files.MODELS):
    """The made part of folder/NAME.md, and its pictures.  Raises: as `files.read`."""
    folder = pathlib.Path(folder)
    path = folder / f"{name}.npz"
    networks, _, meta = files.read(path)
    network, card = next(iter(networks.values())), folder / f"{name}.md"
    if isinstance(network, Network):
        made = _features_card(name, network, meta["made"], path)
    else:
        made = _generator_card(name, network, meta["made"], path)
    mark = MARK.format(name)
    above = f"# {name}\n\n"
    if card.exists():
        above = card.read_text(encoding="utf-8").split(mark)[0]
    with atomic.replacing(card, "w") as file:
        file.write(above + mark + "\n\n" + made + "\n")


def tables(name):
    """The measures of a shipped network, or of a file, as Markdown.  Raises: as `files.read`."""
    networks, _, meta = files.read(files.shipped(name))
    network = next(iter(networks.values()))
    if isinstance(network, Network):
        return _features_tables(network)
    G = networks.get("G_ema") or networks.get("G")
    if G is None:
        raise ValueError(f"{name} holds {sorted(networks)}; expected a generator or features")
    made = meta.get("made") or meta  # of a shipped network, or of a checkpoint
    seen = made.get("images", made.get("state", {}).get("images", 0))
    return report(G, files.load_reader("factors"), _drawn(made) if seen else None, seen)


def _drawn(made):
    """The training data of a network if they were drawn; others do not ship."""
    config = made["config"]
    if config["data"] != "portraits":
        return None
    resolution, seed = config["G"]["img_resolution"], config["seed"]
    if made.get("stream") == stream.BY_NUMBER:
        return stream.Portraits(resolution, seed)
    return stream.BatchedPortraits(resolution, seed, config["batch"])  # the older networks


def _generator_card(name, G, made, path):
    config, log = made["config"], made["log"]
    fakes = [latents.samples(G, config["seed"], psi=psi) for psi in (0.7, 1.0)]
    for psi, pictures in zip(("07", "10"), fakes, strict=True):
        images.write_png(path.with_name(f"{name}-psi{psi}.png"), images.grid(pictures, 8))
    curves = _curves(log)
    with atomic.replacing(path.with_name(f"{name}-curves.png")) as file:
        file.write(curves)
    # Of the older networks no file says which machine trained them.
    machines = "; ".join(made.get("machines", [f"exported on {made.get('machine')}"]))
    sizes = [sum(p.size for p in G.params.values()), path.stat().st_size / 1e6]
    changed = "\n".join(f"    {k}: {v}" for k, v in config.items() if k not in ("G", "D"))
    nets = "\n".join(f"    {k}: {config[k]}" for k in ("G", "D"))
    return "\n\n".join([
        "## How it was made",
        f"The run of the shipped weights, after what is said above: seed {config['seed']} of "
        f"weights, data and noise; {made['images'] / 1000:g} kimg of drawn portraits; "
        f"{made['seconds'] / 60:.0f} minutes by the log, with other work beside it; "
        f"{machines}. G has {sizes[0]:,} parameters, {sizes[1]:.2f} MB as float16.",
        "<details><summary>The configuration</summary>\n\n" + nets + "\n" + changed
        + "\n\n</details>",
        f"![Losses over kimg.]({name}-curves.png)",
        "## Samples",
        f"The same 64 latents, not chosen, at ψ = 0.7 and ψ = 1.\n\n![64 portraits at ψ = 0.7.]"
        f"({name}-psi07.png) ![The same latents at ψ = 1: more varied.]({name}-psi10.png)",
        "## Measures",
        report(G, files.load_reader("factors"), _drawn(made), made["images"]),
    ])  # fmt: skip


def _curves(log):
    kimg = [row["kimg"] for row in log]
    fig, axes = show.new(
        1, 2, (9, 2.6), "The losses say who is winning, not how good the pictures are"
    )
    for ax, key in zip(axes, ("d_loss", "g_loss"), strict=True):
        ax.plot(kimg, [row[key] for row in log], color=show.COLOURS["generated"])
        ax.set(xlabel="kimg", ylabel=f"{key[0].upper()}'s loss")
    return show.png(fig)


def _features_card(name, network, made, path):
    size = sum(p.size for p in network.params.values())
    return "\n\n".join([
        "## How it was made",
        f"`{made['command']} --out minigan/models/{name}.npz`; {made['machine']}. {size:,} "
        f"parameters, {path.stat().st_size / 1e6:.2f} MB as float16. Fingerprint "
        f"{network.fingerprint}.",
        "## Measures",
        _features_tables(network),
    ])  # fmt: skip


def _features_tables(network):
    if network.config.task == "factors":
        rows = []
        for name, (kind, value) in measure.reading(network).items():
            f = portraits.BY_NAME[name]
            guess = max(f.shares or [1 / len(f.choices)]) if f.choices else 0
            rows.append([name, f"{value:.3f}", kind, f"{guess:.2f}"])
        head = ["factor", "value", "of what", "by guessing"]
        return f"On {N} fresh drawings at 32²:\n\n" + table(head, rows)
    found = measure.recognition(network)
    rows = [
        ["cosine, one person twice (every attribute drawn anew)", f"{found['same']:.3f}"],
        ["cosine, two people", f"{found['other']:.3f}"],
        ["the nearest of 1,000 is the same person (by guessing 0.001)", f"{found['found']:.3f}"],
        [
            "a pair of one person is nearer than a pair of two (by guessing 0.5)",
            f"{found['auc']:.4f}",
        ],
    ] + [
        [f"… where the two differ in {name} only", f"{auc:.3f}"]
        for name, auc in found["one factor"].items()
    ]
    return "On 1,000 people drawn twice at 32²:\n\n" + table(["measure", "value"], rows)


def table(head, rows):
    """A Markdown table: head, a list of texts; rows, lists of texts."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _spread(values, digits):
    values = np.asarray(values)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def report(G, reader, data=None, images_seen=0, n=N):
    """All tables as Markdown.  data, images_seen: what G was trained on, for `memorised`."""
    seeds = len(SEEDS)
    parts = [
        f"Features: `factors32`, fingerprint {reader.fingerprint}, {reader.config.features} "
        "numbers a picture. The distances below are *not* FID and compare only among themselves. "
        f"Mean ± standard deviation over {seeds} seeds of the sampling; one training run.",
        f"### Distances to {n} drawings",
    ]
    rows = [
        [name, _spread(row["frechet"], 3), _spread(row["kernel"], 2),
         _spread(row["precision"], 3), _spread(row["recall"], 3)]
        for name, row in measure.distances(G, reader, n).items()
    ]  # fmt: skip
    parts.append(table([f"N = {n} of", f"FFD-factors32-N{n}", "kernel distance",
                        "precision (k = 3, N = 2000)", "recall"], rows))  # fmt: skip
    parts.append("### Smoothness and separability")
    rows = [[name, _spread(values, 2)] for name, values in measure.path_lengths(G, reader).items()]
    parts.append(table(["feature path length, N = 200", "mean ± std"], rows))
    numbers = sum(not f.choices and f.name != "background" for f in portraits.FACTORS)
    try:
        found = measure.separability(G, reader, n)
        score = f"z {found['z']:.2f}, w {found['w']:.2f}"
    except ValueError as error:  # G has collapsed, and the card says so
        score = str(error)
    parts.append(f"Linear separability of {numbers} factors (1 is perfect, {2**numbers} is chance; "
                 f"N = {n}): {score}.")  # fmt: skip
    parts += _readable_tables(measure.readable(G, reader, n), n)
    parts += _coverage_tables(measure.coverage(G, reader, n))
    if data is not None:
        found = measure.memorised(G, data, images_seen)
        parts += [
            "### Copies?",
            f"Median distance of 500 pictures to the nearest of {found.pop('others'):,}: root mean "
            "square per pixel value, in a range of −1 … 1. Trained on: the last that it saw, read "
            "back by seed and number.",
        ]
        rows = [[name, *(f"{v:.4f}" for v in pair)] for name, pair in found.items()]
        parts.append(table(["nearest among those", "fakes", "new drawings"], rows))
    parts.append("### Does the picture move as the canvas does?")
    moved = measure.equivariance(G)
    row = ["mean ± std", *(_spread(values, 1) for values in moved.values())]
    parts.append(table(["of N = 480, dB", *moved], [row]))
    found = measure.variety(G)
    parts.append("### Variety")
    parts.append(
        table(["ψ", *map(str, found)], [["std of a pixel", *(f"{v:.3f}" for v in found.values())]])
    )
    if not variance.splits(G):
        return "\n\n".join(parts)
    split = variance.variance_split(G, np.random.default_rng(0), 512)
    w, noise, both = (f"{100 * split[k]:.1f} %" for k in ("w", "noise", "both"))
    parts.append(
        f"Of the variance at ψ = 1, w alone explains {w}, the noise alone {noise}; {both} are due "
        "to both together. If the w of one layer, or its noise, alone is drawn anew:"
    )
    rows = [
        [name, f"{100 * w:.1f} %", f"{100 * noise:.2f} %"] for name, w, noise in split["layers"]
    ]
    parts.append(table(["layer", "w", "noise"], rows))
    return "\n\n".join(parts)


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
            if not real / 2 <= fake <= 2 * real:
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

"""minigan export, measure, card: what ships is described by a command, not by hand.

    python -m minigan export --run runs/portraits32 --name portraits32    a run's networks, halved
    python -m minigan reader --task factors --out minigan/models/factors32.npz
    python -m minigan card --network portraits32                          measure it; the card anew
    python -m minigan measure inversion --network portraits64             the table of inversions

In minigan/models/NAME.md all below the marker is made by the last command, from the shipped file
alone; what stands above it is written by hand.

Read first: `evaluation/measure.py`.
"""

import pathlib

from minigan.cli.arguments import NETWORK, check_images, whole

MARK = "<!-- from here on made by: python -m minigan card --network {} -->"


def add(commands) -> None:
    command = commands.add_parser("export", help="a training run's networks, to ship")
    command.add_argument("--run", dest="folder", required=True, help="the run's folder")
    command.add_argument("--name", required=True, help="writes minigan/models/NAME.npz, NAME-D.npz")
    command.set_defaults(run=lambda args: export(args.folder, args.name))
    command = commands.add_parser("measure", help="print the measures of a network")
    command.add_argument("network", metavar="NETWORK", nargs="+", help=(
        f'{NETWORK}; or "inversion": the table of ways to find the w of a picture'))  # fmt: skip
    command.add_argument(
        "--quick", action="store_true", help="of generators, a line each, in a minute or two"
    )
    table = command.add_argument_group("of measure inversion")
    table.add_argument("--network", dest="inverted", default="portraits64", help=NETWORK)
    table.add_argument("--n", type=whole(1), default=64, help="pictures of each set and seed")
    table.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2])
    table.add_argument("--out", default="notebooks/results/inversion.csv", help=(
        "the table; what it has already is not measured again"))  # fmt: skip
    command.set_defaults(run=_measure)
    command = commands.add_parser("card", help="write a shipped network's model card anew")
    command.add_argument("--network", required=True, help="a shipped name such as portraits32")
    command.set_defaults(run=lambda args: write_card(args.network))


def export(run: str | pathlib.Path, name: str, folder: str | pathlib.Path | None = None) -> None:
    """A run's G_ema and D as folder/NAME.npz and NAME-D.npz, float16, with how they were made.

    folder: None is that of the shipped networks.
    Raises: as `files.read`; ValueError if the run's checkpoint is no training checkpoint.
    """
    from minigan import files

    checkpoint, folder = pathlib.Path(run, "checkpoint.npz"), pathlib.Path(folder or files.MODELS)
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


def _measure(args):
    if args.network == ["inversion"]:
        from minigan.experiments import inversion

        G, _ = _generator(args.inverted)
        rows = inversion.make(G, args.out, args.seeds, inversion.Sizes(args.n))
        print(inversion.summary(rows))
    elif args.quick:
        print(sheets(args.network))
    else:
        print("\n\n".join(map(measures, args.network)))


def sheets(names: list[str | pathlib.Path]) -> str:
    """`evaluation/sheet.py`'s numbers of several generators as a Markdown table, a line each.

    Raises: as `files.read_networks`; ValueError for a file without a generator.
    """
    from minigan.evaluation import sheet, tables

    rows = []
    for name in names:
        G, made = _generator(name)
        seen, seconds = made.get("images", 0), made.get("seconds", 0)
        cost = [f"{seen / 1000:g}", f"{seconds / 60:.0f}"] if seen else ["", ""]
        rows.append([pathlib.Path(name).stem, *cost, *tables.of_sheet(sheet.quick(G))])
    return tables.table(["network", "kimg", "minutes", *sheet.NUMBERS], rows)


def _generator(name):
    """A file's generator and what it says of its training."""
    from minigan import files

    path = files.shipped(name)
    networks = files.read_networks(path)
    G = networks.get("G_ema") or networks.get("G")
    if G is None:
        raise ValueError(f"{name} holds {sorted(networks)}; expected a generator")
    check_images(name, G)
    meta = {} if path.suffix == ".pkl" else files.read(path)[2]
    made = meta.get("made") or meta  # of a shipped network, or of a checkpoint
    log = made.get("log", [])
    return G, {
        "images": made.get("state", {}).get("images", 0),
        "seconds": sum(row["seconds"] for row in log),
    } | made


def measures(name: str | pathlib.Path) -> str:
    """The measures of a shipped network, or of a file, as Markdown.

    Raises: as `files.read_networks`; ValueError for a file without a generator or a reader.
    """
    from minigan import files
    from minigan.evaluation import measure
    from minigan.networks import reader

    network = next(iter(files.read_networks(files.shipped(name)).values()))
    if isinstance(network, reader.Network):
        return reader_tables(network, measure.N, name)
    G, made = _generator(name)
    seen = made["images"]
    return generator_tables(G, drawn(made) if seen else None, seen, measure.CARD)


def drawn(made: dict):
    """The training data of a network if they were drawn; others do not ship: None.

    made: what its file says of its training, with "config" and perhaps "stream".
    """
    from minigan.data import stream

    config = made["config"]
    if config["data"] != "portraits":
        return None
    resolution, seed = config["G"]["img_resolution"], config["seed"]
    if made.get("stream") == stream.BY_NUMBER:
        return stream.Portraits(resolution, seed)
    return stream.BatchedPortraits(resolution, seed, config["batch"])  # the older networks


def generator_tables(G, data, images_seen: int, sizes) -> str:
    """Everything measured of a generator of portraits.  data, images_seen: its training's."""
    import numpy as np

    from minigan.evaluation import measure, tables, variance

    found = measure.every(G, measure.reader_for(G), data, images_seen, sizes)
    if variance.splits(G):
        found["variance"] = variance.variance_split(G, np.random.default_rng(0), sizes.shares)
    return tables.of_generator(found)


def reader_tables(network, n: int, name: str) -> str:
    """What a network that reads portraits gets right, of n drawings or 1,000 people; and how far it
    agrees with the one that teaches, NAME-teach, if that ships."""
    from minigan import files
    from minigan.evaluation import measure, tables

    size, teacher = network.config.resolution, f"{name}-teach"
    if network.config.task == "factors":
        found = tables.of_factors(measure.reading(network, n), size, n)
    else:
        found = tables.of_identity(measure.recognition(network), size)
    if not (files.MODELS / f"{teacher}.npz").exists():
        return found
    generator = f"portraits{size}"
    same = measure.agreement(files.load(generator), network, files.load_reader(teacher), n)
    return found + "\n\n" + tables.of_agreement(same, generator, teacher, n)


def write_card(name: str, folder: str | pathlib.Path | None = None) -> None:
    """The made part of folder/NAME.md, and its pictures.

    folder: None is that of the shipped networks.
    Raises: as `files.read`; ValueError for a network that does not say how it was made.
    """
    from minigan import atomic, files
    from minigan.networks import reader

    folder = pathlib.Path(folder or files.MODELS)
    path = folder / f"{name}.npz"
    networks, _, meta = files.read(path)
    if "made" not in meta:
        raise ValueError(f"{path} does not say how it was made; expected a network to ship")
    network, card = next(iter(networks.values())), folder / f"{name}.md"
    describe = _reader_card if isinstance(network, reader.Network) else _generator_card
    made, mark = describe(name, network, meta["made"], path), MARK.format(name)
    above = f"# {name}\n\n"
    if card.exists():
        above = card.read_text(encoding="utf-8").split(mark)[0]
    with atomic.replacing(card, "w") as file:
        file.write(above + mark + "\n\n" + made + "\n")


def _generator_card(name, G, made, path):
    from minigan import atomic, latents
    from minigan.data import images
    from minigan.evaluation import measure

    config = made["config"]
    for psi, suffix in ((0.7, "psi07"), (1.0, "psi10")):
        samples = latents.samples(G, config["seed"], psi=psi)
        images.write_png(path.with_name(f"{name}-{suffix}.png"), images.grid(samples, 8))
    curves = _curves(made["log"])
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
        generator_tables(G, drawn(made), made["images"], measure.CARD),
    ])  # fmt: skip


def _curves(log):
    from minigan import show

    kimg = [row["kimg"] for row in log]
    fig, axes = show.new(
        1, 2, (9, 2.6), "The losses say who is winning, not how good the pictures are"
    )
    for ax, key in zip(axes, ("d_loss", "g_loss"), strict=True):
        ax.plot(kimg, [row[key] for row in log], color=show.COLOURS["generated"])
        ax.set(xlabel="kimg", ylabel=f"{key[0].upper()}'s loss")
    return show.png(fig)


def _reader_card(name, network, made, path):
    from minigan.evaluation import measure

    size = sum(p.size for p in network.params.values())
    return "\n\n".join([
        "## How it was made",
        f"`{made['command']} --out minigan/models/{name}.npz`; {made['machine']}. {size:,} "
        f"parameters, {path.stat().st_size / 1e6:.2f} MB as float16. Fingerprint "
        f"{network.fingerprint}.",
        "## Measures",
        reader_tables(network, measure.N, name),
    ])  # fmt: skip

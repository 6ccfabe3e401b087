"""minigan generate, style-mix, interpolate: pictures from a network; draw: of portraits.

Read first: `latents.py`, `data/portraits.py`.
"""

import pathlib

from minigan import progress
from minigan.cli.arguments import NETWORK, check_images, whole


def add(commands) -> None:
    generate = commands.add_parser("generate", help="pictures of a network, by seed")
    generate.set_defaults(run=_generate)
    mix = commands.add_parser("style-mix", help="a grid of rows' seeds with columns' styles")
    mix.set_defaults(run=_style_mix)
    between = commands.add_parser("interpolate", help="frames on the way from seed to seed")
    between.set_defaults(run=_interpolate)
    for parser in (generate, mix, between):
        parser.add_argument("--network", required=True, help=NETWORK)
        parser.add_argument("--outdir", required=True, help="where the PNG files go")
        parser.add_argument("--trunc", type=float, default=1.0, help="truncation, psi (1: none)")
        parser.add_argument("--class", dest="label", type=int, help="of a conditional network")
        parser.add_argument("--noise-mode", choices=("const", "random", "none"), default="const")
    for parser in (generate, between):
        parser.add_argument("--seeds", required=True, help="such as 0-63 or 1,5,7-9")
    mix.add_argument("--rows", required=True, help="seeds of the rows, such as 85,100,75")
    mix.add_argument("--cols", required=True, help="seeds of the columns, whose styles are taken")
    mix.add_argument("--styles", help="the layers taken, such as 0-3 (the first half)")
    between.add_argument(
        "--w-frames", type=whole(1), default=60, help="frames from one seed to the next"
    )
    draw_ = commands.add_parser("draw", help="drawn portraits, a folder of pictures")
    draw_.set_defaults(run=lambda args: draw(
        args.outdir, args.n, args.resolution, args.manner, args.seed
    ))  # fmt: skip
    draw_.add_argument("--outdir", required=True, help="where the PNG files go")
    draw_.add_argument("--n", type=whole(1), default=100, help="how many (100)")
    draw_.add_argument("--resolution", type=whole(4), default=64, help="pixels of a side (64)")
    draw_.add_argument("--manner", choices=("painted", "sketch", "night"), default="painted")
    draw_.add_argument("--seed", type=whole(0), default=1, help="training begins with seed 0 (1)")


def _generate(args):
    generate(args.network, _seeds(args.seeds), args.outdir, **_common(args))


def _style_mix(args):
    styles = _range(args.styles) if args.styles else None
    rows, cols = _seeds(args.rows), _seeds(args.cols)
    style_mix(args.network, rows, cols, args.outdir, styles, **_common(args))


def _interpolate(args):
    interpolate(args.network, _seeds(args.seeds), args.outdir, args.w_frames, **_common(args))


def _range(text):
    from minigan import latents

    return latents.parse_range(text)


def _seeds(text):
    seeds = _range(text)
    if max(seeds) >= 1 << 32:
        raise ValueError(f"{max(seeds)} is no seed; expected whole numbers below 2³²")
    return seeds


def _common(args):
    return {"psi": args.trunc, "label": args.label, "noise_mode": args.noise_mode}


class _Painter:
    """A generator, how its pictures are to be, and the folder they go to."""

    def __init__(self, network, outdir, psi, label, noise_mode):
        from minigan import files
        from minigan.networks import base

        self.G, self.folder = files.load(network), pathlib.Path(outdir)
        self.psi, self.noise_mode = psi, noise_mode
        check_images(network, self.G)
        self.c = base.one_hot(label, self.G.c_dim)
        self.folder.mkdir(parents=True, exist_ok=True)

    def styles(self, seed):
        from minigan import latents

        return self.G.mapping(latents.from_seed(seed, self.G.z_dim), self.c, self.psi)

    def image(self, ws, seed):
        """seed: of the noise, where it is random."""
        import numpy as np

        rng = np.random.default_rng(seed) if self.noise_mode == "random" else None
        return self.G.synthesis(ws, self.noise_mode, rng)

    def write(self, name, images, columns=1):
        from minigan.data.images import grid, write_png

        write_png(self.folder / name, grid(images, columns))


def generate(
    network: str | pathlib.Path,
    seeds: list[int],
    outdir: str | pathlib.Path,
    psi: float = 1.0,
    label: int | None = None,
    noise_mode: str = "const",
) -> None:
    """outdir/seed0000.png, … of a network.  Raises: as `files.load` and the generator."""
    painter = _Painter(network, outdir, psi, label, noise_mode)
    for seed in progress.bar(seeds, "pictures"):
        painter.write(f"seed{seed:04d}.png", painter.image(painter.styles(seed), seed))


def style_mix(
    network: str | pathlib.Path,
    rows: list[int],
    cols: list[int],
    outdir: str | pathlib.Path,
    styles: list[int] | None = None,
    psi: float = 1.0,
    label: int | None = None,
    noise_mode: str = "const",
) -> None:
    """outdir/grid.png: each row's seed with the layers `styles` (None: the first half) taken from
    each column's; and each picture alone, such as 85-55.png.

    Raises: ValueError for layers that the network does not have; as `files.load`.
    """
    import numpy as np

    painter = _Painter(network, outdir, psi, label, noise_mode)
    layers = painter.G.num_ws
    styles = list(range(layers // 2)) if styles is None else styles
    for i in styles:
        if not 0 <= i < layers:
            raise ValueError(f"--styles names layer {i}; expected layers from 0 to {layers - 1}")
    ws = {seed: painter.styles(seed) for seed in dict.fromkeys(rows + cols)}
    plain = {seed: painter.image(w, seed) for seed, w in ws.items()}
    images = [np.ones_like(plain[rows[0]])] + [plain[col] for col in cols]
    for row in progress.bar(rows, "rows"):
        images.append(plain[row])
        for col in cols:
            mixed = np.array(ws[row])
            mixed[:, styles] = ws[col][:, styles]
            images.append(painter.image(mixed, row))
            painter.write(f"{row}-{col}.png", images[-1])
    painter.write("grid.png", np.concatenate(images), len(cols) + 1)


def interpolate(
    network: str | pathlib.Path,
    seeds: list[int],
    outdir: str | pathlib.Path,
    frames: int = 60,
    psi: float = 1.0,
    label: int | None = None,
    noise_mode: str = "const",
) -> None:
    """outdir/frame00000.png, …: from seed to seed in straight lines through W, and back again.

    Raises: ValueError for a single seed, or no frame; as `files.load`.
    """
    if len(seeds) < 2 or frames < 1:
        raise ValueError(
            f"interpolate: seeds are {seeds}, with {frames} frames from one to the next; expected "
            "two seeds or more, and a frame"
        )
    painter = _Painter(network, outdir, psi, label, noise_mode)
    ws = [painter.styles(seed) for seed in seeds]
    path = [
        start + (end - start) * (i / frames)
        for start, end in zip(ws, [*ws[1:], ws[0]], strict=True)
        for i in range(frames)
    ]
    for i, w in enumerate(progress.bar(path, "frames")):
        painter.write(f"frame{i:05d}.png", painter.image(w, seeds[0]))


def draw(
    outdir: str | pathlib.Path,
    n: int,
    resolution: int = 64,
    manner: str = "painted",
    seed: int = 1,
) -> None:
    """outdir/portrait00000.png, …: the first n portraits of a seed, the same whatever n is."""
    from minigan.data.images import to_uint8, write_png
    from minigan.data.stream import Portraits

    data, folder = Portraits(resolution, seed, manner), pathlib.Path(outdir)
    folder.mkdir(parents=True, exist_ok=True)
    for i in progress.bar(range(n), "portraits"):
        write_png(folder / f"portrait{i:05d}.png", to_uint8(data.batch(i, 1)[0])[0])

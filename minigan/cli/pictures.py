"""Pictures from a network file: by seed, with styles mixed, and between seeds.

Read first: `latents.py`.
"""

import pathlib

import numpy as np

from minigan import files, latents, progress
from minigan.data.images import grid, write_png


def _label(G, label):
    if G.c_dim == 0:
        if label is not None:
            raise ValueError(f"--class is {label}, and the network has no classes; leave it out")
        return None
    if label is None or not 0 <= label < G.c_dim:
        raise ValueError(f"--class is {label}; expected a class from 0 to {G.c_dim - 1}")
    return np.eye(G.c_dim, dtype=np.float32)[label : label + 1]


def _styles(G, seed, label, psi):
    return G.mapping(latents.from_seed(seed, G.z_dim), _label(G, label), psi)


def _image(G, ws, noise_mode, seed):
    rng = np.random.default_rng(seed) if noise_mode == "random" else None
    return G.synthesis(ws, noise_mode, rng)


def _opened(network, outdir):
    G, outdir = files.load(network), pathlib.Path(outdir)
    if not hasattr(G, "img_channels"):
        raise ValueError(f"{network} holds a toy, which draws signals; expected one of pictures")
    outdir.mkdir(parents=True, exist_ok=True)
    return G, outdir


def generate(network, seeds, outdir, psi=1.0, label=None, noise_mode="const"):
    """outdir/seed0000.png, … of a network file.  Raises: as `files.load` and the generator."""
    G, outdir = _opened(network, outdir)
    for seed in progress.bar(seeds, "pictures"):
        img = _image(G, _styles(G, seed, label, psi), noise_mode, seed)
        write_png(outdir / f"seed{seed:04d}.png", grid(img, 1))


def style_mix(network, rows, cols, outdir, styles=None, psi=1.0, label=None, noise_mode="const"):
    """outdir/grid.png: each row's seed with the layers `styles` (None: the first half) taken from
    each column's; and each picture alone, such as 85-55.png."""
    G, outdir = _opened(network, outdir)
    styles = list(range(G.num_ws // 2)) if styles is None else styles
    if not all(0 <= i < G.num_ws for i in styles):
        raise ValueError(f"--styles are {styles}; expected layers from 0 to {G.num_ws - 1}")
    ws = {seed: _styles(G, seed, label, psi) for seed in dict.fromkeys(rows + cols)}
    plain = {seed: _image(G, w, noise_mode, seed) for seed, w in ws.items()}
    pictures = [np.ones_like(plain[rows[0]])] + [plain[col] for col in cols]
    for row in progress.bar(rows, "rows"):
        pictures.append(plain[row])
        for col in cols:
            mixed = np.array(ws[row])
            mixed[:, styles] = ws[col][:, styles]
            pictures.append(_image(G, mixed, noise_mode, row))
            write_png(outdir / f"{row}-{col}.png", grid(pictures[-1], 1))
    write_png(outdir / "grid.png", grid(np.concatenate(pictures), len(cols) + 1))


def interpolate(network, seeds, outdir, frames=60, psi=1.0, label=None, noise_mode="const"):
    """outdir/frame00000.png, …: from seed to seed in straight lines through W, and back again."""
    if len(seeds) < 2 or frames < 1:
        raise ValueError(f"{len(seeds)} seeds, {frames} frames; expected two seeds and a frame")
    G, outdir = _opened(network, outdir)
    ws = [_styles(G, seed, label, psi) for seed in seeds]
    path = [
        start + (end - start) * (i / frames)
        for start, end in zip(ws, [*ws[1:], ws[0]], strict=True)
        for i in range(frames)
    ]
    for i, w in enumerate(progress.bar(path, "frames")):
        img = _image(G, w, noise_mode, seeds[0])
        write_png(outdir / f"frame{i:05d}.png", grid(img, 1))

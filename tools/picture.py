"""Draw the README's picture: train a toy and sweep ψ.  `python tools/picture.py`, half a minute."""

import pathlib

import numpy as np

from minigan import show, toy
from minigan.show.figures import png
from minigan.toy import training as toy_training

LATENTS = 7
PSIS = [-1.0, -0.5, 0.0, 0.5, 1.0]


def main():
    G, _, _ = toy_training.train(toy.Config(), np.random.default_rng(0))
    z = np.random.default_rng(6).standard_normal((LATENTS, G.z_dim), np.float32)
    fig, axes = show.new(1, len(PSIS), (11, 2.6), sharey=True)
    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    for ax, psi in zip(axes, PSIS, strict=True):
        for signal, colour in zip(G(z, truncation_psi=psi), colours, strict=True):
            ax.plot(signal[0], color=colour, linewidth=1.6)
        ax.set_title(f"ψ = {psi:g}")
        ax.set(xticks=[], yticks=[], ylim=(-2, 1.8))
        ax.spines[:].set_visible(False)
    path = pathlib.Path(__file__).parent.parent / "docs" / "psi.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png(fig, dpi=110))


if __name__ == "__main__":
    main()

"""The canvas under a generator: shift, turn and zoom it, and see whether the picture follows.

    show.canvas_slider(G)      show.canvas_slider({"StyleGAN2": G2, "StyleGAN3": G3})

Read first: `live.py`, `evaluation/equivariance.py`.
"""

import functools
import math

import numpy as np

from minigan import check
from minigan.evaluation import equivariance
from minigan.show import live

_LONGEST = 0.5  # of the canvas


def canvas(x, y, angle, zoom):
    """The matrix [3, 3] of: zoom about the middle, turn counterclockwise by degrees, then shift."""
    matrix = np.array([[0, 0, x], [0, 0, y], [0, 0, 1.0]])
    matrix[:2, :2] = zoom * equivariance.turn(math.radians(angle))
    return matrix


def canvas_slider(G, seeds="0-3", psi=0.7, x=0.0):
    """The pictures of some seeds while their canvas is shifted, turned and zoomed by sliders.

    G: a StyleGAN3, whose input is transformed; a StyleGAN 1 or 2, whose constants are
    (`equivariance.moved_constants`); or {name: G} of several, one below the other.
    seeds: text, at most 8.  x: the shift to the right that it opens with, as a share of the canvas.
    Returns a widget.  Raises: TypeError, ValueError.
    """
    networks = G if isinstance(G, dict) else {"": G}
    for network in networks.values():
        live.check_generator("canvas_slider", network, images=True)
        equivariance.transformed(network, np.eye(3))
    check.within("canvas_slider", "psi", psi, -1, 1.5)
    check.within("canvas_slider", "x", x, -_LONGEST, _LONGEST)

    @functools.lru_cache(8)
    def styles(name, text, psi):
        z = live.latents(networks[name], live.seeds("seeds", text, 8))
        return networks[name].mapping(z, truncation_psi=psi)

    def draw(x, y, angle, zoom, psi, seeds):
        matrix, frames = canvas(x, y, angle, zoom), []
        for name, network in networks.items():
            ws = styles(name, seeds, psi)
            pictures = equivariance.transformed(network, matrix).synthesis(ws)
            alt = f"{len(pictures)} pictures {name}, their canvas shifted, turned and zoomed"
            frames.append(live.pictures(pictures, len(pictures), alt))
        moved = f"shifted by {x:.2f}, {y:.2f} of its width, turned by {angle:g}°, zoom {zoom:.2f}"
        names = f" From the top: {', '.join(networks)}." if len(networks) > 1 else ""
        return live.Seen(frames, f"The canvas is {moved}.{names}")

    controls = {
        "x": live.Number("right", x, -_LONGEST, _LONGEST, 0.01),
        "y": live.Number("down", 0.0, -_LONGEST, _LONGEST, 0.01),
        "angle": live.Number("turn (°)", 0, -180, 180, 1),
        "zoom": live.Number("zoom", 1.0, 0.5, 2.0, 0.02),
        "psi": live.psi_control(psi), "seeds": live.field("seeds", seeds),
    }  # fmt: skip
    return live.Live("Move the canvas, not the picture", controls, draw)

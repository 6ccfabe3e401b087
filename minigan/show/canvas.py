"""The canvas under a generator: shift, turn and zoom it, and see whether the picture follows.

    show.canvas_slider(G)      show.canvas_slider({"StyleGAN2": G2, "StyleGAN3": G3})

Read first: `live.py`, `evaluation/equivariance.py`.
"""

import dataclasses
import functools
import html
import math

import ipywidgets
import numpy as np
import scipy.ndimage

from minigan import check
from minigan.evaluation import equivariance
from minigan.show import live

_LONGEST = 0.5  # of the canvas
_LINES = ("its canvas moved", "its picture moved", "2 × |difference|")
_UNKNOWN = 0.6  # of −1 … 1: a light grey, where the picture would have to be known beyond its edge


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

    labels = [f"{name}: {line}" if name else line for line in _LINES for name in networks]

    @functools.lru_cache(8)
    def unmoved(name, text, psi):
        z = live.latents(networks[name], live.seeds("seeds", text, 8))
        ws = networks[name].mapping(z, truncation_psi=psi)
        return ws, networks[name].synthesis(ws)

    def draw(x, y, angle, zoom, psi, seeds):
        matrix, lines, follow = canvas(x, y, angle, zoom), [], []
        for name, network in networks.items():
            ws, before = unmoved(name, seeds, psi)
            after = equivariance.transformed(network, matrix).synthesis(ws)
            expected, known = moved(before, matrix)
            off = np.abs(after - expected)
            follow.append(f"{name or 'It follows at'} {_decibels(off[:, :, known])}")
            error = np.where(known, 2 * off.mean(axis=1, keepdims=True) - 1, _UNKNOWN)
            if before.shape[1] == 4:  # opaque
                error = np.concatenate([error.repeat(3, axis=1), np.ones_like(error)], axis=1)
            lines.append((after, expected, error))
        rows = [pictures for line in zip(*lines, strict=True) for pictures in line]
        frames = [
            live.pictures(pictures, len(pictures), f"{label}, {len(pictures)} seeds")
            for label, pictures in zip(labels, rows, strict=True)
        ]
        shift = f"shifted by {x:.2f}, {y:.2f} of its width, turned by {angle:g}°, zoom {zoom:.2f}"
        return live.Seen(frames, f"The canvas is {shift}. Does the picture follow? "
                                 f"{'; '.join(follow)} (20 dB: off by a tenth of the range, "
                                 "40 dB: by a hundredth).")  # fmt: skip

    def arrange(views):
        rows = []
        beside = 140 + 99 * len(live.seeds("seeds", seeds, 8))  # else the label stands above
        width = f"clamp(120px, ({beside}px - 100cqw) * 1000, 100cqw)"
        for label, view in zip(labels, views, strict=True):
            words = f'<div style="line-height: 16px">{html.escape(label)}</div>'
            label = ipywidgets.HTML(words, layout=ipywidgets.Layout(width=width))
            rows.append(ipywidgets.Box([label, view], layout=ipywidgets.Layout(
                flex_flow="row wrap", align_items="center")))  # fmt: skip
        return ipywidgets.VBox(rows)

    controls = {
        "x": live.Slider("right", x, -_LONGEST, _LONGEST, 0.01),
        "y": live.Slider("down", 0.0, -_LONGEST, _LONGEST, 0.01),
        "angle": live.Slider("turn (°)", 0, -180, 180, 1),
        "zoom": live.Slider("zoom", 1.0, 0.5, 2.0, 0.02),
        "psi": live.psi_control(psi), "seeds": live.field("seeds", seeds),
    }  # fmt: skip

    def reset():
        for name, value in {"x": 0.0, "y": 0.0, "angle": 0, "zoom": 1.0}.items():
            controls[name].value = value

    def still():
        """What a saved notebook shows: the rows with their labels."""
        rows = draw(x, 0.0, 0, 1.0, psi, str(seeds)).frames
        return [dataclasses.replace(row, names=(label,))
                for row, label in zip(rows, labels, strict=True)]  # fmt: skip

    return live.Live("Move the canvas, not the picture", controls, draw, {"reset": reset},
                     arrange, still, "shift, turn and zoom the canvas")  # fmt: skip


def moved(x, matrix):
    """Images [N, C, H, W] under the canvas' matrix: (y, where [H, W] it is known).

    By cubic splines: exact where pixels meet pixels, and at half a pixel right to some 35 to 40 dB
    (two shifts by half a pixel differ from one by a whole one by 29 to 34 dB, so one by 6 less).
    """
    size = x.shape[-1]
    middle = (size - 1) / 2
    inverse = np.linalg.inv(matrix)
    m = inverse[1::-1, 1::-1]  # rows first
    offset = middle - m @ [middle, middle] + inverse[1::-1, 2] * size
    rows = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"))
    at = np.tensordot(m, rows, 1) + offset[:, None, None]
    known = ((at > -1e-6) & (at < size - 1 + 1e-6)).all(axis=0)
    planes = [scipy.ndimage.map_coordinates(p, at, order=3, mode="nearest")
              for p in x.reshape(-1, size, size)]  # fmt: skip
    return np.where(known, np.stack(planes).reshape(x.shape), _UNKNOWN), known


def _decibels(off):
    """10·log₁₀(2²/MSE), as `equivariance` has it."""
    if off.size == 0:
        return "out of the picture"
    error = np.mean(np.square(off, dtype=np.float64))
    return f"{10 * math.log10(4 / error):.1f} dB" if error > 1e-10 else "exactly"

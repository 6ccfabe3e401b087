"""Drag ψ: pictures, where their w lie in W, and how much they differ.

G: any generator without labels, the 1-D toy too.  Seeds give the latents that NVIDIA's scripts
would draw.  Read first: `live.py`.
"""

import dataclasses
import functools

import ipywidgets
import numpy as np

from minigan import check
from minigan.latents import truncate
from minigan.networks import base
from minigan.show import live, mixing, parts, svg

_CLOUD = 400  # latents that show where styles usually lie
_LOW, _HIGH = -1.0, 1.5
_TICKS = [(-1, "opposite"), (0, "average w̄"), (0.7, ""), (1, "as trained"), (1.5, "too far")]
_STILL = {-1: "opposite", 0: "the average w̄", 0.5: "half way", 1: "as trained", 1.5: "too far"}


def psi_slider(
    G: base.Generator, seeds: object = "0-5", psi: float = 1.0, cutoff: int | None = None
) -> live.Live:
    """ψ from −1 to 1.5 by a slider: pictures, where their w lie beside w̄, and how they vary.

    seeds: text such as "0-3, 8", at most 16.  cutoff: only so many first layers are truncated.
    Raises: TypeError, ValueError.
    """
    live.check_generator("psi_slider", G)
    check.within("psi_slider", "psi", psi, _LOW, _HIGH)
    cutoff = G.num_ws if cutoff is None else cutoff
    check.within("psi_slider", "cutoff", cutoff, 0, G.num_ws, whole=True)
    plane = _Plane(G)

    @functools.lru_cache(4)
    def styles(text):
        return G.mapping(live.latents(G, live.seeds("seeds", text, 16)))

    def picture(ws, psi, cutoff):
        ws = truncate(ws, G.w_avg, psi, cutoff).astype(np.float32)
        # Drawn once if all are equal: a matrix product rounds its last rows otherwise than the
        # first, on some processors, and at ψ = 0 a pixel would differ by one of 256 levels.
        if (ws == ws[:1]).all():
            return np.repeat(G.synthesis(ws[:1]), len(ws), axis=0)
        return G.synthesis(ws)

    @functools.lru_cache(16)
    def variety(text, cutoff):
        """{ψ: how much the pictures differ}; what is seen later is added."""
        return {p: _variety(picture(styles(text), p, cutoff)) for p in np.linspace(_LOW, _HIGH, 11)}

    def draw(psi, cutoff, seeds):
        ws, numbers = styles(seeds), live.seeds("seeds", seeds, 16)
        x = picture(ws, psi, cutoff)
        names = [f"seed {number}" for number in numbers]
        alt = f"{len(x)} generated pictures at ψ = {psi:.2f}"
        text = _where(psi, cutoff, G.num_ws)
        if len(x) > 1:
            found = variety(seeds, cutoff)
            found[psi] = _variety(x)
            top = 1.1 * max(*found.values(), 1e-6)
            slider.curve = [(p, found[p] / top) for p in sorted(found)]
            slider.caption = f"how much they differ: {found[psi]:.3f}"
            text += f" They differ by {found[psi]:.3f} (mean standard deviation)."
        else:
            slider.curve, slider.caption = [], "how much they differ: needs two seeds"
        return live.Seen(
            [live.pictures(x, 6, alt, 128, names), plane.frame(ws, numbers, psi, cutoff)], text
        )

    def still():
        ws = styles(str(seeds))[:4]
        for p, words in _STILL.items():
            alt = f"{len(ws)} generated pictures at ψ = {p}"
            row = live.pictures(picture(ws, p, cutoff), len(ws), alt, 128)
            yield dataclasses.replace(row, names=(f"ψ = {p}: {words}".replace("-", "−"),))

    def new_faces():
        numbers = live.seeds("seeds", panel.controls["seeds"].value, 16)
        first, last = max(numbers) + 1, max(numbers) + len(numbers)
        panel.controls["seeds"].value = f"{first}-{last}" if last > first else f"{first}"

    def reset():
        for name, value in start.items():
            panel.controls[name].value = value

    slider = parts.Slider("ψ (psi)", float(psi), _LOW, _HIGH, 0.05, "100%", _TICKS,
                          "{}, every w at {} of its distance from the average")  # fmt: skip
    chips = parts.Steps("which layers listen", cutoff, {
        name: [str(i) for i in layers] for name, layers in mixing.bands(G).items()
    })  # fmt: skip
    controls = {"psi": slider, "cutoff": chips, "seeds": live.field("seeds", seeds)}
    start = {name: control.value for name, control in controls.items()}
    panel = live.Live(
        "Truncation: w′ = w̄ + ψ (w − w̄)", controls, draw, {"new faces": new_faces, "reset": reset},
        still=lambda: list(still()), invite="drag ψ",
    )  # fmt: skip
    panel.shown.layout.flex_flow = "row"
    panel.shown.add_class("minigan-beside")
    fresh = ipywidgets.HBox([controls["seeds"], *panel.buttons.values()])
    head = ipywidgets.Box([panel.title, fresh], layout=ipywidgets.Layout(flex_flow="row wrap"))
    head.add_class("minigan-head")
    panel.children = [head, slider, panel.message, panel.text, panel.shown, chips]
    return panel


class _Plane:
    """The plane of W along its two main directions, with equal units along both."""

    def __init__(self, G):
        z = np.random.default_rng(0).standard_normal((_CLOUD, G.z_dim), np.float32)
        self.w_avg, cloud = G.w_avg, G.mapping(z)[:, 0] - G.w_avg
        self.middle = cloud.mean(axis=0)
        _, sizes, axes = np.linalg.svd(cloud - self.middle, full_matrices=False)
        self.axes, self.shares = axes[:2].T, (100 * sizes**2 / np.sum(sizes**2))[:2]
        self.cloud = cloud @ self.axes
        self.middle = self.middle @ self.axes

    def frame(self, ws, seeds, psi, cutoff):
        """w [N, num_ws, w_dim] on their lines through w̄, and where ψ moves them."""
        at = (ws[:, 0] - self.w_avg) @ self.axes
        far = [np.quantile(np.abs(self.cloud - self.middle), 0.97)]
        far += [np.abs(p * at - self.middle).max() for p in (_LOW, _HIGH)]  # the axes stand still
        (x, y), far = self.middle, 1.08 * max(far)
        labels = [
            f"main direction {i} ({share:.0f} %)" for i, share in enumerate(self.shares, start=1)
        ]
        p = svg.Plot("Where w lies in W:  ○ w,  ● w′", (x - far, x + far), (y - far, y + far),
                     *labels, size=(190, 208), numbers=False)  # fmt: skip
        inside = np.abs(self.cloud - self.middle).max(axis=1) < far
        p.dots(*self.cloud[inside].T, "off", 1.2)
        moved = psi * at if cutoff else at
        for start, end in zip(at, moved, strict=True):
            p.line([start[0], end[0]], [start[1], end[1]], "w", 1)
        p.dots(*at.T, "w", 4, hollow=True)
        p.dots(*moved.T, "w", 4)
        corner = (x + 0.82 * far, y + 0.82 * far)
        p.line([0, corner[0]], [0, corner[1]], "wrong", 1, "2 2")
        p.dots([0], [0], "wrong", 4)
        p.words(*corner, "w̄")
        if len(at) <= 8:
            for number, place in zip(seeds, at, strict=True):
                p.words(*place, str(number))
        alt = f"Each w on the line through the average w̄, at {psi:.2f} of its distance"
        return live.plot(p, alt)


def _where(psi, cutoff, num_ws):
    if cutoff == 0:
        return "No layer is truncated, so ψ changes nothing."
    layers = "all layers" if cutoff == num_ws else f"layers 0–{cutoff - 1} of {num_ws}"
    for at, words in ((0, "every w is the average w̄"), (1, "every w is as the mapping gave it")):
        if abs(psi - at) < 1e-9:
            return f"ψ = {psi:.2f} in {layers}: {words}."
    side = "on the other side of w̄, " if psi < 0 else ""
    return f"ψ = {psi:.2f} in {layers}: every w lies {side}at {abs(psi):.2f} of its distance."


def _variety(x):
    return float(np.mean(np.std(x, axis=0)))

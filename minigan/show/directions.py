"""Follow a direction: w + t·d, with t by a slider.  Read first: `live.py`."""

import dataclasses
import functools

import ipywidgets
import numpy as np
import traitlets

from minigan import check
from minigan.show import live
from minigan.show.mixing import span


def direction_slider(G, direction, seeds="0-5", limit=3.0, name="direction"):
    """w + t·direction, with t from −limit to limit by a slider, in as many layers as wanted.

    direction: float [w_dim], or [num_ws, w_dim].  seeds: text, at most 16.  Returns a widget.
    Raises: TypeError, ValueError.
    """
    live.check_generator("direction_slider", G)
    w_dim = len(G.w_avg)
    direction = np.asarray(direction)
    if direction.dtype.kind != "f" or direction.shape not in ((w_dim,), (G.num_ws, w_dim)):
        raise ValueError(
            f"direction_slider: direction is {direction.dtype} {list(direction.shape)}; expected "
            f"floats of shape [{w_dim}] or [{G.num_ws}, {w_dim}]"
        )
    check.finite("direction_slider: direction", direction, direction.shape)
    check.within("direction_slider", "limit", limit, 1e-6, 1e6)

    @functools.lru_cache(4)
    def unmoved(text, psi):
        numbers = live.seeds("seeds", text, 16)
        ws = G.mapping(live.latents(G, numbers), truncation_psi=psi)
        return numbers, ws, G.synthesis(ws)

    def draw(t, layers, psi, seeds):
        numbers, before, there = unmoved(seeds, psi)
        ws, (first, last) = np.array(before), layers
        step = np.broadcast_to(t * direction, ws.shape[1:])[first : last + 1]
        ws[:, first : last + 1] += step.astype(ws.dtype)
        x = G.synthesis(ws)
        alt = f"{len(x)} generated pictures, moved by {t:.2f} along {name}"
        text = (
            f"w + {t:.2f} · {name}, in {span(list(range(first, last + 1)))}: the pictures change "
            f"by {np.abs(x - there).mean():.3f} on average."
        )
        seeds = [f"seed {seed}" for seed in numbers]
        return live.Seen([live.pictures(x, min(len(x), 6), alt, names=seeds)], text)

    def still():
        """What a saved notebook shows: three seeds, at both ends and between."""
        ws = unmoved(str(seeds), 0.7)[1][:3]
        rows = []
        for t in (-limit, 0, limit):
            x = G.synthesis(ws + (t * direction).astype(ws.dtype))
            row = live.pictures(x, len(x), f"{len(x)} pictures at t = {t:g}")
            rows.append(dataclasses.replace(row, names=(f"t = {t:g}",)))
        return rows

    controls = {
        "t": live.Slider("t", 0.0, -float(limit), float(limit), limit / 30,
                         ticks=[(-float(limit), ""), (0.0, "unmoved"), (float(limit), "")]),
        "layers": LayerRange(G.num_ws),
        "psi": live.psi_control(0.7), "seeds": live.field("seeds", seeds),
    }  # fmt: skip

    def reset():
        controls["t"].value = 0.0

    panel = live.Live(f"Along {name}", controls, draw, {"back to 0": reset}, still=still,
                      invite="drag t")  # fmt: skip
    first, *others = controls.values()
    panel.row.children = [first, *panel.buttons.values(), *others]
    return panel


class LayerRange(ipywidgets.HBox):
    """Neighbouring layers: .value is (first, last); the last never lies before the first."""

    value = traitlets.Tuple()

    def __init__(self, n: int):
        self.ends = [
            ipywidgets.Dropdown(options=range(n), value=value, description=words,
                                style={"description_width": "initial"},
                                layout=ipywidgets.Layout(width="auto"))
            for words, value in (("layers from", 0), ("to", n - 1))
        ]  # fmt: skip
        super().__init__(self.ends, value=(0, n - 1))
        for i, end in enumerate(self.ends):
            end.observe(lambda change, i=i: self._moved(i, change.new), "value")

    def _moved(self, i, layer):
        first, last = (layer, self.value[1]) if i == 0 else (self.value[0], layer)
        # the other end gives way
        self.value = (first, max(first, last)) if i == 0 else (min(first, last), last)

    @traitlets.observe("value")
    def _follow(self, change):
        for end, layer in zip(self.ends, change.new, strict=True):
            end.value = layer

"""Follow a direction: w + t·d, with t by a slider.  Read first: `live.py`."""

import functools

import numpy as np

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
    def styles(text, psi):
        return G.mapping(live.latents(G, live.seeds("seeds", text, 16)), truncation_psi=psi)

    def draw(t, first, last, psi, seeds):
        ws = np.array(styles(seeds, psi))
        step = np.broadcast_to(t * direction, ws.shape[1:])[first : last + 1]
        ws[:, first : last + 1] += step.astype(ws.dtype)
        x = G.synthesis(ws)
        alt = f"{len(x)} generated pictures, moved by {t:.2f} along {name}"
        text = f"w + {t:.2f} · {name}, in {span(list(range(first, last + 1)))}."
        return live.Seen([live.pictures(x, min(len(x), 6), alt)], text)

    controls = {
        "t": live.Number("t", 0.0, -float(limit), float(limit), limit / 30),
        "first": live.Number("first layer", 0, 0, G.num_ws - 1, 1, "120px"),
        "last": live.Number("last layer", G.num_ws - 1, 0, G.num_ws - 1, 1, "120px"),
        "psi": live.psi_control(0.7), "seeds": live.field("seeds", seeds),
    }  # fmt: skip
    return live.Live(f"Along {name}", controls, draw)

"""Drag ψ: pictures, where their w lies in W, and how much they differ.

G: any generator without labels, the 1-D toy too.  Seeds give the latents that NVIDIA's scripts
would draw.  Read first: `live.py`.
"""

import functools

import numpy as np

from minigan import check
from minigan.latents import truncate
from minigan.show import live, svg

_CLOUD = 400  # latents that show where styles usually lie


def psi_slider(G, seeds="0-5", psi=1.0, cutoff=None):
    """ψ from −1 to 1.5 by a slider: pictures, where their w lies beside w̄, and how they vary.

    seeds: text such as "0-3, 8", at most 16.  cutoff: only so many first layers are truncated.
    Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("psi_slider", G)
    check.within("psi_slider", "psi", psi, -1, 1.5)
    cutoff = G.num_ws if cutoff is None else cutoff
    check.within("psi_slider", "cutoff", cutoff, 0, G.num_ws, whole=True)
    rng = np.random.default_rng(0)
    cloud = G.mapping(rng.standard_normal((_CLOUD, G.z_dim), np.float32))[:, 0] - G.w_avg
    plane = np.linalg.svd(cloud, full_matrices=False)[2][:2].T  # the two main directions of W
    cloud = cloud @ plane

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
    def curve(text, cutoff):
        psis = np.linspace(-1, 1.5, 11)
        return psis, [_variety(picture(styles(text), p, cutoff)) for p in psis]

    def draw(psi, cutoff, seeds):
        ws = styles(seeds)
        x = picture(ws, psi, cutoff)
        alt = f"{len(x)} generated pictures at ψ = {psi:.2f}"
        frames = [live.pictures(x, min(len(x), 6), alt), _plane(ws, psi, cutoff)]
        text = _where(psi, cutoff, G.num_ws)
        if len(x) > 1:
            now, (psis, values) = _variety(x), curve(seeds, cutoff)
            p = svg.Plot("How much they differ", (-1, 1.5), (0, 1.15 * max(*values, 1e-6)), "ψ",
                         "standard deviation")  # fmt: skip
            p.line(psis, values)
            p.dots([psi], [now], "wrong", 5)
            p.words(psi, now, f"{now:.3f}", "end" if psi > 0.9 else "start")
            text += f" They differ by {now:.3f} (standard deviation over them, mean of all places)."
        else:
            p = svg.Plot("How much they differ: needs two seeds", (-1, 1.5), (0, 1), "ψ", "")
        return live.Seen([*frames, live.plot(p, f"Variety against ψ, now at ψ = {psi:.2f}")], text)

    def _plane(ws, psi, cutoff):
        at = (ws[:, 0] - G.w_avg) @ plane
        lim = 1.15 * max(np.abs(cloud).max(), np.abs(at).max() * max(1, abs(psi)))
        p = svg.Plot("Where w lies in W:  ○ w,  ● w′", (-lim, lim), (-lim, lim), "", "")
        p.dots(cloud[:, 0], cloud[:, 1], "off", 1.2)
        moved = psi * at if cutoff else at
        for start, end in zip(at, moved, strict=True):
            p.line([start[0], end[0]], [start[1], end[1]], "w", 1)
        p.dots(at[:, 0], at[:, 1], "w", 4, hollow=True)
        p.dots(moved[:, 0], moved[:, 1], "w", 4)
        p.dots([0], [0], "wrong", 4)
        p.words(0, 0, "w̄")
        alt = f"Each w on the line through the average w̄, at {psi:.2f} of its distance"
        return live.plot(p, alt)

    cut = live.Number("cutoff", cutoff, 0, G.num_ws, 1, "160px")
    return live.Live(
        "The truncation trick: w′ = w̄ + ψ (w − w̄)",
        {"psi": live.psi_control(psi), "cutoff": cut, "seeds": live.field("seeds", seeds)},
        draw,
    )


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

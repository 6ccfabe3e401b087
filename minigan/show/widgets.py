"""Widgets for latents: drag ψ, mix styles, follow a direction.  Each is one call in a notebook.

    show.psi_slider(G)      show.style_mixer(G)      show.direction_slider(G, direction)

The canvas itself is moved in `canvas.py`.

G: any generator without labels, the 1-D toy too.  Seeds give the latents that NVIDIA's scripts
would draw.  Read first: `live.py`.
"""

import functools

import ipywidgets
import numpy as np

from minigan import check
from minigan.latents import truncate
from minigan.networks import stylegan3
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


def style_mixer(G, rows="0-2", columns="3-6", preset="coarse"):
    """The grid of the StyleGAN paper (Fig. 3), live: rows' pictures with some layers' styles taken
    from the columns'.

    rows, columns: seeds as text, at most 8 each.  preset: "coarse", "middle" or "fine", see
    `bands`.  Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("style_mixer", G)
    parts = bands(G)
    if preset not in parts:
        raise ValueError(f"style_mixer: preset is {preset!r}; expected {', '.join(parts)}")
    options = [(f"{name} ({span(layers)})", name) for name, layers in parts.items()] + [
        ("own", "own")
    ]
    presets = ipywidgets.ToggleButtons(options=options, value=preset, description="from columns")
    presets.style.button_width = "auto"
    crossover = live.Number("crossover", G.num_ws, 0, G.num_ws, 1, "200px")
    boxes = [
        ipywidgets.Checkbox(i in parts[preset], description=f"layer {i}{_side(G, i)}",
                            indent=False, layout=ipywidgets.Layout(width="105px"))
        for i in range(G.num_ws)
    ]  # fmt: skip

    @functools.lru_cache(4)
    def plain(text, name):
        ws = np.array(G.mapping(live.latents(G, live.seeds(name, text, 8))))
        return ws, G.synthesis(ws)

    def draw(rows, columns, **ticked):
        layers = [i for i in range(G.num_ws) if ticked[f"layer{i}"]]
        (a, xa), (b, xb) = plain(rows, "rows"), plain(columns, "columns")
        mixed = np.repeat(a, len(b), axis=0)
        mixed[:, layers] = np.tile(b, (len(a), 1, 1))[:, layers]
        x = np.reshape(G.synthesis(mixed), (len(a), len(b), *xa.shape[1:]))
        blank = np.full_like(xa[:1], 1 if xa.ndim == 4 else np.nan)
        cells = [blank, xb] + [
            part for one, row in zip(xa, x, strict=True) for part in (one[None], row)
        ]
        alt = (f"A grid: {len(b)} pictures on top, {len(a)} on the left, and their mixtures; "
               f"{span(layers)} from the top")  # fmt: skip
        text = (f"From the picture above each column: {span(layers)}. "
                "The rest from the picture on the left of its row.")  # fmt: skip
        return live.Seen([live.pictures(np.concatenate(cells), len(b) + 1, alt)], text)

    controls = {"rows": live.field("rows", rows), "columns": live.field("columns", columns)}
    controls |= {f"layer{i}": box for i, box in enumerate(boxes)}
    panel = live.Live("Style mixing", controls, draw)

    def choose(layers):
        with panel.held():
            for i, box in enumerate(boxes):
                box.value = i in layers
        name_them()

    def name_them():
        """The preset that is ticked, if it is one."""
        chosen = [i for i, box in enumerate(boxes) if box.value]
        presets.value = next((name for name, layers in parts.items() if layers == chosen), "own")

    presets.observe(lambda c: c.new in parts and choose(parts[c.new]), "value")
    crossover.observe(lambda c: choose(range(c.new, G.num_ws)), "value")
    for box in boxes:
        box.observe(lambda c: panel.holding or name_them(), "value")
    title, fields, *rest = panel.children
    fields.children, ticks = fields.children[:2], ipywidgets.Box(boxes, layout=fields.layout)
    panel.children = [title, presets, crossover, ticks, fields, *rest]
    return panel


def bands(G):
    """{"coarse": [layers], "middle": …, "fine": …}, by the resolution of the maps that each shapes.

    Up to 8², up to 32², and the rest, as in StyleGAN's Fig. 3, whose images are of 1024².  Images
    up to 64² would leave little or nothing to "fine", so there "middle" is 16² alone.  An empty
    band is left out.
    """
    middle, parts = 32 if G.img_resolution > 64 else 16, {"coarse": [], "middle": [], "fine": []}
    for i, size in enumerate(_resolutions(G)):
        parts["coarse" if size <= 8 else "middle" if size <= middle else "fine"].append(i)
    return {name: layers for name, layers in parts.items() if layers}


def _resolutions(G):
    """The side of the maps that each w shapes, [num_ws]."""
    if isinstance(G.config, stylegan3.Config):
        # Its maps are larger than what is in them; this side could just hold it.
        cutoffs = [layer.out_cutoff for layer in stylegan3.schedule(G.config)[1]]
        return [2 * cutoff for cutoff in (G.config.first_cutoff, *cutoffs)]
    layers = getattr(G.config, "conv_layers", None) or G.config.layers
    sizes = list(dict(layers).values())
    return sizes + sizes[-1:] * (G.num_ws - len(sizes))  # StyleGAN2's last toRGB has a w of its own


def span(layers):
    """[0, 1, 2, 5] -> "layers 0–2, 5"."""
    runs = []
    for i in layers:
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    if not runs:
        return "no layer"
    words = ", ".join(f"{a}–{b}" if b > a else f"{a}" for a, b in runs)
    return f"layer{'s' if len(layers) > 1 else ''} {words}"


def _side(G, i):
    """ " · 8²" for a layer whose maps have 8 × 8 pixels (8 in the toy), as its noise says."""
    shapes = [x.shape for name, x in G.buffers.items() if name.endswith(".noise_const")]
    if not shapes:
        return ""
    shape = shapes[min(i, len(shapes) - 1)]
    return f" · {shape[-1]}{'²' if len(shape) == 2 else ''}"


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

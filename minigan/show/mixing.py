"""Mix styles: the grid of the StyleGAN paper (Fig. 3), live.  Read first: `live.py`."""

import functools

import ipywidgets
import numpy as np

from minigan.networks import stylegan3
from minigan.show import live


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

"""Mix styles: the grid of the StyleGAN paper (Fig. 3), live.  Read first: `live.py`."""

import dataclasses
import functools

import ipywidgets
import numpy as np

from minigan.networks import base, stylegan3
from minigan.show import live
from minigan.show.ladder import Ladder

_SIDE = 128  # of a picture in CSS pixels: four and their captions fit where a notebook has 605
_MEASURED = 2**16  # pixels, as of 16 pictures of 64², in which a layer's share is measured


def style_mixer(
    G: base.Generator, rows: str = "0-1", columns: str = "3-5", preset: str | None = None
) -> live.Live:
    """The grid of the StyleGAN paper (Fig. 3), live: rows' pictures with some layers' styles taken
    from the columns'.

    rows, columns: seeds as text, at most 8 each.  preset: "coarse", "middle" or "fine", see
    `bands`; if None, the one that changes most.  Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("style_mixer", G)
    parts = bands(G)
    if preset not in (None, *parts):
        raise ValueError(f"style_mixer: preset is {preset!r}; expected {', '.join(parts)}")
    measured = max(1, _MEASURED // G.img_resolution**2)
    tried = [(i,) for i in range(G.num_ws)] + [tuple(layers) for layers in parts.values()]

    @functools.lru_cache(4)
    def plain(text, name):
        numbers = live.seeds(name, text, 8)
        ws = np.array(G.mapping(live.latents(G, numbers)))
        return numbers, ws, _small(G.synthesis(ws))

    @functools.lru_cache(len(tried) + 1)  # so a band, or a layer alone, is drawn already
    def mixtures(rows, columns, layers, n):
        """The first n of the grid, row by row, and how far they are changed, 1 being as by all."""
        (_, a, xa), (_, b, xb) = plain(rows, "rows"), plain(columns, "columns")
        left, top = np.divmod(np.arange(n), len(b))
        ws = a[left]
        ws[:, layers] = b[top][:, layers]
        x, left, top = _small(G.synthesis(ws)), left[:measured], top[:measured]
        whole = np.abs(xb[top] - xa[left]).mean()
        return x, float(np.abs(x[:measured] - xa[left]).mean() / max(whole, 1e-12))

    def shares(rows, columns):
        n = len(plain(rows, "rows")[0]) * len(plain(columns, "columns")[0])
        return [mixtures(rows, columns, layers, min(n, measured))[1] for layers in tried]

    def draw(rows, columns, layers):
        (a, _, xa), (b, _, xb) = plain(rows, "rows"), plain(columns, "columns")
        x, share = mixtures(rows, columns, tuple(layers), len(a) * len(b))
        taken, rest = span(layers), span([i for i in range(G.num_ws) if i not in layers])
        ladder.shares = shares(rows, columns)
        corner.value = f"<p>from the top: {taken}</p><p>from the left: {rest}</p>"
        names = [f"seed {i} with {taken} of seed {j}" for i in a for j in b]
        frames = [
            live.pictures(xb, 1, "the columns' pictures", _SIDE, [f"seed {j}" for j in b]),
            live.pictures(xa, 1, "the rows' pictures", _SIDE, [f"seed {i}" for i in a]),
            live.pictures(x, 1, f"mixtures, {taken} from the top", _SIDE, names),
        ]
        return live.Seen(frames, _sentence(layers, parts, G.num_ws, share))

    def still():
        """A small grid for each band, of two rows and columns at most."""
        rows, columns = (field.value for field in fields.values())
        (a, _, xa), (b, _, xb) = plain(rows, "rows"), plain(columns, "columns")
        for name, layers in parts.items():
            x, share = mixtures(rows, columns, tuple(layers), len(a) * len(b))
            x = np.reshape(x, (len(a), len(b), *x.shape[1:]))[:2, :2]
            cells = [np.full_like(xa[:1], np.nan), xb[:2]]
            cells += [part for i in range(len(x)) for part in (xa[i : i + 1], x[i])]
            caption = f"{name}, {span(layers)}: {100 * share:.0f} %"
            frame = live.pictures(np.concatenate(cells), x.shape[1] + 1, caption, _SIDE / 2)
            width = frame.width if x.ndim == 5 else 3 * _SIDE // 2  # so that three stand in a row
            yield dataclasses.replace(frame, names=(caption,), width=width)

    def new_faces():
        numbers = {name: plain(field.value, name)[0] for name, field in fields.items()}
        first = max(map(max, numbers.values())) + 1
        for name, used in numbers.items():
            last = first + len(used) - 1
            fields[name].value = f"{first}-{last}" if last > first else f"{first}"
            first = last + 1

    fields = {"rows": live.field("rows", rows), "columns": live.field("columns", columns)}
    found, squared = shares(rows, columns), "²" if hasattr(G, "img_channels") else ""
    sides = [round(side) for side in _resolutions(G)]
    by = (lambda side: f"{side} by {side}") if squared else (lambda side: f"{side} long")
    ladder = Ladder(
        layers=[{"name": f"{i}", "size": f"{side}{squared}", "spoken": f"layer {i}, {by(side)}"}
                for i, side in enumerate(sides)],
        bands=parts, shares=found,
        value=parts[preset or max(zip(found[G.num_ws :], parts, strict=True))[1]],
    )  # fmt: skip
    corner = ipywidgets.HTML()
    panel = live.Live(
        "Style mixing", fields | {"layers": ladder}, draw, {"new faces": new_faces},
        lambda views: ipywidgets.GridBox([corner, *views]).add_class("minigan-mixer-grid"),
        lambda: list(still()), "choose which layers come from the top",
    )  # fmt: skip
    panel.title.layout.margin = "2px 12px 2px 2px"
    panel.row.children = [panel.title, *fields.values(), *panel.buttons.values()]
    below = ipywidgets.Box([ladder, panel.message, panel.text, panel.shown])
    panel.children = [panel.row, below.add_class("minigan-mixer")]
    return panel


def _sentence(layers, parts, num_ws, share):
    if not layers:
        return "From the top: no layer, so each mixture is the picture on its left."
    if len(layers) == num_ws:
        return "From the top: all layers, so each mixture is the picture above it."
    name = "".join(f" ({name})" for name, members in parts.items() if members == layers)
    return (
        f"From the top: {span(layers)}{name}, which change{'s' if len(layers) == 1 else ''} "
        f"{100 * share:.0f} % of what all layers would."
    )


def _small(x):
    """Images of more than _SIDE pixels a side averaged over squares; others as they are."""
    f = x.shape[-1] // _SIDE
    if x.ndim == 3 or f < 2:
        return x
    return x.reshape(*x.shape[:2], x.shape[2] // f, f, x.shape[3] // f, f).mean(axis=(3, 5))


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

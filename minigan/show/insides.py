"""Widgets for what happens inside: noise in each layer, and the maps that the layers give.

    show.noise_lab(G)      show.layer_browser(G)

Read first: `live.py`.
"""

import dataclasses
import functools

import ipywidgets
import numpy as np
from matplotlib import colormaps

from minigan import layers
from minigan.autograd.variable import plain
from minigan.show import live, svg

_DRAWS = 16
_TIMES = 8  # differences are shown so many times as large
_MODES = {"off": "off", "const": "const", "anew": "resample"}


def noise_lab(G, seed=0, mode="resample"):
    """Noise off, constant or drawn anew at each resolution, and what it does to each pixel.

    G: with noise, the toy too.  mode: of all layers at first, "off", "const" or "resample".
    Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("noise_lab", G)
    names = [name for name in G.buffers if name.endswith(".noise_const")]
    if not names:
        raise ValueError("noise_lab: G has no noise; expected a generator with noise_const buffers")
    if mode not in _MODES.values():
        raise ValueError(f"noise_lab: mode is {mode!r}; expected {', '.join(_MODES.values())}")
    at = {}  # each resolution: the names of its buffers
    for name in names:
        const = G.buffers[name]
        at.setdefault(f"{const.shape[-1]}{'²' * (const.ndim - 1)}", []).append(name)
    rng = np.random.default_rng(0)

    def once(ws, modes):
        buffers = dict(G.buffers)
        for size, chosen in modes.items():
            for name in at[size]:
                const = buffers[name]
                if chosen == "off":
                    buffers[name] = 0 * const
                elif chosen == "resample":
                    buffers[name] = rng.standard_normal(const.shape, np.float32)
        return dataclasses.replace(G, buffers=buffers).synthesis(ws)

    def draw(seed, psi, **modes):
        ws = G.mapping(live.latents(G, live.seeds("seed", seed, 1)), truncation_psi=psi)
        anew = [size for size, chosen in modes.items() if chosen == "resample"]
        if anew:
            x = np.concatenate([once(ws, modes) for _ in range(_DRAWS)])
            other, change = x.mean(axis=0, keepdims=True), x.std(axis=0).mean(axis=0)
            captions = ["one draw", "draw − mean", f"σ over {_DRAWS} draws"]
            which = [".".join(name.split(".")[-3:-1]) for size in anew for name in at[size]]
            where = (f"all {len(names)} layers" if len(which) == len(names)
                     else f"{', '.join(anew)} ({', '.join(which)})")  # fmt: skip
            text = (
                f"Drawn anew in {where}: over {_DRAWS} draws a pixel's standard deviation σ is "
                f"{change.mean():.4f} on average, {change.max():.4f} where it is largest."
            )
        else:
            off = set(modes.values()) == {"off"}
            of, words = ("const", "its stored noise, const,") if off else ("off", "all noise off")
            x, other = once(ws, modes), once(ws, dict.fromkeys(at, of))
            change = np.abs(x - other).mean(axis=(0, 1))
            captions = ["picture", f"picture − {of}", f"|picture − {of}|"]
            text = ("No noise is drawn anew, so every draw gives the same picture. From the one "
                    f"with {words} it differs by {change.mean():.4f} on average, "
                    f"{change.max():.4f} where most.")  # fmt: skip
        return live.Seen(_compared(x[:1], x[:1] - other, change, captions), text)

    controls = {"seed": live.field("seed", seed), "psi": live.psi_control(1.0)}
    each = {
        size: ipywidgets.Dropdown(options=_MODES, value=mode, description=size,
                                  style={"description_width": "initial"},
                                  layout=ipywidgets.Layout(width="auto"))
        for size in at
    }  # fmt: skip

    def switch(chosen):
        for control in each.values():
            control.value = chosen

    buttons = {
        f"all {words}": functools.partial(switch, chosen) for words, chosen in _MODES.items()
    }
    panel = live.Live(
        "What the noise does", controls | each, draw, {"draw again": lambda: None} | buttons,
        _under_the_last if hasattr(G, "img_channels") else None,
        invite="switch the noise of each resolution off, or draw it anew",
    )  # fmt: skip
    again, *switches = panel.buttons.values()
    panel.row.children = [*controls.values(), again, ipywidgets.HBox(list(each.values())),
                          ipywidgets.HBox(switches)]  # fmt: skip
    return panel


def _under_the_last(views):
    """The key to the colours under the last of three tiles, where they stand side by side."""
    views[1].layout.margin = "0 0 0 min(396px, 100cqw - 200px)"
    return ipywidgets.VBox(views)


def _compared(picture, difference, change, captions):
    """Two Frames: a picture [1, C, H, W], a signed difference, and its size [H, W], from 0 to its
    largest; and the scale of the last.  Of signals: both [1, 1, L], and a plot of the size [L]."""
    top = max(float(change.max()), 1e-6)
    alt = f"{captions[0]}; {captions[1]}; {captions[2]}, from 0 to {top:.4f}"
    if picture.ndim == 3:
        p = svg.Plot(captions[2], (0, len(change) - 1), (0, 1.1 * top), "place", "", (260, 180))
        p.line(np.arange(len(change)), change, "noise")
        both = np.concatenate([picture, difference])
        return [live.pictures(both, 2, alt, names=captions[:2]), live.plot(p, alt)]
    captions[1] += f", ×{_TIMES} (grey: 0)"
    difference = np.clip(_TIMES * difference, -1, 1)
    difference[:, 3:] = 1  # opaque
    parts = [picture, difference, _magma(change[None] / top)]
    channels = max(3, picture.shape[1])
    whole = [
        np.concatenate([x, np.ones_like(x[:, :1])], axis=1) if x.shape[1] < channels else x
        for x in (x.repeat(3, axis=1) if x.shape[1] == 1 else x for x in parts)
    ]
    bar = _bar("magma", f"0 to {top:.4f}", 192)
    return [live.pictures(np.concatenate(whole), 3, alt, 192, captions), bar]


def _magma(x):
    """[N, H, W] in 0 … 1 -> images [N, 3, H, W] in [−1, 1], in a scale of rising lightness."""
    return np.moveaxis(2 * colormaps["magma"](x)[..., :3] - 1, -1, 1)


def _bar(scale, words, width):
    """A Frame of the key to a colour scale: the colours, and below them what the ends stand for."""
    colours = colormaps[scale](np.linspace(0, 1, width), bytes=True)[None]
    return live.Frame(live.png(colours.repeat(12, axis=0)), f"colour bar: {words}", width,
                      names=(words,))  # fmt: skip


def layer_browser(G, seed=0):
    """The maps of each layer for one latent, with their statistics and their spectrum.

    G: of images.  Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("layer_browser", G, images=True)

    @functools.lru_cache(2)
    def maps(seed, psi):
        found = {}

        def seen(name, y):
            y = plain(y)
            if y.ndim == 4:
                found[name.removeprefix("synthesis.")] = y[0]

        z = live.latents(G, live.seeds("seed", seed, 1))
        with layers.watch(seen):
            picture = G(z, truncation_psi=psi)
        return found, picture

    first = maps(str(seed), 1.0)[0]
    names = list(first)
    sides = [y.shape[-1] for y in first.values()]

    def draw(layer, seed, psi):
        found, picture = maps(seed, psi)
        y = found[names[layer]]
        c, side = y.shape[0], y.shape[-1]
        times = max(1, (48 if side <= 16 else 64) // side)
        columns = min(c, 400 // (times * side + 2))
        some = y[: columns**2]
        scale = float(np.quantile(np.abs(some), 0.995)) or 1.0  # what sticks out saturates
        size = np.abs(y)
        ratio = np.median(size.max(axis=(1, 2)) / np.maximum(np.median(size, axis=(1, 2)), 1e-9))
        text = (
            f"{_plain(names[layer], side, names)}: {len(some)} of {c} maps of {side}²; mean "
            f"{y.mean():.3f}, standard deviation {y.std():.3f}, from {y.min():.2f} to "
            f"{y.max():.2f}; in a map the largest is {ratio:.1f} times the median in size."
        )
        alt = f"{len(some)} maps of {names[layer]}, {side} × {side}: blue below 0, red above"
        tiles = _apart(0.5 + 0.5 * some / scale, columns, times, alt)
        bar = _bar("coolwarm", f"≤ −{scale:.2f} · 0 grey · ≥ {scale:.2f}", 180)
        comes = live.pictures(picture, 1, "The picture that comes of it", 160)
        return live.Seen([comes, bar, _spectrum(y, names[layer]), tiles], text)

    def arrange(views):
        views[3].layout.max_width = "calc(100% - 4px)"  # shrunk where there is no room
        columns = [ipywidgets.VBox(views[:3]), views[3]]
        return ipywidgets.Box(columns, layout=ipywidgets.Layout(flex_flow="row wrap"))

    convolutions = [name for name in names if not name.endswith(("torgb", "input"))]
    opening = "b16.conv1" if "b16.conv1" in names else convolutions[len(convolutions) // 2]
    ticks = [(sides.index(side), f"{side}²") for side in dict.fromkeys(sides)]
    controls = {
        "layer": live.Slider("layer", names.index(opening), 0, len(names) - 1, 1, ticks=ticks),
        "seed": live.field("seed", seed), "psi": live.psi_control(1.0),
    }  # fmt: skip
    return live.Live("Inside the layers", controls, draw, arrange=arrange,
                     invite="step through the layers")  # fmt: skip


def _plain(name, side, names):
    """ "16², second convolution (b16.conv1)"; StyleGAN3's layers have their number."""
    block, _, kind = name.rpartition(".")
    ordinal = "second " if f"{block}.conv0" in names else ""
    words = {"conv0": "first convolution", "conv1": f"{ordinal}convolution", "torgb": "to RGB",
             "input": "the waves of the input"}  # fmt: skip
    return f"{side}², {words.get(kind, 'layer ' + kind[1:].partition('_')[0])} ({name})"


def _apart(x, columns, times, alt):
    """A Frame of maps [N, H, W] in 0 … 1, magnified, in a grid with 2 screen pixels between."""
    small = colormaps["coolwarm"](x, bytes=True)  # RGBA
    large = small.repeat(times, axis=1).repeat(times, axis=2)
    n, height, width, _ = large.shape
    rows = -(-n // columns)
    room = np.zeros((rows * columns, height + 2, width + 2, 4), np.uint8)  # transparent
    room[:n, :height, :width] = large
    pixels = np.concatenate(np.concatenate(room.reshape(rows, columns, *room.shape[1:]), 1), 1)
    return live.Frame(live.png(pixels), alt, pixels.shape[1])


def _spectrum(y, layer):
    """A Frame of the power at each frequency, averaged over maps and directions."""
    power = np.mean(np.abs(np.fft.fft2(y - y.mean(axis=(1, 2), keepdims=True))) ** 2, axis=0)
    side = y.shape[-1]
    f = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(*np.meshgrid(f, f))).astype(int)
    radii = np.arange(1, side // 2 + 1)
    means = np.array([power[ring == r].mean() for r in radii]) / side**2
    levels = 10 * np.log10(np.maximum(means, 1e-9))
    p = svg.Plot("Spectrum", (0, side // 2), (levels.min() - 3, levels.max() + 3),
                 "cycles in a map", "dB", (180, 190))  # fmt: skip
    p.line(radii, levels)
    p.dots(radii, levels, radius=2)
    return live.plot(p, f"Power of the maps of {layer} against frequency, in decibels")

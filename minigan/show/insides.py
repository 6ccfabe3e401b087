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
_MODES = ("off", "const", "resample")


def noise_lab(G, seed=0, mode="resample"):
    """Noise off, constant or drawn anew in each layer, and what it does to each pixel.

    G: with noise, the toy too.  mode: of all layers at first, "off", "const" or "resample".
    Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("noise_lab", G)
    names = [name for name in G.buffers if name.endswith(".noise_const")]
    if not names:
        raise ValueError("noise_lab: G has no noise; expected a generator with noise_const buffers")
    if mode not in _MODES:
        raise ValueError(f"noise_lab: mode is {mode!r}; expected {', '.join(_MODES)}")
    short = [name.removeprefix("synthesis.").removesuffix(".noise_const") for name in names]
    rng = np.random.default_rng(0)

    def once(ws, modes):
        buffers = dict(G.buffers)
        for name, chosen in zip(names, modes, strict=True):
            const = buffers[name]
            if chosen == "off":
                buffers[name] = 0 * const
            elif chosen == "resample":
                buffers[name] = rng.standard_normal(const.shape, np.float32)
        return dataclasses.replace(G, buffers=buffers).synthesis(ws)

    def draw(seed, psi, **modes):
        z = live.latents(G, live.seeds("seed", seed, 1))
        ws, modes = G.mapping(z, truncation_psi=psi), list(modes.values())
        anew = [name for name, chosen in zip(short, modes, strict=True) if chosen == "resample"]
        x = np.concatenate([once(ws, modes) for _ in range(_DRAWS if anew else 1)])
        std = x.std(axis=0).mean(axis=0)
        text = (
            f"Drawn anew in {', '.join(anew)}: over {_DRAWS} draws a pixel's standard deviation is "
            f"{std.mean():.4f} on average, {std.max():.4f} where it is largest."
            if anew else "No layer's noise is drawn anew, so every draw gives the same picture."
        )  # fmt: skip
        alt = "One latent: three draws of the noise side by side"
        three = np.concatenate([x, x, x])[:3]
        return live.Seen([live.pictures(three, 3, alt), _spread(std)], text)

    controls = {"seed": live.field("seed", seed), "psi": live.psi_control(1.0)}
    each = {
        name: ipywidgets.Dropdown(options=_MODES, value=mode, description=name,
                                  layout=ipywidgets.Layout(width="200px"))
        for name in short
    }  # fmt: skip
    panel = live.Live("What the noise does", controls | each, draw,
                      {"draw the noise again": lambda: None})  # fmt: skip
    together = ipywidgets.ToggleButtons(options=_MODES, value=mode, description="all layers")

    def all_layers(change):
        with panel.held():
            for control in each.values():
                control.value = change.new

    together.observe(all_layers, "value")
    title, *rest = panel.children
    panel.children = [title, together, *rest]
    return panel


def _spread(std):
    """A Frame of the standard deviation at each place: [H, W], or [L] of signals."""
    top = max(float(std.max()), 1e-6)
    alt = f"Standard deviation of each pixel over draws of noise, from 0 to {top:.4f}"
    if std.ndim == 1:
        p = svg.Plot(
            "Standard deviation over draws", (0, len(std) - 1), (0, 1.1 * top), "place", ""
        )
        p.line(np.arange(len(std)), std, "noise")
        return live.plot(p, alt)
    alt += ": dark is none, light is most"
    return live.pictures(_coloured(std[None] / top), 1, alt, 192)


def _coloured(x):
    """[N, H, W] in 0 … 1 -> images [N, 3, H, W] in [−1, 1], in a scale of rising lightness."""
    return np.moveaxis(2 * colormaps["magma"](x)[..., :3] - 1, -1, 1)


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

    def draw(layer, seed, psi):
        found, picture = maps(seed, psi)
        y = found[layer]
        c, side = y.shape[0], y.shape[-1]
        columns = min(c, 8 if side <= 32 else 6)
        some = y[: 8 * columns]
        scale = float(np.abs(some).max()) or 1.0
        alt = f"The {len(some)} maps of {layer}, {side} × {side}: dark below 0, light above"
        size = np.abs(y)
        ratio = np.median(size.max(axis=(1, 2)) / np.maximum(np.median(size, axis=(1, 2)), 1e-9))
        text = (
            f"{layer}: {c} maps of {side}²; mean {y.mean():.3f}, standard deviation {y.std():.3f}, "
            f"from {y.min():.2f} to {y.max():.2f}; in a map the largest is {ratio:.1f} times the "
            "median in size."
        )
        seen = live.pictures(_coloured(0.5 + 0.5 * some / scale), columns, alt, 440 / columns)
        return live.Seen(
            [seen, _spectrum(y, layer), live.pictures(picture, 1, "The picture that comes of it")],
            text,
        )

    names = list(maps(str(seed), 1.0)[0])
    controls = {
        "layer": ipywidgets.Dropdown(options=names, value=names[len(names) // 2],
                                     description="layer"),
        "seed": live.field("seed", seed), "psi": live.psi_control(1.0),
    }  # fmt: skip
    return live.Live("Inside the layers", controls, draw)


def _spectrum(y, layer):
    """A Frame of the power at each frequency, averaged over maps and directions."""
    power = np.mean(np.abs(np.fft.fft2(y - y.mean(axis=(1, 2), keepdims=True))) ** 2, axis=0)
    side = y.shape[-1]
    f = np.fft.fftfreq(side) * side
    ring = np.rint(np.hypot(*np.meshgrid(f, f))).astype(int)
    radii = np.arange(1, side // 2 + 1)
    means = np.array([power[ring == r].mean() for r in radii]) / side**2
    levels = 10 * np.log10(np.maximum(means, 1e-9))
    p = svg.Plot(f"Spectrum of {layer}", (0, side // 2), (levels.min() - 3, levels.max() + 3),
                 "cycles in a map", "dB")  # fmt: skip
    p.line(radii, levels)
    p.dots(radii, levels, radius=2)
    return live.plot(p, f"Power of the maps of {layer} against frequency, in decibels")

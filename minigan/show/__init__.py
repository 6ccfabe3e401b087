"""What a notebook shows: figures with alt text (`figures`), the package's own source, and widgets.

The widgets (`live` and those named below) need ipywidgets, which `minigan[lab]` installs; it is
imported when the first of them is used.
"""

import importlib

from minigan.show.figures import COLOURS, images, new, picture, png, signals
from minigan.show.source import kernel, source

_WIDGETS = {
    "psi_slider": "truncation", "style_mixer": "mixing", "direction_slider": "directions",
    "noise_lab": "insides", "layer_browser": "insides", "latent_walk": "walks",
    "canvas_slider": "canvas",
}  # fmt: skip

__all__ = ["COLOURS", "images", "kernel", "new", "picture", "png", "signals", "source", *_WIDGETS]


def __getattr__(name):
    if name not in _WIDGETS:
        raise AttributeError(f"module 'minigan.show' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"minigan.show.{_WIDGETS[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("ipywidgets", "anywidget"):
            raise
        raise ImportError(
            f"show.{name} needs {error.name}, which is not installed; pip install 'minigan[lab]'"
        ) from None
    return getattr(module, name)

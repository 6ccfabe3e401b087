"""The same portraits in other manners: a pen-and-ink sketch, and a night with a warm rim light.

Nothing is drawn anew.  `painting.py` paints the same shapes in palettes of our choice, which shows
where lines, tones and the background are, and array arithmetic makes the picture of these.  So
the geometry is the painter's, at any resolution, and chance has the same seed.

Read first: `painting.py`.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from minigan.data.painting import BACK, TRESS, ZOOM

PAPER, INK = (0.96, 0.94, 0.89), (0.17, 0.15, 0.19)
STROKE = 0.044  # from one stroke of the hatching to the next, in the units of the drawing
LIGHT = (0.299, 0.587, 0.114)  # shares of R, G, B in the luminance


def sketch(paint: Callable, colors: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Ink on paper: outlines, and strokes that are as broad as the painted portrait is dark.

    paint(colors, chance): portraits in these colours, [N, 5, 3], with or without what chance
    decides, in [−1, 1].  colors: those of the painted portraits.  seeds [N]: of how the hand sways.
    Returns: [N, 3, R, R], in [−1, 1].
    """
    phase = (2.0 * math.pi * (seeds * 0.6180339887498949 % 1.0))[:, None, None]
    tone = _grey(paint(colors, True))
    lines = _grey(paint(np.ones_like(colors), False))  # all white: outlines and shadows are left
    back, hair = _marked(paint, colors, BACK), _marked(paint, colors, TRESS)
    x, y, px = _canvas(tone.shape[-1])
    dark = (1.0 - back) * np.clip((0.86 - tone) / 0.78, 0.0, 1.0)
    sway = 0.012 * np.sin(5.0 * y + phase) + 0.006 * np.sin(11.0 * x - 7.0 * y + 2.0 * phase)
    slant = 0.66 * x + 0.75 * y + sway  # strokes down to the left, and those that cross them
    cross = 0.75 * x - 0.66 * y + sway
    fan = 1.1 * np.arctan2(x, 1.15 + y) + 0.4 * sway  # those of the hair follow its strands
    skin = 1.0 - hair
    bright = np.clip(1.15 * lines - 0.15, 0.0, 1.0) * (1.0 - 0.20 * dark)
    for across, where, above, most in (
        (slant, skin, 0.05, 0.50), (cross, skin, 0.50, 0.45), (fan, hair, 0.0, 0.80),
        (slant, hair, 0.70, 0.50),
    ):  # fmt: skip
        breadth = most * np.clip((dark - above) / (1.0 - above), 0.0, 1.0)
        bright *= 1.0 - 0.9 * where * _stripes(across / STROKE, breadth, px / STROKE)
    paper, ink = (np.reshape(c, (3, 1, 1)) for c in (PAPER, INK))
    return 2.0 * (ink + (paper - ink) * bright[:, None]) - 1.0


def night(paint: Callable, colors: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Dark blues, and a warm light from behind on the rim that looks to the side of `light`, [N].

    Otherwise as `sketch`.
    """
    day, figure = 0.5 + 0.5 * paint(colors, True), 1.0 - _marked(paint, colors, BACK)
    x, y, px = _canvas(figure.shape[-1])
    tone = np.einsum("nchw,c->nhw", day, LIGHT)[:, None]
    own = day - tone
    shade = np.reshape((0.40, 0.55, 0.84), (3, 1, 1)) * tone**1.2 + 0.38 * own
    sky = (
        np.reshape((0.10, 0.14, 0.33), (3, 1, 1))
        * (0.45 + 1.25 * np.exp(-2.0 * (x * x + (y + 0.1) ** 2)))
        + 0.30 * own
    )
    picture = sky + figure[:, None] * (shade - sky)
    side = (np.sign(light) * np.sqrt(np.abs(light)))[:, None, None]
    for width, much in ((0.13, 0.35), (0.026, 1.1)):  # what falls on the face, and the rim
        soft = width / px
        across, down = (
            ndimage.gaussian_filter(figure, (0, soft, soft), order=(0, *order), mode="nearest")
            for order in ((0, 1), (1, 0))
        )
        # Of the slope, which is 1 at a straight edge, the part that looks to the light.
        facing = (0.5 * down - side * across) * (soft * math.sqrt(2.0 * math.pi))
        warm = much * np.clip(facing, 0.0, 1.0) * figure
        picture += warm[:, None] * np.reshape((1.0, 0.60, 0.26), (3, 1, 1)) * (1.0 - 0.5 * picture)
    return np.clip(2.0 * picture - 1.0, -1.0, 1.0)


def _marked(paint, colors, part):
    """How much of each pixel is of one of the painter's five colours: [N, R, R]."""
    palette = np.zeros_like(colors)
    palette[:, part, 1] = 1.0  # nothing that the painter adds is as green
    r, g, b = np.moveaxis(0.5 * paint(palette, False), 1, 0)
    return np.clip(1.7 * (g - np.maximum(r, b)), 0.0, 1.0)


def _grey(images):
    """The luminance [N, R, R] of images in [−1, 1], from 0 to 1."""
    return 0.5 + 0.5 * np.einsum("nchw,c->nhw", images, LIGHT)


def _canvas(size):
    """x [1, R], y [R, 1] of the pixels' centres on the canvas, and how far they are apart."""
    px = 2.0 * ZOOM / size
    at = (np.arange(size) + 0.5) * px - ZOOM
    return at[None], at[:, None], px


def _stripes(t, breadth, pixel):
    """How much of a pixel lies in stripes around the whole numbers, each so broad, 0 … 1."""
    low, high = (t + s * 0.6 * pixel + 0.5 * breadth for s in (-1.0, 1.0))
    inked = [np.floor(e) * breadth + np.minimum(e - np.floor(e), breadth) for e in (low, high)]
    return (inked[1] - inked[0]) / (1.2 * pixel)

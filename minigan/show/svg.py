"""Small plots as SVG, drawn in a fraction of a millisecond: what a live widget can afford.

Everything that stands still goes through `figures`, which is matplotlib's, all the same.
"""

import html

import numpy as np

from minigan.show.figures import COLOURS

_RIGHT, _TOP = 10, 26


class Plot:
    """Axes of a fixed range; lines, dots and words are added, then `.data` is the SVG as bytes.

    title: what to see, in words.  xlim, ylim: (low, high).  size: in CSS pixels.
    numbers: on the axes; without them there is more room for the plot.
    """

    format = "svg+xml"

    def __init__(self, title, xlim, ylim, xlabel, ylabel, size=(320, 240), numbers=True):
        self.left, self.below = (46, 36) if numbers else (22, 24)
        self.xlim, self.ylim, self.width, self.height = xlim, ylim, *size
        self.parts = [
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>',
            f'<text x="8" y="16" font-size="12" font-weight="bold">{html.escape(title)}</text>',
        ]
        bottom = self.height - self.below
        for x in _ticks(*xlim) if numbers else ():
            left = self._x(x)
            self.parts.append(f'<path d="M{left:.1f} {_TOP}V{bottom}" stroke="#e8e8e8"/>')
            self._write(left, bottom + 14, f"{x:g}", "middle")
        for y in _ticks(*ylim) if numbers else ():
            top = self._y(y)
            self.parts.append(
                f'<path d="M{self.left} {top:.1f}H{self.width - _RIGHT}" stroke="#e8e8e8"/>'
            )
            self._write(self.left - 4, top + 4, f"{y:g}", "end")
        self._write((self.left + self.width - _RIGHT) / 2, self.height - 6, xlabel, "middle")
        turned = f'transform="rotate(-90 11 {(_TOP + bottom) / 2})"'
        self._write(11, (_TOP + bottom) / 2, ylabel, "middle", turned)

    def _x(self, x):
        share = (np.asarray(x, float) - self.xlim[0]) / (self.xlim[1] - self.xlim[0])
        return self.left + share * (self.width - self.left - _RIGHT)

    def _y(self, y):
        share = (np.asarray(y, float) - self.ylim[0]) / (self.ylim[1] - self.ylim[0])
        return self.height - self.below - share * (self.height - _TOP - self.below)

    def _write(self, x, y, text, anchor, more=""):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" stroke="white" '
            f'stroke-width="3" paint-order="stroke" {more}>'
            f"{html.escape(text)}</text>"
        )

    def line(self, x, y, colour="generated", width=1.5, dash=""):
        """colour: a name in `figures.COLOURS`."""
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self._x(x), self._y(y), strict=True))
        self.parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[colour]}" '
            f'stroke-width="{width}" stroke-dasharray="{dash}"/>'
        )

    def dots(self, x, y, colour="generated", radius=3.0, hollow=False):
        """radius: in CSS pixels; colour as for `line`."""
        # one path for all, each a line of no length with round ends: short, so quick to send
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(self._x(x), self._y(y), strict=True))
        for stroke, width in ((COLOURS[colour], radius), ("white", radius - 1.2))[: 1 + hollow]:
            self.parts.append(
                f'<path d="{path}" stroke="{stroke}" stroke-width="{2 * width:g}" '
                'stroke-linecap="round"/>'
            )

    def words(self, x, y, text, anchor="start"):
        """Words beside the point (x, y), so that colour never stands alone."""
        self._write(float(self._x(x)) + (6 if anchor == "start" else 0), float(self._y(y)) - 6,
                    text, anchor)  # fmt: skip

    @property
    def data(self):
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="sans-serif" fill="#222">'
            + "".join(self.parts) + "</svg>"
        ).encode()  # fmt: skip


def _ticks(low, high):
    """Three to six round numbers inside the range."""
    step = 10.0 ** np.floor(np.log10((high - low) / 2))
    step *= next(k for k in (5, 2, 1, 0.5) if (high - low) / (k * step) >= 2.5)
    first = np.ceil(low / step - 1e-9)
    return [float(np.round(i * step, 10)) + 0.0 for i in np.arange(first, high / step + 1e-9)]


def signals(x, columns, low=-2.0, high=2.0, side=(110, 80)):
    """Signals [N, 1, L] in a grid of small frames: (SVG bytes, width in CSS pixels).

    The place of a signal of NaN stays empty.
    """
    width, height = side
    rows = -(-len(x) // columns)
    t = np.linspace(4, width - 4, x.shape[2])
    parts = []
    for i, signal in enumerate(x[:, 0]):
        if np.isnan(signal).any():
            continue
        left, top = i % columns * width, i // columns * height
        y = top + height - (np.clip(signal, low, high) - low) / (high - low) * height
        points = " ".join(f"{left + a:.1f},{b:.1f}" for a, b in zip(t, y, strict=True))
        parts.append(
            f'<rect x="{left + 2}" y="{top + 2}" width="{width - 4}" height="{height - 4}" '
            f'fill="none" stroke="#ccc"/><polyline points="{points}" fill="none" '
            f'stroke="{COLOURS["generated"]}" stroke-width="1.5"/>'
        )
    full = f'width="{columns * width}" height="{rows * height}"'
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" {full}><rect {full} fill="white"/>'
           + "".join(parts) + "</svg>")  # fmt: skip
    return svg.encode(), columns * width

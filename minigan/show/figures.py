"""One look for every plot of the course, and no picture without alt text.

    fig, ax = show.new(title="What the reader should see")
    ax.plot(…)
    show.picture(fig, alt="What someone who cannot see it needs to know")

A colour means the same thing in all lessons: see COLOURS, from the palette of Okabe & Ito (2008),
which stays distinct with any kind of colour vision.  Colour never stands alone: label too.
"""

import base64
import html
import io

import numpy as np
from matplotlib import cycler
from matplotlib.figure import Figure

from minigan.data.images import to_uint8

_PAGE, _GUTTER = 800, 2  # screen pixels

COLOURS = {
    "data": "#000000",
    "generated": "#0072B2",
    "w": "#0072B2",
    "noise": "#E69F00",
    "adain": "#0072B2",
    "off": "#999999",
    "concat_w": "#009E73",
    "concat_z": "#D55E00",
    "other": "#CC79A7",
    "wrong": "#D55E00",
    "right": "#009E73",
}
_CYCLE = cycler(color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"])


def new(rows=1, columns=1, size=(8.0, 3.2), title=None, **kwargs):
    """A figure and its axes (one, or an array [rows, columns] as in plt.subplots).

    size: inches.  title: the message of the figure in a sentence.  kwargs: as for plt.subplots.
    """
    fig = Figure(figsize=size, layout="constrained")
    axes = fig.subplots(rows, columns, **kwargs)
    for ax in fig.axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.set_axisbelow(True)
        ax.set_prop_cycle(_CYCLE)
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return fig, axes


def signals(rows, title, alt, titles=None, size=None, ylim=None):
    """Signals in a grid: a labelled row for each entry of `rows`, a column for each signal.

    rows: {label: [N, 1, L]}, or {label: (colour, [N, 1, L])} with a colour of COLOURS.
    titles: a text above each column; ylim: (low, high), to compare figures.  Returns a `picture`.
    """
    n = max(len(x[1]) if isinstance(x, tuple) else len(x) for x in rows.values())
    size = size or (10.0, 0.5 + 1.15 * len(rows))
    fig, axes = new(len(rows), n, size, title, sharex=True, sharey=True, squeeze=False)
    for (label, x), row in zip(rows.items(), axes, strict=True):
        colour, x = x if isinstance(x, tuple) else ("generated", x)
        for ax, signal in zip(row, x, strict=False):
            ax.plot(signal[0], color=COLOURS[colour], linewidth=1.5)
            ax.tick_params(labelsize=7)
        row[0].set_ylabel(label, fontsize=9)
    axes[0, 0].set(ylim=ylim)  # shared by all
    for ax, text in zip(axes[0], titles or (), strict=False):
        ax.set_title(text, fontsize=9)
    return picture(fig, alt)


def images(rows, title, alt, titles=None, scale=2.0):
    """Pictures in a grid, pixels unblurred: a labelled row for each entry of `rows`.

    rows: {label: images [N, 1, 3 or 4, H, W] in [−1, 1]}; a label may be empty.  titles: a text
    above each column.  scale: screen pixels for each of a 32² picture's; every pixel is magnified
    by the same whole number, to 96 screen pixels a picture or more.  Columns that a page of
    _PAGE pixels cannot hold go below the others.  Returns a `picture`.
    """
    some = [to_uint8(np.asarray(x)) for x in rows.values()]  # [N, H, W, 3 or 4]
    n, (height, width) = max(map(len, some)), some[0].shape[1:3]
    times = max(-(-96 // width), round(32 * scale / width))
    cell_w, cell_h = times * width + _GUTTER, times * height + _GUTTER
    room = max(round(7.5 * len(label.strip())) for label in rows)  # for the labels
    columns = -(-n // -(-n * cell_w // (_PAGE - room)))  # as many in each block
    blocks, above = -(-n // columns), 22 * bool(titles)
    size = (max(columns * cell_w + room + 10, 11 * len(title)),
            32 + blocks * (above + len(rows) * cell_h + 8))  # fmt: skip
    dots = 2  # to a screen pixel, so that letters are crisp where those are small
    fig = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100 * dots)

    def write(x, y, text, **kwargs):  # in screen pixels, from the top
        fig.text(x / size[0], 1 - y / size[1], text, **kwargs)

    write(4, 16, title, va="center", fontsize=12, fontweight="bold")
    for first in range(0, n, columns):
        top = 32 + first // columns * (above + len(rows) * cell_h + 8)
        for j, text in enumerate((titles or ())[first : first + columns]):
            write(room + 6 + (j + 0.5) * cell_w, top + 11, text, ha="center", va="center",
                  fontsize=9)  # fmt: skip
        for i, (label, x) in enumerate(zip(rows, some, strict=True)):
            y = top + above + i * cell_h
            write(room + 1, y + cell_h / 2, label.strip(), ha="right", va="center", fontsize=9)
            for j, image in enumerate(x[first : first + columns]):
                pixels = image.repeat(dots * times, axis=0).repeat(dots * times, axis=1)
                left, bottom = room + 6 + j * cell_w, size[1] - y - len(pixels) // dots
                fig.figimage(pixels, dots * left, dots * bottom, origin="upper")
    return picture(fig, alt, 100 * dots)


def png(fig, dpi=144):
    """The figure as PNG bytes."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=dpi, facecolor="white")
    return file.getvalue()


class picture:
    """A figure as a notebook output, with the alt text that a screen reader speaks.

    Raises: ValueError unless alt says something (20 characters or more).
    """

    def __init__(self, fig, alt, dpi=144):
        if not isinstance(alt, str) or len(alt.strip()) < 20:
            raise ValueError(f"picture: alt is {alt!r}; expected a sentence that says what the "
                             "figure shows")  # fmt: skip
        self.alt = alt
        self.data = png(fig, dpi)
        self.width = round(fig.get_figwidth() * 100)

    def __repr__(self):
        return f"[picture: {self.alt}]"

    def _repr_html_(self):
        data = base64.b64encode(self.data).decode()
        return (  # of a collapsed output JupyterLab shows the first line
            "<!-- a figure: click to see it -->\n"
            f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" '
            f'style="width: {self.width}px; max-width: 100%; height: auto">'
        )

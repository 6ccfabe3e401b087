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
    above each column.  scale: screen pixels for each of a 32² picture's.  Returns a `picture`.
    """
    n = max(len(x) for x in rows.values())
    side = 0.32 * scale
    room = 0.075 * max(len(label) for label in rows)  # for the labels
    size = (max(n * side + room + 0.1, 0.112 * len(title)),
            len(rows) * side + 0.38 + 0.25 * bool(titles))  # fmt: skip
    fig, axes = new(len(rows), n, size, title, squeeze=False)
    fig.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    for (label, x), row in zip(rows.items(), axes, strict=True):
        for ax in row:
            ax.axis("off")
        for ax, image in zip(row, x, strict=False):
            rgb = np.clip((np.moveaxis(image, 0, -1) + 1) / 2, 0, 1)
            ax.imshow(rgb.repeat(3, axis=2) if len(image) == 1 else rgb, interpolation="nearest")
        if label:
            row[0].text(-0.08, 0.5, label, transform=row[0].transAxes, ha="right", va="center",
                        fontsize=9)  # fmt: skip
    for ax, text in zip(axes[0], titles or (), strict=False):
        ax.set_title(text, fontsize=9, pad=2)
    return picture(fig, alt)


def png(fig, dpi=144):
    """The figure as PNG bytes."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=dpi, facecolor="white")
    return file.getvalue()


class picture:
    """A figure as a notebook output, with the alt text that a screen reader speaks.

    Raises: ValueError unless alt says something (20 characters or more).
    """

    def __init__(self, fig, alt):
        if not isinstance(alt, str) or len(alt.strip()) < 20:
            raise ValueError(f"picture: alt is {alt!r}; expected a sentence that says what the "
                             "figure shows")  # fmt: skip
        self.alt = alt
        self.data = png(fig)
        self.width = int(fig.get_figwidth() * 100)

    def __repr__(self):
        return f"[picture: {self.alt}]"

    def _repr_html_(self):
        data = base64.b64encode(self.data).decode()
        return (
            f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" '
            f'style="width: {self.width}px; max-width: 100%; height: auto">'
        )

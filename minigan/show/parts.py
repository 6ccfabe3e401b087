"""The parts of a widget that ipywidgets cannot give; controls.js and parts.js draw them.

Slider: a handle with a name and a spoken value; Tiles: pictures that wrap and carry their names;
Sentence: words that are announced when the controls rest; Steps: the first so many of a row.
"""

import pathlib
from collections.abc import Sequence

import anywidget
import traitlets

_HERE = pathlib.Path(__file__).parent


class Part(anywidget.AnyWidget):
    part = traitlets.Unicode().tag(sync=True)  # which of those in its file


class Slider(Part):
    """A number by slider or typed.  `.value` is of the kind of `step`: int or float.

    name: what it is; low, high, step: of the arrow keys; typed and dragged numbers lie between.
    ticks: [(value, words)], where a dragged thumb halts.  curve: [(x, y)], y in 0 … 1, drawn over
    the slider, with a caption; no room is kept for it if None.  spoken: what a screen reader says,
    "{}" being the number.
    """

    _esm = _HERE / "controls.js"
    value = traitlets.Any().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    low, high, step = (traitlets.Any().tag(sync=True) for _ in range(3))
    whole = traitlets.Bool().tag(sync=True)
    width = traitlets.Unicode().tag(sync=True)
    ticks = traitlets.List().tag(sync=True)
    curve = traitlets.Any().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    spoken = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, name: str, value: float, low: float, high: float, step: float, width: str = "200px",
        ticks: Sequence[tuple[float, str]] = (), spoken: str = "{}",
    ):  # fmt: skip
        super().__init__(
            part="slider", name=name, value=value, low=low, high=high, step=step, width=width,
            whole=isinstance(step, int), ticks=list(ticks), spoken=spoken,
        )  # fmt: skip

    @traitlets.validate("value")
    def _within(self, proposal):
        value = min(max(proposal.value, self.low), self.high)
        return round(value) if self.whole else round(float(value), 6)


class Steps(Part):
    """A whole number: the first so many of a row of chips, from none to all.

    groups: {words: the labels of the chips that they stand before}.
    """

    _esm = _HERE / "controls.js"
    value = traitlets.Int().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    groups = traitlets.List().tag(sync=True)

    def __init__(self, name: str, value: int, groups: dict[str, list[str]]):
        super().__init__(part="steps", name=name, value=value, groups=list(groups.items()))


class Tiles(Part):
    """Pictures below each other in one file, shown side by side, each with its name."""

    _esm = _HERE / "parts.js"
    value = traitlets.Bytes().tag(sync=True)
    format = traitlets.Unicode("png").tag(sync=True)
    width = traitlets.Unicode().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self):
        super().__init__(part="tiles")

    def show(self, frame):
        """The words and the width of a `live.Frame`; its bytes are set beside them."""
        self.names, self.alt, self.width = list(frame.names), frame.alt, f"{frame.width}px"


class Sentence(Part):
    """Words that a screen reader says when they have rested.  It also keeps JupyterLab's one-letter
    commands from the controls around it."""

    _esm = _HERE / "parts.js"
    _css = _HERE / "parts.css"
    value = traitlets.Unicode().tag(sync=True)

    def __init__(self):
        super().__init__(part="sentence")

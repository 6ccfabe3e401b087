"""A live widget: controls, and a function that draws what they say.

    Live("title", {"psi": a slider}, draw)      draw(psi=…) -> Seen([frames], "what it means")
    Live(…, arrange=stacked(slider))            frames drawn ahead, switched without the kernel

Pictures go to the browser as encoded bytes; benchmarks/widgets.py says how long that takes.
Sliders keep one message in flight, so a fast drag skips positions instead of queueing them.  What
goes wrong in `draw` appears as text below the pictures, and the controls go on working.

A saved notebook shows the pictures as they first were; a widget without a kernel would be blank.
"""

import base64
import contextlib
import dataclasses
import html
import io

import ipywidgets
import numpy as np
import traitlets
from PIL import Image

from minigan.data.images import grid
from minigan.latents import from_seed, parse_range
from minigan.networks import base
from minigan.show import svg

_STYLE = """<style>
.minigan-live { border-left: 3px solid #0072B2; padding: 4px 0 4px 10px }
.minigan-live img { max-width: calc(100% - 4px); height: auto }
.minigan-pixels { image-rendering: pixelated }
.minigan-live.jupyter-widgets-disconnected::after,
.jp-NotebookPanel:has(.jp-Notebook-ExecutionIndicator:is(
  [data-status="disconnected"], [data-status="unknown"], [data-status="dead"]))
  .minigan-live::after {
  content: "The kernel is gone: run this cell again, and the controls will answer.";
  color: #B00020; font-weight: bold }
</style>"""


@dataclasses.dataclass(frozen=True)
class Frame:
    """An encoded picture.  alt: what it shows, for who cannot see it; width: in CSS pixels."""

    data: bytes
    alt: str
    width: int
    format: str = "png"

    def html(self):
        """As an <img> that needs nothing beside it."""
        data = base64.b64encode(self.data).decode()
        return (
            f'<img src="data:image/{self.format};base64,{data}" alt="{html.escape(self.alt)}" '
            f'style="width: {self.width}px; max-width: 100%; height: auto; '
            'image-rendering: pixelated">'
        )


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a widget shows now: frames, always as many, and what they mean, in a sentence or two."""

    frames: list
    text: str


def pictures(x, columns, alt, side=96):
    """A Frame of images [N, C, H, W] in [−1, 1], or signals [N, 1, L], in a grid.

    side: the least width of one in CSS pixels; pixels are magnified by a whole number.
    """
    if x.ndim == 3:
        data, width = svg.signals(x, columns)
        return Frame(data, alt, width, "svg+xml")
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=1)
    pixels = grid(padded, columns)
    return Frame(png(pixels), alt, pixels.shape[1] * max(1, round(side / x.shape[3])))


def png(pixels):
    """uint8 [H, W, 3], or 4 of RGBA, as PNG bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)  # the quickest
    return file.getvalue()


def plot(p, alt):
    """A Frame of an `svg.Plot`."""
    return Frame(p.data, alt, p.width, p.format)


class Live(ipywidgets.VBox):
    """Controls above pictures, a sentence that says what they show, and room for what goes wrong.

    controls: {name: a widget with a value}, passed to draw by name.  draw(**values) -> Seen.
    buttons: {label: a function}; each is called when pressed, and may return a text to say; without
    one all is drawn anew.
    arrange: the views [ipywidgets.Image] -> a widget that holds them; side by side if None.
    still: the indices of the frames that a saved notebook shows; all if None.
    """

    def __init__(self, title, controls, draw, buttons=None, arrange=None, still=None):
        self.controls, self._draw, self.holding = controls, draw, False
        self.text, self.message = ipywidgets.HTML(), ipywidgets.HTML()
        seen = self._now()  # a mistake in the call raises here, where it was made
        self.views = [Picture() for _ in seen.frames]
        self._first = Seen([seen.frames[i] for i in still] if still else seen.frames, seen.text)
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
        pressed = [self._button(label, action) for label, action in (buttons or {}).items()]
        shown = arrange(self.views) if arrange else ipywidgets.Box(self.views, layout=row)
        super().__init__([
            ipywidgets.HTML(f"{_STYLE}<b>{html.escape(title)}</b>"),
            ipywidgets.Box([*controls.values(), *pressed], layout=row),
            shown, self.text, self.message,
        ])  # fmt: skip
        self.add_class("minigan-live")
        self._show(seen)
        for control in controls.values():
            control.observe(lambda change: self.redraw(), "value")

    def _button(self, label, action):
        button = ipywidgets.Button(description=label, layout=ipywidgets.Layout(width="auto"))

        def press(_):
            with self._said():
                text = action()
                if text is None:
                    self.redraw()
                else:
                    self.message.value = f'<div role="status">{html.escape(text)}</div>'

        button.on_click(press)
        return button

    def _now(self):
        return self._draw(**{name: control.value for name, control in self.controls.items()})

    def _show(self, seen):
        for view, frame in zip(self.views, seen.frames, strict=True):
            with view.hold_sync():
                view.format, view.value = frame.format, frame.data
                view.width, view.tooltip = str(frame.width), frame.alt
            if frame.format == "png":
                view.add_class("minigan-pixels")
        self.text.value = seen.text

    def redraw(self):
        """Draw anew what the controls say; what goes wrong is written below."""
        if not self.holding:
            with self._said():
                self._show(self._now())
                self.message.value = ""

    @contextlib.contextmanager
    def _said(self):
        try:
            yield
        except Exception as error:  # whatever it is: a dead slider would say nothing
            self.message.value = (
                f'<div role="alert" style="color: #B00020"><b>{type(error).__name__}</b>: '
                f"{html.escape(str(error))}</div>"
            )

    @contextlib.contextmanager
    def held(self):
        """Change several controls inside; all is drawn once, at the end."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
        self.redraw()

    def _repr_mimebundle_(self, **kwargs):
        """The widget, and beside it what a page without a kernel can show."""
        return super()._repr_mimebundle_(**kwargs) | {
            "text/html": "".join(frame.html() for frame in self._first.frames)
            + f"<p>{self._first.text}</p>",
            "text/plain": " ".join(f"[{frame.alt}]" for frame in self._first.frames),
        }


def stacked(control, *others):
    """How `Live` may arrange its views: one at a time, as a Number from 0 says.

    The browser switches them itself; the kernel takes no part.  others: widgets before control.
    """

    def arrange(views):
        stack = ipywidgets.Stack(views, selected_index=control.value)
        ipywidgets.jslink((control.slider, "value"), (stack, "selected_index"))
        return ipywidgets.VBox([ipywidgets.HBox([*others, control]), stack])

    return arrange


# ---- controls ------------------------------------------------------------------------------------


class Picture(ipywidgets.Image):
    """An Image whose tooltip is its alt text: the browser's part shows one only where it finds a
    description, which ipywidgets.Image has not."""

    description = traitlets.Unicode("").tag(sync=True)


class Number(ipywidgets.HBox):
    """A number by slider or typed: the slider for the hand, the labelled field for who hears.

    value, low, high, step: int or float, all of one kind.  `.value` follows `.slider`, and back.
    """

    value = traitlets.Any()

    def __init__(self, name, value, low, high, step, width="300px"):
        whole = isinstance(step, int)
        kinds = (
            (ipywidgets.BoundedIntText, ipywidgets.IntSlider)
            if whole
            else (ipywidgets.BoundedFloatText, ipywidgets.FloatSlider)
        )
        given = {"value": value, "min": low, "max": high, "step": step}
        self.field = kinds[0](**given, description=name, layout=ipywidgets.Layout(width="160px"))
        self.slider = kinds[1](**given, readout=False, layout=ipywidgets.Layout(width=width))
        super().__init__([self.field, self.slider], value=value)
        if whole:  # inside the browser, so that frames drawn ahead need no kernel
            ipywidgets.jslink((self.field, "value"), (self.slider, "value"))
        for part in (self.field, self.slider):
            # rounded: 0.45 is 0.4499999999999999 by the slider's reckoning
            part.observe(lambda c: setattr(self, "value", round(c.new, 6)), "value")

    @traitlets.observe("value")
    def _follow(self, change):
        for part in (self.field, self.slider):
            if abs(part.value - change.new) > 1e-6:
                part.value = change.new


def psi_control(value):
    """The slider for ψ that all widgets have."""
    return Number("ψ (psi)", float(value), -1.0, 1.5, 0.05)


def field(name, value):
    """A field for seeds; it counts when Enter is pressed or the field is left."""
    return ipywidgets.Text(str(value), description=name, continuous_update=False,
                           layout=ipywidgets.Layout(width="220px"))  # fmt: skip


# ---- what the widgets ask at the door ------------------------------------------------------------


def check_generator(who, G, images=False):
    """Raises: TypeError unless G is a generator (of images)."""
    if not isinstance(G, base.Generator) or (images and not hasattr(G, "img_channels")):
        kind = "a generator of images" if images else "a Generator"
        raise TypeError(
            f"{who}: G is {type(G).__name__}; expected {kind}, such as minigan.load('portraits')"
        )
    if getattr(G, "c_dim", 0):
        raise ValueError(f"{who}: G has {G.c_dim} classes; expected a network without labels")


def seeds(name, text, most):
    """ "1, 2-4" -> [1, 2, 3, 4]: one to `most` seeds.  Raises: ValueError."""
    try:
        found = parse_range(str(text))
    except ValueError:
        found = []
    if not 1 <= len(found) <= most or max(found) >= 2**32:
        raise ValueError(
            f"{name}: {text!r}; expected 1 to {most} whole numbers below 2³² = 4,294,967,296, "
            "such as 0-3 or 5, 8"
        )
    return found


def latents(G, numbers):
    """z [N, z_dim], float32: a row for each seed, the one that NVIDIA's scripts would draw."""
    return np.concatenate([from_seed(seed, G.z_dim) for seed in numbers])

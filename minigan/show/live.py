"""A live widget: controls, and a function that draws what they say.

    Live("title", {"psi": a slider}, draw)      draw(psi=…) -> Seen([frames], "what it means")
    Live(…, arrange=stacked(slider))            frames drawn ahead, switched without the kernel

Pictures go to the browser as encoded bytes; benchmarks/widgets.py says how long that takes.
Sliders keep one message in flight, so a fast drag skips positions instead of queueing them.  What
goes wrong in `draw` appears as text under the controls, and they go on working.

A saved notebook shows pictures and a sentence; a widget without a kernel would be blank.
"""

import base64
import contextlib
import dataclasses
import html
import io
import re
from collections.abc import Callable, Sequence

import ipywidgets
import numpy as np
import traitlets
from PIL import Image

from minigan.data.images import grid, to_uint8
from minigan.latents import from_seed, parse_range
from minigan.networks import base
from minigan.show import svg
from minigan.show.parts import Sentence, Slider, Tiles


@dataclasses.dataclass(frozen=True)
class Frame:
    """An encoded picture.  alt: what it shows, for who cannot see it; width: in CSS pixels.

    names: if there are any, the picture is as many tiles, one below the other, each `width` wide.
    """

    data: bytes
    alt: str
    width: int
    format: str = "png"
    names: tuple = ()

    @property
    def own_width(self) -> int:
        """Of the picture itself, in its own pixels."""
        return int.from_bytes(self.data[16:20], "big") if self.format == "png" else self.width

    def html(self) -> str:
        """As <img>s that need nothing beside them, each name below its own.

        Pixels are magnified in the file: JupyterLab drops `image-rendering` from what is saved.
        """
        return "".join(
            f'<div style="text-align: center"><img src="data:image/{self.format};base64,'
            f'{base64.b64encode(data).decode()}" alt="{html.escape(self._alt(name))}" '
            f'style="width: {self.width}px; height: auto"><div>{html.escape(name)}</div></div>'
            for data, name in zip(self._tiles(), self.names or ("",), strict=True)
        )

    def _alt(self, name):
        """A short name does not describe a picture to who cannot see what stands around it."""
        return name if len(name) >= 20 else f"{name} ({self.alt})" if name else self.alt

    def _tiles(self):
        n = len(self.names) or 1
        if self.format == "png":
            pixels = np.array(Image.open(io.BytesIO(self.data)))
            pixels = pixels.repeat(self.width // self.own_width, 0).repeat(
                self.width // self.own_width, 1
            )
            return [png(tile, 6) for tile in np.split(pixels, n)]
        if n == 1:
            return [self.data]
        size = re.search(rb'width="(\d+)" height="(\d+)"', self.data)
        width, height = int(size[1]), int(size[2]) // n
        return [
            self.data.replace(size[0], b'width="%d" height="%d" viewBox="0 %d %d %d"'
                              % (width, height, i * height, width, height), 1)
            for i in range(n)
        ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a widget shows now: frames, always as many, and what they mean, in a sentence or two."""

    frames: list
    text: str


def pictures(
    x: np.ndarray, columns: int, alt: str, side: float = 96, names: Sequence[str] | None = None
) -> Frame:
    """A Frame of images [N, C, H, W] in [−1, 1], or signals [N, 1, L], in a grid.

    side: the least width of one in CSS pixels; pixels are magnified by a whole number.
    names: one a picture; then they are tiles that wrap where the page ends, whatever `columns` is.
    NaN, as between the pictures of a grid, is transparent.
    """
    names = tuple(names or ())
    columns, times = 1 if names else columns, max(1, round(side / x.shape[-1]))
    if x.ndim == 3:
        data, width = svg.signals(x, columns)
        return Frame(data, alt, width, "svg+xml", names)
    if names:
        pixels = np.concatenate(to_uint8(x))
    else:
        edge = 0 if len(x) == 1 else 1
        empty = np.full((-len(x) % columns, *x.shape[1:]), np.nan)
        x = np.pad(np.concatenate([x, empty]), ((0, 0), (0, 0), (0, edge), (0, edge)),
                   constant_values=np.nan)  # fmt: skip
        seen = 1 - 2.0 * np.isnan(x[:, :1])
        opacity = np.where(seen > 0, x[:, 3:], seen) if x.shape[1] == 4 else seen
        colours = np.nan_to_num(x[:, :3].repeat(3 if x.shape[1] == 1 else 1, axis=1), nan=1)
        pixels = grid(np.concatenate([colours, opacity], axis=1), columns)
    return Frame(png(pixels), alt, times * pixels.shape[1], names=names)


def png(pixels: np.ndarray, level: int = 1) -> bytes:
    """uint8 [H, W, 3], or 4 of RGBA, as PNG bytes; level 1 is the quickest."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=level)
    return file.getvalue()


def plot(p, alt):
    """A Frame of an `svg.Plot`."""
    return Frame(p.data, alt, p.width, p.format)


class Live(ipywidgets.VBox):
    """Controls; under them what goes wrong and a sentence that says what one sees; and pictures.

    controls: {name: a widget with a value}, passed to draw by name.  draw(**values) -> Seen.
    buttons: {label: a function}; each is called when pressed, and may return a text to say; without
    one all is drawn anew, once.
    arrange: the views, one a frame -> a widget that holds them; side by side if None.
    still: the frames that a saved notebook shows, or a function that gives them; the first if None.
    invite: how a saved notebook's reader may go on: "Run this cell to …".
    """

    def __init__(
        self, title: str, controls: dict, draw: Callable[..., Seen],
        buttons: dict[str, Callable] | None = None, arrange: Callable | None = None,
        still: Sequence[Frame] | Callable | None = None, invite: str = "use its controls",
    ):  # fmt: skip
        self.controls, self._draw, self.holding = controls, draw, False
        self.text, self.message = Sentence(), ipywidgets.HTML()
        self._first = self._now()  # a mistake in the call raises here, where it was made
        self._still = self._first.frames if still is None else still
        self._title, self._invite = html.escape(title), html.escape(invite)
        self.views = [Tiles() if frame.names else Picture() for frame in self._first.frames]
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
        self.buttons = {
            label: self._button(label, action) for label, action in (buttons or {}).items()
        }
        self.row = ipywidgets.Box([*controls.values(), *self.buttons.values()], layout=row)
        self.shown = arrange(self.views) if arrange else ipywidgets.Box(self.views, layout=row)
        self.title = ipywidgets.HTML(f"<b>{self._title}</b>")
        super().__init__([self.title, self.row, self.message, self.text, self.shown])
        self.add_class("minigan-live")
        self._show(self._first)
        for control in controls.values():
            control.observe(lambda change: self.redraw(), "value")

    def _button(self, label, action):
        button = ipywidgets.Button(description=label, layout=ipywidgets.Layout(width="auto"))

        def press(_):
            with self._said():
                with self.held(False):
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
                view.show(frame)
        self.text.value = seen.text

    def redraw(self):
        """Draw anew what the controls say; what goes wrong is written under them."""
        if not self.holding:
            with self._said():
                self._show(self._now())
                self.message.value = ""

    @contextlib.contextmanager
    def _said(self):
        for control in self.controls.values():
            control.remove_class("minigan-error")
        try:
            yield
        except Exception as error:  # whatever it is: a dead slider would say nothing
            text = html.escape(str(error))
            if not isinstance(error, (ValueError, OSError)):  # whose words are meant for people
                text = f"<b>{type(error).__name__}</b>: {text}"
            self.message.value = f'<div role="alert">{text}</div>'
            if wrong := self.controls.get(str(error).partition(":")[0]):
                wrong.add_class("minigan-error")

    @contextlib.contextmanager
    def held(self, redraw: bool = True):
        """Change several controls inside; all is drawn once, at the end."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
        if redraw:
            self.redraw()

    def _repr_mimebundle_(self, **kwargs):
        """The widget, and beside it what a page without a kernel can show."""
        frames = self._still() if callable(self._still) else self._still
        return super()._repr_mimebundle_(**kwargs) | {
            "text/html": f"<p><b>{self._title}</b><br>▶ Run this cell to {self._invite}.</p>"
            '<div style="display: flex; flex-wrap: wrap; gap: 4px">'
            + "".join(frame.html() for frame in frames)
            + f"</div><p>{html.escape(self._first.text)}</p>",
            "text/plain": " ".join(f"[{frame.alt}]" for frame in frames),
        }


def stacked(control, *others):
    """How `Live` may arrange its views: one at a time, as a Slider from 0 says.

    The browser switches them itself; the kernel takes no part.  others: widgets before control.
    """

    def arrange(views):
        stack = ipywidgets.Stack(views, selected_index=control.value)
        ipywidgets.jslink((control, "value"), (stack, "selected_index"))
        return ipywidgets.VBox([ipywidgets.HBox([*others, control]), stack])

    return arrange


# ---- controls ------------------------------------------------------------------------------------


class Picture(ipywidgets.Image):
    """An Image whose tooltip is its alt text: the browser's part shows one only where it finds a
    description, which ipywidgets.Image has not."""

    description = traitlets.Unicode("").tag(sync=True)

    def show(self, frame: Frame):
        """Pixels as large as fits by a whole number, at most as the frame asks."""
        self.tooltip = frame.alt
        if frame.format == "png":
            own = frame.own_width
            self.add_class("minigan-pixels")
            fits = f"round(down, 100cqw - 4px, {own}px)"
            self.layout.width = f"max({own}px, min({frame.width}px, {fits}))"
        else:
            self.width = str(frame.width)
            self.add_class("minigan-plot")


def psi_control(value: float) -> Slider:
    """The slider for ψ that all widgets have."""
    return Slider("ψ (psi)", float(value), -1.0, 1.5, 0.05)


def field(name: str, value: object) -> ipywidgets.Text:
    """A field for seeds; it counts when Enter is pressed or the field is left."""
    return ipywidgets.Text(str(value), description=name, continuous_update=False,
                           style={"description_width": "auto"},
                           layout=ipywidgets.Layout(width="150px"))  # fmt: skip


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


def seeds(name: str, text: object, most: int) -> list[int]:
    """ "1, 2-4" or "1 4-2" -> [1, 2, 3, 4]: one to `most` seeds.  Raises: ValueError."""
    try:
        given = re.sub(r"\s*-\s*", "-", str(text).strip())
        given = re.sub(r"(\d+)-(\d+)", lambda m: "-".join(sorted(m.groups(), key=int)), given)
        found = parse_range(re.sub(r"[\s,]+", ",", given))
    except ValueError:
        found = []
    if not 1 <= len(found) <= most or max(found) >= 2**32:
        below = " below 2³²" if max(found, default=0) >= 2**32 else ""
        raise ValueError(
            f"{name}: {text!r}; expected 1 to {most} whole numbers{below}, such as 0-3 or 5, 8"
        )
    return found


def latents(G, numbers):
    """z [N, z_dim], float32: a row for each seed, the one that NVIDIA's scripts would draw."""
    return np.concatenate([from_seed(seed, G.z_dim) for seed in numbers])

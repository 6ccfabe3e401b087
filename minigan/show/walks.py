"""A walk between latents, straight in z or straight in w; played in the browser, saved as a film.

    show.latent_walk(G)

Read first: `live.py`.
"""

import base64
import dataclasses
import mimetypes
import pathlib
import shutil
import subprocess
import tempfile

import anywidget
import ipywidgets
import numpy as np
import traitlets
from PIL import Image

from minigan import atomic, check
from minigan.data.images import to_uint8
from minigan.latents import slerp
from minigan.show import live, svg

_CAPTIONS = ("through z", "through w")


def latent_walk(G, seeds="0-2", frames=36, psi=0.7, folder="."):
    """From seed to seed along arcs in z (left) and straight lines in w (right).

    seeds: text, 2 to 8; frames: of the whole walk, 2 to 240, drawn ahead, so that playing needs no
    kernel.  folder: where the buttons save walk.gif and walk.mp4.
    Returns a widget.  Raises: TypeError, ValueError.
    """
    live.check_generator("latent_walk", G)
    check.within("latent_walk", "frames", frames, 2, 240, whole=True)
    check.within("latent_walk", "psi", psi, -1, 1.5)
    drawn = {}

    def draw(seeds, psi):
        numbers = live.seeds("seeds", seeds, 8)
        if len(numbers) < 2:
            raise ValueError(f"seeds: {seeds!r}; expected two or more, to walk between")
        both = [
            np.concatenate([G.synthesis(part) for part in np.array_split(ws, -(-frames // 8))])
            for ws in _paths(G, live.latents(G, numbers), frames, psi)
        ]
        drawn["x"] = both
        pairs = [
            live.pictures(np.stack(pair), 2, f"Frame {i + 1} of {frames}", 192, _CAPTIONS)
            for i, pair in enumerate(zip(*both, strict=True))
        ]
        steps = [
            np.sqrt(np.mean(np.diff(x, axis=0) ** 2, axis=tuple(range(1, x.ndim)))) for x in both
        ]
        return live.Seen([*pairs, *_steps(steps)], _said(steps))

    slider = live.Slider("frame", 0, 0, frames - 1, 1)
    player = Player(last=frames - 1)
    ipywidgets.jslink((player, "value"), (slider, "value"))
    link = ipywidgets.HTML()

    def arrange(views):
        stacks = [ipywidgets.Stack(views[i : i + frames], selected_index=0) for i in (0, frames)]
        for stack in stacks:
            stack.layout.min_height = "212px"  # no jump while the browser reads the next picture
            ipywidgets.jslink((slider, "value"), (stack, "selected_index"))
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        return ipywidgets.VBox([ipywidgets.Box(children, layout=row)
                                for children in ([player, slider], stacks)])  # fmt: skip

    def save(kind, write):
        path = pathlib.Path(folder, f"walk.{kind}")
        write(path, _film(drawn["x"]))
        data = base64.b64encode(path.read_bytes()).decode()
        mime = mimetypes.guess_type(path)[0]
        link.value = f'<a download="{path.name}" href="data:{mime};base64,{data}">{path.name}</a>'
        return f"saved {path}"

    def still():
        """What a saved notebook shows: four frames of each way, and how far the steps go."""
        some = [round(i) for i in np.linspace(0, frames - 1, 4)]
        rows = [live.pictures(x[some], 4, "Four frames of the walk") for x in drawn["x"]]
        said = f": frames {', '.join(map(str, some))}"
        rows = [dataclasses.replace(row, names=(way + said,))
                for row, way in zip(rows, _CAPTIONS, strict=True)]  # fmt: skip
        return [*rows, draw(seeds, psi).frames[-1]]

    mp4 = "save MP4" if shutil.which("ffmpeg") else "save MP4 (needs ffmpeg)"
    panel = live.Live(
        "A walk through z and through w",
        {"seeds": live.field("seeds", seeds), "psi": live.psi_control(psi)}, draw,
        {"save GIF": lambda: save("gif", write_gif), mp4: lambda: save("mp4", write_mp4)},
        arrange, still=still, invite="play both walks, or drag through them",
    )  # fmt: skip
    panel.buttons[mp4].disabled = "needs" in mp4
    panel.row.children = list(panel.controls.values())
    panel.shown.children += (ipywidgets.HBox([*panel.buttons.values(), link]),)
    return panel


class Player(anywidget.AnyWidget):
    """Buttons play, stop and loop: `.value` counts from 0 to `last`, in the browser alone."""

    _esm = pathlib.Path(__file__).parent / "player.js"
    value, last = traitlets.Int().tag(sync=True), traitlets.Int().tag(sync=True)
    interval = traitlets.Int(80).tag(sync=True)  # ms
    loop = traitlets.Bool(True).tag(sync=True)


def _paths(G, z, frames, psi):
    """ws along the arcs in z, and along the lines in w: two [frames, num_ws, w_dim]."""
    t = np.linspace(0, len(z) - 1, frames)
    i = np.minimum(t.astype(int), len(z) - 2)
    share = (t - i)[:, None].astype(np.float32)
    arcs = slerp(z[i], z[i + 1], share).astype(np.float32)
    ws = G.mapping(z, truncation_psi=psi)
    share = share[:, :, None]
    return G.mapping(arcs, truncation_psi=psi), ws[i] + share * (ws[i + 1] - ws[i])


def _steps(steps):
    """Frames of how far each step moves the picture, one for each place of the playhead."""
    top = 1.15 * max(max(s.max() for s in steps), 1e-6)
    p = svg.Plot("Change per frame", (0, len(steps[0])), (0, top), "frame",
                 "root mean square", (190, 212))  # fmt: skip
    for s, colour, dash in zip(steps, ("concat_z", "w"), ("4 3", ""), strict=True):
        p.line(np.arange(1, len(s) + 1), s, colour, dash=dash)
    for s, name in zip(steps, "zw", strict=True):
        p.words(int(np.argmax(s)) + 1, s.max(), name)
    alone, frames = list(p.parts), []
    for i in range(len(steps[0]) + 1):
        p.parts = list(alone)
        p.line([i, i], [0, top], "data")
        frames.append(
            live.plot(p, f"The change from frame to frame: z dashed, w in full; now at frame {i}")
        )
    return frames


def _said(steps):
    parts = [f"{name}: {s.sum():.2f} in all, largest step {s.max() / s.mean():.1f} times the mean"
             for name, s in zip("zw", steps, strict=True)]  # fmt: skip
    return (
        "Arcs in z on the left, straight lines in w on the right. The way the picture moves: "
        + "; ".join(parts)
        + "."
    )


# ---- films ---------------------------------------------------------------------------------------


def _film(both, side=256):
    """uint8 [frames, H, W, 3]: z's picture beside w's, each magnified to about `side` pixels."""
    if both[0].ndim == 3:
        raise ValueError("a film is of pictures; signals have none. Use the slider")
    pixels = np.concatenate([to_uint8(x) for x in both], axis=2)
    if pixels.shape[3] == 4:  # over white: films are opaque
        share = pixels[..., 3:] / 255
        pixels = np.rint(255 - share * (255 - pixels[..., :3])).astype(np.uint8)
    times = max(1, side // pixels.shape[1])
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def write_gif(path, film, seconds=0.08):
    """film uint8 [frames, H, W, 3] as an animated GIF, at once or not at all."""
    first, *rest = (Image.fromarray(frame) for frame in film)
    with atomic.replacing(path) as file:
        first.save(file, "gif", save_all=True, append_images=rest, duration=1000 * seconds, loop=0)


def write_mp4(path, film, seconds=0.08):
    """film as MP4, by ffmpeg.  Raises: FileNotFoundError, in words, where ffmpeg is missing."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise FileNotFoundError(
            "MP4 needs the program ffmpeg, which is not installed; GIF does not"
        )
    _, height, width, _ = film.shape
    with tempfile.TemporaryDirectory() as room:
        made = pathlib.Path(room, "walk.mp4")
        command = [ffmpeg, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
                   "-s", f"{width}x{height}", "-r", f"{1 / seconds:g}", "-i", "-",
                   "-pix_fmt", "yuv420p", str(made)]  # fmt: skip
        done = subprocess.run(command, input=film.tobytes(), capture_output=True)
        if done.returncode:
            raise OSError(f"ffmpeg could not write {path}: {done.stderr.decode()[-200:]}")
        with atomic.replacing(path) as file:
            file.write(made.read_bytes())

"""The widgets without a browser: what they draw is what the generator gives; tests/test_browser.py
has the rest."""

import base64
import io
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import minigan
from minigan import latents, layers, show, toy
from minigan.data.images import grid, to_uint8
from minigan.evaluation import equivariance
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.show import canvas, live, mixing, svg, walks


@pytest.fixture(scope="module")
def G():
    return minigan.load("portraits32")


@pytest.fixture(scope="module")
def T():
    return toy.Generator.init(toy.Config(), np.random.default_rng(0), 0.1)


def split(pixels, columns, side):
    """The pictures [H, W, 3] of a column, or of a grid, without the lines between them."""
    if pixels.shape[1] == side:
        return pixels.reshape(-1, side, side, 3)
    rows = len(pixels) // (side + 1)
    cells = pixels.reshape(rows, side + 1, columns, side + 1, 3).swapaxes(1, 2)
    return cells.reshape(rows * columns, side + 1, side + 1, 3)[:, :side, :side]


def tiles(view, columns, side):
    return split(np.array(Image.open(io.BytesIO(view.value)).convert("RGB")), columns, side)


def z_of(G, *seeds):
    return np.concatenate([latents.from_seed(seed, G.z_dim) for seed in seeds])


# ---- what each shows -----------------------------------------------------------------------------


def test_psi_slider_shows_what_the_generator_gives(G):
    panel = show.psi_slider(G, "3, 5-6", psi=0.5)
    panel.controls["psi"].value = 0.35
    panel.controls["cutoff"].value = 2
    expected = G(z_of(G, 3, 5, 6), truncation_psi=0.35, truncation_cutoff=2)
    np.testing.assert_array_equal(tiles(panel.views[0], 3, 32), to_uint8(expected))
    assert "ψ = 0.35 in layers 0–1 of 8" in panel.text.value
    assert "0.35" in panel.views[0].alt


def test_at_psi_0_all_pictures_are_the_average_one(G):
    panel = show.psi_slider(G)
    before = tiles(panel.views[0], 6, 32)
    assert (before[0] != before[1]).any()
    panel.controls["psi"].value = 0.0
    seen = tiles(panel.views[0], 6, 32)
    assert (seen == seen[:1]).all()
    average = np.broadcast_to(G.w_avg, (1, G.num_ws, G.w_avg.size))
    np.testing.assert_array_equal(seen[:1], to_uint8(G.synthesis(average)))
    assert "every w is the average w̄" in panel.text.value and "differ by 0.000" in panel.text.value


def test_the_sliders_curve_is_how_much_the_pictures_differ(G):
    panel = show.psi_slider(G, "0-2", psi=-0.4)
    slider = panel.controls["psi"]
    slider.value = 0.33  # between the points that were measured ahead
    curve = dict(slider.curve)
    assert {-1, -0.4, 0, 0.33, 1, 1.5} <= set(curve) and sorted(curve) == [
        x for x, _ in slider.curve
    ]
    differ = {psi: np.std(G(z_of(G, 0, 1, 2), truncation_psi=psi), axis=0).mean()
              for psi in (-0.4, 0.33, 1.5)}  # fmt: skip
    assert curve[0] < 1e-6 and max(curve.values()) < 1
    for psi, value in differ.items():
        assert curve[psi] / curve[1.5] == pytest.approx(value / differ[1.5], rel=1e-4)
    assert f"{differ[0.33]:.3f}" in slider.caption and f"{differ[0.33]:.3f}" in panel.text.value
    panel.controls["seeds"].value = "4"
    assert slider.curve == [] and "needs two seeds" in slider.caption


def test_new_faces_and_reset(G):
    panel = show.psi_slider(G, "2-4", psi=0.5)
    first, seeds = panel.views[0].value, panel.controls["seeds"]
    panel.buttons["new faces"].click()
    assert seeds.value == "5-7" and panel.views[0].names == ["seed 5", "seed 6", "seed 7"]
    np.testing.assert_array_equal(
        tiles(panel.views[0], 3, 32), to_uint8(G(z_of(G, 5, 6, 7), truncation_psi=0.5))
    )
    panel.controls["psi"].value, panel.controls["cutoff"].value = -1, 1
    panel.buttons["reset"].click()
    values = {name: control.value for name, control in panel.controls.items()}
    assert values == {"psi": 0.5, "cutoff": 8, "seeds": "2-4"} and panel.views[0].value == first


def test_the_plane_of_w_is_to_scale(G, T):
    for network in (G, T):
        root = ET.fromstring(show.psi_slider(network, "0-3", psi=-1.0).views[1].value)
        lines = [line.get("points") for line in root.iter() if line.get("stroke") == "#0072B2"]
        spans = [np.ptp(np.array([p.split(",") for p in points.split()], float), axis=0)
                 for points in lines if points]  # fmt: skip
        ws = network.mapping(z_of(network, 0, 1, 2, 3))[:, 0] - network.w_avg
        rng = np.random.default_rng(0)
        cloud = network.mapping(rng.standard_normal((400, network.z_dim), np.float32))[:, 0]
        axes = np.linalg.svd(cloud - cloud.mean(axis=0), full_matrices=False)[2][:2]
        true = 2 * np.abs(ws @ axes.T)  # from w to its opposite
        ratio = np.array(spans) / true
        assert len(spans) == 4 and np.ptp(ratio[true > 0.2]) < 0.06 * ratio[true > 0.2].mean()


def test_a_saved_psi_slider_shows_what_dragging_would(G):
    page = show.psi_slider(G, "5, 8", psi=0.2)._repr_mimebundle_()["text/html"]
    rows = stills(page)
    assert "Run this cell to drag ψ" in page and len(rows) == 5
    for psi, row in zip((-1, 0, 0.5, 1, 1.5), rows, strict=True):
        assert f"ψ = {psi}: ".replace("-", "−") in page
        seen = row[2::4, 2::4, :3]  # each pixel is four wide
        np.testing.assert_array_equal(row, np.kron(row[::4, ::4], np.ones((4, 4, 1))))
        expected = to_uint8(G(z_of(G, 5, 8), truncation_psi=psi)).astype(int)
        for i in range(2):
            assert np.abs(seen[:32, 33 * i : 33 * i + 32] - expected[i]).max() <= 1


def test_a_slider_keeps_to_its_range_and_its_kind():
    part = live.Slider("n", 2, 0, 5, 1)
    part.value = 3.7
    assert part.value == 4 and isinstance(part.value, int)
    part = live.Slider("x", 0.5, -1.0, 1.5, 0.05)
    part.set_state({"value": 0.1 + 0.2})
    assert part.value == 0.3
    for given, kept in ((7, 1.5), (-7, -1.0), (1, 1.0)):
        part.value = given
        assert part.value == kept and isinstance(part.value, float)


@pytest.mark.parametrize("psi, words", [
    (1.0, "as the mapping gave it"), (-0.5, "on the other side of w̄, at 0.50"), (1.5, "at 1.50"),
])  # fmt: skip
def test_psi_slider_says_where_w_lies(G, psi, words):
    assert words in show.psi_slider(G, "0", psi).text.value


def test_a_truncation_of_no_layer_is_said_to_do_nothing(G):
    assert "changes nothing" in show.psi_slider(G, "0-1", 0.3, cutoff=0).text.value


def test_style_mixer_is_the_grid_of_the_paper(G):
    panel = show.style_mixer(G, "0-1", "7, 8, 9", "coarse")
    a, b = G.mapping(z_of(G, 0, 1)), G.mapping(z_of(G, 7, 8, 9))
    above, left, mixed = (tiles(view, 1, 32) for view in panel.views)
    np.testing.assert_array_equal(above, to_uint8(G.synthesis(b)))
    np.testing.assert_array_equal(left, to_uint8(G.synthesis(a)))
    assert panel.views[0].names == ["seed 7", "seed 8", "seed 9"]
    assert panel.views[1].names == ["seed 0", "seed 1"] and len(mixed) == 6
    for i in range(2):
        for j in range(3):
            ws = np.concatenate([b[j : j + 1, :3], a[i : i + 1, 3:]], axis=1)
            near = np.abs(mixed[3 * i + j].astype(int) - to_uint8(G.synthesis(ws))[0])
            assert near.max() <= 1  # another batch size, another order of summing
            name = panel.views[2].names[3 * i + j]
            assert name == f"seed {i} with layers 0–2 of seed {7 + j}"


def test_the_ladder_is_the_mixers_only_state(G):
    panel = show.style_mixer(G, preset="coarse")
    ladder = panel.controls["layers"]
    assert list(panel.controls) == ["rows", "columns", "layers"] and ladder.value == [0, 1, 2]
    assert "layers 0–2 (coarse)" in panel.text.value
    for chosen, words in [([5, 6, 7], "layers 5–7 (fine)"), ([2, 3, 5, 6, 7], "layers 2–3, 5–7,"),
                          ([5], "layer 5, which changes"), ([], "no layer"),
                          ([*range(8)], "all layers")]:  # fmt: skip
        ladder.value = chosen
        assert words in panel.text.value
    above, left, mixed = (tiles(view, 1, 32).astype(int) for view in panel.views)
    assert np.abs(mixed.reshape(2, 3, 32, 32, 3) - above).max() <= 1  # all from the top
    ladder.value = []
    mixed = tiles(panel.views[2], 1, 32).astype(int).reshape(2, 3, 32, 32, 3)
    assert np.abs(mixed - left[:, None]).max() <= 1


def share(G, panel, layers):
    """What the ladder says of these layers, reckoned from the pictures that one then sees."""
    panel.controls["layers"].value = layers
    above, left, mixed = (tiles(view, 1, G.img_resolution).astype(float) for view in panel.views)
    mixed, left = mixed.reshape(len(left), len(above), *above.shape[1:]), left[:, None]
    return np.abs(mixed - left).mean() / np.abs(above - left).mean()


def test_the_bars_are_what_one_sees_change(G):
    panel = show.style_mixer(G, "0-1", "3-5", "coarse")
    ladder = panel.controls["layers"]
    sets = [[0], [3], [7], *mixing.bands(G).values()]
    for fresh in (False, True):
        if fresh:
            before = ladder.shares
            panel.buttons["new faces"].click()
            assert panel.controls["rows"].value == "6-7" and ladder.shares != before
            assert panel.views[0].names == ["seed 8", "seed 9", "seed 10"]
        said = [ladder.shares[i] for i in (0, 3, 7, 8, 9, 10)]
        for chosen, expected in zip(sets, said, strict=True):
            assert share(G, panel, chosen) == pytest.approx(expected, abs=0.01)
            assert f"{100 * expected:.0f} % of what all" in panel.text.value


def test_of_many_mixtures_only_some_are_measured(G, monkeypatch):
    monkeypatch.setattr(mixing, "_MEASURED", 2 * 32**2)
    panel = show.style_mixer(G, "0-1", "3-5", "coarse")
    one = show.style_mixer(G, "0", "3-4", "coarse")
    assert panel.controls["layers"].shares == pytest.approx(one.controls["layers"].shares, abs=1e-3)
    assert len(panel.views[2].names) == 6


def test_a_band_is_drawn_once_and_before_it_is_chosen(G, monkeypatch):
    panel, drawn = show.style_mixer(G, preset="coarse"), []
    synthesis = G.synthesis
    monkeypatch.setattr(G, "synthesis", lambda ws: drawn.append(len(ws)) or synthesis(ws))
    shown = panel._show
    monkeypatch.setattr(panel, "_show", lambda seen: drawn.append("shown") or shown(seen))
    panel.controls["layers"].value = [5, 6, 7]
    assert drawn == ["shown"]
    panel.controls["layers"].value = [1, 5]
    assert drawn == ["shown", 6, "shown"]


def test_large_pictures_are_reduced_by_a_whole_number():
    x = np.arange(2 * 3 * 256 * 256, dtype=np.float32).reshape(2, 3, 256, 256)
    small = mixing._small(x)
    assert small.shape == (2, 3, 128, 128)
    assert small[1, 2, 5, 7] == pytest.approx(x[1, 2, 10:12, 14:16].mean())
    assert mixing._small(small) is small


@pytest.mark.parametrize("network, parts", [
    ("portraits64", [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]),
    ("portraits32-2019", [[0, 1, 2, 3], [4, 5], [6, 7]]),
    ("portraits32-2021", [[0, 1, 2], [3], [4, 5, 6, 7]]),  # cutoffs 2, 2, 3.4, 5.7, 9.5, 16, 16, 16
    (stylegan1.Config(), [[*range(4)], [*range(4, 8)], [*range(8, 18)]]),  # as the paper has them
    (stylegan2.Config(), [[*range(3)], [*range(3, 7)], [*range(7, 18)]]),
    (stylegan2.Config(img_resolution=8, use_noise=False), [[0, 1, 2, 3]]),
    (toy.Config(), [[0, 1, 2, 3], [4, 5], [6, 7]]),
])  # fmt: skip
def test_presets_go_by_the_resolution_of_the_layers(network, parts):
    if isinstance(network, str):
        G = minigan.load(network)
    else:  # weights of 1024² would take a while to draw
        num_ws = sum(map(len, parts))
        G = types.SimpleNamespace(
            config=network, num_ws=num_ws, img_resolution=network.img_resolution
        )
    assert list(mixing.bands(G).values()) == parts


@pytest.mark.parametrize("name", ["portraits32", "portraits64", "portraits32-2019",
                                  "portraits32-2021"])  # fmt: skip
def test_the_mixer_opens_on_the_band_that_changes_most(name):
    G = minigan.load(name)
    panel = show.style_mixer(G)
    opened, parts = panel.controls["layers"].value, mixing.bands(G)
    shares = {band: share(G, panel, layers) for band, layers in parts.items()}
    assert opened == parts[max(shares, key=shares.get)] and max(shares.values()) > 0.5
    panel.controls["layers"].value = opened
    above, left, mixed = (tiles(v, 1, G.img_resolution).astype(float) / 255 for v in panel.views)
    mixed = mixed.reshape(len(left), len(above), *above.shape[1:])
    whole = np.abs(left[:, None] - above).mean()
    assert min(np.abs(mixed - parent).mean() for parent in (left[:, None], above)) > 0.2 * whole


def test_a_saved_mixer_shows_each_band_and_its_share(G):
    panel = show.style_mixer(G)
    bundle = panel._repr_mimebundle_()
    texts = re.findall(r"<div>([a-z]+), layers ([\d–]+): (\d+) %<", bundle["text/html"])
    assert [text[:2] for text in texts] == [("coarse", "0–2"), ("middle", "3–4"), ("fine", "5–7")]
    shares = panel.controls["layers"].shares[8:]
    assert [int(text[2]) for text in texts] == [round(100 * share) for share in shares]
    above, left, mixed = (tiles(view, 1, 32) for view in panel.views)  # coarse, as it opens
    file = base64.b64decode(re.search(r"base64,([^\"]+)", bundle["text/html"])[1])
    first = np.array(Image.open(io.BytesIO(file)).convert("RGB"))
    assert first.shape == (198, 198, 3)  # three of 33, magnified twice
    cells = first[::2, ::2].reshape(3, 33, 3, 33, 3).swapaxes(1, 2)[:, :, :32, :32]
    np.testing.assert_array_equal(cells[0, 1:], above[:2])
    np.testing.assert_array_equal(cells[1:, 0], left)
    np.testing.assert_array_equal(cells[1:, 1:], mixed.reshape(2, 3, 32, 32, 3)[:, :2])


def test_the_ladder_names_its_layers(G, T):
    layers = show.style_mixer(G).controls["layers"].layers
    assert layers[3] == {"name": "3", "size": "16²", "spoken": "layer 3, 16 by 16"}
    layers = show.style_mixer(T).controls["layers"].layers
    assert layers[7] == {"name": "7", "size": "32", "spoken": "layer 7, 32 long"}


def test_an_empty_preset_is_not_offered():
    tiny = toy.Generator.init(toy.Config(img_resolution=8), np.random.default_rng(0), 0.1)
    with pytest.raises(ValueError, match="preset is 'fine'; expected coarse$"):
        show.style_mixer(tiny, preset="fine")
    assert list(show.style_mixer(tiny).controls["layers"].bands) == ["coarse"]


def test_noise_lab_measures_only_the_noise_that_is_drawn_anew(G):
    panel = show.noise_lab(G, 4, "off")
    off = tiles(panel.views[0], 3, 32)
    np.testing.assert_array_equal(off[0], to_uint8(G(z_of(G, 4), noise_mode="none"))[0])
    assert "same picture" in panel.text.value
    panel.buttons["all const"].click()
    const = tiles(panel.views[0], 3, 32)
    np.testing.assert_array_equal(const[0], to_uint8(G(z_of(G, 4)))[0])
    panel.controls["32²"].value = "resample"
    some = tiles(panel.views[0], 3, 32)
    assert "Drawn anew in 32² (b32.conv0, b32.conv1): over 16 draws" in panel.text.value
    assert (some[0] != const[0]).any()
    before = panel.views[0].value
    panel.buttons["draw again"].click()
    assert panel.views[0].value != before
    panel.buttons["all anew"].click()
    assert "Drawn anew in all 7 layers:" in panel.text.value


def test_noise_lab_shows_what_differs(G):
    panel = show.noise_lab(G, 4, "off")
    const, off = (G(z_of(G, 4), noise_mode=mode)[0] for mode in ("const", "none"))
    names = lambda: " ".join(panel.views[0].names)  # noqa: E731
    assert "picture − const, ×8 (grey: 0)" in names()
    difference = tiles(panel.views[0], 3, 32)[1].astype(int)
    assert np.abs(difference - to_uint8(8 * (off - const)[None])).max() <= 1
    size = np.abs(off - const).mean(axis=0)
    bright = tiles(panel.views[0], 3, 32)[2].astype(int).sum(axis=2)
    assert bright.argmax() == size.argmax() and bright.min() == bright.flat[size.argmin()]
    assert f"{size.mean():.4f} on average, {size.max():.4f} where most" in panel.text.value
    assert panel.views[1].names == [f"0 to {size.max():.4f}"]
    panel.buttons["all const"].click()
    assert "picture − off, ×8 (grey: 0)" in names()
    opposite = tiles(panel.views[0], 3, 32)[1].astype(int)
    assert np.abs(difference + opposite - 255).max() <= 1


def test_the_buttons_of_the_noise_lab_draw_once(G, monkeypatch):
    panel, drawn = show.noise_lab(G, 4, "off"), []
    monkeypatch.setattr(panel, "_show", drawn.append)
    panel.buttons["all const"].click()
    assert len(drawn) == 1


def test_latent_walk_begins_and_ends_at_its_seeds_and_plays_in_the_browser(G):
    panel = show.latent_walk(G, "2-4", frames=9, psi=1.0)
    expected = to_uint8(G(z_of(G, 2, 3, 4)))
    for frame, picture in zip((0, 4, 8), expected, strict=True):
        for seen in tiles(panel.views[frame], 2, 32):
            assert np.abs(seen.astype(int) - picture).max() <= 1
    left, right = tiles(panel.views[2], 2, 32)
    assert (left != right).any() and panel.views[2].names == ["through z", "through w"]
    stacks = panel.shown.children[1].children
    assert all(len(stack.children) == 9 and stack.selected_index == 0 for stack in stacks)


def test_the_playhead_of_a_walk_stands_at_the_frame_that_is_shown(G):
    panel = show.latent_walk(G, "2-4", frames=9)
    plots = panel.shown.children[1].children[1].children
    heads = []
    for i, view in enumerate(plots):
        assert f"now at frame {i}" in view.tooltip
        curve, *_, head = ET.fromstring(view.value).findall(".//{*}polyline")
        (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in head.get("points").split())
        assert x0 == x1 and y0 > y1
        heads.append(x0)
    steps = [float(p.split(",")[0]) for p in curve.get("points").split()]
    assert heads[1:] == steps and heads[0] < heads[1]  # step i leads to frame i


def test_films(tmp_path, G, monkeypatch):
    monkeypatch.setattr(walks.shutil, "which", lambda name: None)
    panel = show.latent_walk(G, "0-1", frames=5, folder=tmp_path)
    panel.buttons["save GIF"].click()
    assert f"saved {tmp_path / 'walk.gif'}" in panel.message.value
    film = Image.open(tmp_path / "walk.gif")
    assert (film.n_frames, film.size) == (5, (512, 256))
    link = panel.shown.children[-1].children[-1].value
    data = re.search(r'<a download="walk.gif" href="data:image/gif;base64,([^"]*)">', link)[1]
    assert base64.b64decode(data) == (tmp_path / "walk.gif").read_bytes()
    assert panel.buttons["save MP4 (needs ffmpeg)"].disabled
    with pytest.raises(FileNotFoundError, match="needs the program ffmpeg"):
        walks.write_mp4(tmp_path / "walk.mp4", np.zeros((2, 8, 8, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["walk.gif"]
    monkeypatch.setattr(walks.shutil, "which", lambda name: "/usr/bin/ffmpeg")
    assert not show.latent_walk(G, "0-1", frames=2).buttons["save MP4"].disabled


def test_a_film_of_signals_is_refused_in_words(T, tmp_path):
    panel = show.latent_walk(T, "0-1", frames=4, folder=tmp_path)
    panel.buttons["save GIF"].click()
    assert "signals have none" in panel.message.value and not list(tmp_path.iterdir())


def test_layer_browser_shows_the_maps_that_the_layer_gives(G):
    panel = show.layer_browser(G, 6)
    assert panel.text.value.startswith("16², second convolution (b16.conv1): 64 of ")
    found = {}
    with layers.watch(lambda name, y: found.update({name: y})):
        picture = G(z_of(G, 6))
    names = [name for name, y in found.items() if y.ndim == 4]
    panel.controls["layer"].value = names.index("synthesis.b8.conv1")
    y = found["synthesis.b8.conv1"][0]
    assert f"second convolution (b8.conv1): 64 of {len(y)} maps of 8²" in panel.text.value
    assert (
        f"standard deviation {y.std():.3f}, from {y.min():.2f} to {y.max():.2f}" in panel.text.value
    )
    shown = np.array(Image.open(io.BytesIO(panel.views[3].value))).astype(int)
    assert shown.shape == (400, 400, 4)  # 8 maps of 8 pixels of 6 screen pixels and 2 between
    cells = shown.reshape(8, 50, 8, 50, 4).swapaxes(1, 2).reshape(64, 50, 50, 4)
    opaque = cells[..., 3] == 255
    assert not opaque[:, 48:].any() and not opaque[:, :, 48:].any() and opaque[:, :48, :48].all()
    cells = cells[:, :48, :48].reshape(64, 8, 6, 8, 6, 4)
    assert (cells == cells[:, :, :1, :, :1]).all()
    red = (cells[..., 0] - cells[..., 2])[:, :, 0, :, 0]  # less blue
    largest = np.quantile(np.abs(y[:64]), 0.995)
    assert np.corrcoef(red.ravel(), y[:64].ravel().clip(-largest, largest))[0, 1] > 0.97
    assert red[y[:64] > 0.1 * largest].min() > 0 > red[y[:64] < -0.1 * largest].max()
    assert panel.views[1].names == [f"≤ −{largest:.2f} · 0 grey · ≥ {largest:.2f}"]
    np.testing.assert_array_equal(tiles(panel.views[0], 1, 32), to_uint8(picture))


@pytest.mark.parametrize("network, opening", [
    ("portraits64", "16², second convolution (b16.conv1): 64 of "),
    ("portraits32-2019", "16², second convolution (b16.conv1): 64 of 64 maps"),
    ("portraits32-2021", "44², layer 3 (L3_44_64): 64 of 64 maps of 44²"),
])  # fmt: skip
def test_layer_browser_opens_on_a_convolution(network, opening):
    assert show.layer_browser(minigan.load(network)).text.value.startswith(opening)


def test_a_first_convolution_is_not_called_the_second(G):
    panel = show.layer_browser(G)
    panel.controls["layer"].value = 0
    assert panel.text.value.startswith("4², convolution (b4.conv1)")


def test_spectrum_finds_a_wave():
    wave = np.sin(2 * np.pi * 5 * np.arange(32) / 32) * np.ones((3, 32, 1))
    from minigan.show import insides

    points = ET.fromstring(insides._spectrum(wave, "x").data).find(".//{*}polyline").get("points")
    heights = [float(p.split(",")[1]) for p in points.split()]
    assert int(np.argmin(heights)) + 1 == 5  # the top of the drawing is its least y


def test_direction_slider_moves_w(G):
    direction = np.random.default_rng(0).standard_normal(G.w_dim)
    panel = show.direction_slider(G, direction, "1-2", limit=2.0)
    panel.controls["psi"].value, panel.controls["t"].value = 1.0, 2.0
    panel.controls["layers"].value = (2, 4)
    ws = np.array(G.mapping(z_of(G, 1, 2)))
    before = G.synthesis(ws)
    ws[:, 2:5] += (2 * direction).astype(np.float32)
    after = G.synthesis(ws)
    np.testing.assert_array_equal(tiles(panel.views[0], 2, 32), to_uint8(after))
    assert "in layers 2–4" in panel.text.value
    assert f"change by {np.abs(after - before).mean():.3f} on average" in panel.text.value
    panel.buttons["back to 0"].click()
    np.testing.assert_array_equal(tiles(panel.views[0], 2, 32), to_uint8(before))
    assert "change by 0.000" in panel.text.value


def test_a_range_of_layers_is_never_empty(G):
    panel = show.direction_slider(G, np.ones(G.w_dim), "1")
    layers = panel.controls["layers"]
    first, last = layers.ends
    assert layers.value == (0, 7)
    last.value = 3
    first.value = 5
    assert layers.value == (5, 5) and last.value == 5 and "in layer 5:" in panel.text.value
    last.value = 1
    assert layers.value == (1, 1) and first.value == 1


def test_canvas_slider_moves_the_canvas_of_each(G):
    config = stylegan3.Config(img_resolution=32, z_dim=8, w_dim=8, channel_base=256, channel_max=8,
                              num_layers=6, margin_size=4)  # fmt: skip
    G3 = config.build(np.random.default_rng(0))
    panel = show.canvas_slider({"2": G, "3": G3}, "1, 2")
    of_2, of_3, _, moved_3, *_ = panel.views
    still = tiles(of_3, 2, 32)
    np.testing.assert_array_equal(still, to_uint8(G3(z_of(G3, 1, 2), truncation_psi=0.7)))
    assert "2 exactly; 3 exactly" in panel.text.value
    panel.controls["x"].value = 0.25
    moved = tiles(of_3, 2, 32).astype(int)
    assert np.abs(moved[:, :, 8:] - still[:, :, :-8]).mean() < 3  # 8 pixels to the right
    np.testing.assert_array_equal(tiles(moved_3, 2, 32)[:, :, 8:], still[:, :, :-8])
    assert (tiles(of_2, 2, 32) != to_uint8(G(z_of(G, 1, 2), truncation_psi=0.7))).any()
    assert "shifted by 0.25, 0.00 of its width" in panel.text.value
    shifted = show.canvas_slider({"2": G, "3": G3}, "1, 2", x=0.25)  # what a saved notebook shows
    assert shifted.text.value == panel.text.value
    assert [v.value for v in shifted.views] == [v.value for v in panel.views]
    panel.controls["x"].value = 0.0
    panel.controls["zoom"].value = 2.0
    large = tiles(of_3, 2, 32).astype(int)
    middle = np.repeat(np.repeat(still[:, 8:24, 8:24], 2, axis=1), 2, axis=2)
    assert np.corrcoef(large.ravel(), middle.ravel())[0, 1] > 0.8
    panel.buttons["reset"].click()
    np.testing.assert_array_equal(tiles(of_3, 2, 32), still)


def test_canvas_slider_says_in_decibels_which_one_follows(G):
    G3 = minigan.load("portraits32-2021")
    text = show.canvas_slider({"two": G, "three": G3}, "1-3", x=0.25).text.value
    two, three = (float(re.search(name + r" ([\d.]+) dB", text)[1]) for name in ("two", "three"))
    for network, said in ((G, two), (G3, three)):
        z = z_of(network, 1, 2, 3)
        x = network(z, truncation_psi=0.7)
        matrix = canvas.canvas(0.25, 0, 0, 1)
        y = equivariance.transformed(network, matrix)(z, truncation_psi=0.7)
        error = np.mean((y[..., 8:] - x[..., :-8]).astype(float) ** 2)
        assert said == pytest.approx(10 * np.log10(4 / error), abs=0.1)
    assert three > two + 3


@pytest.mark.parametrize(
    "x, y, angle, zoom", [(0.25, -0.125, 0, 1), (0, 0, 90, 1), (0, 0.25, 180, 1)]
)
def test_what_is_expected_of_a_picture_is_exact_where_pixels_meet_pixels(x, y, angle, zoom):
    picture = np.random.default_rng(0).standard_normal((1, 3, 16, 16))
    expected = np.rot90(picture, angle // 90, axes=(2, 3))
    expected, known = equivariance.integer_translation(expected, x, y)
    seen, inside = canvas.moved(picture, canvas.canvas(x, y, angle, zoom))
    np.testing.assert_array_equal(inside, known)
    np.testing.assert_allclose(seen[:, :, inside], expected[:, :, known], atol=1e-9)


def test_the_canvas_is_turned_counterclockwise_then_shifted():
    x, y, _ = canvas.canvas(0.1, 0.2, 90, 2.0) @ [0.25, 0, 1]  # a point right of the middle …
    assert (x, y) == pytest.approx((0.1, 0.2 - 0.5))  # … comes to stand above it


@pytest.mark.parametrize("make", [show.psi_slider, show.style_mixer, show.noise_lab, show.latent_walk,
                                  lambda G: show.direction_slider(G, np.ones(len(G.w_avg)))])  # fmt: skip
def test_the_toy_has_them_too(make, T):
    panel = make(T)
    assert panel.views[0].format == "svg+xml" and not panel.message.value
    for view in panel.views:
        if view.format == "svg+xml":
            ET.fromstring(view.value)


@pytest.mark.parametrize("channels, mode", [(1, "RGB"), (4, "RGBA")])
def test_networks_of_one_and_of_four_channels_have_them_too(channels, mode, tmp_path):
    config = stylegan2.Config(img_resolution=16, img_channels=channels, z_dim=8, w_dim=8,
                              channel_max=8)  # fmt: skip
    G = config.build(np.random.default_rng(0))
    makers = [show.psi_slider, show.style_mixer, show.noise_lab, show.layer_browser,
              show.canvas_slider, lambda G: show.direction_slider(G, np.ones(8)),
              lambda G: show.latent_walk(G, "0-1", frames=2, folder=tmp_path)]  # fmt: skip
    for make in makers:
        panel = make(G)
        modes = {Image.open(io.BytesIO(view.value)).mode for view in panel.views
                 if view.format == "png"}  # fmt: skip
        # what lies between the pictures of a grid is transparent
        assert modes <= {mode, "RGBA"} and modes and not panel.message.value
    panel.buttons["save GIF"].click()
    assert "saved" in panel.message.value
    x = G(z_of(G, 0, 1))
    drawn, as_rgb = (show.images({"": pictures}, "They can be drawn", "Two pictures side by side")
                     for pictures in (x, x.repeat(3, axis=1) if channels == 1 else x))  # fmt: skip
    assert drawn.data == as_rgb.data
    seen = np.array(Image.open(io.BytesIO(live.pictures(x, 2, "two").data)))
    assert seen.shape == (17, 34, 4)
    np.testing.assert_array_equal(seen[:16, 17:33, : len(mode)], to_uint8(x)[1])
    assert (seen[16, :, 3] == 0).all() and (seen[:, [16, 33], 3] == 0).all()
    tall = np.array(Image.open(io.BytesIO(live.pictures(x, 2, "two", names="ab").data)))
    np.testing.assert_array_equal(tall, np.concatenate(to_uint8(x)))


def find(image, page):
    """Where [h, w, 3] stands in [H, W, 3], exactly: [(row, column)]."""
    h, w = image.shape[:2]
    corners = np.argwhere((page == image[0, 0]).all(axis=2))
    return [(y, x) for y, x in corners if (page[y : y + h, x : x + w] == image).all()]


@pytest.mark.parametrize(
    "side, scale, seen", [(32, 2, 96), (32, 5, 160), (64, 2, 128), (40, 3, 120)]
)
def test_static_pictures_are_magnified_by_a_whole_number_and_seen_at_96_pixels(side, scale, seen):
    x = np.random.default_rng(0).uniform(-1, 1, (9, 3, side, side))
    picture = show.images({"a": x, "b": x[::-1]}, "They wrap", "Nine random pictures, twice",
                          titles="123456789", scale=scale)  # fmt: skip
    page = np.array(Image.open(io.BytesIO(picture.data)).convert("RGB"))
    dots = page.shape[1] / picture.width  # to a screen pixel
    assert dots == 2 and picture.width <= 850
    times = 2 * seen // side
    large = to_uint8(x).repeat(times, axis=1).repeat(times, axis=2)
    places = [[y, x] for image in large for y, x in find(image, page)]
    assert len(places) == 18  # each once in each row
    ys = sorted({y for y, _ in places})
    assert len(ys) == 2 * -(-9 // len({x for _, x in places}))  # two rows in each block


def test_a_film_of_transparent_pictures_is_over_white():
    x = np.full((1, 4, 2, 2), -1.0)  # black
    x[:, 3] = [[-1, 1], [-0.6, 1]]  # of no, of full and of a fifth of opacity
    film = walks._film([x, x], side=2)
    assert film.shape == (1, 2, 4, 3) and film[0, :, :2, 0].tolist() == [[255, 0], [204, 0]]


# ---- what goes wrong -----------------------------------------------------------------------------

DOOR = [
    (lambda G: show.psi_slider("portraits"), "psi_slider: G is str; expected a Generator"),
    (lambda G: show.psi_slider(G, psi="0.7"), "psi is '0.7'; expected a number from -1 to 1.5"),
    (lambda G: show.psi_slider(G, psi=7), "psi is 7; expected a number from -1 to 1.5"),
    (lambda G: show.psi_slider(G, cutoff=9), "cutoff is 9; expected a whole number from 0 to 8"),
    (lambda G: show.psi_slider(G, seeds=10**30), "expected 1 to 16 whole numbers below 2³²"),
    (lambda G: show.psi_slider(G, seeds="0-99999999999999"), "expected 1 to 16 whole numbers"),
    (lambda G: show.psi_slider(G, seeds=-1), "seeds: '-1'; expected 1 to 16 whole numbers"),
    (lambda G: show.psi_slider(G, cutoff=2.5), "cutoff is 2.5; expected a whole number from 0 to 8"),
    (lambda G: show.latent_walk(G, frames=9.5), "frames is 9.5; expected a whole number from 2"),
    (lambda G: show.style_mixer(G, "0", "0-8"), "columns: '0-8'; expected 1 to 8 whole numbers"),
    (lambda G: show.style_mixer(G, preset="rough"), "preset is 'rough'; expected coarse, middle"),
    (lambda G: show.noise_lab(None), "noise_lab: G is NoneType; expected a Generator"),
    (lambda G: show.noise_lab(G, mode="loud"), "mode is 'loud'; expected off, const, resample"),
    (lambda G: show.latent_walk(G, "5"), "expected two or more, to walk between"),
    (lambda G: show.latent_walk(G, frames=1), "frames is 1; expected a whole number from 2 to 240"),
    (lambda G: show.direction_slider(G, np.ones(3)), "expected floats of shape [64] or [8, 64]"),
    (lambda G: show.direction_slider(G, np.full(64, np.nan)), "direction holds 64 NaN"),
    (lambda G: show.canvas_slider({"a": G, "b": 3}), "canvas_slider: G is int; expected a generator"),
    (lambda G: show.canvas_slider(G, psi=2), "psi is 2; expected a number from -1 to 1.5"),
    (lambda G: show.canvas_slider(G, x=1), "x is 1; expected a number from -0.5 to 0.5"),
    (lambda G: show.layer_browser(toy.Generator.init(toy.Config(), np.random.default_rng(0))),
     "expected a generator of images"),
]  # fmt: skip


@pytest.mark.parametrize("call, words", DOOR, ids=[words[:30] for _, words in DOOR])
def test_bad_input_is_refused_at_the_door(G, call, words):
    with pytest.raises((TypeError, ValueError)) as error:
        call(G)
    assert words in str(error.value)


def test_a_typed_mistake_is_answered_in_words_and_the_widget_goes_on(G):
    panel = show.psi_slider(G)
    before = panel.views[0].value
    for typed in ("1" + "0" * 30, "two", "", "3-", "0-20"):
        panel.controls["seeds"].value = typed
        assert 'role="alert"' in panel.message.value and f"{typed!r}"[1:-1] in panel.message.value
        assert panel.views[0].value == before
    panel.controls["seeds"].value = "9"
    assert panel.message.value == "" and panel.views[0].value != before


def test_any_exception_of_a_callback_appears_below():
    import ipywidgets

    control = ipywidgets.IntText(1)

    def draw(n):
        return live.Seen([live.Frame(bytes([n]), "a", 1)], f"{1 / n:.2f} & <b>")

    panel = live.Live("x", {"n": control}, draw)
    control.value = 0
    assert "<b>ZeroDivisionError</b>: division by zero" in panel.message.value
    assert panel.children.index(panel.message) < panel.children.index(panel.shown)
    control.value = 4
    assert panel.message.value == "" and panel.views[0].value == b"\x04"


def test_the_field_that_is_wrong_is_marked(G):
    panel = show.style_mixer(G)
    rows, columns = (panel.controls[name] for name in ("rows", "columns"))
    columns.value = "9-"
    assert "minigan-error" in columns._dom_classes and "minigan-error" not in rows._dom_classes
    assert panel.message.value.startswith('<div role="alert">columns: ')  # no ValueError in front
    columns.value = "9"
    assert "minigan-error" not in columns._dom_classes


@pytest.mark.parametrize("text, found", [
    ("0 1 2", [0, 1, 2]), ("5-2", [2, 3, 4, 5]), ("7, 1 - 3", [7, 1, 2, 3]), (" 4 ,5", [4, 5]),
])  # fmt: skip
def test_seeds_may_be_written_as_people_write(text, found):
    assert live.seeds("seeds", text, 16) == found


def stills(page):
    """The pictures in a saved widget's HTML."""
    found = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_a_saved_notebook_has_the_pictures_as_they_were(G):
    panel = show.canvas_slider(G, "0-1")
    first = np.array(Image.open(io.BytesIO(panel.views[0].value)))
    panel.controls["x"].value = 0.25
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    page = bundle["text/html"]
    still = stills(page)[0]
    # magnified in the file: a style would be dropped where a notebook is not trusted
    np.testing.assert_array_equal(still, first.repeat(3, axis=0).repeat(3, axis=1))
    assert f"width: {still.shape[1]}px" in page and "pixelated" not in page
    assert "Run this cell" in page and "<b>Move the canvas, not the picture</b>" in page
    assert 'alt="its canvas moved (' in page and "shifted by 0.00" in page


def test_a_saved_direction_shows_both_ends(G):
    direction = np.random.default_rng(0).standard_normal(G.w_dim).astype(np.float32)
    panel = show.direction_slider(G, direction, "4-9", limit=2.0)
    page = panel._repr_mimebundle_()["text/html"]
    ws = G.mapping(z_of(G, 4, 5, 6), truncation_psi=0.7)
    expected = [to_uint8(G.synthesis(ws + t * direction)) for t in (-2, 0, 2)]
    assert len(stills(page)) == 3
    for still, pictures in zip(stills(page), expected, strict=True):
        seen = split(still[::3, ::3, :3], 3, 32).astype(int)
        assert np.abs(seen - pictures).max() <= 1  # another batch size, another order of summing
    assert all(f'alt="t = {t} (' in page for t in (-2, 0, 2))


def test_a_saved_walk_shows_four_frames_of_each_way(G):
    panel = show.latent_walk(G, "2-3", frames=10)
    page = panel._repr_mimebundle_()["text/html"]
    shown = [split(still[::3, ::3, :3], 4, 32) for still in stills(page)]
    assert len(shown) == 2
    for j, i in enumerate((0, 3, 6, 9)):
        np.testing.assert_array_equal([row[j] for row in shown], tiles(panel.views[i], 2, 32))
    assert "now at frame 9" in page and "through w: frames 0, 3, 6, 9" in page


def test_saved_tiles_are_a_picture_each(G, T):
    x = G(z_of(G, 0, 1))
    page = live.pictures(x, 2, "two", 64, names=("seed 0", "seed <1>")).html()
    for seen, picture in zip(stills(page), to_uint8(x), strict=True):
        np.testing.assert_array_equal(seen, picture.repeat(2, axis=0).repeat(2, axis=1))
    assert 'alt="seed 0 (two)"' in page and ">seed &lt;1&gt;<" in page
    page = live.pictures(T(z_of(T, 0, 1, 2)), 3, "three", names="abc").html()
    parts = re.findall(r'svg\+xml;base64,([^"]*)"', page)
    boxes = [ET.fromstring(base64.b64decode(part)).get("viewBox") for part in parts]
    assert boxes == ["0 0 110 80", "0 80 110 80", "0 160 110 80"]


def test_without_ipywidgets_only_the_widgets_are_missing():
    code = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "from minigan import show\nshow.new()\n"
        "try: show.psi_slider\nexcept ImportError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "show.psi_slider needs ipywidgets" in done.stdout and "minigan[lab]" in done.stdout


# ---- plots ---------------------------------------------------------------------------------------


def test_a_plot_is_well_formed_and_puts_points_where_they_belong():
    p = svg.Plot("a < b & c", (0, 10), (-1, 1), "x", "y", (200, 100))
    p.line([0, 10], [-1, 1])
    p.words(5, 0, "<here>")
    root = ET.fromstring(p.data)
    assert {"a < b & c", "<here>"} <= {t.text for t in root.iter() if t.text}
    points = root.find(".//{*}polyline").get("points").split()
    (x0, y0), (x1, y1) = (tuple(map(float, point.split(","))) for point in points)
    assert x0 < x1 and y0 > y1 and 0 < x0 < x1 < 200 and 0 < y1 < y0 < 100


@pytest.mark.parametrize("low, high", [(-1, 1.5), (0, 0.003), (-40, 12), (0, 36), (0, 1e-6)])
def test_ticks_are_few_and_inside(low, high):
    ticks = svg._ticks(low, high)
    assert 2 <= len(ticks) <= 7 and low - 1e-9 <= ticks[0] < ticks[-1] <= high + 1e-9
    assert "-0" not in [f"{t:g}" for t in ticks]


def test_grid_of_pictures_is_magnified_by_a_whole_number(G):
    frame = live.pictures(G(z_of(G, 0, 1, 2)), 2, "three")
    assert frame.width == 2 * 33 * 3 and frame.own_width == 2 * 33
    seen = np.array(Image.open(io.BytesIO(frame.data)))
    np.testing.assert_array_equal(seen[:32, :32, :3], grid(G(z_of(G, 0)), 1))
    assert (seen[:32, :32, 3] == 255).all() and (seen[34:, 33:, 3] == 0).all()  # no fourth

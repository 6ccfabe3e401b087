"""The portraits keep what they promise; folders and zips of pictures are read as they come."""

import io
import json
import struct
import unicodedata
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from minigan.data import images, painting, portraits

R = 64


def where(**change):
    """Where the picture changes [R, R] if these factors move away from the middle, over a few faces."""
    rng = np.random.default_rng(0)
    base = portraits.sample_factors(24, rng)
    for name in ("yaw", "pitch"):
        base[name] = 0 * base[name]
    changed = base | {k: np.broadcast_to(v, 24) for k, v in change.items()}
    before, after = portraits.draw(base, R, 5), portraits.draw(changed, R, 5)
    return (np.abs(after - before) > 1e-6).any(axis=(0, 1))


def inside(mask, left, top, right, bottom):
    """Whether all of it lies in a box, in shares of the picture."""
    rows, columns = np.nonzero(mask)
    place = columns.min() / R, rows.min() / R, (columns.max() + 1) / R, (rows.max() + 1) / R
    return left <= place[0] and top <= place[1] and place[2] <= right and place[3] <= bottom


@pytest.mark.parametrize(
    "change, box",
    [
        ({"eye_color": 1}, (0.2, 0.35, 0.8, 0.6)),
        ({"eye_shape": 0.0}, (0.2, 0.35, 0.8, 0.65)),
        ({"brow_shape": 0.0}, (0.2, 0.25, 0.8, 0.5)),
        ({"glasses": "round"}, (0.1, 0.3, 0.9, 0.65)),
        ({"glasses": "square"}, (0.1, 0.3, 0.9, 0.65)),
        ({"smile": 0.0}, (0.3, 0.55, 0.7, 0.85)),
        ({"mouth_open": 0.5}, (0.3, 0.55, 0.7, 0.85)),
        ({"age": 0.5}, (0.2, 0.2, 0.8, 0.8)),
        ({"clothes": 2}, (0.0, 0.75, 1.0, 1.0)),
    ],
)
def test_a_factor_changes_its_own_pixels_only(change, box):
    change = {
        k: portraits.BY_NAME[k].choices.index(v) if isinstance(v, str) else v
        for k, v in change.items()
    }
    mask = where(**change)
    assert mask.any() and inside(mask, *box)


def test_colours_change_only_what_has_them():
    back, skin, hair = (where(**{name: 0.5}) if name != "hair_color" else where(hair_color=4)
                        for name in ("background", "skin", "hair_color"))  # fmt: skip
    assert back[:4].all() and not back[R // 2, 3 * R // 8 : 5 * R // 8].any()  # not the face
    assert skin[R // 2, R // 2] and not skin[:4].any() and not skin[:, :6].any()
    assert (
        hair[R // 4, R // 2] and not hair[R * 5 // 8 : R * 3 // 4, R * 7 // 16 : R * 9 // 16].any()
    )


@pytest.mark.parametrize("name", portraits.NAMES)
def test_each_factor_can_be_seen(name):
    factor = portraits.BY_NAME[name]
    values = range(len(factor.choices)) if factor.choices else (factor.low, factor.high)
    values = (0.0, 0.5) if name == "background" else values  # a hue: around the circle
    pictures = [
        portraits.draw({name: v} | ({"yaw": 0.5} if name != "yaw" else {}), R)[0] for v in values
    ]
    for i, one in enumerate(pictures):
        for two in pictures[:i]:
            assert np.abs(one - two).max() > 0.1


def test_turned_the_other_way_is_the_mirror_image(rng):
    factors = portraits.sample_factors(32, rng)
    other = factors | {"yaw": -factors["yaw"], "light": -factors["light"]}
    one, two = portraits.draw(factors, R), portraits.draw(other, R)
    assert np.abs(one - two[:, :, :, ::-1]).max() < 1e-5


def test_the_same_factors_and_seed_are_the_same_picture(rng):
    factors = portraits.sample_factors(5, rng)
    one = portraits.draw(factors, R, 7)
    assert one.dtype == np.float32 and one.shape == (5, 3, R, R) and np.abs(one).max() <= 1
    assert np.array_equal(one, portraits.draw(factors, R, [7] * 5))
    assert not np.array_equal(one, portraits.draw(factors, R, 8))
    single = portraits.draw({k: v[3:4] for k, v in factors.items()}, R, 7)
    assert np.array_equal(one[3:4], single)  # a portrait does not depend on its neighbours
    a, b = (portraits.sample(3, 32, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(a[0], b[0]) and all(np.array_equal(a[1][k], b[1][k]) for k in a[1])


def test_edges_are_soft():
    """A movement much smaller than a pixel changes pixels a little, and in proportion."""
    steps = np.linspace(0, 0.02, 5).astype(np.float32)
    row = portraits.draw({"yaw": steps, "glasses": 1, "smile": 0.5}, R).astype(np.float64)
    change = np.abs(row[1:] - row[:1]).max(axis=(1, 2, 3))
    # 0.005 of yaw is about a 25th of a pixel; from black to white, that is 0.08 of 2.
    assert 0 < change[0] < 0.12
    assert np.all(change <= 2.5 * change[0] * np.arange(1, 5))


def test_resolutions_show_the_same_picture(rng):
    factors = portraits.sample_factors(16, rng)
    large = portraits.draw(factors, 256).astype(np.float64)
    for size in (32, 64, 128):
        k = 256 // size
        small = large.reshape(16, 3, size, k, size, k).mean(axis=(3, 5))
        error = portraits.draw(factors, size) - small
        assert np.sqrt(np.mean(error**2)) < 0.1 and abs(error.mean()) < 0.02


def test_chance_has_its_share_of_the_variance(rng):
    """3–5 % at each resolution: with less, a generator learns to drop its noise."""
    for size in (32, 64):
        factors = portraits.sample_factors(500, rng)
        one, two = (
            portraits.draw(factors, size, rng.integers(1 << 40, size=500)).astype(np.float64)
            for _ in range(2)
        )
        share = 0.5 * np.mean((one - two) ** 2, axis=0).sum() / one.var(axis=0).sum()
        assert 0.03 < share < 0.05


def test_factors_are_drawn_as_the_table_says(rng):
    drawn = portraits.sample_factors(20_000, rng)
    for f in portraits.FACTORS:
        if f.choices:
            shares = np.bincount(drawn[f.name], minlength=len(f.choices)) / 20_000
            assert np.abs(shares - (f.shares or 1 / len(f.choices))).max() < 0.02
        else:
            assert f.low <= drawn[f.name].min() and drawn[f.name].max() <= f.high
            assert abs(drawn[f.name].mean() - (f.low + f.high) / 2) < 0.03 * (f.high - f.low)
    assert set(portraits.IDENTITY) == {f.name for f in portraits.FACTORS if f.identity}
    assert {f.level for f in portraits.FACTORS} == {"coarse", "middle", "fine"}


@pytest.mark.parametrize(
    "factors, resolution, error, message",
    [
        ({"hat": 1}, 32, ValueError, r"unknown factors \['hat'\]; expected some of yaw, pitch"),
        ({"yaw": 1.5}, 32, ValueError, "yaw goes from 1.5 to 1.5; expected -1.0 to 1.0"),
        ({"yaw": np.nan}, 32, ValueError, "yaw goes from nan to nan"),
        ({"glasses": 3}, 32, ValueError, "glasses goes from 3 to 3; expected 0 to 2"),
        ({"glasses": "oval"}, 32, ValueError, "glasses is 'oval'; expected one of"),
        ({"glasses": 0.5}, 32, TypeError, "glasses is of dtype float64.*indices of its choices"),
        ({"yaw": [[0.1]]}, 32, TypeError, r"yaw is of dtype float64 and shape \(1, 1\)"),
        ({"yaw": [0, 0.1], "smile": [0, 0.1, 0.2]}, 32, ValueError, "lengths differ"),
        ({}, 0, ValueError, "resolution is 0; expected a whole number from 4"),
        ({}, 32.0, ValueError, "resolution is 32.0"),
    ],
)
def test_wrong_factors_are_named(factors, resolution, error, message):
    with pytest.raises(error, match=message):
        portraits.draw(factors, resolution)


def test_the_table_and_the_painter_agree():
    columns = {name: i for i, name in enumerate(portraits.POSE)}
    for ours, theirs in [("yaw", "YAW"), ("pitch", "PITCH"), ("head_shape", "HEAD"), ("smile", "SMILE"),
                         ("mouth_open", "OPEN"), ("eye_shape", "EYE"), ("brow_shape", "BROW"), ("age", "AGE"),
                         ("light", "LIGHT")]:  # fmt: skip
        assert columns[ours] == getattr(painting, theirs)


# ---- pictures of one's own -----------------------------------------------------------------------


def png(mode, size, color, suffix="png"):
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, suffix)
    return file.getvalue()


def test_a_messy_folder_is_read_with_a_line_for_each_oddity(tmp_path):
    (tmp_path / "sub").mkdir()
    for name, data in {
        "a_good.png": png("RGB", (16, 16), (255, 0, 0)),
        "b_grey.png": png("L", (16, 16), 100),
        "c_clear.png": png("RGBA", (16, 16), (0, 0, 255, 0)),
        "d_wide.jpg": png("RGB", (40, 20), (0, 255, 0), "jpeg"),
        "e_broken.png": png("RGB", (16, 16), (1, 2, 3))[:60],
        "f_empty.png": b"",
        "g_notes.txt": b"hello",
        "sub/h_good.webp": png("RGB", (16, 16), (9, 9, 9), "webp"),
    }.items():
        (tmp_path / name).write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = images.Images(tmp_path, 16)
    lines = [str(w.message) for w in caught]
    assert len(lines) == 6 and all("\n" not in line for line in lines)
    for name, part in [("b_grey", "L made RGB"), ("c_clear", "RGBA made RGB"), ("d_wide", "40 × 20 made 16 × 16"),
                       ("e_broken", "cannot be read"), ("f_empty", "cannot be read"), ("g_notes", "not a picture")]:  # fmt: skip
        assert sum(line.startswith(name) and part in line for line in lines) == 1
    assert len(data) == 5 and data.classes is None
    means = data.pictures.mean(axis=(2, 3))
    assert means[0].tolist() == [255, 0, 0] and means[1].tolist() == [100, 100, 100]
    assert means[2].tolist() == [255, 255, 255]  # transparent: the white behind it
    assert means[3][1] > 240 and means[4].tolist() == [9, 9, 9]


def opened(path, resolution=8):
    """The Images of a folder or a zip, and what was said of it, a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = images.Images(path, resolution)
    lines = [str(w.message) for w in caught]
    assert all("\n" not in line for line in lines)
    return data, lines


def short(value):
    """What a case is called: bytes make no name."""
    return value[:40] if isinstance(value, str) else type(value).__name__


def seen(folder, name, data):
    """The one picture [3, 8, 8] of a folder in which `data` is the only file, and what was said."""
    (folder / name).write_bytes(data)
    found, lines = opened(folder)
    (folder / name).unlink()
    return found.pictures[0], lines


def stored(picture, kind, **how):
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def png_of(bits, colour, row, *chunks, side=8):
    """A PNG as its specification has it: eight equal rows of bytes, and further chunks."""
    size = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", size), *chunks, (b"IDAT", zlib.compress(8 * (b"\0" + row))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def tiff_of(bits, kind, data, black=1):
    """A grey TIFF of 8 × 8.  kind: 1 unsigned, 2 signed, 3 float; black 0: white is 0."""
    tags = [(256, 8), (257, 8), (258, bits), (259, 1), (262, black), (273, 134), (277, 1), (278, 8),
            (279, len(data)), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


RAMP = np.linspace(0, 1, 8)
GREY = np.rint(255 * RAMP).astype(np.uint8)
_12 = np.rint(4095 * RAMP).astype(int).tolist()
TWELVE = b"".join(
    struct.pack(">I", a << 12 | b)[1:] for a, b in zip(_12[::2], _12[1::2], strict=True)
)
DEEP = (65535 * RAMP).astype(">u2").tobytes()
KEYED = np.where(np.arange(8) == 2, 255, GREY)  # the third pixel is transparent
RED = Image.fromarray(np.tile(np.uint8([[255, 0, 0], [0, 0, 255]]).repeat(4, axis=0), (8, 1, 1)))
FAINT = Image.merge(
    "LA", [Image.new("L", (8, 8), 0), Image.new("L", (8, 8), 51)]
)  # 51 / 255 = 20 %


def tall(row, dtype):
    return np.tile(row, (8, 1)).astype(dtype).tobytes()


@pytest.mark.parametrize("name, data, green", [
    ("16.png", png_of(16, 0, DEEP), GREY),
    ("16_key.png", png_of(16, 0, DEEP, (b"tRNS", struct.pack(">H", int(65535 * RAMP[2])))), KEYED),
    ("16.tif", stored(Image.fromarray(np.tile(65535 * RAMP, (8, 1)).astype(np.uint16)), "TIFF"), GREY),
    ("16_lzw.tif", stored(Image.fromarray(np.tile(65535 * RAMP, (8, 1)).astype(np.uint16)), "TIFF",
                          compression="tiff_lzw"), GREY),
    ("12.tif", tiff_of(12, 1, 8 * TWELVE), GREY),
    ("32.tif", tiff_of(32, 1, tall((2**32 - 1) * RAMP, "<u4")), GREY),
    ("float.tif", tiff_of(32, 3, tall(RAMP, "<f4")), GREY),
    ("16_white.tif", tiff_of(16, 1, tall(65535 * RAMP, "<u2"), black=0), GREY[::-1]),
    ("float_white.tif", tiff_of(32, 3, tall(RAMP, "<f4"), black=0), GREY[::-1]),
    ("2_key.png", png_of(2, 0, bytes(2 * [0b00011011]), (b"tRNS", b"\0\1")), 2 * [0, 255, 170, 255]),
    ("4_key.png", png_of(4, 0, bytes([0x05, 0x5F] * 2), (b"tRNS", b"\0\5")), 2 * [0, 255, 255, 255]),
    ("1_key.png", png_of(1, 0, b"\x0f", (b"tRNS", b"\0\1")), 4 * [0] + 4 * [255]),
    ("rgb_key.png", stored(RED, "PNG", transparency=(255, 0, 0)), 4 * [255] + 4 * [0]),
    ("rgb16_key.png", png_of(16, 2, struct.pack(">24H", *([65535, 258, 0] * 4 + [0, 32768, 0] * 4)),
                             (b"tRNS", struct.pack(">3H", 65535, 258, 0))), 4 * [255] + 4 * [128]),
    ("palette.png", stored(RED.quantize(2), "PNG", transparency=RED.quantize(2).getpixel((0, 0))),
     4 * [255] + 4 * [0]),
    ("palette.gif", stored(RED.quantize(2), "GIF", transparency=RED.quantize(2).getpixel((0, 0))),
     4 * [255] + 4 * [0]),
    ("grey_alpha.png", stored(FAINT, "PNG"), 8 * [204]),
    ("alpha.tif", stored(FAINT.convert("RGBA"), "TIFF", compression="tiff_lzw"), 8 * [204]),
    ("alpha.webp", stored(FAINT.convert("RGBA"), "WEBP", lossless=True), 8 * [204]),
    ("inks.tif", stored(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), 8 * [0]),
    ("linear.png", png_of(8, 0, GREY.tobytes(), (b"gAMA", struct.pack(">I", 100_000))),
     np.rint(255 * (GREY / 255) ** (1 / 2.2))),
    ("gamma.png", png_of(8, 0, GREY.tobytes(), (b"gAMA", struct.pack(">I", 45_455))), GREY),
    ("gamma_0.png", png_of(8, 0, GREY.tobytes(), (b"gAMA", bytes(4))), GREY),  # means nothing
    ("gamma_srgb.png", png_of(8, 0, GREY.tobytes(), (b"gAMA", struct.pack(">I", 100_000)),
                              (b"sRGB", b"\0")), GREY),  # which goes first
], ids=short)  # fmt: skip
def test_a_picture_is_read_as_it_is_meant_to_be_seen(name, data, green, tmp_path):
    """Its depth, its scale, its transparency, its inks and its gamma count."""
    picture, lines = seen(tmp_path, name, data)
    assert (picture[1] == green).all(), picture[1, 0]
    assert len(lines) == (name[:3] != "rgb" or "key" in name)  # what was done is said, in one line


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff"])
def test_a_picture_is_turned_as_its_exif_data_say(kind, tmp_path):
    flat = np.zeros((8, 8), np.uint8)
    flat[:4, :4], flat[:4, 4:], flat[4:, :4] = 250, 170, 90
    shown = {1: flat, 2: flat[:, ::-1], 3: flat[::-1, ::-1], 4: flat[::-1], 5: flat.T,
             6: np.rot90(flat, -1), 7: flat[::-1, ::-1].T, 8: np.rot90(flat)}  # fmt: skip
    for orientation, wanted in shown.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        how = {"webp": {"lossless": True}, "jpeg": {"quality": 98}}.get(kind, {})
        data = stored(Image.fromarray(flat).convert("RGB"), kind, exif=exif, **how)
        picture, lines = seen(tmp_path, f"a.{kind}", data)
        assert np.abs(picture - wanted.astype(int)).max() <= 4
        assert lines == [f"a.{kind}: turned as its EXIF data say"] * (orientation > 1)


def inks():
    """A colour profile of four inks, of which only the first has a colour: black."""
    words = b"the first is black"
    name = b"desc" + struct.pack(">4xI", len(words) + 1) + words + bytes(81)
    lightness = [[level, 128, 128] for level in 8 * [255] + 8 * [0]]  # L*a*b*, at no ink and all
    curve, same = bytes(range(256)), struct.pack(">9I", *np.eye(3, dtype=int).ravel() << 16)
    table = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + same + 4 * curve
    table += bytes(np.uint8(lightness)) + 3 * curve
    tags = b"desc", 156, len(name), b"A2B0", 156 + len(name), len(table)
    header = struct.pack(">I4xI4s4s4s12x4s28x3I48x", 156 + len(name + table), 0x02400000, b"prtr",
                         b"CMYK", b"Lab ", b"acsp", 0xF6D6, 0x10000, 0xD32D)  # fmt: skip
    return header + struct.pack(">I4sII4sII", 2, *tags) + name + table


def test_what_pillow_warns_of_is_said_of_the_file(tmp_path):
    _, lines = seen(tmp_path, "a.png", stored(RED, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"))
    assert len(lines) == 1 and lines[0].startswith("a.png: Corrupt EXIF data")


def test_a_colour_profile_counts(tmp_path):
    ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = ours.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "G\nRB".encode("utf-16-be"))
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    picture, lines = seen(tmp_path, "a.png", stored(red, "PNG", icc_profile=swapped))
    assert picture[:, 0, 0].tolist() == [0, 255, 0] and "G RB built-in made sRGB" in lines[0]
    picture, lines = seen(tmp_path, "a.png", stored(red, "PNG", icc_profile=ours))
    assert picture[:, 0, 0].tolist() == [255, 0, 0] and not lines
    red_ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    picture, lines = seen(tmp_path, "a.tif", stored(red_ink, "TIFF", icc_profile=inks()))
    assert picture.min() == 255 and lines == ["a.tif: CMYK made RGB, the first is black made sRGB"]
    for grey, profile in ((red, b"no profile"), (red.convert("L"), swapped)):  # it does not fit
        _, lines = seen(tmp_path, "a.png", stored(grey, "PNG", icc_profile=profile))
        assert lines[0].endswith("its colour profile cannot be used")


def test_a_linear_profile_is_not_srgb_whatever_its_name(tmp_path):
    """Its primaries are sRGB's and its curve is not: 0.5 of the light is 188, not 128."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = profile.index(b"para")  # the curve of all three channels: g = 2.4 and the rest
    linear = profile[: at + 8] + b"\0\0\0\0" + b"\0\1\0\0" + profile[at + 16 :]
    grey = Image.new("RGB", (8, 8), (128, 128, 128))
    picture, lines = seen(tmp_path, "a.png", stored(grey, "PNG", icc_profile=linear))
    assert 180 < picture.min() <= picture.max() < 195 and "made sRGB" in lines[0]


@pytest.mark.parametrize("how", ["plain", "transparent", "gamma", "profile"])
def test_a_palette_picture_is_resized_as_its_colours(tmp_path, how):
    """A photograph of 256 colours: what is read is what its RGB version gives."""
    y, x = np.mgrid[0:64, 0:64] / 63
    photo = np.stack([x, y, 0.5 + 0.5 * np.sin(9 * x * y)], axis=2)
    palette = Image.fromarray(np.rint(255 * photo).astype(np.uint8)).quantize(256)
    extra = {}
    if how == "profile":
        ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        swap = ours.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
        extra["icc_profile"] = swap
    transparent = {"transparency": 0} if how == "transparent" else {}
    files = [stored(palette, "PNG", **extra, **transparent)]
    files.append(stored(
        Image.open(io.BytesIO(files[0])).convert("RGBA" if transparent else "RGB"), "PNG", **extra
    ))  # fmt: skip
    if how == "gamma":
        chunk = b"gAMA" + struct.pack(">I", 100_000)
        chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        files = [file[:33] + chunk + file[33:] for file in files]  # after the header
    pictures = []
    for file in files:
        (tmp_path / "a.png").write_bytes(file)
        pictures.append(opened(tmp_path, 16)[0].pictures[0].astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 2


def test_another_tools_dataset_json_in_a_folder_is_left_out(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "dataset.json").write_text('{"name": "x"}')
    picture, lines = seen(tmp_path, "a.png", stored(RED, "PNG"))
    assert picture.shape == (3, 8, 8) and "meta/dataset.json has no labels, left out" in lines[0]


def test_of_an_animation_the_first_frame_is_used(tmp_path):
    for suffix, kind in (
        ("gif", "GIF"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
        ("png", "PNG"),
        ("jpg", "MPO"),
    ):
        folder = tmp_path / suffix
        folder.mkdir()
        film = stored(Image.new("RGB", (8, 8), (255, 0, 0)), kind, save_all=True,
                      append_images=[Image.new("RGB", (8, 8), (0, 0, 255))])  # fmt: skip
        picture, lines = seen(folder, f"a.{suffix}", film)
        assert picture[0].min() >= 250 and picture[2].max() <= 5
        assert len(lines) == 1 and "only its first frame used" in lines[0]


@pytest.mark.parametrize("name, data, reason", [
    ("signed.tif", tiff_of(16, 2, tall(0 * RAMP, "<i2")), "signed samples"),
    ("signed8.tif", tiff_of(8, 2, tall(0 * RAMP, "i1")), "signed samples"),
    ("float255.tif", tiff_of(32, 3, tall(255 * RAMP, "<f4")), "floats from 0 to 255; expected 0 to 1"),
    ("nan.tif", tiff_of(32, 3, tall(np.nan * RAMP, "<f4")), "floats from nan to nan"),
    ("page.png", b"<html>404</html>", "not a PNG, JPEG,"),
    ("cut.png", png_of(8, 0, GREY.tobytes())[:50], "truncated"),
    ("bomb.png", png_of(8, 0, b"", side=30_000), "DecompressionBombError"),
], ids=short)  # fmt: skip
def test_what_cannot_be_seen_rightly_is_left_out_and_said(name, data, reason, tmp_path):
    (tmp_path / "good.png").write_bytes(png("RGB", (8, 8), (1, 2, 3)))
    (tmp_path / name).write_bytes(data)
    found, lines = opened(tmp_path)
    assert len(found) == len(lines) == 1
    assert lines[0].startswith(f"{name}: cannot be read") and reason in lines[0]


def test_no_other_program_is_started_for_a_picture(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: started.append(args))
    (tmp_path / "good.png").write_bytes(png("RGB", (8, 8), (1, 2, 3)))
    (tmp_path / "drawing.png").write_bytes(stored(RED, "EPS"))
    found, lines = opened(tmp_path)
    assert len(found) == 1 and "drawing.png: cannot be read" in lines[0] and not started


def patched(data, local, central, value):
    """A zip whose first file has another byte in both of its headers."""
    data = bytearray(data)
    data[local] = data[data.find(b"PK\1\2") + central] = value
    return bytes(data)


def spoilt(data):
    at = data.find(b"IDAT") + 8
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


@pytest.mark.parametrize("damage, reason", [
    (spoilt, "Bad CRC-32"),
    (lambda data: patched(data, 6, 8, 1), "encrypted"),
    (lambda data: patched(data, 8, 10, 99), "compression"),
    (lambda data: patched(data, 8, 10, 8), "error: Error -3 while decompressing"),
    (lambda data: data.replace(b"0.png", b"9.png", 1), "differ"),
    (lambda data: patched(data, 25, 27, 0x7F), "bytes when unpacked; expected 268,435,456 at most"),
], ids=short)  # fmt: skip
def test_a_damaged_file_in_a_zip_is_left_out_and_said(damage, reason, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", png("RGB", (8, 8), (i, 0, 0)))
    path = tmp_path / "set.zip"
    path.write_bytes(damage(path.read_bytes()))
    data, lines = opened(path)
    assert data.pictures[:, 0, 0, 0].tolist() == [1, 2] and len(lines) == 1
    assert lines[0].startswith("0.png: cannot be read") and reason in lines[0]


def test_hidden_files_are_left_out_and_this_is_said_once(tmp_path):
    folder = tmp_path / ".cache" / "set"  # where it lies itself does not matter
    for name in ("a.png", "b/c.png", ".ipynb_checkpoints/a-checkpoint.png", "b/._c.png", "b/.DS_Store",
                 "__MACOSX/b/c.png", ".ipynb_checkpoints/dataset.json"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png("RGB", (8, 8), (1, 2, 3)))
    data, lines = opened(folder)
    assert len(data) == 2 and data.classes is None
    assert len(lines) == 1 and "hidden files left out (5), such as" in lines[0]


def test_labels_are_found_wherever_the_files_lie(tmp_path):
    """In the folder that was zipped; in each of two; with Windows' names; with macOS's accents."""
    decomposed = unicodedata.normalize("NFD", "é.png")
    for number, files in enumerate([
        {"my/0.png": 0, "my/1.png": 1, "my/dataset.json": ["0.png", "1.png"]},
        {"my/0.png": 0, "my/1.png": 1, "my/dataset.json": ["my/0.png", "my/1.png"]},
        {"train/0.png": 0, "train/dataset.json": ["0.png"],
         "val/sub/0.png": 1, "val/dataset.json": ["", "sub/0.png"]},
        {"s\\0.png": 0, "s\\1.png": 1, "s\\": None, "dataset.json": ["s/0.png", "s/1.png"]},
        {"s/0.png": 0, "s/1.png": 1, "dataset.json": ["s\\0.png", "./s//1.png"]},
        {"0.png": 0, decomposed: 1, "dataset.json": ["0.png", "é.png"]},
    ]):  # fmt: skip
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                if isinstance(content, list):
                    content = json.dumps({"labels": [[key, i] for i, key in enumerate(content)]})
                elif content is not None:
                    content = png("RGB", (8, 8), (content, 0, 0))
                archive.writestr(name, content or b"")
        data, lines = opened(path)
        assert not lines
        assert data.classes.argmax(axis=1).tolist() == data.pictures[:, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("text, place", [
    ('{"labels": [["a.png", 0],]}', "line 1 column"),
    ('[["a.png", 0]]', r'begins \[\["a.png", 0\]\]; expected \{"labels"'),
    ("null", "begins null"),
    (json.dumps({f"{i}.png": i for i in range(99)}), 'begins {"0.png": 0, "1.png": 1'),
    ('{"label": [["a.png", 0]]}', 'begins {"label": '),
    ('{"labels": 3}', 'begins {"labels": 3}'),
    ('{"labels": ["a.png"]}', r"labels\[0\] is 'a.png'; expected a file and its class"),
    ('{"labels": [["a.png", 0], ["b.png"]]}', r"labels\[1\] is \['b.png'\]"),
    ('{"labels": [["a.png", 0], [1, 0]]}', r"labels\[1\] is \[1, 0\]"),
    ('{"labels": [["a.png", 0], ["b.png", null]]}', r"labels\[1\] is \['b.png', None\]"),
    ('{"labels": [["a.png", "cat"]]}', r"labels\[0\] is \['a.png', 'cat'\]"),
    ('{"labels": [["a.png", true]]}', r"labels\[0\] is \['a.png', True\]"),
    ('{"labels": [["a.png", 1.5]]}', r"labels\[0\] is \['a.png', 1.5\]"),
    ('{"labels": [["a.png", -1]]}', r"labels\[0\] is \['a.png', -1\]"),
    ('{"labels": [["a.png", 1000000000000]]}', r"class, from 0 to 65535"),
    ('{"labels": [["a.png", []]]}', r"labels\[0\] is \['a.png', \[\]\]"),
    ('{"labels": [["a.png", [NaN]]]}', r"labels\[0\] is \['a.png', \[nan\]\].*finite"),
    ('{"labels": [["a.png", [1e39]]]}', r"labels\[0\] is .*finite"),
    ('{"labels": [["a.png", [true]]]}', r"labels\[0\] is \['a.png', \[True\]\]"),
    ('{"labels": [["a.png", [1, 0]], ["b.png", [1]]]}', r"labels\[1\] of b.png is \[1\]; .* \[1, 0\]"),
    ('{"labels": [["a.png", 0], ["b.png", [1]]]}', r"labels\[1\] of b.png is \[1\]; .* the first, 0"),
    ('{"labels": [["a.png", 0], ["./a.png", 1]]}', r"labels\[1\] gives a.png the label 1; it has 0"),
    ('{"labels": ' + 100_000 * "[", "recursion"),
    ('{"labels": [' + 900 * "[" + 900 * "]" + "]}", r"labels\[0\] is \[\[\[|recursion"),
    ('{"labels": [["a.png", ' + 5000 * "9" + "]]}", "digits"),
    ("\udcff".encode("utf-8", "surrogateescape"), "can't decode byte"),
    ('{"labels": []}', "has no label for 1 files, such as a.png"),
], ids=short)  # fmt: skip
def test_a_damaged_dataset_json_is_one_sentence_that_says_where(text, place, tmp_path):
    (tmp_path / "a.png").write_bytes(png("RGB", (8, 8), (1, 2, 3)))
    (tmp_path / "dataset.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=place) as error:
        images.Images(tmp_path, 8)
    assert str(error.value).startswith(f"{tmp_path}: dataset.json") and "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 240


def test_a_zip_of_another_kind_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("0.png", png("RGB", (8, 8), (1, 2, 3)))
    path = tmp_path / "set.zip"
    path.write_bytes(patched(path.read_bytes(), 4, 6, 99))
    with pytest.raises(ValueError, match="set.zip is neither a folder nor a zip that can .* 9.9"):
        images.Images(path, 8)


def test_a_dataset_json_that_the_zip_cannot_give_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("my/dataset.json", '{"labels": null}')
        archive.writestr("my/a.png", png("RGB", (8, 8), (1, 2, 3)))
    path = tmp_path / "set.zip"
    assert opened(path)[0].classes is None
    path.write_bytes(path.read_bytes().replace(b"null", b"nUll"))
    with pytest.raises(ValueError, match=r"set.zip: my/dataset.json cannot be read: Bad CRC"):
        images.Images(path, 8)


def test_each_epoch_has_each_picture_once_in_another_order(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.png").write_bytes(png("RGB", (8, 8), (i, i, i)))
    data = images.Images(tmp_path, 8, seed=3)
    row = np.rint((data.batch(0, 40)[0][:, 0, 0, 0] + 1) * 127.5).astype(int)
    orders = row.reshape(4, 10)
    assert all(sorted(order) == list(range(10)) for order in orders.tolist())
    assert len({tuple(order) for order in orders.tolist()}) == 4
    part, _ = data.batch(17, 5)
    assert np.array_equal(part, data.batch(0, 40)[0][17:22])  # any stretch of the row, at any time
    assert part.dtype == np.float32 and part.min() >= -1 and part.max() <= 1


def test_an_official_zip_with_labels(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            archive.writestr(f"00000/img{i}.png", png("RGB", (8, 8), (i, 0, 0)))
        archive.writestr(
            "dataset.json", json.dumps({"labels": [[f"00000/img{i}.png", i % 3] for i in range(6)]})
        )
    data = images.Images(path, 8)
    assert data.c_dim == 3
    pictures, c = data.batch(0, 6)
    shown = np.rint((pictures[:, 0, 0, 0] + 1) * 127.5).astype(int)
    assert np.array_equal(c.argmax(axis=1), shown % 3) and c.dtype == np.float32
    assert data.labels(np.random.default_rng(0), 7).shape == (7, 3)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("00000/img9.png", png("RGB", (8, 8), (9, 0, 0)))
    with pytest.raises(ValueError, match="no label for 1 files, such as 00000/img9.png"):
        images.Images(path, 8)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds no picture that can be read"):
        images.Images(tmp_path, 8)
    with pytest.raises(FileNotFoundError, match="there is no folder or zip"):
        images.Images(tmp_path / "none", 8)
    (tmp_path / "x.zip").write_text("no zip")
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        images.Images(tmp_path / "x.zip", 8)


def test_a_grid_and_a_file(tmp_path, rng):
    pictures = rng.uniform(-1.2, 1.2, (5, 3, 4, 6)).astype(np.float32)
    grid = images.grid(pictures, 3)
    assert grid.shape == (8, 18, 3) and grid.dtype == np.uint8
    assert (
        np.array_equal(grid[4:, 6:12], images.to_uint8(pictures)[4])
        and (grid[4:, 12:] == 255).all()
    )
    images.write_png(tmp_path / "g.png", grid)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "g.png")), grid)
    assert images.to_uint8(np.array([[[[-1.0, 0, 1]]]]))[0, 0].tolist() == [
        [0] * 3,
        [128] * 3,
        [255] * 3,
    ]


def test_pictures_of_four_channels_are_rgba(tmp_path, rng):
    pictures = rng.uniform(-1, 1, (2, 4, 4, 6)).astype(np.float32)
    grid = images.grid(pictures, 3)
    assert grid.shape == (4, 18, 4) and (grid[:, 12:] == 255).all()
    images.write_png(tmp_path / "g.png", grid)
    with Image.open(tmp_path / "g.png") as file:
        assert file.mode == "RGBA" and np.array_equal(np.asarray(file), grid)
    with pytest.raises(ValueError, match="the images have 2 channels; expected 1, 3 or 4"):
        images.grid(pictures[:, :2], 3)

"""A photo is read as it is meant to be seen; a huge one is shrunk, and what is none is named."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minigan.data import photos

RED_BLUE = np.uint8([[[255, 0, 0]] * 6 + [[0, 0, 255]] * 6] * 8)  # 12 × 8, red on the left


def test_a_photo_is_what_the_file_holds(tmp_path):
    Image.fromarray(RED_BLUE).save(tmp_path / "a.png")
    photo = photos.read(tmp_path / "a.png")
    assert np.array_equal(photo.pixels, RED_BLUE) and photo.pixels.dtype == np.uint8
    assert photo.size == (12, 8) and photo.remarks == ()


def test_a_photo_is_turned_as_the_camera_was(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(RED_BLUE).save(tmp_path / "a.png", exif=exif)
    photo = photos.read(str(tmp_path / "a.png"))
    assert np.array_equal(photo.pixels, RED_BLUE.transpose(1, 0, 2)[:, ::-1])
    assert photo.size == (8, 12) and photo.remarks == ("turned as its EXIF data say",)


@pytest.mark.parametrize(
    "picture, kind, expected",
    [
        (Image.new("L", (9, 7), 100), "png", 100),
        (Image.new("I;16", (9, 7), 257 * 100), "png", 100),
        (Image.new("RGBA", (9, 7), (0, 0, 0, 51)), "png", 204),  # over white
        (Image.new("CMYK", (9, 7), (155, 155, 155, 0)), "jpeg", 100),
        (Image.new("P", (9, 7), 3), "gif", None),
    ],
    ids=lambda value: getattr(value, "mode", str(value)),
)
def test_whatever_took_it_a_photo_is_rgb(picture, kind, expected, tmp_path):
    path = tmp_path / f"a.{kind}"
    picture.save(path)
    photo = photos.read(path)
    assert photo.pixels.shape == (7, 9, 3) and f"{picture.mode} made RGB" in photo.remarks
    if expected is not None:
        assert np.abs(photo.pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind, size", [("jpeg", (10_000, 12_000)), ("png", (10_000, 10_000))])
def test_a_huge_photo_is_shrunk_in_bounded_memory(kind, size, tmp_path):
    """Read in a process of its own: what it holds at most beyond what importing takes."""
    path = tmp_path / f"a.{kind}"
    picture = Image.new("RGB", size, (200, 100, 50))
    picture.paste((50, 100, 200), (0, 0, size[0] // 2, size[1]))
    picture.save(path, **({"compress_level": 1} if kind == "png" else {}))
    code = (
        "import resource, sys; from PIL import Image; from minigan.data import photos\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "p = photos.read(sys.argv[1])\n"
        "print(p.size, p.pixels.shape, p.pixels[9, 9].tolist(), p.pixels[-9, -9].tolist(), "
        "p.remarks, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, sep='|')"
    )
    run = [sys.executable, "-c", code, path]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split("|")
    width = round(photos.LONGEST * size[0] / max(size))
    assert said[0] == str(size) and said[1] == f"({photos.LONGEST}, {width}, 3)"
    left, right = (np.array(json.loads(colour)) for colour in said[2:4])
    assert np.abs(left - (50, 100, 200)).max() < 4 and np.abs(right - (200, 100, 50)).max() < 4
    made = f"{size[0]} × {size[1]} made {width} × {photos.LONGEST}"
    assert said[4] == str((made,)) and int(said[5]) < (400 if kind == "jpeg" else 700)  # MB


@pytest.mark.parametrize(
    "name, content, words",
    [
        (
            "notes.txt",
            b"hello",
            r"notes\.txt: cannot be read \(not a PNG, JPEG, WEBP, BMP, GIF, TIFF",
        ),
        ("empty.jpg", b"", r"empty\.jpg: cannot be read \(not a PNG"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0", r"cut\.png: cannot be read \(not a PNG"),
    ],
)
def test_what_is_no_photo_is_named_in_a_sentence(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as error:
        photos.read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_too_many_pixels_or_bytes_are_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        photos.read(tmp_path / "none.png")
    with pytest.raises(OSError, match="directory"):
        photos.read(tmp_path)
    Image.fromarray(RED_BLUE).save(tmp_path / "a.png")
    monkeypatch.setattr(photos, "_PIXELS", 95)
    with pytest.raises(
        ValueError, match=r"a\.png: cannot be read \(ValueError: 96 pixels; expected 95"
    ):
        photos.read(tmp_path / "a.png")
    monkeypatch.setattr(photos, "LARGEST", 10)
    with pytest.raises(ValueError, match=r"a\.png: [\d,]+ bytes; expected 10 at most"):
        photos.read(tmp_path / "a.png")

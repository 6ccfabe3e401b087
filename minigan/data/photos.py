"""A photograph as it is meant to be seen, however large it is and whatever took it.

Read next: `images.py`, which reads a whole folder with it.
"""

import dataclasses
import io
import math
import pathlib
import warnings
from collections.abc import Callable

import numpy as np

from minigan.files.reading import shown

LARGEST = 1 << 28  # bytes of a file, unpacked
LONGEST = 4096  # pixels of a photo's side: a face that fills a quarter of it has 1024
_PIXELS = 100_000_000  # 10,000 × 10,000: some 600 MB while it is shrunk, 1 GB if transparent
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # no others: EPS would start a program
# A PNG's transparent colour has the depth of the file, not that of the pixels that Pillow gives.
_KEYS = {"L;2": lambda k: 85 * k, "L;4": lambda k: 17 * k,
         "RGB;16B": lambda k: tuple(v >> 8 for v in k)}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Photo:
    """pixels: uint8 [H, W, 3], upright, in sRGB, over white where transparent, no side longer than
    `LONGEST`.  size: its width and height before it was shrunk.  remarks: what had to be done."""

    pixels: np.ndarray
    size: tuple[int, int]
    remarks: tuple[str, ...]


def read(path: str | pathlib.Path) -> Photo:
    """The photo in a file: PNG, JPEG, WebP, BMP, GIF or TIFF, of up to 100 million pixels.  A JPEG
    may have more: it is shrunk while it is decoded.

    Raises: OSError if there is no such file; ValueError, one sentence, if it is no such picture.
    """
    path = pathlib.Path(path)
    try:
        data = whole(path)
        pixels, remarks, size = decode(lambda: data, _shrunk, _PIXELS, LONGEST)
    except ValueError as error:
        raise ValueError(f"{path}: {shown(' '.join(str(error).split()), 300)}") from None
    height, width = pixels.shape[:2]
    if (width, height) != size:
        remarks.append(f"{size[0]} × {size[1]} made {width} × {height}")
    return Photo(pixels, size, tuple(remarks))


def _shrunk(picture, remarks):
    from PIL import Image

    scale = LONGEST / max(picture.size)
    if scale >= 1:
        return picture
    size = [max(1, round(side * scale)) for side in picture.size]
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def whole(path: pathlib.Path) -> bytes:
    """A file's bytes.  Raises: ValueError if there are too many."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.stat().st_size:,} bytes; expected {LARGEST:,} at most")
    return path.read_bytes()


def decode(
    read: Callable[[], bytes], fit: Callable, most: int, least: int | None = None
) -> tuple[np.ndarray, list[str], tuple[int, int]]:
    """A picture as a viewer would show it: turned as its EXIF data say, in sRGB, over white.

    read: gives the file.  fit(picture, remarks): resizes Pillow's picture before its colours are
    converted.  most: how many pixels may be decoded.  least: a JPEG may be decoded at a half, a
    quarter or an eighth of its size if its sides are still as long.
    Returns: (uint8 [H, W, 3], what had to be done, the file's own width and height, upright).
    Raises: ValueError that says why it cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    remarks = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we count ourselves
        try:
            file = Image.open(io.BytesIO(read()), formats=_FORMATS)
            size = file.size
            if least is not None:
                file.draft(None, (least, least))
            if math.prod(file.size) > most:
                raise ValueError(f"{math.prod(file.size):,} pixels; expected {most:,} at most")
            stored = file.tile[0][3] if file.tile else None
            if getattr(file, "is_animated", False):
                remarks.append("only its first frame used")
            orientation = file.getexif().get(0x0112)
            if orientation in range(2, 9):
                remarks.append("turned as its EXIF data say")
            if orientation in range(5, 9):
                size = size[::-1]
            tags = getattr(file, "tag_v2", {})  # of a TIFF
            if tags.get(339, (1,))[0] == 2:  # SampleFormat
                raise ValueError("signed samples, whose black and white are not defined")
            ImageOps.exif_transpose(file, in_place=True)
            picture = file
            if picture.mode[0] in "IF":
                picture = _levels(picture, tags)
            if picture.has_transparency_data:
                if stored in _KEYS:
                    picture.info["transparency"] = _KEYS[stored](picture.info["transparency"])
                picture = _as(picture, "RGBA")
                white = Image.new("RGB", picture.size, "white")
                white.paste(picture, mask=picture)
                picture = white
                remarks.append("transparency made white")
            if file.mode != "RGB":
                remarks.append(f"{file.mode} made RGB")
            if picture.mode != "CMYK":  # whose profile is of four inks
                grey = Image.getmodebase(file.mode) == "L"
                picture = _as(picture, "L" if grey else "RGB")  # of a palette, too
            picture = _in_srgb(fit(picture, remarks), file.info, remarks)
        except UnidentifiedImageError:
            raise ValueError(f"cannot be read (not a {', '.join(_FORMATS)} file)") from None
        except Exception as error:  # archives and decoders raise whatever they meet
            raise ValueError(f"cannot be read ({type(error).__name__}: {error})") from None
    remarks += [str(warning.message) for warning in said]
    return np.asarray(picture), remarks, size


def _as(picture, mode):
    """`convert`, which would copy a picture of this mode, too."""
    return picture if picture.mode == mode else picture.convert(mode)


def _levels(picture, tags):
    """A grey picture of 16 or 32 bits, or of floats, as one of 8.  tags: a TIFF's, or {}.

    Raises: ValueError for floats that do not lie between 0, black, and 1, white.
    """
    from PIL import Image

    values = np.asarray(picture)
    if picture.mode == "F":
        top = 1
        if not (values.min() >= 0 and values.max() <= 1):  # nor is NaN
            raise ValueError(f"floats from {values.min():g} to {values.max():g}; expected 0 to 1")
    else:
        top = 2 ** tags.get(258, (16,))[0] - 1  # BitsPerSample
    levels, parts = np.empty(values.shape, np.uint8), values.size // (1 << 20) + 1
    key = picture.info.get("transparency", -1)
    # Part by part: all at once would take sixteen bytes for each pixel.
    split = (np.array_split(a.reshape(-1), parts) for a in (values, levels))
    for part, level in zip(*split, strict=True):
        if top != 1:
            part = part.astype(np.int64) & top  # Pillow's 32 bits have a sign
        level[:] = np.rint(part * (255 / top))
        if tags.get(262) == 0:  # PhotometricInterpretation: 0 is white
            level[:] = 255 - level
        level[part == key] = 255
    return Image.fromarray(levels)


def _in_srgb(picture, info, remarks):
    """RGB of an L, RGB or CMYK picture, as its colour profile or its gamma means it."""
    from PIL import ImageCms

    profile, gamma = info.get("icc_profile"), info.get("gamma", 1 / 2.2)
    if profile:
        try:
            profile = ImageCms.getOpenProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            gaps = np.asarray(converted, np.int16) - np.asarray(picture.convert("RGB"))
            if np.abs(gaps).max() > 2:  # by the rounding of a profile that is sRGB
                picture = converted
                name = ImageCms.getProfileDescription(profile).strip()
                remarks.append(f"{name} made sRGB")
        except (OSError, ImageCms.PyCMSError):
            remarks.append("its colour profile cannot be used")
    elif "srgb" not in info and 0.1 < gamma < 10 and abs(2.2 * gamma - 1) > 0.05:
        curve = np.rint(255 * np.linspace(0, 1, 256) ** (1 / (2.2 * gamma))).astype(int)
        picture = picture.point(curve.tolist() * len(picture.getbands()))
        remarks.append(f"gamma {gamma:g} made {1 / 2.2:.2f}")
    return picture.convert("RGB")

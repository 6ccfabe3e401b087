"""Alignment: a photo is cut out so that the face lies where the generator draws faces.

A generator knows faces in one frame only; what is found for a photo in another frame looks like
somebody else.  Four points decide: the middles of the eyes and the corners of the mouth, in the
order of `portraits.LANDMARKS`; x to the right and y down, in pixels from the middle of the first
one; left is the picture's left.  A similarity (a shift, a turn and a scale) brings them to

"ffhq"       where the script of the FFHQ data set (Karras et al. 2019, Appendix A) has them: the
             square follows from the points in closed form.  For networks trained on FFHQ.
"portraits"  where drawn portraits have them.  Their frame is that of the canvas, not of the face:
             turning the head moves the eyes by up to a tenth of the side.  Bringing the points to
             their mean place would undo that, an error as large as what alignment is to mend.
             So this is the similarity under which the points are most likely, if the landmarks of
             portraits are normally distributed and those given are right to `PRECISION`.  It infers
             the turn from the mouth, which moves farther than the eyes.  A nod moves all points
             alike and cannot be told from a shift: it is taken for one.
[4, 2]       four places of one's own, by least squares: shares of the side, from the upper left
             corner, as `portraits.landmarks` gives them.

Read first: `data/portraits.py` (`landmarks`).  Read next: `data/photos.py`.
"""

import functools
import math
import pathlib
import re

import numpy as np
from scipy import ndimage

from minigan import check
from minigan.data import images, photos, portraits
from minigan.files.reading import shown

PRECISION = 1 / 256  # of the points, as a share of the side of what is cut out
_CORNERS = np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])  # counter-clockwise
_EXPECTED = f"expected four points: {', '.join(portraits.LANDMARKS)} (left as in the picture)"
_NEAREST = 4  # pixels between the eyes


# ---- points --------------------------------------------------------------------------------------


def parse_points(text: str, source: str = "the points") -> np.ndarray:
    """Four points, float64 [4, 2], of "x,y x,y x,y x,y", of lines as in a CSV file, or of a JSON
    list.  source: what the text is called in errors.

    Raises: ValueError for another number of points, or for what is no number.
    """
    parts = [part for part in re.split(r"[\s,;()\[\]]+", text) if part not in ("", "x", "y")]
    try:
        values = np.array(parts, np.float64)
    except ValueError:
        odd = next(part for part in parts if not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", part))
        raise ValueError(f"{source}: {shown(odd)!r} is not a number; {_EXPECTED}") from None
    if len(values) != 8:
        came = f"{len(values)} numbers" if len(values) % 2 else f"{len(values) // 2} points"
        raise ValueError(f"{source}: {came} came; {_EXPECTED}")
    return values.reshape(4, 2)


def read_points(path: str | pathlib.Path) -> np.ndarray:
    """`parse_points` of a text file.  Raises: OSError; ValueError, also if it is no text."""
    try:
        return parse_points(photos.whole(pathlib.Path(path)).decode(), str(path))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text; {_EXPECTED}") from None


def in_photo(points: np.ndarray, photo: photos.Photo) -> np.ndarray:
    """Points of the file's picture as points of photo.pixels, which may have been shrunk."""
    points = check_points(points, *photo.size)
    return (points + 0.5) * (np.array(photo.pixels.shape[1::-1]) / photo.size) - 0.5


def check_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """The points as float64 [4, 2].  Raises: ValueError unless there are four, in a picture of this
    size, each on its own side."""
    points = np.asarray(points, np.float64)
    if points.shape != (4, 2):
        raise ValueError(f"the points have shape {points.shape}; {_EXPECTED}, [4, 2]")
    for name, (x, y) in zip(portraits.LANDMARKS, points, strict=True):
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise ValueError(
                f"the {name} is at ({x:g}, {y:g}), outside of the picture; expected x from 0 to "
                f"{width - 1} and y from 0 to {height - 1}"
            )
    eyes, mouth = points[1] - points[0], points[3] - points[2]
    down = points[2:].mean(axis=0) - points[:2].mean(axis=0)
    if math.hypot(*eyes) < _NEAREST:
        raise ValueError(
            f"the eyes are {math.hypot(*eyes):.1f} pixels apart; expected {_NEAREST} at least"
        )
    if eyes[0] * down[1] - eyes[1] * down[0] <= 0 or eyes @ mouth <= 0:
        came = ", ".join(
            f"{name} ({x:g}, {y:g})"
            for name, (x, y) in zip(portraits.LANDMARKS, points, strict=True)
        )
        raise ValueError(
            f"left and right are exchanged, or eyes and mouth: {came}; expected left as in the "
            "picture, and the mouth below the eyes"
        )
    return points


# ---- frames --------------------------------------------------------------------------------------


def square(points: np.ndarray, template: str | np.ndarray = "ffhq") -> np.ndarray:
    """The corners of the square that is cut out, float64 [4, 2], from the upper left one
    counter-clockwise; template: as the module says.  Raises: ValueError for another template."""
    if isinstance(template, str) and template == "ffhq":
        eyes, mouth = points[:2].mean(axis=0), points[2:].mean(axis=0)
        across, down = points[1] - points[0], mouth - eyes
        x = across + (down[1], -down[0])  # the mouth turned a quarter: both say what is level
        x *= max(2.0 * math.hypot(*across), 1.8 * math.hypot(*down)) / math.hypot(*x)
        y = np.array([-x[1], x[0]])
        return eyes + 0.1 * down + (2.0 * _CORNERS - 1.0) @ np.stack([x, y])
    if isinstance(template, str) and template != "portraits":
        raise ValueError(f"template is {template!r}; expected 'ffhq', 'portraits' or four points")
    mean, weights = _drawn() if isinstance(template, str) else (np.asarray(template), np.eye(8))
    # A place p goes to a·p + b·(p, turned a quarter) + shift.  That is linear in (a, b, shift).
    turned = np.stack([-points[:, 1], points[:, 0]], axis=1)
    shifts = np.tile(np.eye(2), (4, 1))
    terms = np.concatenate([np.stack([points, turned], axis=2).reshape(8, 2), shifts], axis=1)
    a, b, *shift = np.linalg.lstsq(weights @ terms, weights @ mean.reshape(8))[0]
    back = np.array([[a, -b], [b, a]]) / (a * a + b * b)
    return (_CORNERS - shift) @ back


@functools.cache
def _drawn():
    """Where portraits have their landmarks: the mean [4, 2], and a root [8, 8] of the inverse of
    their covariance and that of points so precise."""
    factors = portraits.sample_factors(4096, np.random.default_rng(0))
    drawn = portraits.landmarks(factors)
    spread = np.cov(drawn.reshape(-1, 8), rowvar=False) + PRECISION**2 * np.eye(8)
    return drawn.mean(axis=0), np.linalg.cholesky(np.linalg.inv(spread)).T


# ---- there and back ------------------------------------------------------------------------------


def align(
    photo: np.ndarray, points: np.ndarray, resolution: int, template: str | np.ndarray = "ffhq"
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the face out of a photo.

    photo: uint8 [H, W, 3].  points: four, [4, 2], in it.
    Returns: the aligned image, float32 [1, 3, R, R] in [−1, 1], and the similarity [2, 3] that
    takes its pixels (u, v, 1) to the photo's (x, y), for `paste_back`.
    Raises: ValueError as `check_points` and `square`.
    """
    check.setting("align", "resolution", resolution, (int,), 4)
    points = check_points(points, photo.shape[1], photo.shape[0])
    quad = square(points, template)
    sides = np.stack([quad[3] - quad[0], quad[1] - quad[0]], axis=1) / resolution
    similarity = np.concatenate([sides, (quad[0] + sides.sum(axis=1) / 2)[:, None]], axis=1)
    pixels = np.asarray(_cut(photo, quad, resolution), np.float32)
    return (pixels * (1 / 127.5) - 1).transpose(2, 0, 1)[None], similarity


def _cut(photo, quad, resolution):
    """The square as one of Pillow's pictures, as the script of FFHQ cuts it."""
    from PIL import Image

    picture, size = Image.fromarray(photo), math.hypot(*(quad[3] - quad[0]))
    shrink = int(size / resolution / 2)
    if shrink > 1:
        smaller = [round(side / shrink) for side in picture.size]
        picture = picture.resize(smaller, Image.Resampling.LANCZOS)
        quad, size = quad / shrink, size / shrink
    border = max(round(size * 0.1), 3)
    low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
    box = (*np.maximum(low - border, 0), *np.minimum(high + border, picture.size))
    picture = picture.crop([int(side) for side in box])
    quad = quad - box[:2]
    low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
    before = np.maximum(border - low, 0)
    after = np.maximum(high - picture.size + border, 0)
    if max(*before, *after) > border - 4:
        least = round(size * 0.3)
        before, after = np.maximum(before, least), np.maximum(after, least)
        picture, quad = _extended(np.asarray(picture), before, after, 0.02 * size), quad + before
    return picture.transform(
        (resolution, resolution), Image.Transform.QUAD, (quad + 0.5).ravel(),
        Image.Resampling.BILINEAR,
    )  # fmt: skip


def _extended(pixels, before, after, soft):
    """A picture with its mirror image around it, more and more blurred, then of its median colour.

    before, after: how far, (x, y) each.  soft: the blur's standard deviation.
    """
    from PIL import Image

    around = [(before[1], after[1]), (before[0], after[0]), (0, 0)]
    wide = np.pad(pixels.astype(np.float32), around, "reflect")
    far = []  # 0 where the picture begins (going out), 1 at the rim
    for axis in (0, 1):
        at = np.arange(wide.shape[axis], dtype=np.float32)
        nearest = np.minimum(
            at / np.float32(around[axis][0]), at[::-1] / np.float32(around[axis][1])
        )
        far.append(1 - nearest)
    far = np.maximum(far[0][:, None], far[1])[:, :, None]
    wide += (ndimage.gaussian_filter(wide, (soft, soft, 0)) - wide) * np.clip(3 * far + 1, 0, 1)
    wide += (np.median(wide, axis=(0, 1)) - wide) * np.clip(far, 0, 1)
    return Image.fromarray(np.rint(np.clip(wide, 0, 255)).astype(np.uint8))


def paste_back(
    photo: np.ndarray, aligned: np.ndarray, similarity: np.ndarray, rim: float = 0.1
) -> np.ndarray:
    """The photo, uint8 [H, W, 3], with an aligned image [1, 3, R, R] where `align` took it from.

    rim: over which share of its side the image fades into the photo.
    """
    from PIL import Image

    size, scale = aligned.shape[-1], math.hypot(*similarity[:, 0])
    patch, shrink = images.to_uint8(aligned)[0], max(1, int(1 / scale))
    patch = np.asarray(Image.fromarray(patch).reduce(shrink), np.float32)
    corners = similarity @ np.stack([*(size * _CORNERS.T - 0.5), np.ones(4)])
    x0, y0 = np.maximum(np.floor(corners.min(axis=1)).astype(int), 0)
    part = photo[y0 : int(corners[1].max()) + 2, x0 : int(corners[0].max()) + 2]
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
    back = np.linalg.inv(similarity[:, :2])
    u, v = (np.tensordot(back, np.stack([x, y]) - similarity[:, 2, None, None], 1) + 0.5) / size
    share = np.clip(np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) / rim, 0, 1)
    place = [size * t / shrink - 0.5 for t in (v, u)]
    out = photo.copy()
    for c in range(3):
        laid = ndimage.map_coordinates(patch[:, :, c], place, order=1, mode="nearest")
        mixed = part[:, :, c] + share * (laid - part[:, :, c])
        out[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1], c] = np.rint(mixed)
    return out

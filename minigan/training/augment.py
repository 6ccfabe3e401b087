"""ADA: augmentations that D sees in every image, and the controller that sets their strength.

Karras et al. 2020 (arXiv 2006.06676), §2–3 and App. B, numerically the official pipeline.  Real and
generated images go through the same one, with the same p, and G learns through it: each part is
linear in the image, so it is differentiated as often as one likes.  What makes it safe is that no
transform is certain: a distribution that was augmented with p < 1 can be told from all others.

Read first: `filters.py`, `ops/upfirdn2d.py`.  Read next: `training/step.py`, where p is set.
"""

import functools
import math

import numpy as np
import scipy.sparse

from minigan import ops
from minigan.autograd import primitive
from minigan.autograd.variable import plain
from minigan.device import beside, moved

# Each letter's transforms, all as likely as the rest: pixel blits, general geometry, colour,
# image-space filtering, noise, cutout.
CLASSES = {
    "b": ("xflip", "rotate90", "xint"),
    "g": ("scale", "rotate", "aniso", "xfrac"),
    "c": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "f": ("imgfilter",),
    "n": ("noise",),
    "c2": ("cutout",),
}
GROUPS = ("", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")

# The scaling filter of the symlet with six vanishing moments (Daubechies 1992, Table 6.3), of
# sum 1.
SYM6 = np.array([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
]) / 2**0.5  # fmt: skip
SYM2 = np.array([1 - 3**0.5, 3 - 3**0.5, 3 + 3**0.5, 1 + 3**0.5]) / (4 * 2**0.5)


def check_groups(groups):
    if groups not in GROUPS:
        raise ValueError(f"augment: groups is {groups!r}; expected one of {GROUPS}")


def classes(groups):
    """The transforms of "bgc" and the like, a set of names.  Raises: ValueError."""
    check_groups(groups)
    letters = [*groups[:5], *(["c2"] if groups.endswith("nc") else [])]
    return {name for letter in letters for name in CLASSES[letter]}


def adapt(p, r_t, target, images, kimg):
    """The new p: up if r_t = E[sign D(real)] is above its target, else down; 0 to 1 in `kimg`."""
    direction = (r_t > target) - (r_t < target)
    return max(0.0, p + direction * images / (1000 * kimg))


def augment(images, p, rng, groups="bgc"):
    """Augment images [N, C, H, W], C 1 or 3, each transform of `groups` with probability p.

    p from 0; rng: numpy.random.Generator; the images may be variables, on a GPU too, where only the
    resampling of "b" and "g" takes the way over the CPU.
    Raises: ValueError for unknown groups, or images too small for the filter ("f": 22 pixels).
    """
    if p == 0:
        return images
    return apply(images, classes(groups), Draw(len(images), p, rng))


def blur(images, sigma):
    """Images [N, C, H, W] under the kernel 2^−(x/σ)², σ pixels: D's view of the first images of
    StyleGAN3-R (App. D), lest it learn to tell fakes by their edges only.  Below ⅓ nothing."""
    reach = math.floor(3 * sigma)
    if reach < 1:
        return images
    f = np.exp2(-np.square(np.arange(-reach, reach + 1) / sigma))
    return ops.filter2d(images, f / f.sum())


# ---- what chance decides -------------------------------------------------------------------------


class Draw:
    """Random numbers for N images; those whose turn it is not get the neutral value."""

    def __init__(self, n, p, rng):
        self.n, self.p, self.rng = n, p, rng

    def _where(self, value, neutral, p):
        return np.where(self.rng.random(self.n) < p, value, neutral)

    def uniform(self, low, high, neutral, p=None):
        return self._where(self.rng.uniform(low, high, self.n), neutral, self.p if p is None else p)

    def integer(self, count):
        return self._where(self.rng.integers(count, size=self.n), 0, self.p)

    def normal(self, std):
        return self._where(self.rng.standard_normal(self.n) * std, 0.0, self.p)

    def pair(self, kind, *args):
        """Two numbers for each image, of which both or neither are neutral."""
        turn = self.rng.random(self.n) < self.p
        always = Draw(self.n, 2.0, self.rng)
        return [np.where(turn, getattr(always, kind)(*args), 0.0) for _ in range(2)]

    def half_normal(self, std):
        return self._where(np.abs(self.rng.standard_normal(self.n)) * std, 0.0, self.p)

    def second_rotation(self, p):
        return self.uniform(-math.pi, math.pi, 0.0, p)

    def pixels(self, shape):
        return self.rng.standard_normal(shape)

    def box(self, size):
        return self._where(size, 0.0, self.p), self.rng.random(self.n), self.rng.random(self.n)


# ---- the pipeline --------------------------------------------------------------------------------


def apply(images, chosen, draw):
    """The transforms named in `chosen`, with numbers from `draw`, in the official order."""
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ValueError(f"augment: images have shape {images.shape}; expected 1 or 3 channels")
    dtype = plain(images).dtype
    if chosen & {*CLASSES["b"], *CLASSES["g"]}:
        images = _warp(images, _geometry(chosen, draw, height, width))
    if chosen & set(CLASSES["c"]):
        images = _recolor(images, _color(chosen, draw, channels))
    if "imgfilter" in chosen:
        images = _filter(images, _gains(draw).astype(dtype))
    if "noise" in chosen:
        sigma = draw.half_normal(0.1)[:, None, None, None]
        noise = (sigma * draw.pixels(images.shape)).astype(dtype)
        images = images + beside(noise, plain(images))
    if "cutout" in chosen:
        size, x, y = draw.box(0.5)
        far_x = np.abs((np.arange(width) + 0.5) / width - x[:, None]) >= size[:, None] / 2
        far_y = np.abs((np.arange(height) + 0.5) / height - y[:, None]) >= size[:, None] / 2
        kept = (far_x[:, None, None] | far_y[:, None, :, None]).astype(dtype)
        images = images * beside(kept, plain(images))
    return images


def _matrix(*rows):
    """A batch of matrices [N, k, k] from numbers and arrays [N]."""
    n = max(np.size(entry) for row in rows for entry in row)
    rows = [[np.broadcast_to(entry, n) for entry in row] for row in rows]
    return np.moveaxis(np.array(rows, dtype=np.float64), 2, 0)


def _shift(x, y):
    return _matrix([1, 0, x], [0, 1, y], [0, 0, 1])


def _scale(x, y):
    return _matrix([x, 0, 0], [0, y, 0], [0, 0, 1])


def _rotate(angle):
    sin, cos = np.sin(angle), np.cos(angle)
    return _matrix([cos, -sin, 0], [sin, cos, 0], [0, 0, 1])


def _geometry(chosen, draw, height, width):
    """[N, 3, 3]: from a place in the result to one in the image, in pixels from the middle."""
    back = np.eye(3)[None]
    if "xflip" in chosen:
        back = back @ _scale(1 - 2 * draw.integer(2), 1)
    if "rotate90" in chosen:
        back = back @ _rotate(math.pi / 2 * draw.integer(4))
    if "xint" in chosen:
        x, y = draw.pair("uniform", -0.125, 0.125, 0.0)
        back = back @ _shift(-np.rint(x * width), -np.rint(y * height))
    if "scale" in chosen:
        s = np.exp2(draw.normal(0.2))
        back = back @ _scale(1 / s, 1 / s)
    # Two rotations, one before and one after stretching, together as likely as each other class.
    p = 1 - math.sqrt(max(0.0, 1 - min(draw.p, 1.0)))
    if "rotate" in chosen:
        back = back @ _rotate(draw.uniform(-math.pi, math.pi, 0.0, p))
    if "aniso" in chosen:
        s = np.exp2(draw.normal(0.2))
        back = back @ _scale(1 / s, s)
    if "rotate" in chosen:
        back = back @ _rotate(draw.second_rotation(p))
    if "xfrac" in chosen:
        x, y = draw.pair("normal", 0.125)
        back = back @ _shift(-x * width, -y * height)
    return np.broadcast_to(back, (draw.n, 3, 3))


def _reflect(x, left, right, axis):
    """Reflect-pad an axis: the edge pixel itself is not repeated."""
    size = x.shape[axis]
    cut = lambda a, b: (slice(None),) * axis + (slice(a, b),)  # noqa: E731
    parts = [
        np.flip(x[cut(1, left + 1)], axis),
        x,
        np.flip(x[cut(size - 1 - right, size - 1)], axis),
    ]
    return np.concatenate([part for part in parts if part.shape[axis]], axis=axis)


def _warp(images, back):
    """Pad, upsample ×2, sample bilinearly where `back` says, downsample: sharp, without aliases."""
    n, channels, height, width = images.shape
    around = len(SYM6) // 4 * 2
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = back @ np.array([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]])
    x, y = corners[:, 0], corners[:, 1]
    pads = []  # left, right, top, bottom: as far as any image of the batch reaches
    for reach, middle, size in ((-x, cx, width), (x, cx, width), (-y, cy, height), (y, cy, height)):
        pads.append(math.ceil(min(max(reach.max() + around - middle, 0), size - 1)))
    images = _reflect(_reflect(images, *pads[:2], 3), *pads[2:], 2)
    back = _shift((pads[0] - pads[1]) / 2, (pads[2] - pads[3]) / 2) @ back
    images = ops.upsample2d(images, SYM6, 2)
    # Between two pixels lie now two: the middle moves by half of one.
    back = _shift(-0.5, -0.5) @ _scale(2, 2) @ back @ _scale(0.5, 0.5) @ _shift(0.5, 0.5)
    images = grid_sample(images, back, 2 * (height + around), 2 * (width + around))
    return ops.downsample2d(images, SYM6, 2, -around, flip_filter=True)


@functools.lru_cache(8)
def _pixels(height, width):
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    return np.stack([x - (width - 1) / 2, y - (height - 1) / 2, np.ones(x.size)])


def grid_sample(images, back, height, width):
    """Bilinear samples [N, C, height, width] of images at back @ (x, y, 1), 0 outside.

    Places are in pixels from the middle of the image; back [N, 3, 3] is not differentiated.
    """
    n, channels, h, w = images.shape
    place = back @ _pixels(height, width)  # [N, 3, height·width]
    x, y = place[:, 0] + (w - 1) / 2, place[:, 1] + (h - 1) / 2
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    columns, weights = [], []
    for dy in (0, 1):
        for dx in (0, 1):
            i, j = y0 + dy, x0 + dx
            weight = (1 - np.abs(x - j)) * (1 - np.abs(y - i))
            weights.append(np.where((i >= 0) & (i < h) & (j >= 0) & (j < w), weight, 0))
            first = np.arange(n)[:, None] * (h * w)
            columns.append(first + np.clip(i, 0, h - 1) * w + np.clip(j, 0, w - 1))
    rows = n * height * width
    matrix = scipy.sparse.csr_array(
        (
            np.stack(weights, axis=-1).reshape(-1).astype(plain(images).dtype),
            np.stack(columns, axis=-1).reshape(-1),
            np.arange(0, 4 * rows + 1, 4),
        ),
        shape=(rows, n * h * w),
    )
    flat = np.reshape(np.transpose(images, (0, 2, 3, 1)), (n * h * w, channels))
    sampled = np.reshape(_sparse(flat, matrix), (n, height, width, channels))
    return np.transpose(sampled, (0, 3, 1, 2))


# Linear in x, whatever the matrix: its derivative is the transposed matrix.
_sparse = primitive(
    lambda x, matrix: beside(matrix @ moved(x, "cpu"), x),
    lambda g, matrix: _sparse(g, matrix.T),
)


def _color(chosen, draw, channels):
    """[N, 4, 4], on (r, g, b, 1)."""
    color = np.eye(4)[None]
    v = np.array([1, 1, 1, 0]) / math.sqrt(3)  # the grey axis
    grey, eye = np.outer(v, v), np.eye(4)
    if "brightness" in chosen:
        b = draw.normal(0.2)
        color = _matrix([1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]) @ color
    if "contrast" in chosen:
        c = np.exp2(draw.normal(0.5))
        color = _matrix([c, 0, 0, 0], [0, c, 0, 0], [0, 0, c, 0], [0, 0, 0, 1]) @ color
    if "lumaflip" in chosen:
        color = (eye - 2 * grey * draw.integer(2)[:, None, None]) @ color
    if "hue" in chosen and channels > 1:
        angle = draw.uniform(-math.pi, math.pi, 0.0)
        sin, cos, third = np.sin(angle) / math.sqrt(3), np.cos(angle), (1 - np.cos(angle)) / 3
        a, b, c = third + cos, third - sin, third + sin  # Rodrigues' formula about v
        color = _matrix([a, b, c, 0], [c, a, b, 0], [b, c, a, 0], [0, 0, 0, 1]) @ color
    if "saturation" in chosen and channels > 1:
        s = np.exp2(draw.normal(1.0))[:, None, None]
        color = (grey + (eye - grey) * s) @ color
    return np.broadcast_to(color, (draw.n, 4, 4))


def _recolor(images, color):
    n, channels, height, width = images.shape
    color = beside(color[:, :3].astype(plain(images).dtype), plain(images))
    flat = np.reshape(images, (n, channels, height * width))
    if channels == 1:
        color = color.mean(axis=1, keepdims=True)
        flat = flat * color[:, :, :3].sum(axis=2, keepdims=True) + color[:, :, 3:]
    else:
        flat = color[:, :, :3] @ flat + color[:, :, 3:]
    return np.reshape(flat, (n, channels, height, width))


@functools.cache
def _bands():
    """Four filters [4, 43] that add up to an impulse: below, and in, the octaves of the spectrum.

    Each step splits the lowest band of the one before: stretch all by two, then low-pass them with
    sym2's autocorrelation, and add its high-pass as a new band.
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = np.convolve(SYM2 * [1, -1, 1, -1], (SYM2 * [1, -1, 1, -1])[::-1]) / 2
    bands = np.eye(4, 1)
    for i in range(1, 4):
        stretched = np.zeros((4, 2 * bands.shape[1] - 1))
        stretched[:, ::2] = bands
        bands = np.stack([np.convolve(band, low) for band in stretched])
        middle = (bands.shape[1] - len(high)) // 2
        bands[i, middle : middle + len(high)] += high
    return bands


def _gains(draw):
    """[N, 4], of the bands; each change keeps the power that natural images have on average."""
    power = np.array([10, 1, 1, 1]) / 13
    gains = np.ones((draw.n, 4))
    for i in range(4):
        t = np.ones((draw.n, 4))
        t[:, i] = np.exp2(draw.normal(1.0))
        gains *= t / np.sqrt(np.sum(power * t**2, axis=1, keepdims=True))
    return gains


def _filter(images, gains):
    """Σ_b gain_b · band_b along x, and the same along y; reflected at the edges."""
    bands, gains = _bands(), beside(gains, plain(images))
    half = bands.shape[1] // 2
    if min(images.shape[2:]) <= half:
        raise ValueError(
            f"augment: images have shape {images.shape}; expected at least {half + 1} pixels a "
            "side for the filter"
        )
    for axis in (3, 2):
        padded = _reflect(images, half, half, axis)
        images = 0.0
        for i, band in enumerate(bands):
            f = band[None] if axis == 3 else band[:, None]
            gain = gains[:, i, None, None, None]
            images = images + gain * ops.upfirdn2d(padded, f, flip_filter=True)
    return images

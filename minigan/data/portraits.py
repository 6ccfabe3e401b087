"""Drawn portraits of which everything is known: the course's faces.

Each is drawn from a table of factors, at any resolution, and from a noise seed: the freckles, the
strands of the hair and the grain are in no factor.  So what other courses ask a borrowed classifier
has a true answer here.  Coarse, middle and fine say where a StyleGAN may be expected to keep a
factor: in its layers of 4²–8², 16², 32² and up.  `identity` factors make the person; the others
are attributes, which a person may change.

Read first: nothing.  Read next: `painting.py`, how the picture is made; `manners.py`.
"""

import colorsys
import dataclasses
import functools

import numpy as np

from minigan import check


@dataclasses.dataclass(frozen=True)
class Factor:
    """A number from `low` to `high`, drawn uniformly; or one of `choices`, drawn by `shares`."""

    name: str
    level: str  # "coarse", "middle" or "fine"
    identity: bool  # or else an attribute
    low: float = -1.0
    high: float = 1.0
    choices: tuple = ()
    shares: tuple = ()  # of the choices; empty: equal


FACTORS = (
    Factor("yaw", "coarse", False),  # to the viewer's right at 1
    Factor("pitch", "coarse", False),  # down at 1
    Factor("head_shape", "coarse", True),  # round … long
    Factor("hair_style", "coarse", True,
           choices=("short", "bob", "bun", "long", "curls", "spikes")),
    Factor("glasses", "coarse", False, choices=("none", "round", "square"), shares=(.6, .2, .2)),
    Factor("smile", "middle", False),  # corners of the mouth down … up
    Factor("mouth_open", "middle", False, 0.0, 1.0),
    Factor("eye_shape", "middle", True),  # narrow … round
    Factor("brow_shape", "middle", True),  # stern … worried
    Factor("age", "middle", False, 0.0, 1.0),  # lines in the face
    Factor("skin", "fine", True, 0.0, 1.0),  # light … dark
    Factor("hair_color", "fine", True,
           choices=("black", "brown", "auburn", "blond", "red", "violet")),
    Factor("eye_color", "fine", True, choices=("brown", "blue", "green", "grey")),
    Factor("background", "fine", False, 0.0, 1.0),  # a hue, once around the circle
    Factor("clothes", "fine", False, choices=("navy", "teal", "coral", "mustard")),
    Factor("light", "fine", False),  # from the left … from the right
)  # fmt: skip
BY_NAME = {factor.name: factor for factor in FACTORS}
NAMES = tuple(BY_NAME)
# The columns of painting.py's table `pose`.
POSE = ("yaw", "pitch", "head_shape", "smile", "mouth_open", "eye_shape", "brow_shape", "age",
        "light")  # fmt: skip
IDENTITY = tuple(factor.name for factor in FACTORS if factor.identity)
MANNERS = ("painted", "sketch", "night")
LANDMARKS = ("left eye", "right eye", "left corner of the mouth", "right corner of the mouth")
_AT_ONCE = 64  # portraits whose intermediate arrays are in memory together, in other manners


def _palette(*colors):
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colors])


SKINS = _palette("ffe3d0", "f6c9a4", "dba174", "b0703f", "6f4327")
HAIRS = _palette("2b2730", "6b4028", "9c4a26", "ecc25c", "e2622c", "8a63c4")
EYES = _palette("6e4526", "3c83d6", "44a062", "7d8a99")
CLOTHES = _palette("3f4f85", "3a9a94", "ea7566", "e8b23f")


def sample_factors(n, rng):
    """n random rows: {name: float32 [n], or int64 [n], the index of the choice}."""
    drawn = {}
    for f in FACTORS:
        if f.choices:
            drawn[f.name] = rng.choice(len(f.choices), n, p=f.shares or None)
        else:
            drawn[f.name] = rng.uniform(f.low, f.high, n).astype(np.float32)
    return drawn


def people(n: int, rng: np.random.Generator, others: dict | None = None) -> dict:
    """Factors of n random portraits; of the people in `others`, if given: identity kept, the rest
    drawn anew."""
    drawn = sample_factors(n, rng)
    return drawn if others is None else drawn | {k: others[k] for k in IDENTITY}


def draw(
    factors: dict,
    resolution: int,
    noise_seed: int | np.ndarray | None = None,
    manner: str = "painted",
) -> np.ndarray:
    """Portraits of these factors: float32 [N, 3, R, R], in [−1, 1].

    factors: {name: numbers [N], or one number for all}; for a factor with choices their index or
    name.  A factor left out takes the middle of its range, or its first choice.
    noise_seed: a whole number, or one for each portrait, for what chance decides; None: no chance.
    manner: one of `MANNERS`: all show the same shapes in the same places, and a "sketch" no colour.
    Raises: TypeError, ValueError for an unknown factor, choice or manner, a number out of its
    range, or lengths that do not agree.
    """
    from minigan.data import painting  # compiles, on first use
    from minigan.ops.cpu.runtime.threads import share

    check.setting("draw", "resolution", resolution, (int,), 4)
    if manner not in MANNERS:
        raise ValueError(f"draw: manner is {manner!r}; expected one of {', '.join(MANNERS)}")
    table = _complete(factors, noise_seed)
    n = len(table["yaw"])
    pose = np.stack([table[name] for name in POSE], axis=1).astype(np.float64)
    style = np.stack([table["hair_style"], table["glasses"]], axis=1).astype(np.int64)
    colors = np.stack([
        np.reshape([colorsys.hls_to_rgb(hue, 0.80, 0.55) for hue in table["background"]], (n, 3)),
        _between(SKINS, table["skin"]),
        HAIRS[table["hair_color"]], EYES[table["eye_color"]], CLOTHES[table["clothes"]],
    ], axis=1)  # fmt: skip
    seeds = np.zeros(n, np.int64) if noise_seed is None else table["noise_seed"]

    def paint(rows, colors, chance):
        out = np.empty((len(colors), 3, resolution, resolution), np.float32)
        args = (pose[rows], style[rows], colors, seeds[rows], np.empty((len(colors), 3)))
        chance = 0.0 if noise_seed is None else float(chance)
        work = out.size * 300
        share(painting.paint, len(colors), out.reshape(-1), *args, chance, resolution, work=work)
        return out

    if manner == "painted":
        return paint(slice(None), colors, True)
    from minigan.data import manners

    draw_in, each = {
        "sketch": (manners.sketch, seeds),
        "night": (manners.night, table["light"]),
    }[manner]
    out = np.empty((n, 3, resolution, resolution), np.float32)
    for first in range(0, n, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        out[rows] = draw_in(functools.partial(paint, rows), colors[rows], each[rows])
    return out


def landmarks(factors: dict, resolution: int | None = None) -> np.ndarray:
    """Where `LANDMARKS` are in the portraits of these factors: float64 [N, 4, 2], x and y.

    Left is the picture's left.  Of an eye it is the middle of its opening.  resolution: of the
    picture whose pixels count, x to the right and y down from the middle of the first one, as
    detectors of landmarks and arrays count; None: shares of the side, from the upper left corner.
    Raises: as `draw`.
    """
    from minigan.data.painting import CURVE, ZOOM

    if resolution is not None:
        check.setting("landmarks", "resolution", resolution, (int,), 4)
    table = _complete(factors, None)
    yaw, pitch, smile = (table[name].astype(np.float64) for name in ("yaw", "pitch", "smile"))
    # The numbers of `painting.paint` and `painting.face`, which draw there.
    wide = 0.455 - 0.045 * table["head_shape"]
    half = 0.165 * (1.0 + 0.16 * smile) * np.cos(0.75 * CURVE * yaw)
    eyes = [0.93 * wide * np.sin(0.44 * side + CURVE * yaw) for side in (-1, 1)]
    corners = [0.96 * wide * np.sin(CURVE * yaw) + half * side for side in (-1, 1)]
    down = 0.085 * pitch + np.stack([-0.035 + 0 * smile, 0.305 - 0.039 * smile])[[0, 0, 1, 1]]
    x, y = np.stack([*eyes, *corners]) + 0.035 * yaw, down - 0.035 + 0.02 * pitch
    shares = np.stack([x, y + 0.07], axis=2).transpose(1, 0, 2) / (2 * ZOOM) + 0.5
    return shares if resolution is None else shares * resolution - 0.5


def sample(
    n: int, resolution: int, rng: np.random.Generator, manner: str = "painted"
) -> tuple[np.ndarray, dict]:
    """n portraits with random factors and noise: (images float32 [n, 3, R, R], factors)."""
    factors = sample_factors(n, rng)
    return draw_randomly(factors, resolution, rng, manner), factors


def draw_randomly(
    factors: dict, resolution: int, rng: np.random.Generator, manner: str = "painted"
) -> np.ndarray:
    """`draw` of arrays of factors, {name: [N]}, with a noise seed from rng for each portrait."""
    return draw(factors, resolution, rng.integers(1 << 40, size=len(factors["yaw"])), manner)


def _between(colors, t):
    """Colours at t ∈ [0, 1] along a row of them: [N, 3]."""
    place = np.asarray(t, np.float64) * (len(colors) - 1)
    i = np.minimum(place.astype(np.int64), len(colors) - 2)
    return colors[i] + (place - i)[:, None] * (colors[i + 1] - colors[i])


def _complete(factors, noise_seed):
    """Every factor as an array [N], checked; choices as indices; "noise_seed" beside them."""
    unknown = sorted(set(factors) - set(NAMES))
    if unknown:
        raise ValueError(f"draw: unknown factors {unknown}; expected some of {', '.join(NAMES)}")
    found = {}
    for f in FACTORS:
        value = factors.get(f.name, 0 if f.choices else (f.low + f.high) / 2)
        if isinstance(value, str):
            if value not in f.choices:
                raise ValueError(f"draw: {f.name} is {value!r}; expected one of {f.choices}")
            value = f.choices.index(value)
        array = np.atleast_1d(np.asarray(value))
        if array.ndim != 1 or array.dtype.kind not in ("iu" if f.choices else "iuf"):
            raise TypeError(
                f"draw: {f.name} is of dtype {array.dtype} and shape {array.shape}; expected "
                + ("indices of its choices" if f.choices else "numbers") + ", [N]"
            )  # fmt: skip
        low, high = (0, len(f.choices) - 1) if f.choices else (f.low, f.high)
        if array.size and not (array.min() >= low and array.max() <= high):
            raise ValueError(f"draw: {f.name} goes from {array.min()} to {array.max()}; expected "
                             f"{low} to {high}")  # fmt: skip
        found[f.name] = array
    if noise_seed is not None:
        seeds = np.atleast_1d(np.asarray(noise_seed))
        if seeds.ndim != 1 or seeds.dtype.kind not in "iu":
            raise TypeError(f"draw: noise_seed is {noise_seed!r}; expected whole numbers, [N]")
        found["noise_seed"] = seeds.astype(np.int64)
    lengths = {name: len(a) for name, a in found.items() if len(a) != 1}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"draw: the factors' lengths differ: {lengths}; expected one N, or 1")
    n = next(iter(lengths.values()), 1)
    return {name: np.ascontiguousarray(np.broadcast_to(a, n)) for name, a in found.items()}

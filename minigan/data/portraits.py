"""Drawn portraits of which everything is known: the course's faces.

Each is drawn from a table of factors, at any resolution, and from a noise seed: the freckles, the
strands of the hair and the grain are in no factor.  So what other courses ask a borrowed classifier
has a true answer here.  Coarse, middle and fine say where a StyleGAN may be expected to keep a
factor: in its layers of 4²–8², 16², 32² and up.  `identity` factors make the person; the others
are attributes, which a person may change.

Read first: nothing.  Read next: `painting.py`, how the picture is made.
"""

import colorsys
import dataclasses

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


def draw(factors, resolution, noise_seed=None):
    """Portraits of these factors: float32 [N, 3, R, R], in [−1, 1].

    factors: {name: numbers [N], or one number for all}; for a factor with choices their index or
    name.  A factor left out takes the middle of its range, or its first choice.
    noise_seed: a whole number, or one for each portrait, for what chance decides; None: no chance.
    Raises: TypeError, ValueError for an unknown factor or choice, a number out of its range, or
    lengths that do not agree.
    """
    from minigan.data import painting  # compiles, on first use
    from minigan.ops.cpu.runtime.threads import share

    check.setting("draw", "resolution", resolution, (int,), 4)
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
    out = np.empty((n, 3, resolution, resolution), np.float32)
    chance = 0.0 if noise_seed is None else 1.0
    args = (pose, style, colors, seeds, np.empty((n, 3)), chance, resolution)
    share(painting.paint, n, out.reshape(-1), *args, work=out.size * 300)
    return out


def sample(n, resolution, rng):
    """n portraits with random factors and noise: (images float32 [n, 3, R, R], factors)."""
    factors = sample_factors(n, rng)
    return draw_randomly(factors, resolution, rng), factors


def draw_randomly(factors: dict, resolution: int, rng: np.random.Generator) -> np.ndarray:
    """`draw` of arrays of factors, {name: [N]}, with a noise seed from rng for each portrait."""
    return draw(factors, resolution, rng.integers(1 << 40, size=len(factors["yaw"])))


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

"""How far may one go?  An edit's effect, its side effects, and who is left of the person.

    seen = sweep(G, ws, smile, np.arange(-6, 6.5, 0.5), reader, identity, D)
    known = thresholds(identity)                {"strict": 0.92, "loose": 0.65}
    budget(seen.identity, seen.alphas, known["strict"])        (−3.0, 2.5)

The budget is the largest step that nine pictures of ten survive, and every smaller step too: a
picture that comes back from being somebody else has not survived.  Who is the same is asked of a
network for identities; its cosines mean nothing by themselves, so the thresholds are measured with
it, on drawings of which the truth is known.

Read first: `directions.py`, `evaluation/measure.py`.
"""

import dataclasses

import numpy as np

from minigan import check
from minigan.data import portraits
from minigan.device import moved
from minigan.editing.directions import Direction, edit
from minigan.editing.space import statistics
from minigan.evaluation import measure
from minigan.networks.reader import in_batches

SHARE = 0.9  # of the pictures
# Identity by factors, beside a network's: it does not see all of these.
SAME, NEAR = ("hair_style", "hair_color", "eye_color"), ("skin", "head_shape")


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """N pictures at A steps; all arrays [A, N]."""

    alphas: np.ndarray  # [A], rising, with 0
    read: dict  # {factor: what was read}
    identity: np.ndarray  # cosine to the picture at α = 0
    photo: np.ndarray | None  # and to the photo that it is the reconstruction of
    logits: np.ndarray | None  # the discriminator's
    distance: np.ndarray  # of w from the middle, in standard deviations; a W+ code's mean square
    reader: str  # fingerprints
    judge: str

    @property
    def middle(self) -> int:
        """Where α is 0."""
        return int(np.flatnonzero(self.alphas == 0)[0])

    def change(self, factor: str) -> np.ndarray:
        """By how many standard deviations of what is drawn the factor has changed since α = 0; of
        choices 1 where it is no longer the first, such as no glasses, −1 where it is again."""
        f, value = portraits.BY_NAME[factor], self.read[factor]
        if f.choices:
            return (value > 0) * 1.0 - (value[self.middle] > 0)
        apart = value - value[self.middle]
        if factor == "background":  # a circle
            apart = (apart + 0.5) % 1 - 0.5
        return apart * (np.sqrt(12) / (f.high - f.low))

    @property
    def same(self) -> np.ndarray:
        """Identity by factors, bool: hair and eyes as at α = 0, skin and head within σ/2."""
        found = [self.read[name] == self.read[name][self.middle] for name in SAME]
        return np.all(found + [np.abs(self.change(name)) < 0.5 for name in NEAR], axis=0)


def sweep(
    G,
    ws: np.ndarray,
    direction: Direction,
    alphas: np.ndarray,
    reader,
    identity,
    D=None,
    photos: np.ndarray | None = None,
    anyway: bool = False,
) -> Sweep:
    """The pictures of ws [N, num_ws, w_dim], edited by each α, as networks see them.

    alphas [A]: rising, 0 among them.  reader, identity: for factors, for identities.  D: G's own.
    photos [N, C, R, R]: what ws are the reconstructions of.  The noise maps stay as they are.
    Raises: TypeError, ValueError for alphas without 0, or as `directions.edit` and the networks.
    """
    alphas = _checked(alphas)
    wanted = None if photos is None else identity(photos)
    group = getattr(getattr(D, "config", None), "mbstd_group_size", 4) or len(ws)
    found, space = [], statistics(G)
    for alpha in alphas:
        edited, there = edit(G, ws, direction, float(alpha), anyway)
        images = in_batches(edited.synthesis, there, 32)
        row = {"read": reader.read(images), "identity": identity(images)}
        if D is not None:  # pictures of a group see each other; these stay together at every α
            row["logits"] = in_batches(D, images, group)[:, 0]
        distances = space.distance(moved(there, "cpu"))
        found.append(row | {"distance": np.sqrt(np.mean(distances**2, axis=1))})
    first = found[int(np.flatnonzero(alphas == 0)[0])]["identity"]
    ids = np.stack([row["identity"] for row in found])

    def stacked(rows):
        return np.stack([moved(row, "cpu") for row in rows])

    return Sweep(
        alphas,
        {name: stacked(row["read"][name] for row in found) for name in found[0]["read"]},
        stacked(np.sum(ids * first, axis=2)),
        None if wanted is None else stacked(np.sum(ids * wanted, axis=2)),
        None if D is None else stacked(row["logits"] for row in found),
        stacked(row["distance"] for row in found), reader.fingerprint, identity.fingerprint,
    )  # fmt: skip


def _checked(alphas):
    alphas = np.asarray(alphas, np.float64)
    if alphas.ndim != 1 or np.sum(alphas == 0) != 1 or not (np.diff(alphas) > 0).all():
        raise ValueError(f"alphas are {alphas.tolist()}; expected rising numbers, 0 among them")
    return alphas


def budget(
    values: np.ndarray, alphas: np.ndarray, least: float, share: float = SHARE
) -> tuple[float, float]:
    """(lowest α, highest) up to which at least `share` of the pictures have had `least` or more at
    every step from 0 on, this one included.

    values [A, N], such as cosines to α = 0, or logits.  (0, 0): not even the first step.
    Raises: ValueError for alphas that do not rise or have no 0, or another shape.
    """
    alphas, values = _checked(alphas), np.asarray(values)
    if values.ndim != 2 or len(values) != len(alphas) or not values.size:
        raise ValueError(f"values have shape {values.shape}; expected [{len(alphas)}, N]")
    check.within("budget", "share", share, 0, 1)
    middle, ends = int(np.flatnonzero(alphas == 0)[0]), []
    for way in (slice(middle, None, -1), slice(middle, None)):
        alive = np.minimum.accumulate(values[way] >= least)  # who was lost once stays lost
        steps = int(np.sum(alive.mean(axis=1) >= share))  # the shares fall: these are the first
        ends.append(float(alphas[way][max(steps - 1, 0)]))
    return ends[0], ends[1]


def thresholds(identity, n: int = 1000, seed: int = 0) -> dict[str, float]:
    """{"strict", "loose"}: cosines of a network for identities, measured on drawings.

    strict: 99 of 100 pairs of portraits of one person, all attributes drawn anew, have more; loose:
    99 of 100 pairs of two people have less.
    """
    rng, size = np.random.default_rng([seed, 13]), identity.config.resolution
    someone = portraits.people(n, rng)
    a, b = (
        identity(portraits.draw_randomly(factors, size, rng))
        for factors in (someone, portraits.people(n, rng, someone))
    )
    same, other = np.sum(a * b, axis=1), np.sum(a * np.roll(b, 1, axis=0), axis=1)
    return {"strict": float(np.quantile(same, 0.01)), "loose": float(np.quantile(other, 0.99))}


def ideal(identity, factor: str, values: np.ndarray, n: int = 200, seed: int = 0) -> np.ndarray:
    """What the best edit there is would lose, [V, N]: cosines of a portrait to the same one, drawn
    with the same chance, but for the factor, which takes each of the V values."""
    rng, size = np.random.default_rng([seed, 14]), identity.config.resolution
    factors, chance = portraits.people(n, rng), rng.integers(1 << 31, size=n)
    before = identity(portraits.draw(factors, size, chance))
    edited = (identity(portraits.draw(factors | {factor: v}, size, chance)) for v in values)
    return np.stack([np.sum(before * after, axis=1) for after in edited])


def least_logit(G, D, n: int = 256, seed: int = 0, quantile: float = 0.01) -> float:
    """The logit that 99 of 100 pictures of fresh latents have: what has less is an artefact."""
    images = measure.images(G, n, np.random.default_rng([seed, 15]))
    group = getattr(D.config, "mbstd_group_size", 4) or n
    return float(np.quantile(in_batches(D, images, group), quantile))


def measured(
    direction: Direction, factor: str, seen: Sweep, known: dict[str, float], share: float = SHARE
) -> Direction:
    """The direction with what a sweep says of it: effect on the factor, side effects, budgets.

    known: of `thresholds`.  The side effects are the larger ones of the two ends of the strict
    budget: of a factor with numbers the mean |change| in its σ, of choices the share that changed.
    """
    ends = {name: budget(seen.identity, seen.alphas, known[name], share)
            for name in ("strict", "loose")}  # fmt: skip
    at = [int(np.flatnonzero(seen.alphas == alpha)[0]) for alpha in ends["strict"]]
    change, i = seen.change(factor).mean(axis=1), seen.middle
    near = [j for j in (i - 1, i + 1) if 0 <= j < len(change)] + [i]
    low, high = min(near), max(near)
    moved_by = {name: np.abs(seen.change(name)) for name in seen.read if name != factor}
    moved_by |= {name: seen.read[name] != seen.read[name][i] for name in moved_by
                 if portraits.BY_NAME[name].choices}  # fmt: skip
    return dataclasses.replace(
        direction, factor=factor, **ends, reader=seen.reader, identity=seen.judge,
        effect=float((change[high] - change[low]) / (seen.alphas[high] - seen.alphas[low])),
        reach=tuple(float(change[j]) for j in at),
        side_effects={name: float(max(a[j].mean() for j in at)) for name, a in moved_by.items()},
    )  # fmt: skip

"""How good is what was found for a picture?  Of drawn portraits every question has a true answer.

    mse, mse_face          mean squared error, in [−1, 1]; the second of skin and what it encloses
    perceptual             distance that the measuring reader sees, which no method's loss knows
    identity               cosine to the target's; identity_share: how many reach `Judge.strict`
    factor_error           |error| of the factors that are numbers, in standard deviations
    right                  share of the choices, such as the hair style, that come out right
    w_error                of generated pictures: distance to their own w, in units of W's radius
    mahalanobis            distance of w from W's middle, mean over the layers; about √D is typical
    spread                 how far apart the layers' w are, in units of W's radius
    editability_…          what one σ along the factor's direction does to the reading, as a share
                           of what it does to generated pictures: 1 is as good
    others_changed         by the three edits, of the other factors' readings, in their deviations
    identity_edited        cosine of the edited picture to the target
    edit_inside, _outside  mean squared error to the portrait *drawn* with the factor so changed,
                           where that differs from the target, and elsewhere
    others_moved           of tuned generators: mean squared change of other pictures
    seconds, numbers       of time and to store, for each picture

What a method cannot be asked is None.

Read first: `measure.py`, `editing/inversion.py`.  Read next: `experiments/inversion.py`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from minigan.data import portraits
from minigan.editing.perceptual import Perceptual
from minigan.editing.space import Space, statistics
from minigan.evaluation import metrics
from minigan.networks.reader import in_batches

EDITS = ("smile", "yaw", "mouth_open")
NUMBERS = (
    "mse", "mse_face", "perceptual", "identity", "identity_share", "factor_error", "right",
    "w_error", "mahalanobis", "spread", *(f"editability_{name}" for name in EDITS),
    "others_changed", "identity_edited", "edit_inside", "edit_outside", "others_moved",
    "seconds", "numbers",
)  # fmt: skip
CHANGED = 0.05  # in [−1, 1]: by how much a pixel differs where something has changed
_AS_EDITED = 256  # generated pictures that say what an edit does
_OTHERS = 32  # whose pictures should stay when a generator is tuned
_WIDE = 0.15  # of the widest component's standard deviation
_SIGMA = {f.name: (f.high - f.low) / 12**0.5  # the hue is a circle, and has none
          for f in portraits.FACTORS if not f.choices and f.name != "background"}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """Pictures, and what is known of them."""

    images: np.ndarray  # [N, C, R, R]
    face: np.ndarray  # bool [N, R, R]
    factors: dict | None  # the true ones; None where they say nothing of this picture
    ws: np.ndarray | None = None  # of generated pictures
    edited: Callable | None = None  # (factor, change) -> the true pictures with it so changed


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What a method found for N targets."""

    images: np.ndarray  # [N, C, R, R]
    ws: np.ndarray | None  # [N, num_ws, w_dim]
    generators: tuple  # one, or one for each picture
    seconds: float  # for each picture, in batches
    numbers: int | None  # to store, for each picture


def draw(generators: tuple, ws: np.ndarray) -> np.ndarray:
    """Pictures of ws [N, num_ws, w_dim], by one generator or by one for each."""
    if len(generators) == 1:
        return in_batches(generators[0].synthesis, ws, 64)
    return np.concatenate([G.synthesis(w[None]) for G, w in zip(generators, ws, strict=True)])


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """The networks that measure, and what edits do to the generator's own pictures."""

    G: object
    reader: object
    identity: object
    steps: dict  # {factor of EDITS: one σ along its direction, [w_dim]}
    effects: dict  # {factor: by how much that changes the reading of generated pictures}
    strict: float  # cosine that 99 % of the drawings of one person reach
    others: np.ndarray  # ws of some generated pictures

    @classmethod
    def of(cls, G, reader, identity, w: np.ndarray, read: dict) -> "Judge":
        """w [M, w_dim] of generated pictures and their factors, as *another* reader reads them:
        from these come the directions, one ridge regression each."""
        space = statistics(G)
        steps = {name: step_along(space, w, read[name]).astype(w.dtype) for name in EDITS}
        ws = np.repeat(w[:_AS_EDITED, None], G.num_ws, axis=1)
        before, effects = reader.read(draw((G,), ws)), {}
        for name, step in steps.items():
            after = reader.read(draw((G,), ws + step))
            effects[name] = float(np.mean(after[name] - before[name]))
        return cls(G, reader, identity, steps, effects, strict(identity), ws[:_OTHERS])

    def score(self, targets: Targets, found: Found) -> dict[str, float | None]:
        """A row: {name of NUMBERS: its value}, each the mean over the targets."""
        row = dict.fromkeys(NUMBERS) | {"seconds": found.seconds}
        squares = np.mean(np.square(found.images - targets.images), axis=1)
        row |= {"mse": squares.mean(), "mse_face": squares[targets.face].mean()}
        sees = Perceptual(self.reader, "reader")
        a, b = (in_batches(sees, x, 64) for x in (found.images, targets.images))
        row["perceptual"] = np.mean(np.sum(np.square(a - b), axis=1))
        who = self.identity(targets.images)
        cosine = np.sum(who * self.identity(found.images), axis=1)
        row |= {"identity": cosine.mean(), "identity_share": np.mean(cosine >= self.strict)}
        read = self.reader.read(found.images)
        if targets.factors is not None:
            row["factor_error"] = np.mean(
                [np.abs(read[k] - targets.factors[k]) / sigma for k, sigma in _SIGMA.items()]
            )
            row["right"] = np.mean([read[f.name] == targets.factors[f.name]
                                    for f in portraits.FACTORS if f.choices])  # fmt: skip
        if found.ws is not None:
            row |= self._of_w(targets, found) | self._of_edits(targets, found, read, who)
        row = {name: None if v is None else float(v) for name, v in row.items()}
        return row | {"numbers": found.numbers}

    def _of_w(self, targets, found):
        space, ws = statistics(self.G), found.ws

        def length(a):
            return np.sqrt(np.mean(np.sum(np.square(a), axis=2), axis=1)).mean() / space.radius

        moved = [np.mean(np.square(T.synthesis(self.others) - draw((self.G,), self.others)))
                 for T in found.generators if T is not self.G]  # fmt: skip
        return {
            "w_error": None if targets.ws is None else length(ws - targets.ws),
            "mahalanobis": space.distance(ws).mean(),
            "spread": length(ws - ws.mean(axis=1, keepdims=True)),
            "others_moved": np.mean(moved) if moved else 0.0,
        }

    def _of_edits(self, targets, found, read, who):
        row, others, same, inside, outside = {}, [], [], [], []
        for name, step in self.steps.items():
            images = draw(found.generators, found.ws + step)
            after = self.reader.read(images)
            row[f"editability_{name}"] = np.mean(after[name] - read[name]) / self.effects[name]
            others += [np.mean(np.abs(after[k] - read[k])) / sigma
                       for k, sigma in _SIGMA.items() if k != name]  # fmt: skip
            same.append(np.mean(np.sum(who * self.identity(images), axis=1)))
            if targets.edited is not None:
                true = targets.edited(name, self.effects[name])
                should = np.abs(true - targets.images).max(axis=1) > CHANGED
                squares = np.mean(np.square(images - true), axis=1)
                inside.append(squares[should].mean())
                outside.append(squares[~should].mean())
        row |= {"others_changed": np.mean(others), "identity_edited": np.mean(same)}
        if inside:
            row |= {"edit_inside": np.mean(inside), "edit_outside": np.mean(outside)}
        return row


def step_along(space: Space, w: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One standard deviation of w [M, D] along the direction in which a linear map says that
    values [M] grow: [D].

    The map is a ridge regression, as in `metrics.readability`, from the wide components of W: what
    it learns of the narrow ones predicts a little more, and hardly changes a picture.
    """
    wide = space.components[:, space.variances >= _WIDE**2 * space.variances[0]]
    x, y = w.astype(np.float64) @ wide, np.asarray(values, np.float64)[:, None]
    x, y = x - x.mean(axis=0), y - y.mean()
    weights = metrics._ridge(np.linalg.eigh(x.T @ x / len(x)), y, x.T @ y / len(x))[:, 0]
    normal = weights / np.linalg.norm(weights)
    return wide @ normal * np.std(x @ normal)


def strict(identity, n: int = 1000, seed: int = 0) -> float:
    """The cosine that 99 % of n people reach who are drawn twice, every attribute drawn anew."""
    rng = np.random.default_rng([seed, 40])
    someone = portraits.people(n, rng)
    a, b = (identity(portraits.draw_randomly(factors, identity.config.resolution, rng))
            for factors in (someone, portraits.people(n, rng, someone)))  # fmt: skip
    return float(np.quantile(np.sum(a * b, axis=1), 0.01))

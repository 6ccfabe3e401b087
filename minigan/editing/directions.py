"""Directions that change one thing in a picture: how they are found in W, kept, and applied.

    smile = in_w(G, ridge(w, scores), "smile", "ridge", layers=range(4, 10))
    G2, ws2 = edit(G, ws, smile, 2.0)          two standard deviations along it
    G2.synthesis(ws2)

With labels: the normal of a plane that separates (InterFaceGAN: Shen et al. 2020, arXiv
1907.10786), of the plane that fits best (`ridge`), or the difference of the groups' means, which
drags along all that is more frequent in one of them.  Without: what the affine layers amplify most
(SeFa: Shen & Zhou 2021, arXiv 2007.06600), or where W is widest (GANSpace: Härkönen et al. 2020,
arXiv 2004.02546).  In S, the styles, a direction is a few channels: see `stylespace.py`.

Read first: `space.py`.  Read next: `budget.py`, how far one may go.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable

import numpy as np

from minigan import check, files
from minigan.device import beside, moved
from minigan.editing import stylespace
from minigan.editing.space import Space, statistics
from minigan.evaluation.metrics import _ridge
from minigan.files.reading import shown


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A step in W or in S, whose it is, and what is known of it.

    One unit of α is sigma·vector.  In W: with a vector of length 1 and the spread of W along it as
    sigma, one standard deviation.  In S: of the layer's own affine output; see `stylespace.py`.
    """

    name: str
    space: str  # "w" or "s"
    vector: np.ndarray | dict  # [w_dim] or [num_ws, w_dim]; of S {"b32.conv1": {45: 1.0}, …}
    generator: str  # its fingerprint
    layers: tuple = ()  # of W: which ws it is added to
    sigma: float = 1.0
    method: str = ""
    n: int = 0  # labels, or pictures, that it was found from
    details: dict = dataclasses.field(default_factory=dict)  # {what: number}
    # As `budget.measured` found it, in standard deviations of the factor:
    factor: str = ""
    effect: float | None = None  # for each α, in small steps
    reach: tuple | None = None  # at both ends of the strict budget
    side_effects: dict = dataclasses.field(default_factory=dict)  # there, mean magnitudes
    strict: tuple | None = None  # (lowest α, highest): nobody becomes less like himself, and
    loose: tuple | None = None  # (…): nobody becomes somebody else
    reader: str = ""  # fingerprint of what read the factors
    identity: str = ""  # and of what told people apart

    def __post_init__(self):
        check.fields(self, n=0)
        check.choice(self, "space", ("w", "s"))
        if self.sigma <= 0 or not self.name:
            raise ValueError(f"Direction: name is {self.name!r}, sigma {self.sigma}; expected a "
                             "word, and a number above 0")  # fmt: skip
        for name in ("details", "side_effects"):
            for key, value in getattr(self, name).items():
                check.number("Direction", f"{name}[{key!r}]", value)
        if self.space == "w":
            check.finite("vector", self.vector, (None,) * (1 + (np.ndim(self.vector) == 2)))
            if not self.layers or {type(i) for i in self.layers} != {int} or min(self.layers) < 0:
                raise ValueError(f"Direction: layers are {self.layers}; expected which ws")
            return
        if not isinstance(self.vector, dict) or not self.vector or self.layers:
            raise ValueError("Direction: expected a vector in S as {layer: {channel: size}}, and "
                             "no layers beside it")  # fmt: skip
        for layer, sizes in self.vector.items():
            for channel, size in sizes.items():
                check.whole("Direction", f"a channel of {layer}", channel, 0)
                check.number("Direction", f"{layer}, channel {channel}", size)

    def must_fit(self, G, anyway: bool = False) -> None:
        """Raises: ValueError for another generator, unless `anyway`, and where it cannot fit."""
        if self.generator != G.fingerprint and not anyway:
            raise ValueError(
                f"the direction {self.name} is of the generator {self.generator}, and this is "
                f"{G.fingerprint}; expected the same (or anyway=True, as for one that was tuned)"
            )
        if self.space == "w":
            shape = np.shape(self.vector)
            fits = shape in ((G.w_dim,), (G.num_ws, G.w_dim)) and max(self.layers) < G.num_ws
            there = f"a vector of shape {list(shape)} for the layers {self.layers}"
        else:
            sizes = {layer.name: layer.channels for layer in stylespace.layers(G)}
            fits = all(max(s, default=0) < sizes.get(name, 0) for name, s in self.vector.items())
            there = f"channels of {', '.join(self.vector)}"
        if not fits:
            raise ValueError(f"the direction {self.name} has {there}; this generator has none "
                             f"such: {G.num_ws} ws of {G.w_dim} numbers")  # fmt: skip


def edit(G, ws: np.ndarray, direction: Direction, alpha: float, anyway: bool = False) -> tuple:
    """(G', ws'): what draws the pictures of ws [N, num_ws, w_dim] after α steps along `direction`.

    In W the generator stays; in S the ws do, and biases of the generator's affine layers move:
    adding to a channel's style in every picture is adding to its bias.
    anyway: whatever generator it was found in.
    Raises: TypeError, ValueError for another generator, or arguments that do not fit.
    """
    check.finite("ws", ws, (None, G.num_ws, G.w_dim), like=G.w_avg)
    direction.must_fit(G, anyway)
    step = check.number("edit", "alpha", alpha) * direction.sigma
    if direction.space == "w":
        moves = np.zeros((G.num_ws, G.w_dim))
        rows = list(direction.layers)
        moves[rows] = np.broadcast_to(direction.vector, moves.shape)[rows]
        return G, ws + beside((step * moves).astype(ws.dtype), ws)
    changed = {}
    for layer, sizes in direction.vector.items():
        key = f"synthesis.{layer}.affine.bias"
        move = np.zeros(G.params[key].shape, G.params[key].dtype)
        move[list(sizes)] = step * np.array(list(sizes.values()))
        changed[key] = G.params[key] + beside(move, G.params[key])
    return G.replace(params=G.params | changed), ws


def facing(G, direction: Direction, read: Callable, ws: np.ndarray, alpha=1.0) -> Direction:
    """The direction or its opposite, not measured yet: whichever raises what `read` (images -> [N])
    says of G's own pictures on average.  Its labels may have said otherwise.  Raises: as `edit`."""
    edits = (edit(G, ws, direction, a) for a in (alpha, -alpha))
    up, down = (np.mean(read(edited.synthesis(there))) for edited, there in edits)
    if up >= down:
        return direction
    d, turned = direction, direction.vector
    if d.space == "w":
        turned = -turned
    else:
        turned = {name: {i: -size for i, size in sizes.items()} for name, sizes in turned.items()}
    return Direction(d.name, d.space, turned, d.generator, d.layers, d.sigma, d.method, d.n,
                     d.details)  # fmt: skip


# ---- on disk -------------------------------------------------------------------------------------


def save(path: str | os.PathLike, *directions: Direction) -> None:
    """Write an `.npz` of directions, each with a name of its own.

    Raises: ValueError for two of one name; OSError if the file cannot be written.
    """
    names = [d.name for d in directions]
    if len(set(names)) < len(names):
        raise ValueError(f"save: the directions are called {names}; expected different names")
    about = [dict(vars(d)) for d in directions]
    arrays = {f"vector/{i}": a.pop("vector") for i, a in enumerate(about) if a["space"] == "w"}
    files.save(path, {}, arrays, directions=about)


def read(path: str | os.PathLike) -> dict[str, Direction]:
    """What `save` wrote: {name: direction}.

    Raises: FileNotFoundError; ValueError for a file that is not ours, is damaged or hostile.
    """
    _, arrays, meta = files.read(path)
    try:
        found = {}
        for i, about in enumerate(meta["directions"]):
            if about["space"] == "w":
                about["vector"] = arrays[f"vector/{i}"]
            else:
                about["vector"] = {layer: {int(channel): size for channel, size in sizes.items()}
                                   for layer, sizes in about["vector"].items()}  # fmt: skip
            found[about["name"]] = Direction(**about)
        return found
    except Exception as error:  # a description can be wrong in more ways than one can name
        raise ValueError(f"{path} does not hold directions: {shown(error, 300)}") from None


def read_foreign(path: str | os.PathLike, G, name: str) -> Direction:
    """Somebody else's direction in the W of G, from a `.npy` or a `.pt` of one tensor: [w_dim],
    [1, w_dim], or [num_ws, w_dim].  Nothing in such a file says whose W it is: the caller does.

    sigma is 1: α has the authors' unit.  Raises: FileNotFoundError, ValueError.
    """
    vector = np.asarray(files.read_array(path), np.float64)
    vector = vector[0] if vector.shape == (1, G.w_dim) else vector
    found = Direction(name, "w", vector, G.fingerprint, tuple(range(G.num_ws)), method="foreign")
    found.must_fit(G)
    return found


# ---- with labels ---------------------------------------------------------------------------------


def in_w(
    G, vector: np.ndarray, name: str, method: str, layers: Iterable | None = None, n: int = 0,
    **details: float,
) -> Direction:  # fmt: skip
    """The `Direction` along vector [w_dim] in these layers (None: all), in steps of W's spread
    along it.  Raises: ValueError, TypeError as `Direction`."""
    vector = _unit(np.asarray(vector, np.float64))
    sigma = float(np.sqrt(vector @ statistics(G).covariance @ vector))
    layers = tuple(range(G.num_ws) if layers is None else layers)
    found = Direction(name, "w", vector, G.fingerprint, layers, sigma, method, n, details)
    found.must_fit(G)
    return found


def extremes(
    scores: np.ndarray, share: float = 0.02, split: float = 0.7, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(rows to learn from, rows held out): the highest and the lowest scores, shuffled.

    scores [N]; NaN: not labelled.  share: of those labelled, for each side, or from 1 on how many;
    at most half of them, and never one score on both sides where there are two.  split: to learn
    from.  The first half of either result is the high one.
    Raises: ValueError for fewer than two different scores, or too few to learn from.
    """
    scores = np.asarray(scores, np.float64)
    labelled = np.flatnonzero(np.isfinite(scores))
    known = scores[labelled]
    count = int(len(known) * share) if share <= 1 else int(share)
    if len(known):
        tied = min(np.sum(known > known.min()), np.sum(known < known.max()))
        count = min(count, len(known) // 2, int(tied))
    train = int(count * split)
    if train < 1:
        raise ValueError(
            f"extremes: {len(known)} scores, of which {count} for each side, {train} to learn "
            "from; expected at least one, of two different scores"
        )
    order, rng = labelled[np.argsort(known, kind="stable")[::-1]], np.random.RandomState(seed)
    high, low = (side[rng.permutation(count)] for side in (order[:count], order[-count:]))
    return (np.concatenate([high[:train], low[:train]]),
            np.concatenate([high[train:], low[train:]]))  # fmt: skip


def svm(
    w: np.ndarray,
    scores: np.ndarray,
    share: float = 0.1,
    C: float = 0.01,
    space: Space | None = None,
    keep: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, dict[str, float]]:
    """InterFaceGAN: the unit normal [D] of the plane that separates high scores from low ones.

    w [N, D], scores [N], NaN where unknown; share as in `extremes`.  space: learn in its `keep`
    widest components (None: all), each of variance 1; None: in w itself, as the authors do, with
    C = 1.  The plane's offset is dropped.
    Also returns {"accuracy_extremes": of those held out; "accuracy_all": of all that it has not
    learnt from, upper half against lower}, where there are some.  Raises: as `extremes`.
    """
    from sklearn.svm import LinearSVC  # slow to import

    w, scores = np.asarray(w, np.float64), np.asarray(scores, np.float64)
    train, held = extremes(scores, share, seed=seed)
    mean, basis = 0.0, np.eye(w.shape[1])
    if space is not None:
        widths = np.sqrt(np.maximum(space.variances, space.variances[0] * 1e-8))
        mean, basis = space.mean, (space.components / widths)[:, :keep]
    v = (w - mean) @ basis
    plane = LinearSVC(C=C, random_state=seed, max_iter=20_000)
    plane.fit(v[train], np.arange(len(train)) < len(train) // 2)
    new = np.setdiff1d(np.flatnonzero(np.isfinite(scores)), train)
    truths = {
        "accuracy_extremes": (held, np.arange(len(held)) < len(held) // 2),
        "accuracy_all": (new, scores[new] > np.nanmedian(scores)),
    }
    right = {name: float(np.mean(plane.predict(v[rows]) == truth))
             for name, (rows, truth) in truths.items() if len(rows)}  # fmt: skip
    return _unit(basis @ plane.coef_[0]), right


def ridge(w: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The unit vector [D] along which the linear fit to scores [N], NaN where unknown, rises.

    It takes every label, not the extremes only; the penalty is generalised cross-validation's.
    """
    known = np.isfinite(scores)
    x, y = np.asarray(w, np.float64)[known], np.asarray(scores, np.float64)[known, None]
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    x = x / np.sqrt(np.mean(x * x))  # one scale for all: the penalty holds what is narrow
    return _unit(_ridge(np.linalg.eigh(x.T @ x / len(x)), y, x.T @ y / len(x))[:, 0])


def difference(w: np.ndarray, scores: np.ndarray, share: float = 0.1) -> np.ndarray:
    """From the mean of the lowest scores' w to the highest scores', of length 1: [D].

    Where W is not round, no normal: it points to all that differs between the groups.
    """
    rows, _ = extremes(scores, share, split=1.0)
    high, low = np.split(np.asarray(w, np.float64)[rows], 2)
    return _unit(high.mean(axis=0) - low.mean(axis=0))


def condition(vector: np.ndarray, others: Iterable[np.ndarray]) -> np.ndarray:
    """vector [D] without what lies along any of the others, of length 1; as it is without any.

    InterFaceGAN's conditional edit (Eq. 7).  The authors' code has a closed form for two others
    with 1e-8 in its denominator, so that its result is orthogonal to 8 digits only.
    Raises: ValueError if nothing is left.
    """
    others = np.stack([np.asarray(other, np.float64) for other in others] or [0 * vector])
    if not others.any():
        return vector
    left = vector - others.T @ np.linalg.lstsq(others.T, vector)[0]
    if np.linalg.norm(left) < 1e-9 * np.linalg.norm(vector):
        raise ValueError("condition: the vector lies within the others; expected another one")
    return _unit(left)


# ---- without labels ------------------------------------------------------------------------------


def factorise(weights: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """SeFa (Eq. 5): (eigenvalues [D], falling; unit vectors [D, D], a row each) of AᵀA, A being the
    affine layers' weights [C, D] one below the other, each row of length 1.

    The authors' code leaves the order to a general solver, so its first ones need not be the
    largest.  The sign means nothing: the largest entry is positive.
    """
    rows = np.concatenate([np.asarray(a, np.float64) for a in weights])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    return values[::-1], _upright(vectors[:, ::-1].T)


def sefa(G, count: int = 10, layers: Iterable | None = None) -> list[Direction]:
    """The first directions of `factorise`, of the convolutions and the last toRGB among these
    layers (numbers of ws; None: all), and for them.  They are directions in w, not z.

    Raises: ValueError for layers that G does not have.
    """
    layers = tuple(range(G.num_ws) if layers is None else layers)
    some = [layer for layer in stylespace.layers(G) if layer.index in layers]
    some = [a for a in some if not a.rgb or a.index == G.num_ws - 1]
    if not some:
        raise ValueError(f"sefa: layers are {layers}; expected some from 0 to {G.num_ws - 1}")
    keys = [f"synthesis.{layer.name}.affine.weight" for layer in some]
    values, vectors = factorise(moved(G.params[key], "cpu") for key in keys)
    return [in_w(G, vectors[i], f"sefa {i}", "sefa", layers, eigenvalue=float(values[i]))
            for i in range(min(count, G.w_dim))]  # fmt: skip


def components(G, count: int = 10, layers: Iterable | None = None) -> list[Direction]:
    """GANSpace: the principal components of W, the widest first, for these layers (None: all)."""
    W = statistics(G)
    vectors, whole = _upright(W.components.T), float(W.variances.sum())
    return [in_w(G, vectors[i], f"pca {i}", "pca", layers, share=float(W.variances[i]) / whole)
            for i in range(min(count, G.w_dim))]  # fmt: skip


def _unit(vector):
    length = float(np.linalg.norm(vector))
    if not 0 < length < np.inf:
        raise ValueError(f"a direction has the length {length}; expected one above 0")
    return vector / length


def _upright(rows):
    """Each row with its largest entry positive."""
    peaks = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return rows * np.sign(peaks)

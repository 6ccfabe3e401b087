"""Does this generator draw such pictures?  Three measures, each beside those of its own pictures.

A generator can be made to draw nearly anything, somehow; what that costs tells whether it *knows*
such pictures.  One is looked for among a few of G's own, in the same search, of few steps:

error      what the search leaves of it
distance   how far its w lies from the middle of W (Mahalanobis; `space.py`).  A search does not
           find an own picture's w again, but one some six times as far out, so the distances to
           compare with are those that the search finds for own pictures, not those of W
logit      what the discriminator that G was trained against says of the picture itself

A measure is outside if it is worse than that of the worst own picture; of the logit, than 1 % of
them.  One outside may be chance, 1 in n + 1; two are not.

Read first: `inversion.py`.  Read next: `invert.py`.
"""

import os
from collections.abc import Callable

import numpy as np

from minigan.device import beside, moved
from minigan.editing import inversion
from minigan.editing.inversion import SAMPLES
from minigan.editing.space import statistics

STEPS = 60  # of the search
JUDGED = 25  # own pictures that the discriminator sees for each that is looked for
LARGEST = 1 << 16  # pixels of all targets that are looked for at once
NAMES = {"error": "error left after few steps", "distance": "distance of w from the middle of W",
         "logit": "discriminator's logit"}  # fmt: skip


def measure(
    G, D, target: np.ndarray, features: Callable, n: int, c: np.ndarray | None = None,
    seed: int = 0, samples: int = SAMPLES, state: str | os.PathLike | None = None,
) -> dict | None:  # fmt: skip
    """{"error", "distance", "logit": {"value", "median", "limit", "outside"}} of target
    [1, C, R, R], the last two of n own pictures.  None if Ctrl-C ended it.

    D: None leaves "logit" out.  c [1, c_dim]: the label of all.  samples: for W's statistics.
    state: how the names of files begin that the searches go on from.  Raises: as `optimise`.
    """
    rng, many = np.random.default_rng([seed, 36]), max(n, JUDGED * n if D is not None else 0)

    def own():
        for _ in range(many):
            z = rng.standard_normal((1, G.z_dim)).astype(target.dtype)
            yield G.synthesis(G.mapping(beside(z, target), c))

    pictures = own()
    targets = np.concatenate([target, *(next(pictures) for _ in range(n))])
    settings = inversion.Settings("w", STEPS, samples=samples, seed=seed)
    errors, ws, at_once = [], [], max(1, LARGEST // G.img_resolution**2)
    for i in range(0, n + 1, at_once):
        some = targets[i : i + at_once]
        labels = None if c is None else np.repeat(c, len(some), axis=0)
        kept = None if state is None else f"{state}{i}.npz"
        search = inversion.optimise(G, some, features, settings, labels, state=kept)
        if search.done < STEPS:
            return None
        errors.append(search.losses.min(axis=0))
        ws.append(moved(search.best.ws[:, 0], "cpu"))
    space = statistics(G, None if c is None else moved(c[0], "cpu"), samples)
    found = {"error": _largest(np.concatenate(errors)),
             "distance": _largest(space.distance(np.concatenate(ws)))}  # fmt: skip
    if D is not None:
        try:
            logits = np.array(  # one by one: others in the batch would be judged along with it
                [float(D(x, c)[0, 0]) for x in (*np.split(targets, len(targets)), *pictures)]
            )
        except KeyboardInterrupt:
            return None
        limit = float(np.quantile(logits[1:], 0.01))
        found["logit"] = _beside(logits, limit, bool(logits[0] < limit))
    return found


def _largest(values):
    limit = float(values[1:].max())
    return _beside(values, limit, bool(values[0] > limit))


def _beside(values, limit, outside):
    return {"value": float(values[0]), "median": float(np.median(values[1:])), "limit": limit,
            "outside": outside}  # fmt: skip


def verdict(found: dict | None, aligned: bool) -> dict:
    """{"draws": "yes", "nearly", "no" or "unknown", "sentence"} of what `measure` found.

    aligned: whether the picture was; if not, that is the first thing to try.
    """
    if found is None:
        return {"draws": "unknown", "sentence": "Whether the generator draws such pictures was "
                "not measured; --calibrate 8 does."}  # fmt: skip
    out = [name for name, one in found.items() if one["outside"]]
    words = " and ".join(f"the {NAMES[name]} ({found[name]['value']:.3g})" for name in out)
    if not out:
        draws, text = "yes", (
            f"This is what the generator draws: all {len(found)} measures lie where those of its "
            "own pictures do.")  # fmt: skip
    elif len(out) == 1:
        draws, text = "nearly", (
            f"This is nearly what the generator draws: {words} lies outside of what its own "
            "pictures have.")  # fmt: skip
    else:
        first = "try another generator" if aligned else "align the photo (--landmarks)"
        draws, text = "no", (
            f"This is not what the generator draws: {words} lie outside of what its own pictures "
            f"have. First {first}; the last resort is fine-tuning.")  # fmt: skip
    return {"draws": draws, "sentence": text}

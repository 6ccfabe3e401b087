"""Does this generator draw such pictures?  Three measures, each beside those of its own pictures.

A generator can be made to draw nearly anything, somehow; what that costs tells whether it *knows*
such pictures.  One is looked for among a few of G's own, in the same search, of few steps:

error      what the search leaves of it
distance   how far its w lies from the middle of W (Mahalanobis; `space.py`).  A search does not
           find an own picture's w again, but one some six times as far out, so the distances to
           compare with are those that the search finds for own pictures, not those of W
doubt      minus what the discriminator that G was trained against says of the picture itself

A measure is outside if no more than 1 % of the own pictures have a larger one: with fewer than a
hundred, if none has.  One outside may be chance, 1 in n + 1; two are not.

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
         "doubt": "discriminator's doubt, minus its logit"}  # fmt: skip


def measure(
    G, D, target: np.ndarray, features: Callable, n: int, c: np.ndarray | None = None,
    seed: int = 0, samples: int = SAMPLES, state: str | os.PathLike | None = None,
) -> dict | None:  # fmt: skip
    """{"error", "distance", "doubt": {"value", "median", "limit", "outside"}} of target
    [1, C, R, R], beside n own pictures, and {"n", "steps"}.  None if Ctrl-C ended it.

    D: None leaves "doubt" out.  c [1, c_dim]: the label of all.  samples: for W's statistics.
    state: how the names of files begin that the searches go on from.  Raises: as `optimise`.
    """
    z = np.random.default_rng([seed, 36]).standard_normal((JUDGED * n, 1, G.z_dim))
    pictures = (G(beside(one, target), c) for one in z.astype(target.dtype))  # drawn when needed
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
    distances = space.distance(np.concatenate(ws))
    found = {"error": _beside(np.concatenate(errors)), "distance": _beside(distances)}
    if D is not None:
        try:
            logits = np.array(  # one by one: others in the batch would be judged along with it
                [float(D(x, c)[0, 0]) for x in (*np.split(targets, len(targets)), *pictures)]
            )
        except KeyboardInterrupt:
            return None
        found["doubt"] = _beside(-logits)
    return {"n": n, "steps": STEPS} | found


def _beside(values):
    """Of the first beside the others; those of which 1 % or none are as large lie outside."""
    limit = float(np.quantile(values[1:], 0.99, method="higher"))
    return {"value": float(values[0]), "median": float(np.median(values[1:])), "limit": limit,
            "outside": bool(values[0] > limit)}  # fmt: skip


def verdict(found: dict | None, aligned: bool) -> dict:
    """{"draws": "yes", "nearly", "no" or "unknown", "sentence"} of what `measure` found.

    aligned: whether the picture was; if not, that is the first thing to try.
    """
    if found is None:
        text = "Whether the generator draws such pictures was not measured; --calibrate 8 does."
        return {"draws": "unknown", "sentence": text}
    known = {k: one for k, one in found.items() if k in NAMES}
    out = [k for k, one in known.items() if one["outside"]]
    words = " and ".join(f"the {NAMES[k]} ({known[k]['value']:.3g})" for k in out)
    first = "try another generator" if aligned else "align the photo (--landmarks)"
    draws, text = [
        ("yes", f"This is what the generator draws: all {len(known)} measures lie where those of "
                "its own pictures do."),
        ("nearly", f"This is nearly what the generator draws: {words} lies outside of what its own "
                   "pictures have."),
        ("no", f"This is not what the generator draws: {words} lie outside of what its own "
               f"pictures have. First {first}; the last resort is fine-tuning."),
    ][min(len(out), 2)]  # fmt: skip
    return {"draws": draws, "sentence": text}

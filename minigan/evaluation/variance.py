"""Does w matter?  How a generator's variance splits between its latent and its noise.

Read first: `networks/base.py`, `toy/model.py`.
"""

import dataclasses

import numpy as np

W_SHARE = 0.5  # a run in which w explains less of the variance ends with a warning


def variance_split(G, rng: np.random.Generator, n: int = 512) -> dict:
    """Does w matter?  What share of the output's variance is due to the latent, what to the noise.

    Each of n pairs of latents w, w′ is shown with the same two draws of noise, a and b.  What the
    step from a to b changes alike for w and w′ is due to the noise alone; what the step from w to
    w′ changes alike under a and b, to w alone; the rest, to both together: the two main effects and
    the interaction of a 2 × 2 design (Sobol 1993).
    Returns {"w": share, "noise": share, "both": share, "layers": [(name, w, noise), …]}; the three
    shares add up to 1.  A layer's numbers say how much changes if its w, or its noise map, alone is
    drawn anew (total effects: they need not add up).
    G: any generator with `mapping`, `synthesis` and `buffers`.  n: number of latents, from 2.
    Raises: ValueError if every output is the same.
    """
    ws = G.mapping(rng.standard_normal((n, G.z_dim), np.float32))
    a, b = (int(seed) for seed in rng.integers(1 << 62, size=2))  # of all noise maps

    def images(ws, seed):
        return G.synthesis(ws, "random", np.random.default_rng(seed))

    others = np.roll(ws, 1, axis=0)
    wa, wb, oa, ob = (images(w, seed) for w in (ws, others) for seed in (a, b))
    parts = {
        "w": float(np.mean((wa - oa) * (wb - ob))) / 2,
        "noise": float(np.mean((wa - wb) * (oa - ob))) / 2,
        "both": float(np.mean(np.square(wa - wb - oa + ob))) / 4,
    }
    total = sum(parts.values())
    if total == 0:
        raise ValueError("variance_split: every output is the same; there is no variance to split")
    ws = ws[:512]  # enough for the layers, each of which takes several passes
    const = G.synthesis(ws, "const")
    layers = []
    names = [k.removesuffix(".noise_const") for k in G.buffers if k.endswith(".noise_const")]
    for i, name in enumerate(names):
        others = np.array(ws)
        others[:, i] = np.roll(ws[:, i], 1, axis=0)
        w_effect = _half_square(const, G.synthesis(others, "const")) / total
        key = f"{name}.noise_const"
        effects = []
        for _ in range(4):  # one map serves the whole batch, so take the mean over a few
            fresh = rng.standard_normal(G.buffers[key].shape, np.float32)
            redrawn = dataclasses.replace(G, buffers=G.buffers | {key: fresh})
            effects.append(_half_square(const, redrawn.synthesis(ws, "const")) / total)
        layers.append((name.removeprefix("synthesis."), w_effect, float(np.mean(effects))))
    return {name: part / total for name, part in parts.items()} | {"layers": layers}


def _half_square(a, b):
    return float(np.mean((a - b) ** 2)) / 2


def splits(G) -> bool:
    """Whether the variance of a generator's outputs can be split between w and its noise."""
    return G.c_dim == 0 and any(name.endswith(".noise_const") for name in G.buffers)


def split(G, seed: int) -> dict:
    """`variance_split` of a few latents, always the same."""
    return variance_split(G, np.random.default_rng(seed), 128)


def does_w_matter(G, seed: int) -> None:
    """Print how the outputs' variance splits between w and the noise; warn if w does little."""
    if not splits(G):
        return
    found = split(G, seed)
    shares = ", ".join(f"{name} {100 * found[name]:.1f} %" for name in ("w", "noise", "both"))
    print(f"does w matter?  of the variance: {shares}")
    for name, w, noise in found["layers"]:
        print(f"  {name:12s} w {100 * w:5.1f} %   noise {100 * noise:5.2f} %")
    if found["w"] < W_SHARE:
        print(f"WARNING: w explains less than {100 * W_SHARE:.0f} % of the variance: "
              "this generator all but ignores its latent")  # fmt: skip

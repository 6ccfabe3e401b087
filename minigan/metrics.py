"""Measures of what a generator does, named for what they are.

Distances need no trained network here: the toy's signals have known factors.  Each is to be read
beside its floor, the same distance between two sets of real data.
"""

import dataclasses

import numpy as np
import scipy.optimize

from minigan import autograd


def sliced_wasserstein(a, b, rng, projections=256):
    """Root mean squared 2-Wasserstein distance of two sample sets along random directions.

    a, b: [N, …], as many of each.  Random unit directions from rng (numpy Generator); along one,
    the distance is that of the sorted values.  Rabin et al. 2011.  The unit is that of a and b.
    Raises: ValueError if the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"sliced_wasserstein: a has shape {a.shape}, b {b.shape}; expected equal")
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    directions = rng.standard_normal((a.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    gaps = np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)
    return float(np.sqrt(np.mean(gaps**2)))


def linear_separability(latents, factors):
    """How well a hyperplane in latent space tells each factor's upper half from its lower half.

    latents [N, D]; factors [N, F], those of the generated samples.  A linear classifier (logistic
    regression; the paper takes an SVM) learns on the first half and is judged on the second.
    Returns (score, accuracies [F]): score = exp(Σ H(Y|X)), X the prediction and Y the truth
    (StyleGAN, §4.2).  1 is perfect; 2ᶠ is chance.
    """
    x = (latents - latents.mean(axis=0)) / (latents.std(axis=0) + 1e-8)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    half = len(x) // 2
    labels = factors > np.median(factors, axis=0)
    weights = np.stack([_logistic_regression(x[:half], y) for y in labels[:half].T], axis=1)
    predicted, true = x[half:] @ weights > 0, labels[half:]
    entropy = 0.0
    for p, y in zip(predicted.T, true.T, strict=True):
        for side in (False, True):
            share = np.mean(y[p == side]) if np.any(p == side) else 0.0
            for q in (share, 1 - share):
                if q > 0:
                    entropy -= np.mean(p == side) * q * np.log(q)
    return float(np.exp(entropy)), np.mean(predicted == true, axis=0)


def _logistic_regression(x, label):
    """Weights [D] of the hyperplane x·w = 0 that best separates label True from False."""
    sign = np.where(label, 1.0, -1.0)

    def loss(w):
        return np.mean(np.logaddexp(-sign * (x @ w), 0.0)) + 1e-4 * np.sum(w * w)

    gradient = autograd.grad(loss)
    return scipy.optimize.minimize(loss, np.zeros(x.shape[1]), jac=gradient, method="L-BFGS-B").x


def variance_split(G, rng, n=512):
    """Does w matter?  What share of the output's variance is due to the latent, what to the noise.

    Two samples of the same w and fresh noise differ by chance alone: E[(x − x′)²]/2 is the variance
    given w.  Returns {"w": share, "noise": share, "layers": [(name, w, noise), …]}; the two shares
    add up to 1.  A layer's numbers say how much changes if its w, or its noise map, alone is drawn
    anew (total effects: they need not add up).
    G: any generator with `mapping`, `synthesis` and `buffers`.  n: number of latents.
    """
    z = rng.standard_normal((n, G.z_dim), np.float32)
    ws = G.mapping(z)
    x = G.synthesis(ws, "random", rng)
    total = float(np.mean(np.var(x, axis=0, ddof=1)))
    if total == 0:
        raise ValueError("variance_split: every output is the same; there is no variance to split")
    noise = _half_square(x, G.synthesis(ws, "random", rng)) / total
    ws = ws[:512]  # enough for the layers, each of which takes several passes
    const = G.synthesis(ws, "const")
    layers = []
    names = [k.removesuffix(".noise_const") for k in G.buffers if k.endswith(".noise_const")]
    for i, name in enumerate(names):
        others = np.array(ws)
        others[:, i] = ws[::-1, i]
        w_effect = _half_square(const, G.synthesis(others, "const")) / total
        key = f"{name}.noise_const"
        effects = []
        for _ in range(4):  # one map serves the whole batch, so take the mean over a few
            fresh = rng.standard_normal(G.buffers[key].shape, np.float32)
            redrawn = dataclasses.replace(G, buffers=G.buffers | {key: fresh})
            effects.append(_half_square(const, redrawn.synthesis(ws, "const")) / total)
        layers.append((name.removeprefix("synthesis."), w_effect, float(np.mean(effects))))
    return {"w": 1 - noise, "noise": noise, "layers": layers}


def _half_square(a, b):
    return float(np.mean((a - b) ** 2)) / 2

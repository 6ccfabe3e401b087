"""Measures of what a generator does, named for what they are.

Distances between sets take plain arrays [N, D]: signals, or features of images from
`networks/reader.py`.  None is called FID: that name belongs to one network, Inception-v3, and to
50,000 images.  Each is to be read beside its floor, the same distance between two sets of real
data.

Read next: `evaluation/measure.py`, which puts them into one table with floors and seeds.
"""

import math

import numpy as np
import scipy.optimize

from minigan import autograd, latents


def sliced_wasserstein(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, projections: int = 256
) -> float:
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


def _two_sets(who, a, b):
    """Both as float64 [N, D].  Raises: ValueError unless they are, with one D and N ≥ 2."""
    for name, x in (("a", a), ("b", b)):
        if np.ndim(x) != 2 or len(x) < 2 or np.shape(x)[1] != np.shape(a)[1]:
            raise ValueError(
                f"{who}: {name} has shape {np.shape(x)}; expected [N, D] with N from 2 and one D"
            )
        if not np.isfinite(x).all():
            raise ValueError(f"{who}: {name} holds NaN or infinity; expected numbers")
    return np.asarray(a, np.float64), np.asarray(b, np.float64)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians with the sets' means and covariances.

    a, b: [N, D].  ‖μ − μ′‖² + Tr(Σ + Σ′ − 2(ΣΣ′)^½), Dowson & Landau 1982; Σ divided by N, as in
    StyleGAN2-ADA's code.  Of equal sets 0; of two samples of one distribution more, the more so the
    smaller N: take N several times D, and compare at one N only.
    Raises: ValueError for other shapes or numbers that are not finite.
    """
    a, b = _two_sets("frechet_distance", a, b)
    return frechet_from_moments(
        a.mean(axis=0), np.cov(a.T, ddof=0), b.mean(axis=0), np.cov(b.T, ddof=0)
    )


def frechet_from_moments(
    mu_a: np.ndarray, sigma_a: np.ndarray, mu_b: np.ndarray, sigma_b: np.ndarray
) -> float:
    """`frechet_distance` of means [D] and covariances [D, D]."""
    # Tr (ΣΣ′)^½ is the sum of the roots of the eigenvalues of Σ^½ Σ′ Σ^½, which is symmetric.
    values, vectors = np.linalg.eigh(np.atleast_2d(sigma_a))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ np.atleast_2d(sigma_b) @ root)
    spread = np.trace(np.atleast_2d(sigma_a)) + np.trace(np.atleast_2d(sigma_b))
    between = np.sum(np.sqrt(np.maximum(mixed, 0)))
    return float(np.sum((mu_a - mu_b) ** 2) + spread - 2 * between)


def kernel_distance(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, subsets: int = 100, size: int = 1000
) -> tuple[float, float]:
    """Squared maximum mean discrepancy with the kernel (xᵀy/D + 1)³, unbiased: (mean, std).

    a, b: [N, D].  Mean over random subsets of `size`, or of as many as there are, drawn by rng
    (numpy Generator); std is that of the subsets, and NaN where each is the whole of a or b, or
    there is only one.  Bińkowski et al. 2018 (arXiv 1801.01401), there
    of Inception's features.  Its expected value does not depend on N; below 0 by chance is fine.
    Raises: as `frechet_distance`.
    """
    a, b = _two_sets("kernel_distance", a, b)
    m, d, found = min(size, len(a), len(b)), a.shape[1], []
    for _ in range(subsets):
        y = b[rng.choice(len(b), m, replace=False)]
        x = a[rng.choice(len(a), m, replace=False)]
        within = (x @ x.T / d + 1) ** 3 + (y @ y.T / d + 1) ** 3
        cross = (x @ y.T / d + 1) ** 3
        pairs = (within.sum() - np.trace(within)) / (m * (m - 1))
        found.append(pairs - 2 * cross.sum() / m**2)
    varies = subsets > 1 and m < min(len(a), len(b))
    return float(np.mean(found)), float(np.std(found)) if varies else math.nan


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """(share of fakes that look like a real, share of reals that look like a fake).

    real, fake: [N, D], [M, D].  A point is covered if it lies within the distance of some point of
    the other set to that point's k-th nearest neighbour.  Kynkäänniemi et al. 2019
    (arXiv 1904.06991), Eq. 1–2.  Raises: as `frechet_distance`; ValueError for k out of 1 … N − 1.
    """
    real, fake = _two_sets("precision_recall", real, fake)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < min(len(real), len(fake)):
        raise ValueError(
            f"precision_recall: k is {k!r}; expected from 1 to {min(len(real), len(fake)) - 1}"
        )
    return _covered(fake, real, k), _covered(real, fake, k)


def _covered(points, others, k):
    """Share of points within the k-th-neighbour radius of some other."""
    own = _squares(others, others)
    radius = np.partition(own, k, axis=1)[:, k]  # the 0-th is the point itself
    return float(np.mean((_squares(points, others) <= radius).any(axis=1)))


def _squares(a, b):
    """Squared distances [N, M]."""
    squares = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1) - 2 * (a @ b.T)
    return np.maximum(squares, 0)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point [N, D] to its nearest other [M, D], in parts: [N]."""
    parts = (points[i : i + 256] for i in range(0, len(points), 256))
    return np.concatenate([np.sqrt(_squares(part, others).min(axis=1)) for part in parts])


def feature_path_length(
    G,
    features,
    rng: np.random.Generator,
    space: str = "w",
    sampling: str = "full",
    n: int = 1000,
    eps: float = 1e-4,
) -> float:
    """How fast features change along random paths in latent space: mean ‖Δ features‖²/ε².

    StyleGAN's perceptual path length (§4.1) with our features in place of VGG16's, so the unit is
    ours.  features: images -> [N, D], `reader.Network`.  space: "z" (slerp) or "w" (lerp);
    sampling: t "full", uniform on [0, 1], or "end", 0.  The noise maps are the buffers, the same
    on both sides.  Computed in float64; values outside the 1 … 99 % quantiles are left out.
    Raises: ValueError for another space or sampling.
    """
    if space not in ("z", "w") or sampling not in ("full", "end"):
        raise ValueError(
            f"feature_path_length: space is {space!r}, sampling {sampling!r}; expected 'z' or 'w', "
            "'full' or 'end'"
        )
    G, features = _in_float64(G), _in_float64(features)
    found = []
    for first in range(0, n, 100):
        z = rng.standard_normal((2, min(100, n - first), G.z_dim))
        t = rng.uniform(0, 1, (z.shape[1], 1)) if sampling == "full" else np.zeros((z.shape[1], 1))
        if space == "z":
            ws = [G.mapping(latents.slerp(z[0], z[1], u)) for u in (t, t + eps)]
        else:
            a, b = G.mapping(z[0]), G.mapping(z[1])
            ws = [a + u[:, :, None] * (b - a) for u in (t, t + eps)]
        here, there = (features(G.synthesis(w)) for w in ws)
        found.append(np.sum((here - there) ** 2, axis=1) / eps**2)
    found = np.concatenate(found)
    low, high = np.quantile(found, [0.01, 0.99])
    return float(np.mean(found[(low <= found) & (found <= high)]))


def _in_float64(network):
    def wide(arrays):
        return {name: a.astype(np.float64) for name, a in arrays.items()}

    return network.replace(params=wide(network.params), buffers=wide(network.buffers))


def readability(x: np.ndarray, y: np.ndarray, folds: int = 5) -> tuple[float, float, int]:
    """What share of y's variance a linear map of x explains, in samples that it was not fitted to.

    x [N, D]; y [N] or [N, K], several columns for one factor with K choices.  Ridge regression,
    cross-validated: fitted to all parts but one and judged on that one, each in turn.  A fit of D
    weights to n samples loses about (1 − R²)·D/n on others, so values compare at one N only.
    Returns (R² of all of x, R² of the best single coordinate, which: the last fit's).  0 is none,
    1 all; below 0: worse than the mean.
    Raises: ValueError if x is no [N, D] with y as long, or y does not vary.
    """
    return readabilities(x, {"y": y}, folds)["y"]


def readabilities(
    x: np.ndarray, targets: dict[str, np.ndarray], folds: int = 5
) -> dict[str, tuple[float, float, int]]:
    """`readability` of each of several targets, {name: y}, for about the price of one."""
    x = np.asarray(x, np.float64)
    columns = {}
    for name, y in targets.items():
        y = np.asarray(y, np.float64)
        if x.ndim != 2 or len(x) != len(y) or len(x) < 2 * folds:
            raise ValueError(f"readability: x has shape {x.shape}, {name} {y.shape}; expected "
                             f"[N, D] and [N] or [N, K], N from {2 * folds}")  # fmt: skip
        columns[name] = y.reshape(len(y), -1)
        if np.ptp(columns[name], axis=0).max() == 0:
            raise ValueError(f"readability: {name} is the same throughout; there is nothing to "
                             "explain")  # fmt: skip
    best, left = {}, dict.fromkeys(columns, 0)  # squares unexplained: by all of x, by one, by none
    for fold in range(folds):
        judge = np.arange(len(x)) % folds == fold
        mean, scale = x[~judge].mean(axis=0), x[~judge].std(axis=0) + 1e-8
        fitted, judged = ((x[part] - mean) / scale for part in (~judge, judge))
        spectrum = np.linalg.eigh(fitted.T @ fitted / len(fitted))
        for name, y in columns.items():
            centre = y[~judge].mean(axis=0)
            learnt, wanted = y[~judge] - centre, y[judge] - centre
            cross = fitted.T @ learnt / len(fitted)
            best[name] = one = [np.argmax(np.sum(cross**2, axis=1))]  # R²: a squared correlation
            guesses = judged @ _ridge(spectrum, learnt, cross), judged[:, one] @ cross[one], 0.0
            left[name] = left[name] + np.array([np.sum((wanted - guess) ** 2) for guess in guesses])
    shares = {name: 1 - squares / squares[2] for name, squares in left.items()}
    return {name: (float(r[0]), float(r[1]), int(best[name][0])) for name, r in shares.items()}


def _ridge(spectrum, y, cross):
    """Weights [D, K] with the penalty that generalised cross-validation takes for the best.

    spectrum: of xᵀx/N, as `numpy.linalg.eigh`'s; y [N, K]; cross is xᵀy/N.  x and y are centred.
    Golub, Heath & Wahba 1979.
    """
    values, vectors = np.maximum(spectrum[0], 0)[:, None], spectrum[1]
    turned = vectors.T @ cross
    penalties = np.geomspace(1e-6, 1e3, 28)
    explained = [(2 * turned**2 / (values + p) - values * (turned / (values + p)) ** 2).sum()
                 for p in penalties]  # fmt: skip
    used = np.array([np.sum(values / (values + p)) / len(y) for p in penalties])
    rest = np.sum(y * y) / len(y) - np.array(explained)
    # Close to interpolation, where all is used, the criterion is 0/0.
    best = penalties[np.argmin(np.where(used < 0.8, rest / (1 - used) ** 2, np.inf))]
    return vectors @ (turned / (values + best))


def linear_separability(latents: np.ndarray, factors: np.ndarray) -> tuple[float, np.ndarray]:
    """How well a hyperplane in latent space tells each factor's upper half from its lower half.

    latents [N, D]; factors [N, F], those of the generated samples.  A linear classifier (logistic
    regression; the paper takes an SVM) learns on the first half and is judged on the second.
    Returns (score, accuracies [F]): score = exp(Σ H(Y|X)·log 2/H(Y)), X the prediction and Y the
    truth: the score of StyleGAN, §4.2, whose halves are equal, H(Y) = log 2.  1 is perfect; 2ᶠ is
    chance, also where ties at the median make the halves unequal.
    Raises: ValueError for a factor that hardly varies, since nothing to tell apart is no merit.
    """
    x = (latents - latents.mean(axis=0)) / (latents.std(axis=0) + 1e-8)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    half = len(x) // 2
    labels = factors > np.median(factors, axis=0)
    for half_labels in (labels[:half], labels[half:]):
        upper = half_labels.mean(axis=0)
        flat = np.flatnonzero(np.minimum(upper, 1 - upper) < 0.05)
        if len(flat):
            raise ValueError(
                f"linear_separability: {100 * upper[flat[0]]:.1f} % of the values of factor "
                f"{flat[0]}, in one half of the samples, lie above its median; expected about "
                "half: what hardly varies cannot be separated"
            )
    weights = np.stack([_logistic_regression(x[:half], y) for y in labels[:half].T], axis=1)
    predicted, true = x[half:] @ weights > 0, labels[half:]
    entropy = 0.0
    for p, y in zip(predicted.T, true.T, strict=True):
        given = sum(np.mean(p == side) * _entropy(y[p == side]) for side in (False, True))
        entropy += given * np.log(2) / _entropy(y)
    return float(np.exp(entropy)), np.mean(predicted == true, axis=0)


def _entropy(labels):
    """Of a row of True and False, in nats; 0 for none."""
    share = np.mean(labels) if len(labels) else 0.0
    return -sum(q * np.log(q) for q in (share, 1 - share) if q > 0)


def _logistic_regression(x, label):
    """Weights [D] of the hyperplane x·w = 0 that best separates label True from False."""
    sign = np.where(label, 1.0, -1.0)

    def loss(w):
        return np.mean(np.logaddexp(-sign * (x @ w), 0.0)) + 1e-4 * np.sum(w * w)

    gradient = autograd.grad(loss)
    return scipy.optimize.minimize(loss, np.zeros(x.shape[1]), jac=gradient, method="L-BFGS-B").x

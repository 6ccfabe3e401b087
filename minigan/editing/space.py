"""The statistics of W: its middle, its shape, and how far from the middle a w is.

W is far from round: of `portraits64` its widest direction is ninety times as wide as its narrowest.
A step of one length is a small change along the one and leaves everything the generator knows along
the other, so distances are measured in standard deviations (Mahalanobis 1936):

    v = (w − μ)·Σ^−½        w = μ + v·Σ^½        distance of w = ‖v‖, about √D of a typical w

Read next: `inversion.py`.
"""

import dataclasses

import numpy as np

from minigan import check

SAMPLES = 10_000
SEED = 123  # and RandomState: the samples of NVIDIA's projector
_NARROWEST = 1e-4  # of the widest; what is narrower is rounding, or a dimension that is not used
_known = {}


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """W of one generator.  All arrays are float64 on the CPU."""

    mean: np.ndarray  # μ [D]
    covariance: np.ndarray  # Σ [D, D]
    variances: np.ndarray  # [D], along the principal components, the largest first
    components: np.ndarray  # [D, D], one a column
    fingerprint: str  # of the generator

    @property
    def std(self) -> np.ndarray:
        """[D]: the standard deviation of each number."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def radius(self) -> float:
        """√mean ‖w − μ‖², one number for all of W: the projector's w_std."""
        return float(np.sqrt(np.trace(self.covariance)))

    def power(self, exponent: float) -> np.ndarray:
        """Σ^exponent [D, D], symmetric: ½ draws, −½ whitens."""
        least = self.variances[0] * _NARROWEST**2
        scale = np.maximum(self.variances, least) ** exponent
        return (self.components * scale) @ self.components.T

    def whiten(self, w: np.ndarray) -> np.ndarray:
        """w [..., D] -> v [..., D], of mean 0 and covariance 1 where w is the generator's own."""
        return (w - self.mean) @ self.power(-0.5)

    def unwhiten(self, v: np.ndarray) -> np.ndarray:
        """v [..., D] -> w [..., D]."""
        return self.mean + v @ self.power(0.5)

    def distance(self, w: np.ndarray) -> np.ndarray:
        """Mahalanobis distance of w [..., D] from the middle: [...], about √D of a typical w."""
        return np.linalg.norm(self.whiten(w), axis=-1)


def statistics(G, c: np.ndarray | None = None, samples: int = SAMPLES, seed: int = SEED) -> Space:
    """The `Space` of a generator's W; computed once for each generator, by its fingerprint.

    c [c_dim]: the label whose W it is; None: labels drawn at random, where the network has some.
    samples: how many w it is taken from, more than w_dim.
    Raises: ValueError for too few samples, or labels of another shape.
    """
    check.within("statistics", "samples", samples, G.w_dim + 1, 10_000_000, whole=True)
    label = None if c is None else np.asarray(c, np.float64).tobytes()
    key = (G.fingerprint, str(G.w_avg.dtype), label, samples, seed)
    if key not in _known:
        _known[key] = _of(_samples(G, c, samples, seed), G.fingerprint)
    return _known[key]


def _samples(G, c, n, seed):
    """w float64 [n, w_dim]."""
    rng, found = np.random.RandomState(seed), []
    z = rng.randn(n, G.z_dim).astype(G.w_avg.dtype)
    if not G.c_dim:
        labels = None
    elif c is None:
        labels = np.eye(G.c_dim, dtype=z.dtype)[rng.randint(G.c_dim, size=n)]
    else:
        labels = np.broadcast_to(np.asarray(c, z.dtype), (n, G.c_dim))
    G = G.to("cpu")
    for i in range(0, n, 1000):
        part = slice(i, i + 1000)
        found.append(G.mapping(z[part], None if labels is None else labels[part])[:, 0])
    return np.concatenate(found).astype(np.float64)


def _of(w, fingerprint):
    mean = w.mean(axis=0)
    covariance = (w - mean).T @ (w - mean) / len(w)
    variances, components = np.linalg.eigh(covariance)
    return Space(mean, covariance, np.maximum(variances[::-1], 0), components[:, ::-1], fingerprint)

"""Latents: of seeds, truncated, mixed, and on the way from one to the next.

z [N, z_dim] is what is drawn, ws [N, num_ws, w_dim] what a mapping network makes of it, one w for
each layer.
"""

import numpy as np


def parse_range(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7].  Raises: ValueError."""
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if (
            not first.isdigit()
            or (dash and not last.isdigit())
            or (dash and int(last) < int(first))
        ):
            raise ValueError(f"{text!r} is no list of whole numbers; expected such as 0-3,7")
        if dash and int(last) - int(first) >= 1_000_000:
            raise ValueError(f"{text!r} names more than a million numbers; expected fewer")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def from_seed(seed: int, z_dim: int) -> np.ndarray:
    """z [1, z_dim], float32: what NVIDIA's scripts draw from NumPy's old RandomState."""
    return np.random.RandomState(seed).randn(1, z_dim).astype(np.float32)


def truncate(
    ws: np.ndarray, w_avg: np.ndarray, psi: float, cutoff: int | None = None
) -> np.ndarray:
    """w̄ + ψ·(w − w̄) in the first `cutoff` layers, all if None (App. B): ws [N, num_ws, w_dim].

    ψ = 1 changes nothing, ψ = 0 gives the average, ψ < 0 lies beyond it.
    """
    truncated = w_avg + psi * (ws - w_avg)
    if cutoff is None:
        return truncated
    return np.concatenate([truncated[:, :cutoff], ws[:, cutoff:]], axis=1)


def style_mix(ws_coarse: np.ndarray, ws_fine: np.ndarray, crossover: int) -> np.ndarray:
    """The first `crossover` layers of one, the others of the other (§3.1): [N, num_ws, w_dim]."""
    return np.concatenate([ws_coarse[:, :crossover], ws_fine[:, crossover:]], axis=1)


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """From a to b along the sphere: both [N, D] are made unit vectors, t [N, 1] goes from 0 to 1.

    Shoemake 1985.  The path that random latents take is not their straight line, which would pass
    nearer to the origin than latents lie.
    """
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    cosine = np.sum(a * b, axis=1, keepdims=True)
    angle = t * np.arccos(np.clip(cosine, -1, 1))
    across = b - cosine * a
    across = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    return a * np.cos(angle) + across * np.sin(angle)


def samples(G, seed: int, n: int = 64, psi: float = 1) -> np.ndarray:
    """G's images of n latents that depend on the seed alone, [n, C, R, R]; labels, if it has any,
    in turn."""
    rng = np.random.default_rng([seed, 1 << 60])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    c = np.eye(G.c_dim, dtype=np.float32)[np.arange(n) % G.c_dim] if G.c_dim else None
    parts = [slice(i, i + 16) for i in range(0, n, 16)]
    return np.concatenate([G(z[s], None if c is None else c[s], psi) for s in parts])

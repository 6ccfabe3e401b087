"""One-dimensional signals with known factors: what Part 1 learns to generate.

A bump carries a ripple, and the whole is a little rough:

    x(t) = bump(t; position, width) + 0.25 · sin(2π · frequency · (t − position)) + roughness · ε

Coarse factors: `position`, `width` of the bump.  Fine ones: `frequency` of the ripple, `roughness`,
the size of the white noise ε.  ε itself is chance: no factor knows it.  Since the recipe is known,
`read` can name the factors of any signal, generated ones too; no trained classifier is needed.
"""

import numpy as np

LENGTH = 32
RANGES = {  # drawn uniformly; t runs from 0 to 1 across the signal
    "position": (0.25, 0.75),
    "width": (0.05, 0.14),
    "frequency": (3.0, 8.0),  # cycles per signal
    "roughness": (0.0, 0.2),
}
FACTORS = tuple(RANGES)
RIPPLE = 0.25


def draw_factors(n, rng):
    """n random rows of factors, float64 [n, 4], in the order of FACTORS."""
    low, high = np.array(list(RANGES.values())).T
    return rng.uniform(low, high, size=(n, len(FACTORS)))


def clean(factors):
    """Signals without their noise: factors [N, ≥3] -> float32 [N, 1, 32], within [−1, 1]."""
    t = (np.arange(LENGTH) + 0.5) / LENGTH
    position, width, frequency = (factors[:, i, None] for i in range(3))
    bump = 1.5 * np.exp(-0.5 * ((t - position) / width) ** 2) - 0.75
    ripple = RIPPLE * np.sin(2 * np.pi * frequency * (t - position))
    return (bump + ripple).astype(np.float32)[:, None]


def render(factors, rng):
    """Signals of given factors [N, 4], with fresh noise: float32 [N, 1, 32]."""
    noise = rng.standard_normal((len(factors), 1, LENGTH), np.float32)
    return clean(factors) + factors[:, 3, None, None].astype(np.float32) * noise


def sample(n, rng):
    """n signals with random factors: float32 [n, 1, 32]."""
    return render(draw_factors(n, rng), rng)


def read(x):
    """The factors of signals, by the nearest of a grid of clean ones; roughness is what is left.

    x: float [N, 1, 32].  Returns float64 [N, 4], in the order of FACTORS.
    Raises: ValueError for another shape.
    """
    if x.ndim != 3 or x.shape[1:] != (1, LENGTH):
        raise ValueError(f"read: x has shape {x.shape}; expected [N, 1, {LENGTH}]")
    steps = {"position": 51, "width": 13, "frequency": 26}
    axes = [np.linspace(*RANGES[name], n) for name, n in steps.items()]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    templates = clean(grid)[:, 0]  # [17238, 32]
    half_energy = 0.5 * np.sum(templates**2, axis=1)
    found = []
    for part in np.array_split(x[:, 0], max(1, len(x) // 256)):
        # ‖x − t‖² is smallest where x·t − ‖t‖²/2 is largest
        best = np.argmax(part @ templates.T - half_energy, axis=1)
        roughness = np.std(part - templates[best], axis=1)
        found.append(np.concatenate([grid[best], roughness[:, None]], axis=1))
    return np.concatenate(found)

"""Fresh weights: what the `init` of all networks draw.  float32; rng: numpy.random.Generator."""

import itertools

import numpy as np


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Independent numbers of mean 0 and variance 1, of this shape."""
    return rng.standard_normal(shape, np.float32)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def layer(rng: np.random.Generator, name: str, *shape: int) -> dict[str, np.ndarray]:
    """{name.weight, name.bias} of a dense layer [out, in], or a convolution [out, in, k, k]."""
    return {f"{name}.weight": normal(rng, *shape), f"{name}.bias": zeros(shape[0])}


def mapping(rng: np.random.Generator, sizes: list[int], lr_multiplier: float) -> dict:
    """{mapping.fc0.weight, …}: layers from sizes[0] to sizes[1], …, of variance 1/multiplier²."""
    params = {}
    for i, (inside, outside) in enumerate(itertools.pairwise(sizes)):
        weight = normal(rng, outside, inside) / np.float32(lr_multiplier)
        params |= {f"mapping.fc{i}.weight": weight, f"mapping.fc{i}.bias": zeros(outside)}
    return params

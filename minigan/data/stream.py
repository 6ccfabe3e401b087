"""Training data without end: image number i is a function of the seed and of i alone.

So a run that continues sees what it would have seen without the interruption.  `images.Images`
gives a folder's in the same way.

Read first: `portraits.py`, `images.py`.
"""

import numpy as np

from minigan.data import images, portraits

BY_NUMBER = "by number"  # how `Portraits` draws; a file from before does not say


class Portraits:
    """Endless drawn portraits: number i is the same in every run of this seed, in any batch."""

    c_dim = 0

    def __init__(self, resolution: int, seed: int, manner: str = "painted"):
        self.resolution, self.seed, self.manner = resolution, seed, manner

    def batch(self, position: int, n: int) -> tuple[np.ndarray, None]:
        """Number position … position + n − 1, float32 [n, 3, R, R] in [−1, 1]; no labels."""
        rngs = [
            np.random.default_rng([self.seed, 1 << 61, i]) for i in range(position, position + n)
        ]
        rows = [portraits.sample_factors(1, rng) for rng in rngs]
        factors = {name: np.concatenate([row[name] for row in rows]) for name in portraits.NAMES}
        noise_seeds = np.array([rng.integers(1 << 40) for rng in rngs])
        return portraits.draw(factors, self.resolution, noise_seeds, self.manner), None


class BatchedPortraits(Portraits):
    """The stream before portraits were drawn by number: each batch of `size` from one seed.

    The shipped networks were trained on it, so what they saw is read back from it.
    """

    def __init__(self, resolution: int, seed: int, size: int):
        super().__init__(resolution, seed)
        self.size = size

    def batch(self, position: int, n: int) -> tuple[np.ndarray, None]:
        first = position // self.size * self.size
        batches = [
            portraits.sample(
                self.size, self.resolution, np.random.default_rng([self.seed, 1 << 61, start])
            )[0]
            for start in range(first, position + n, self.size)
        ]
        return np.concatenate(batches)[position - first :][:n], None


def open_data(config) -> Portraits | images.Images:
    """The training data that a `training.Config` names.

    Raises: FileNotFoundError; as `images.Images`; ValueError if its channels or labels are not
    those of the config's networks.
    """
    if config.G.img_channels != 3:
        raise ValueError(
            f"the pictures have 3 channels, and the networks' img_channels is "
            f"{config.G.img_channels}; expected 3"
        )
    if config.data == "portraits":
        data = Portraits(config.G.img_resolution, config.seed)
    else:
        data = images.Images(config.data, config.G.img_resolution, config.seed)
    if data.c_dim != config.G.c_dim:
        raise ValueError(
            f"the labels of {config.data} have {data.c_dim} numbers, and the networks' c_dim is "
            f"{config.G.c_dim}; set G.c_dim and D.c_dim to {data.c_dim}"
        )
    return data

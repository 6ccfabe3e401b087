"""One distance between pictures that a network sees: of faces, not of pixels.

At several layers of a frozen network, the vector of channels at each place is made a unit vector;
the distance of two pictures is the squared difference of these vectors, averaged over the places
and summed over the layers (Zhang et al. 2018, arXiv 1801.03924, Eq. 1, without learned weights).

The network is a reader, or the discriminator that lies in the generator's own file: no borrowed
one is needed.  Distances in the eyes of different networks do not compare, so each carries its
network's name and fingerprint.  Nor are they LPIPS, which is one network's.  Where there is no
network, `Pyramid` compares pixels.

Read first: `networks/reader.py`.  Read next: `inversion.py`.
"""

import dataclasses

import numpy as np

from minigan.networks import base

LARGEST = 256  # pixels across; larger maps say what the pixels say


@dataclasses.dataclass(frozen=True, eq=False)
class Perceptual:
    """What a network sees.  network: a `reader.Network`, or a discriminator with blocks."""

    network: base.Network
    name: str

    @property
    def label(self) -> str:
        """For tables: which network's distance it is."""
        return f"perceptual ({self.name}, {self.network.fingerprint})"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """images [N, C, R, R] in [−1, 1] -> [N, F], between which the distance is the square.

        Raises: as the network's.
        """
        found = []
        for x in self.network.maps(images):
            n, c, height, width = x.shape
            if height <= LARGEST:
                x = x / np.sqrt(np.sum(np.square(x), axis=1, keepdims=True) + 1e-8)
                found.append(np.reshape(x * (height * width) ** -0.5, (n, c * height * width)))
        return np.concatenate(found, axis=1)

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of each picture of a from that of b, both [N, C, R, R]: [N].  Raises: as above."""
        return np.sum(np.square(self(a) - self(b)), axis=1)


class Pyramid:
    """Pixels averaged over 2², 4² and 8², for networks that come with nothing that sees."""

    label = "pixels at a half, a quarter and an eighth of the size"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """images [N, C, R, R], R a multiple of 8 -> [N, F]: the distance between two is the sum of
        their mean squared errors at the three sizes."""
        found = []
        for _ in range(3):
            n, c, height, width = images.shape
            images = np.reshape(images, (n, c, height // 2, 2, width // 2, 2))
            images = np.mean(images, axis=(3, 5))
            size = c * height * width // 4
            found.append(np.reshape(images, (n, size)) * size**-0.5)
        return np.concatenate(found, axis=1)

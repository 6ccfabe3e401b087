"""A generator is asked to be readable: what a network reads of a picture, linear in its w.

    loss = mean over factors, over the batch, of (r − (A·w + b))²

r: what the expert, a `reader.Network`, reads of G(w): the factors that are numbers, each in units
of its standard deviation among drawings.  A, b: the ridge regression of r on w, from moving
averages of their moments, and no parameters: G cannot move them but by its pictures.

StyleGAN expects that W unwarps by itself, since a linear world is easier to draw (§4), and measures
it by separability.  In short trainings of small networks it does so little: of a smile, a linear
map of portraits32's w reads a seventh (`minigan measure portraits32 --quick`).  Here it is asked
for.  Nothing is said of which direction should be which factor, nor how strong: a smile that never
changes would be linear, too, and it is the discriminators that see to it that smiles vary.

Read first: `networks/reader.py`.  Read next: `training/step.py`.
"""

import dataclasses
import math

import numpy as np

from minigan.autograd.variable import plain
from minigan.device import beside, moved
from minigan.networks.reader import Network, columns

MEMORY = 0.998  # of the moving averages, a step
PENALTY = 1e-3  # of the ridge, beside w's own variances
PATIENCE = 300  # steps before the first fit
COLUMNS = [first for f, first, last in columns() if last == first + 1]  # numbers, but for the hue


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Moving averages over G's pictures, float64; x is w with a 1 in front."""

    xx: np.ndarray  # [D + 1, D + 1]
    xr: np.ndarray  # [D + 1, K]
    steps: int = 0

    @classmethod
    def of(cls, w_dim: int) -> "Moments":
        """Before the first step."""
        return cls(np.zeros((w_dim + 1, w_dim + 1)), np.zeros((w_dim + 1, len(COLUMNS))))

    def add(self, w: np.ndarray, r: np.ndarray) -> "Moments":
        """With a batch's w [N, D] and r [N, K] in the averages."""
        w, r = moved(w, "cpu"), moved(r, "cpu")
        x = np.concatenate([np.ones_like(w[:, :1]), w], axis=1).astype(np.float64)
        keep = min(MEMORY, 1 - 1 / (self.steps + 1))  # at first: the mean of what there was
        return dataclasses.replace(
            self,
            xx=keep * self.xx + (1 - keep) * (x.T @ x) / len(x),
            xr=keep * self.xr + (1 - keep) * (x.T @ r.astype(np.float64)) / len(x),
            steps=self.steps + 1,
        )

    def fit(self) -> np.ndarray:
        """[D + 1, K]: b above A."""
        mean = self.xx[0].copy()
        ridge = PENALTY * (np.diag(self.xx) - mean**2)  # none for the 1
        return np.linalg.solve(self.xx + np.diag(ridge), self.xr)


def read(f: Network, images):
    """r [N, K] of images.  f's outputs go from −1 to 1; uniform numbers have the deviation 1/√3."""
    said = f.outputs(images)
    return np.stack([said[:, column] for column in COLUMNS], axis=1) * math.sqrt(3)


def loss(moments: Moments, w, r):
    """How far r [N, K] is from linear in w [N, D]: (); 0 in the first steps."""
    if moments.steps < PATIENCE:
        return 0.0
    fit = beside(moments.fit().astype(plain(w).dtype), w)
    return np.mean(np.square(r - (w @ fit[1:] + fit[0])))

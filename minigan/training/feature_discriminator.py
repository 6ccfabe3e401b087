"""A second discriminator, which looks through the eyes of a network that has learned to read.

    logit = h((f(x) − mean)/std)    f: a `features.Network`, never changed; h: a small head

D learns what pays at once, and a smile of three pixels can escape it for a whole run: then G may
leave out whatever it likes of smiles.  Among the features of a network that was taught to read
portraits the smile is there from the first step, and h has only to find that drawings have more of
it.  Frozen features are what Projected GANs judge by alone (Sauer et al. 2021, arXiv 2111.01007);
here D stays beside them, as in Vision-aided GANs (Kumari et al. 2022, arXiv 2112.09130).  The slope
of h has no penalty: f cannot grow steeper.

Measure such a generator with another reader: distances in the features that it was trained against
would flatter it (Kynkäänniemi et al. 2023, arXiv 2203.06026).

A run has one if its config names a reader's file, as `expert`.

Read first: `networks/reader.py`.  Read next: `training/step.py`.
"""

import dataclasses

import numpy as np

from minigan import toy
from minigan.device import with_arrays_on
from minigan.layers import dense
from minigan.networks import reader as features


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureDiscriminator:
    """Images → logits.  config: f's; params: h's; buffers: f's params as "f.…", mean and std."""

    config: features.Config
    params: dict
    buffers: dict

    config_class = features.Config

    @classmethod
    def init(cls, config, rng, f=None):
        """f under a head that says 0 of everything.

        rng: numpy.random.Generator.  f: `features.Network` of this config, float32; mean and std
        are those of its features of 1,000 drawn portraits.  None: fresh weights, mean 0 and std 1.
        Raises: TypeError for another rng.
        """
        toy.check_rng(rng)
        n = config.features
        mean, std = toy.zeros(n), toy.zeros(n) + 1
        if f is None:
            f = features.Network.init(config, rng)
        else:
            portraits = features.draw(features.people(1000, rng), rng)
            seen = features.in_batches(f.trunk, portraits)
            mean, std = seen.mean(axis=0), seen.std(axis=0) + np.float32(1e-3)
        params = {"fc.weight": toy.normal(rng, n, n), "fc.bias": toy.zeros(n),
                  "out.weight": toy.zeros(1, n), "out.bias": toy.zeros(1)}  # fmt: skip
        buffers = {f"f.{name}": value for name, value in f.params.items()}
        buffers |= {"mean": mean, "std": std}
        return cls(config, params, buffers)

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def to(self, device):
        """A copy on "gpu" or "cpu".  Raises: ValueError, RuntimeError."""
        return with_arrays_on(self, device)

    def see(self, img):
        """img float [N, 3, R, R], R = 32·2ⁱ -> f's features [N, features], each of mean 0 and
        standard deviation 1 over portraits.  Raises: as `features.Network.trunk`."""
        params = {k[2:]: v for k, v in self.buffers.items() if k.startswith("f.")}
        seen = features.Network(self.config, params).trunk(img)
        return (seen - self.buffers["mean"]) * (1 / self.buffers["std"])

    def judge(self, seen):
        """What `see` returns -> logits [N, 1]."""
        return dense(self.params, "out", dense(self.params, "fc", seen, "lrelu"))

    def __call__(self, img):
        """img float [N, 3, R, R], R = 32·2ⁱ -> logits [N, 1].  Raises: as `see`."""
        return self.judge(self.see(img))

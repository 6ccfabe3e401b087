"""A second discriminator, which looks through the eyes of a network that has learned to read.

    logit = h((f(x) − mean)/std)    f: a `reader.Network`, never changed; h: a small head

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

import numpy as np

from minigan import check
from minigan.data import portraits
from minigan.layers import dense
from minigan.networks import base, init
from minigan.networks.init import zeros
from minigan.networks.reader import Config, Network, in_batches


class FeatureDiscriminator(base.Network):
    """Images → logits.  config: f's; params: h's; buffers: f's params as "f.…", mean and std."""

    config_class = Config

    @classmethod
    def init(cls, config, rng, f=None):
        """f under a head that says 0 of everything.

        rng: numpy.random.Generator.  f: `reader.Network` of this config, float32; mean and std
        are those of its features of 1,000 drawn portraits.  None: fresh weights, mean 0 and std 1.
        Raises: TypeError for another rng.
        """
        check.rng(rng)
        n = config.features
        mean, std = zeros(n), zeros(n) + 1
        if f is None:
            f = Network.init(config, rng)
        else:
            people = portraits.people(1000, rng)
            drawn = portraits.draw_randomly(people, config.resolution, rng)
            seen = in_batches(f.trunk, drawn)
            mean, std = seen.mean(axis=0), seen.std(axis=0) + np.float32(1e-3)
        params = init.layer(rng, "fc", n, n)
        params |= {"out.weight": zeros(1, n), "out.bias": zeros(1)}
        buffers = {f"f.{name}": value for name, value in f.params.items()}
        buffers |= {"mean": mean, "std": std}
        return cls(config, params, buffers)

    @property
    def reader(self):
        """f."""
        params = {k[2:]: v for k, v in self.buffers.items() if k.startswith("f.")}
        return Network(self.config, params)

    def see(self, img):
        """img float [N, 3, R, R], R = f's resolution·2ⁱ -> f's features [N, features], each of mean
        0 and standard deviation 1 over portraits.  Raises: as `reader.Network.trunk`."""
        seen = self.reader.trunk(img)
        return (seen - self.buffers["mean"]) * (1 / self.buffers["std"])

    def judge(self, seen):
        """What `see` returns -> logits [N, 1]."""
        return dense(self.params, "out", dense(self.params, "fc", seen, "lrelu"))

    def __call__(self, img):
        """img float [N, 3, R, R], R = f's resolution·2ⁱ -> logits [N, 1].  Raises: as `see`."""
        return self.judge(self.see(img))

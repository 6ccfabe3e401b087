"""The settings of a training run, and which of them do not go together.

Read first: `losses.py`, `networks/stylegan2.py`.  Read next: `training/step.py`, which obeys them.
"""

import dataclasses
import math
import typing

from minigan import check, optim
from minigan.networks import stylegan2
from minigan.training import augment


@dataclasses.dataclass(frozen=True)
class Config:
    """A training run.  `presets.PRESETS` are some to start from."""

    G: object = stylegan2.Config(img_resolution=32)
    D: object = stylegan2.DiscriminatorConfig(img_resolution=32)
    data: str = "portraits"  # or a folder, or a zip
    seed: int = 0  # of everything
    kimg: float = 100.0  # thousands of real images that D is to see
    cooldown_kimg: float = 0.0  # over the last so many all learning rates fall to 0 in a line
    batch: int = 8
    g_lr: float = 0.002
    d_lr: float = 0.002
    beta2: float = 0.99  # of Adam; β₁ is 0
    loss: str = "logistic"  # or "relativistic", which has R2 beside R1 (R3GAN), or "wgan-gp"
    gamma: float = 0.1  # of R1 (and R2); 0: none
    r1_interval: int = 16  # R1 in every 16th step, 16-fold (lazy, StyleGAN2 §3.1); 1: in each
    pl_weight: float = 0.0  # of path length; StyleGAN2 has 2
    pl_interval: int = 4
    pl_batch_shrink: int = 2  # path length takes a part of the batch
    mixing_prob: float = 0.0  # share of steps whose images mix two styles; StyleGAN2 has 0.9
    ema_kimg: float = 5.0  # half-life of G's averaged weights
    ema_rampup: float = 0.05  # but at most this share of what was seen
    mirror: bool = False  # data: also the mirror images
    augment: str = ""  # ADA's groups: "", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"
    ada_target: float = 0.6  # of r_t
    ada_interval: int = 4  # steps between changes of p
    ada_kimg: float = 500.0  # from p = 0 to 1
    blur_sigma: float = 0.0  # D sees images blurred by so many pixels; StyleGAN3-R has 10 …
    blur_kimg: float = 200.0  # … falling to 0 in so many kimg
    expert: str = ""  # file of a `reader.Network` through which a second D looks
    expert_weight: float = 0.3  # of what it says, in G's loss
    expert_lr: float = 0.01
    readable_weight: float = 0.0  # of how far what the expert reads is from linear in w
    grow: tuple = ()  # StyleGAN (2019): (kimg of fading in, kimg at rest) for each resolution
    kimg_per_tick: float = 1.0  # between checkpoints
    snapshot_kimg: float = 0.0  # between copies of G_ema that stay; 0: none
    split_each_tick: bool = False  # log what share of the variance w explains, at each tick too

    def __post_init__(self):
        positive = ("kimg", "g_lr", "d_lr", "ema_kimg", "kimg_per_tick", "ada_kimg", "blur_kimg",
                    "expert_lr")  # fmt: skip
        hints = typing.get_type_hints(type(self)).items()
        least = {name: int(kind is int) for name, kind in hints if kind in (int, float)}
        check.fields(self, **least | {"seed": 0})
        for name in positive:
            if getattr(self, name) == 0:
                raise ValueError(f"Config: {name} is {getattr(self, name)!r}; expected more than 0")
        if self.beta2 >= 1 or self.mixing_prob > 1:
            raise ValueError(
                f"Config: beta2 is {self.beta2} and mixing_prob {self.mixing_prob}; expected less "
                "than 1, and at most 1"
            )
        if self.loss not in ("logistic", "relativistic", "wgan-gp"):
            raise ValueError(
                f"Config: loss is {self.loss!r}; expected 'logistic', 'relativistic' or 'wgan-gp'"
            )
        if self.loss == "relativistic" and self.gamma and self.r1_interval == 1:
            raise ValueError("Config: r1_interval is 1; expected 2 or more for 'relativistic', "
                             "whose penalties are a phase of their own")  # fmt: skip
        if self.expert and self.loss == "wgan-gp":
            raise ValueError(
                "Config: loss is 'wgan-gp'; expected 'logistic' or 'relativistic' with an expert, "
                "whose slope has no penalty"
            )
        for name, value in (("G", self.G), ("D", self.D)):
            if not hasattr(value, "img_resolution") or hasattr(value, "z_dim") != (name == "G"):
                what = "generator" if name == "G" else "discriminator"
                raise ValueError(f"Config: {name} is {value!r:.60}; expected a {what}'s settings")
        for name in ("img_resolution", "img_channels", "c_dim"):
            if getattr(self.G, name) != getattr(self.D, name):
                raise ValueError(
                    f"Config: G's {name} is {getattr(self.G, name)} and D's "
                    f"{getattr(self.D, name)}; expected the same"
                )
        if self.expert and (self.G.img_resolution < 32 or self.G.img_channels != 3):
            raise ValueError(
                f"Config: G's img_resolution is {self.G.img_resolution} and img_channels "
                f"{self.G.img_channels}; expected 32 or more, and 3, with an expert"
            )
        if self.readable_weight and not self.expert:
            raise ValueError(
                f"Config: readable_weight is {self.readable_weight}, and there is no expert; "
                "expected one, which reads"
            )
        # D takes the batch apart into groups, see `layers.minibatch_stddev`.
        group = min(self.D.mbstd_group_size or self.batch, self.batch)
        if self.D.mbstd_num_channels and self.batch % group:
            fits = max(n for n in range(1, group) if self.batch % n == 0)
            raise ValueError(
                f"Config: batch is {self.batch}; expected a multiple of D's mbstd_group_size, "
                f"{group}: set batch={self.batch + group - self.batch % group}, or "
                f"D.mbstd_group_size={fits}"
            )
        chosen, res = augment.classes(self.augment), self.G.img_resolution
        if chosen and self.G.img_channels not in (1, 3) or "imgfilter" in chosen and res < 32:
            raise ValueError(
                f"Config: augment is {self.augment!r}, for {self.G.img_channels} channels of {res} "
                "pixels a side; expected 1 or 3 channels, and 32 pixels or more with 'f'"
            )
        if self.blur_sigma >= res:
            raise ValueError(
                f"Config: blur_sigma is {self.blur_sigma}; expected less than G's img_resolution"
            )
        if self.grow and not (
            len(self.grow) == 2 and min(self.grow) > 0
            and hasattr(self.G, "lod") and hasattr(self.D, "lod")
        ):  # fmt: skip
            raise ValueError(
                f"Config: grow is {self.grow!r}; expected (kimg fading, kimg at rest), both above "
                "0, and networks of stylegan1; or nothing"
            )

    def lod(self, images):
        """Levels of detail that are missing after so many images: from 8², one resolution less in
        each period, continuously while fading (PG-GAN §3, from the code: at rest first)."""
        fade, rest = self.grow
        period, within = divmod(images / 1000, fade + rest)
        missing = math.log2(self.G.img_resolution) - 3 - period - max(0, within - rest) / fade
        return max(0.0, missing)

    @property
    def g_adam(self):
        adam = optim.Adam(self.g_lr, (0.0, self.beta2))
        return adam.lazy(self.pl_interval) if self.pl_weight and self.pl_interval > 1 else adam

    @property
    def d_adam(self):
        adam = optim.Adam(self.d_lr, (0.0, self.beta2))
        return adam.lazy(self.r1_interval) if self.lazy_r1 else adam

    @property
    def expert_adam(self):
        return optim.Adam(self.expert_lr, (0.0, self.beta2))

    def pace(self, images):
        """What multiplies the learning rates after so many images: 1, then falling (cooldown)."""
        left = self.kimg - images / 1000
        return min(1.0, max(0.0, left / self.cooldown_kimg)) if self.cooldown_kimg else 1.0

    @property
    def lazy_r1(self):
        """Whether R1 is a phase of its own, in every `r1_interval`-th step."""
        return self.loss != "wgan-gp" and self.gamma > 0 and self.r1_interval > 1

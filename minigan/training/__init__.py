"""Training G and D: `step` is one step, a pure function; `loop` runs it in a folder.

`config` has the settings and `presets` some to start from, `checkpoint` what a run saves, `augment`
what D sees, `feature_discriminator` a second D; a run begins with other networks by `warm_start`,
and a StyleGAN3 by `distill`.
"""

from minigan.training.checkpoint import config_of, restore
from minigan.training.config import Config
from minigan.training.loop import train
from minigan.training.presets import PRESETS, override, preset
from minigan.training.step import Diverged, State, advance, start

__all__ = [
    "PRESETS",
    "Config",
    "Diverged",
    "State",
    "advance",
    "config_of",
    "override",
    "preset",
    "restore",
    "start",
    "train",
]

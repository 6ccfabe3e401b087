"""Training G and D: `step` is one step, a pure function; `loop` runs it in a folder.

`config` has the settings, `augment` what D sees, `feature_discriminator` a second D; a run begins
with other networks by `warm_start`, and a StyleGAN3 by `distill`.
"""

from minigan.training.config import Config
from minigan.training.loop import (
    BY_NUMBER,
    PRESETS,
    BatchedPortraits,
    Portraits,
    config_of,
    does_w_matter,
    open_data,
    override,
    preset,
    restore,
    samples,
    split,
    splits,
    train,
)
from minigan.training.step import Diverged, State, advance, start

__all__ = [
    "BY_NUMBER",
    "PRESETS",
    "BatchedPortraits",
    "Config",
    "Diverged",
    "Portraits",
    "State",
    "advance",
    "config_of",
    "does_w_matter",
    "open_data",
    "override",
    "preset",
    "restore",
    "samples",
    "split",
    "splits",
    "start",
    "train",
]

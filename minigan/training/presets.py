"""Settings to start a run from, by name: `PRESETS`; and any of them changed, by `override`.

Read first: `training/config.py`.
"""

import dataclasses

from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.training.config import Config

# For short runs: a shallow mapping network that learns faster than the paper's (0.01).
_SMALL = stylegan2.MappingConfig(num_layers=3, lr_multiplier=0.1)

PRESETS = {
    # Recognisable after some twenty minutes of two cores.
    "portraits32": Config(
        G=stylegan2.Config(img_resolution=32, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64),
        D=stylegan2.DiscriminatorConfig(img_resolution=32, channel_base=1536, channel_max=64),
        batch=8, gamma=0.1, mixing_prob=0.5, ema_kimg=10.0, kimg=150,
    ),
    # As wide as the preset above, to begin with a run of it: --init runs/mine/checkpoint.npz
    "portraits64": Config(
        G=stylegan2.Config(img_resolution=64, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64),
        D=stylegan2.DiscriminatorConfig(img_resolution=64, channel_base=1536, channel_max=64),
        batch=8, loss="relativistic", gamma=0.2, mixing_prob=0.5, ema_kimg=10.0, ema_rampup=0.0,
        kimg=300, cooldown_kimg=60,
    ),
    # StyleGAN as in 2019: progressive growing, styles mixed.  Only R1 is lazy, for the time's sake.
    "portraits32-2019": Config(
        G=stylegan1.Config(
            img_resolution=32, z_dim=64, w_dim=64, channel_base=1024, channel_max=64,
            mapping_kwargs=stylegan1.MappingConfig(num_layers=4, lr_multiplier=0.1),
        ),
        D=stylegan1.DiscriminatorConfig(img_resolution=32, channel_base=1024, channel_max=64),
        batch=8, gamma=0.1, r1_interval=8, mixing_prob=0.9, ema_kimg=10.0, grow=(8, 8),
        kimg=150, cooldown_kimg=40,
    ),
    # StyleGAN3-T, 2021: at 32 pixels the margins outweigh the canvas, so they are kept small.  Its
    # mean squares have a half-life of 2 kimg, not 20, for a short run.
    "portraits32-2021": Config(
        G=stylegan3.Config(img_resolution=32, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64, num_layers=6, margin_size=6,
                           magnitude_ema_beta=0.5 ** (8 / 2000)),
        D=stylegan2.DiscriminatorConfig(img_resolution=32, channel_base=1536, channel_max=64),
        batch=8, gamma=0.1, ema_kimg=10.0, kimg=150,
    ),
    # The paper's own settings, for 256² images and a good deal of patience.
    "stylegan2": Config(
        G=stylegan2.Config(img_resolution=256), D=stylegan2.DiscriminatorConfig(img_resolution=256),
        batch=32, gamma=10.0, pl_weight=2.0, mixing_prob=0.9, ema_kimg=10.0, ema_rampup=0.0,
        kimg=25000, kimg_per_tick=4, snapshot_kimg=200,
    ),
    # StyleGAN3-R's own; D sees blurred images at first.  T: without that,
    # and without G's last two lines.
    "stylegan3-r": Config(
        G=stylegan3.Config(img_resolution=256, magnitude_ema_beta=0.5 ** (32 / 20000),
                           conv_kernel=1, use_radial_filters=True, channel_base=65536,
                           channel_max=1024),
        D=stylegan2.DiscriminatorConfig(img_resolution=256, conv_clamp=256.0),
        batch=32, g_lr=0.0025, gamma=2.0, blur_sigma=10.0, ema_kimg=10.0, kimg=25000,
        kimg_per_tick=4, snapshot_kimg=200,
    ),
    # What ADA's authors choose for few images: γ = 0.0002·R²/batch, half the channels.
    "ada64": Config(
        G=stylegan2.Config(img_resolution=64, channel_base=16384,
                           mapping_kwargs=stylegan2.MappingConfig(num_layers=2)),
        D=stylegan2.DiscriminatorConfig(img_resolution=64, channel_base=16384),
        batch=32, g_lr=0.0025, d_lr=0.0025, gamma=0.0256, pl_weight=2.0, mixing_prob=0.9,
        ema_kimg=10.0, augment="bgc", mirror=True, kimg=5000, kimg_per_tick=4, snapshot_kimg=200,
    ),
}  # fmt: skip


def preset(name: str) -> Config:
    """A config of PRESETS.  Raises: ValueError for another name."""
    if name not in PRESETS:
        raise ValueError(f"there is no config {name!r}; expected {', '.join(PRESETS)}")
    return PRESETS[name]


def override(config: object, settings: dict, within: str = ""):
    """A config with fields replaced: {"batch": 16, "G.channel_max": 96, …}.

    within: what config is a part of, such as "G.", for errors.
    Raises: ValueError for a name that the config has not, or a value that it refuses.
    """
    fields, changes, inside = {f.name for f in dataclasses.fields(config)}, {}, {}
    for name, value in settings.items():
        first, _, rest = name.partition(".")
        if first not in fields or (rest and not dataclasses.is_dataclass(getattr(config, first))):
            wanted = ", ".join(sorted(fields))
            raise ValueError(f"there is no setting {within + name!r}; expected one of {wanted}")
        if rest:
            inside.setdefault(first, {})[rest] = value
        else:
            changes[first] = value
    for first, values in inside.items():
        part = changes.get(first, getattr(config, first))
        changes[first] = override(part, values, f"{within}{first}.")
    try:
        return dataclasses.replace(config, **changes)
    except TypeError as error:  # a dict of settings, one of which there is not
        raise ValueError(f"{within}{', '.join(changes)}: {error}") from None

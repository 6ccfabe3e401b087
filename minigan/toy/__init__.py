"""Part 1: a StyleGAN for one-dimensional signals (`model`), and how it is trained (`training`)."""

from minigan.toy.model import (
    STYLES,
    Config,
    Discriminator,
    Generator,
    adain,
    add_noise,
    conv1d,
    dense,
    instance_norm,
    leaky_relu,
    minibatch_stddev,
    pixel_norm,
    synthesis,
    upsample,
)

__all__ = [
    "STYLES",
    "Config",
    "Discriminator",
    "Generator",
    "adain",
    "add_noise",
    "conv1d",
    "dense",
    "instance_norm",
    "leaky_relu",
    "minibatch_stddev",
    "pixel_norm",
    "synthesis",
    "upsample",
]

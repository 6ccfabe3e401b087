"""Part 1: a StyleGAN for one-dimensional signals, in plain NumPy, to be read from top to bottom.

It is the first StyleGAN (Karras et al. 2018, arXiv 1812.04948, §2) with one spatial axis instead of
two: a mapping network, a learned constant, blocks 4 → 8 → 16 → 32, noise, AdaIN.  Three rivals
share its code, so that the paper's claims can be tried: see `Config.style`.  Parameters follow the
naming of StyleGAN2's official state dicts; signals are [N, 1, L], as images are [N, C, H, W].

Read first: nothing.  Read next: `toy/training.py`.  Not here: two dimensions, speed.
"""

import dataclasses
import math

import numpy as np

from minigan import check
from minigan.networks import base, init
from minigan.networks.init import normal, zeros

STYLES = ("adain", "off", "concat_w", "concat_z")


@dataclasses.dataclass(frozen=True)
class Config:
    """The shape of G and D.  The paper's sizes for 1024² images are in brackets."""

    style: str = "adain"  # how the latent enters: by AdaIN in every layer; "off": not at all;
    # "concat_w", "concat_z": w or z beside the constant at the input, as in a classic GAN
    z_dim: int = 16  # [512]
    w_dim: int = 16  # [512]
    img_resolution: int = 32  # length L of a signal, 4·2ⁿ [1024]
    channels: int = 24  # of every layer [512 … 16]
    num_layers: int = 8  # of the mapping network [8]
    lr_multiplier: float = 0.01  # of the mapping network's learning rate [0.01]
    d_channels: int = 24  # of D's layers

    def __post_init__(self):
        if self.style not in STYLES:
            raise ValueError(f"Config: style is {self.style!r}; expected one of {STYLES}")
        for name in ("z_dim", "w_dim", "channels", "num_layers", "d_channels"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) > 0):
                raise ValueError(f"Config: {name} is {getattr(self, name)!r}; expected an int > 0")
        rate = self.lr_multiplier
        if not (isinstance(rate, (int, float)) and 0 < rate < math.inf):
            raise ValueError(f"Config: lr_multiplier is {rate!r}; expected a number above 0")
        if self.style == "concat_z" and self.z_dim != self.w_dim:
            raise ValueError(f"Config: z_dim is {self.z_dim} and w_dim {self.w_dim}; expected "
                             "equal for style 'concat_z', which takes z itself for w")  # fmt: skip
        length = self.img_resolution
        if not isinstance(length, int) or length < 4 or length & (length - 1):
            raise ValueError(f"Config: img_resolution is {length!r}; expected a power of two ≥ 4")

    resolutions = property(base.resolutions)  # 4, 8, …, img_resolution

    @property
    def layers(self):
        """What takes a style and noise, and its length: ("b4.conv0", 4), ("b4.conv1", 4), …"""
        return [(f"b{res}.conv{i}", res) for res in self.resolutions for i in (0, 1)]


# ---- the parts -----------------------------------------------------------------------------------


def dense(params, name, x, gain=1.0, lr_multiplier=1.0):
    """Equalised fully connected layer: x [N, in] -> [N, out].

    Stored weights have variance 1 (divided by the multiplier) and are scaled when used, by
    gain·multiplier/√in, so that Adam moves all layers at the same relative speed (PG-GAN §4.1).
    """
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    scale = gain * lr_multiplier / math.sqrt(weight.shape[1])
    return x @ (weight * scale).T + (bias if lr_multiplier == 1 else bias * lr_multiplier)


def conv1d(params, name, x):
    """Equalised convolution of width 1 or 3, padded with zeros: x [N, C, L] -> [N, O, L]."""
    weight = params[f"{name}.weight"]  # [O, C, k]
    o, c, k = weight.shape
    scale = math.sqrt(2 / (c * k))  # √2 makes up for what the leaky ReLU removes
    length = x.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2)))
    shifted = np.concatenate([x[:, :, i : i + length] for i in range(k)], axis=1)  # [N, k·C, L]
    return np.reshape(np.transpose(weight, (0, 2, 1)) * scale, (o, k * c)) @ shifted


def leaky_relu(x):
    """x where positive, 0.2·x elsewhere; any shape."""
    return np.where(x > 0, x, 0.2 * x)


def pixel_norm(x):
    """x / √(mean of squares over axis 1): every sample (or position) gets the same length."""
    return x / np.sqrt(np.mean(np.square(x), axis=1, keepdims=True) + 1e-8)


def instance_norm(x):
    """x [N, C, L] with mean 0 and variance 1 along the signal, each sample and channel alone."""
    x = x - np.mean(x, axis=2, keepdims=True)
    return x / np.sqrt(np.mean(np.square(x), axis=2, keepdims=True) + 1e-8)


def adain(x, scale, bias):
    """Adaptive instance normalisation (Eq. 1): x [N, C, L]; scale, bias [N, C] -> [N, C, L].

    Each channel leaves with mean `bias` and standard deviation |scale + 1|, whatever it came with.
    The paper multiplies by y_s, whose bias starts at 1; its code, like ours, by 1 + scale.
    """
    return instance_norm(x) * (scale[:, :, None] + 1) + bias[:, :, None]


def add_noise(x, noise, strength):
    """x [N, C, L] + one noise map [N or 1, 1, L] times a learned strength per channel [C]."""
    return x + noise * strength[:, None]


def upsample(x):
    """[N, C, L] -> [N, C, 2L]: each value twice, then the blur [1, 2, 1]/4."""
    x = np.pad(np.repeat(x, 2, axis=2), ((0, 0), (0, 0), (1, 1)))
    return 0.25 * x[:, :, :-2] + 0.5 * x[:, :, 1:-1] + 0.25 * x[:, :, 2:]


def downsample(x):
    """[N, C, 2L] -> [N, C, L]: the mean of neighbours."""
    n, c, length = x.shape
    return np.mean(np.reshape(x, (n, c, length // 2, 2)), axis=3)


# ---- the generator -------------------------------------------------------------------------------


def mapping(params, config, z):
    """z [N, z_dim] -> w [N, w_dim]: normalise, then eight layers that learn slowly (§2, App. C)."""
    x = pixel_norm(z)
    for i in range(config.num_layers):
        x = leaky_relu(dense(params, f"mapping.fc{i}", x, math.sqrt(2), config.lr_multiplier))
    return x


def synthesis(params, config, ws, noises):
    """ws [N, num_ws, w_dim], noises {layer: [N or 1, 1, L]} -> signals [N, 1, L].

    The order within a layer is the official one: convolution → noise → bias → leaky ReLU → AdaIN.
    """
    const = params["synthesis.b4.const"]
    x = np.broadcast_to(const, (ws.shape[0], *const.shape[1:]))
    if config.style.startswith("concat"):
        latent = np.broadcast_to(ws[:, 0, :, None], (*ws.shape[::2], 4))
        x = np.concatenate([x, latent], axis=1)  # [N, C + w_dim, 4]
    for i, (layer, length) in enumerate(config.layers):
        name = f"synthesis.{layer}"
        if x.shape[2] < length:
            x = upsample(x)
        if f"{name}.weight" in params:  # in the style GAN the constant stands in for b4.conv0
            x = conv1d(params, name, x)
        x = add_noise(x, noises[layer], params[f"{name}.noise_strength"])
        x = leaky_relu(x + params[f"{name}.bias"][:, None])
        if config.style == "adain":
            style = dense(params, f"{name}.affine", ws[:, i])
            x = adain(x, *np.split(style, 2, axis=1))
        elif config.style.startswith("concat"):
            x = pixel_norm(x)  # a classic GAN needs some normalisation too; this is PG-GAN's (§4.2)
    weight = params["synthesis.torgb.weight"]  # [1, C]: linear, gain 1, as the paper's toRGB
    return weight * (1 / math.sqrt(weight.shape[1])) @ x + params["synthesis.torgb.bias"][:, None]


class Generator(base.Generator):
    """z [N, z_dim] -> signals [N, 1, L].  `networks/base.py` has the methods of all generators."""

    config_class = Config
    num_ws = property(lambda self: len(self.config.layers))

    def _mapping(self, z, c):
        # For style "concat_z" w is z itself.
        return z if self.config.style == "concat_z" else mapping(self.params, self.config, z)

    def _synthesis(self, ws, noises):
        return synthesis(self.params, self.config, ws, noises)

    @classmethod
    def init(cls, config, rng, noise_strength=0.0):
        """Fresh weights, float32.  rng: numpy.random.Generator.  noise_strength: where it starts;
        0 in the paper, more to look at an untrained toy."""
        check.rng(rng)
        buffers = {"mapping.w_avg": zeros(config.w_dim)}
        for name, length in config.layers:
            buffers[f"synthesis.{name}.noise_const"] = normal(rng, length)
        params, c = {}, config.channels
        if config.style != "concat_z":
            sizes = [config.z_dim] + [config.w_dim] * config.num_layers
            params |= init.mapping(rng, sizes, config.lr_multiplier)
        params["synthesis.b4.const"] = zeros(1, c, 4) + 1
        for layer, _ in config.layers:
            name = f"synthesis.{layer}"
            if layer != "b4.conv0":
                params[f"{name}.weight"] = normal(rng, c, c, 3)
            elif config.style.startswith("concat"):
                params[f"{name}.weight"] = normal(rng, c, c + config.w_dim, 3)
            params[f"{name}.noise_strength"] = np.full(c, noise_strength, np.float32)
            params[f"{name}.bias"] = zeros(c)
            if config.style in ("adain", "off"):  # "off" keeps them, unused: the same network, cut
                params |= init.layer(rng, f"{name}.affine", 2 * c, config.w_dim)
        params |= init.layer(rng, "synthesis.torgb", 1, c)
        return cls(config, params, buffers)


# ---- the discriminator ---------------------------------------------------------------------------


def discriminate(params, config, img):
    """D: signals [N, 1, L] -> logits [N, 1].  G's mirror, without styles and noise."""
    x = _conv_lrelu(params, "fromrgb", img)
    for res in reversed(config.resolutions[1:]):
        x = downsample(_conv_lrelu(params, f"b{res}.conv", x))
    x = _conv_lrelu(params, "b4.conv", minibatch_stddev(x))
    x = np.reshape(x, (x.shape[0], -1))
    x = leaky_relu(dense(params, "b4.fc", x, math.sqrt(2)))
    return dense(params, "b4.out", x)


def minibatch_stddev(x, group_size=4):
    """Append a channel that says how much the samples of a group differ (PG-GAN §3).

    x [N, C, L] -> [N, C + 1, L].  Samples n, n + N/G, n + 2N/G, … form a group of G = min(4, N).
    Raises: ValueError if G does not divide N.
    """
    n, c, length = x.shape
    group = min(group_size, n)
    if n % group:
        raise ValueError(f"minibatch_stddev: batch size {n}; expected a multiple of {group}")
    y = np.reshape(x, (group, n // group, c, length))
    y = np.sqrt(np.var(y, axis=0) + 1e-8)
    y = np.mean(y, axis=(1, 2))  # one number per group
    y = np.concatenate([y] * group)  # sample n belongs to group n mod (N/G)
    return np.concatenate([x, np.broadcast_to(y[:, None, None], (n, 1, length))], axis=1)


def _conv_lrelu(params, name, x):
    return leaky_relu(conv1d(params, name, x) + params[f"{name}.bias"][:, None])


class Discriminator(base.Discriminator):
    """Signals [N, 1, L] -> logits [N, 1]."""

    config_class = Config
    image_shape = property(lambda self: (1, self.config.img_resolution))

    def _judge(self, img, c):
        return discriminate(self.params, self.config, img)

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        c, layer = config.d_channels, init.layer
        params = layer(rng, "fromrgb", c, 1, 1)
        for res in reversed(config.resolutions[1:]):
            params |= layer(rng, f"b{res}.conv", c, c, 3)
        params |= layer(rng, "b4.conv", c, c + 1, 3)
        params |= layer(rng, "b4.fc", c, 4 * c) | layer(rng, "b4.out", 1, c)
        return cls(config, params)

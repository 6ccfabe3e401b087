"""StyleGAN (Karras, Laine & Aila 2018, arXiv 1812.04948), with its progressive growing.

The order within a layer is that of the authors' code: convolution → blur → noise → bias → leaky
ReLU → AdaIN.  √2 is part of the weights' scale here, not of the activation as from StyleGAN2 on.
Parameters are named as StyleGAN2's.

Read first: `toy/model.py`, which is this in one dimension.  Read next: `stylegan2.py`.
Not here: the fused up- and downsampling of large images, which computes the same.
"""

import dataclasses
import itertools
import math

import numpy as np

from minigan import check
from minigan.layers import given, minibatch_stddev, pixel_norm
from minigan.networks import base, init
from minigan.networks.init import normal, zeros
from minigan.ops.bias_act import _bias_act
from minigan.ops.conv2d import _conv2d
from minigan.ops.dense import _dense as product
from minigan.ops.epilogue import Epilogue
from minigan.ops.upfirdn2d import _downsample2d, _filter2d, _upsample2d

SQRT2 = math.sqrt(2)  # makes up for what the leaky ReLU removes
BLUR = np.array([1, 2, 1]) / 4
PAIR = np.array([1, 1]) / 2  # upsampling: each pixel twice; downsampling: the mean of two


@dataclasses.dataclass(frozen=True)
class MappingConfig(base.Mapping):
    """The mapping network: the official values."""

    num_layers: int = 8
    lr_multiplier: float = 0.01
    w_avg_beta: float = 0.995  # decay of w̄ per step


class _Common(base.Sized):
    def __post_init__(self):
        super().__post_init__()
        most = math.log2(self.img_resolution) - 2
        if not 0 <= self.lod <= most:
            raise ValueError(
                f"{type(self).__qualname__}: lod is {self.lod}; expected from 0 to {most:.0f}"
            )


@dataclasses.dataclass(frozen=True)
class Config(_Common):
    """The generator."""

    img_resolution: int = 1024
    img_channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0  # of labels; 0: none
    mapping_kwargs: MappingConfig = MappingConfig()
    channel_base: int = 16384  # channels · resolution, up to …
    channel_max: int = 512
    lod: float = 0.0  # levels of detail that are still missing while growing; see `faded`

    @property
    def layers(self):
        """What takes a style and noise, and its resolution: {"b4.conv0": 4, "b4.conv1": 4, …}."""
        return {f"b{res}.conv{i}": res for res in base.resolutions(self) for i in (0, 1)}


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig(_Common):
    """The discriminator."""

    img_resolution: int = 1024
    img_channels: int = 3
    c_dim: int = 0
    channel_base: int = 16384
    channel_max: int = 512
    mbstd_group_size: int = 4
    mbstd_num_channels: int = 1
    lod: float = 0.0


# ---- the parts -----------------------------------------------------------------------------------


def _scaled(params, name, gain):
    weight = params[f"{name}.weight"]
    return weight * (gain / math.sqrt(weight[0].size))


def _lrelu(params, name, x):
    return given(name, _bias_act(x, params[f"{name}.bias"], act="lrelu", gain=1.0))


def _conv(params, name, x, gain=SQRT2):
    weight = _scaled(params, name, gain)
    return _conv2d(x, weight, padding=(weight.shape[2] // 2,) * 4)


def _dense(params, name, x, gain=1.0, lr_multiplier=1.0, act="linear"):
    """Equalised, as the toy's: the gain belongs to the weights here, not to the activation."""
    weight = params[f"{name}.weight"]
    weight = weight * (gain * lr_multiplier / math.sqrt(weight.shape[1]))
    return product(x, weight, Epilogue(params[f"{name}.bias"] * lr_multiplier, act, gain=1.0))


def adain(x, style):
    """Normalise each map, then scale and shift it (Eq. 1): x [N, C, H, W], style [N, 2·C]."""
    n, c, h, w = x.shape
    scale, bias = np.split(style[:, :, None], 2, axis=1)
    x = np.reshape(x, (n, c, h * w))  # that a map has two dimensions makes no difference
    x = x - np.mean(x, axis=2, keepdims=True)
    x = x / np.sqrt(np.mean(np.square(x), axis=2, keepdims=True) + 1e-8)
    return np.reshape(x * (scale + 1) + bias, (n, c, h, w))


def mapping(params, config, z, c=None):
    """z [N, z_dim], labels c [N, c_dim] or None -> w [N, w_dim]."""
    x = z if c is None else np.concatenate([z, product(c, params["mapping.embed.weight"])], axis=1)
    x = pixel_norm(x)
    for i in range(config.num_layers):
        x = _dense(params, f"mapping.fc{i}", x, SQRT2, config.lr_multiplier, "lrelu")
    return x


def faded(config, low, high):
    """Between two resolutions: the sharper image `high`, and `low` for the missing fraction.

    lod 2.25 means: two resolutions are missing, and the one above them is a quarter transparent.
    """
    return high + (config.lod % 1) * (low - high)


def _repeat(x, times):
    for _ in range(times):
        x = _upsample2d(x, PAIR)
    return x


def _average(x, times):
    for _ in range(times):
        x = _downsample2d(x, PAIR)
    return x


def fade_reals(config, img):
    """Real images [N, C, R, R] as blurred as a growing generator's: blocks of pixels, faded."""
    whole = int(config.lod)
    img = _average(img, whole)
    if config.lod % 1:
        img = faded(config, _repeat(_average(img, 1), 1), img)
    return _repeat(img, whole)


# ---- the generator -------------------------------------------------------------------------------


def synthesis(params, config, ws, noises):
    """ws [N, num_ws, w_dim], noises {layer: [1 or N, 1, H, W]} -> images [N, C, R, R].

    While growing, only the layers up to the current resolution run, and its pixels are repeated.
    """
    whole = int(config.lod)
    top = config.img_resolution >> whole
    const = params["synthesis.b4.const"]
    x = np.broadcast_to(const, (ws.shape[0], *const.shape))
    low = None
    for i, (layer, res) in enumerate(config.layers.items()):
        if res > top:
            break
        name = f"synthesis.{layer}"
        if layer.endswith("conv0") and res > 4:
            if res == top and config.lod % 1:
                low = _repeat(_to_rgb(params, f"synthesis.b{res // 2}.torgb", x), 1)
            x = _filter2d(_conv(params, name, _repeat(x, 1)), BLUR)
        elif layer != "b4.conv0":  # for which the constant stands in
            x = _conv(params, name, x)
        if layer in noises:
            x = x + noises[layer] * params[f"{name}.noise_strength"][:, None, None]
        x = _lrelu(params, name, x)
        x = adain(x, _dense(params, f"{name}.affine", ws[:, i]))
    img = _to_rgb(params, f"synthesis.b{top}.torgb", x)
    return _repeat(img if low is None else faded(config, low, img), whole)


def _to_rgb(params, name, x):
    """1×1, linear, gain 1, no style."""
    return _bias_act(_conv(params, name, x, gain=1.0), params[f"{name}.bias"])


class Generator(base.Generator):
    """config: `Config`; params and buffers: named as StyleGAN2's."""

    config_class = Config
    num_ws = property(lambda self: len(self.config.layers))
    used_ws = property(lambda self: self.num_ws - 2 * int(self.config.lod))

    def _mapping(self, z, c):
        return mapping(self.params, self.config.mapping_kwargs, z, c)

    def _synthesis(self, ws, noises):
        return synthesis(self.params, self.config, ws, noises)

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params, buffers = {}, {"mapping.w_avg": zeros(config.w_dim)}
        inside = config.z_dim
        if config.c_dim:
            params["mapping.embed.weight"] = normal(rng, config.z_dim, config.c_dim)
            inside *= 2
        sizes = [inside] + [config.w_dim] * config.mapping_kwargs.num_layers
        params |= init.mapping(rng, sizes, config.mapping_kwargs.lr_multiplier)
        params["synthesis.b4.const"] = zeros(config.channels(4), 4, 4) + 1
        inside = config.channels(4)
        for layer, res in config.layers.items():
            name, outside = f"synthesis.{layer}", config.channels(res)
            if layer != "b4.conv0":
                params[f"{name}.weight"] = normal(rng, outside, inside, 3, 3)
            params[f"{name}.noise_strength"] = zeros(outside)
            params[f"{name}.bias"] = zeros(outside)
            params |= init.layer(rng, f"{name}.affine", 2 * outside, config.w_dim)
            buffers[f"{name}.noise_const"] = normal(rng, res, res)
            if layer.endswith("conv1"):
                name = f"synthesis.b{res}.torgb"
                params |= init.layer(rng, name, config.img_channels, outside, 1, 1)
            inside = outside
        return cls(config, params, buffers)


# ---- the discriminator ---------------------------------------------------------------------------


def blocks(params, config, img):
    """img [N, C, R, R] -> the maps before the first block, and after each, the largest first."""
    whole = int(config.lod)
    top = config.img_resolution >> whole
    img = _average(img, whole)
    x = _lrelu(params, f"b{top}.fromrgb", _conv(params, f"b{top}.fromrgb", img))
    yield x
    res = top
    while res > 4:
        x = _lrelu(params, f"b{res}.conv0", _conv(params, f"b{res}.conv0", x))
        x = _average(_conv(params, f"b{res}.conv1", _filter2d(x, BLUR)), 1)
        x = _lrelu(params, f"b{res}.conv1", x)
        res //= 2
        if res == top // 2 and config.lod % 1:
            name = f"b{res}.fromrgb"
            low = _lrelu(params, name, _conv(params, name, _average(img, 1)))
            x = faded(config, low, x)
        yield x


def discriminate(params, config, img, c=None):
    """img [N, C, R, R], labels c [N, c_dim] or None -> logits [N, 1]."""
    for maps in blocks(params, config, img):
        x = maps
    if config.mbstd_num_channels > 0:
        x = minibatch_stddev(x, config.mbstd_group_size, config.mbstd_num_channels)
    x = _lrelu(params, "b4.conv", _conv(params, "b4.conv", x))
    x = _dense(params, "b4.fc", np.reshape(x, (x.shape[0], -1)), SQRT2, act="lrelu")
    scores = _dense(params, "b4.out", x)
    return scores if c is None else np.sum(scores * c, axis=1, keepdims=True)


class Discriminator(base.Discriminator):
    """config: `DiscriminatorConfig`; no buffers."""

    config_class = DiscriminatorConfig

    def _judge(self, img, c):
        return discriminate(self.params, self.config, img, c)

    def _maps(self, img):
        return itertools.islice(blocks(self.params, self.config, img), 1, None)

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params, layer = {}, init.layer
        for res in reversed(base.resolutions(config)):
            here, below = config.channels(res), config.channels(res // 2)
            params |= layer(rng, f"b{res}.fromrgb", here, config.img_channels, 1, 1)
            if res > 4:
                params |= layer(rng, f"b{res}.conv0", here, here, 3, 3)
                params |= layer(rng, f"b{res}.conv1", below, here, 3, 3)
        top = config.channels(4)
        params |= layer(rng, "b4.conv", top, top + config.mbstd_num_channels, 3, 3)
        params |= layer(rng, "b4.fc", top, 16 * top)
        params |= layer(rng, "b4.out", config.c_dim or 1, top)
        return cls(config, params, {})

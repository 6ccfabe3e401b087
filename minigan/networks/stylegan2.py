"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958), numerically the official networks.

Read §2 of the paper beside `synthesis_layer`, and Fig. 7 beside `synthesis` and `discriminate`.
Everything follows NVIDIA's PyTorch version (with ADA): names, sizes, the order of operations.

Read first: `toy/model.py`, `layers.modulated_conv2d`.  Read next: `training/step.py`.
Not here: half precision, which changes nothing but the rounding.
"""

import dataclasses
import math

import numpy as np

from minigan import check, filters, layers
from minigan.layers import conv, dense, minibatch_stddev, pixel_norm
from minigan.networks import base, init
from minigan.networks.init import normal, zeros
from minigan.ops import ACTIVATIONS
from minigan.ops.epilogue import Epilogue
from minigan.ops.upfirdn2d import _downsample2d, _upsample2d

HALF = math.sqrt(0.5)  # keeps the variance where two branches meet


@dataclasses.dataclass(frozen=True)
class MappingConfig(base.Mapping):
    """The mapping network: official defaults."""

    num_layers: int = 8
    embed_features: int | None = None  # size of the embedded label; None: w_dim
    layer_features: int | None = None  # between the layers; None: w_dim
    activation: str = "lrelu"
    lr_multiplier: float = 0.01
    w_avg_beta: float = 0.995  # decay of w̄ per step

    def __post_init__(self):
        super().__post_init__()
        check.choice(self, "activation", ACTIVATIONS)


class _Common(base.Sized):
    """What both configurations check."""

    def __post_init__(self):
        super().__post_init__()
        check.choice(self, "architecture", ("skip", "resnet", "orig"))
        check.choice(self, "activation", ACTIVATIONS)


@dataclasses.dataclass(frozen=True)
class Config(_Common):
    """The generator.  Fields and defaults are those of the official constructors."""

    img_resolution: int = 1024
    img_channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0  # of labels; 0: none
    mapping_kwargs: MappingConfig = MappingConfig()
    channel_base: int = 32768  # channels · resolution, up to …
    channel_max: int = 512
    architecture: str = "skip"  # how RGB leaves: "skip" sums it over resolutions
    resample_filter: tuple = (1, 3, 3, 1)
    conv_clamp: float | None = None  # largest magnitude after each activation
    use_noise: bool = True
    activation: str = "lrelu"

    @property
    def conv_layers(self):
        """What takes a style and noise, and its resolution: {"b4.conv1": 4, "b8.conv0": 8, …}."""
        found = [(f"b{res}.conv{i}", res) for res in base.resolutions(self) for i in (0, 1)]
        return dict(found[1:])


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig(_Common):
    """The discriminator.  Fields and defaults are those of the official constructors."""

    img_resolution: int = 1024
    img_channels: int = 3
    c_dim: int = 0
    mapping_kwargs: MappingConfig = MappingConfig()
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "resnet"
    resample_filter: tuple = (1, 3, 3, 1)
    conv_clamp: float | None = None
    activation: str = "lrelu"
    cmap_dim: int | None = None  # size of the mapped label; None: the channels at 4²
    mbstd_group_size: int | None = 4  # None: the whole batch
    mbstd_num_channels: int = 1  # 0: no minibatch statistics

    @property
    def label_dim(self):
        if self.c_dim == 0:
            return 0
        return self.channels(4) if self.cmap_dim is None else self.cmap_dim


# ---- mapping -------------------------------------------------------------------------------------


def mapping(params, config, z, c=None):
    """z [N, z_dim] and labels c [N, c_dim], either or both None -> w [N, w_dim]."""
    parts = [] if z is None else [pixel_norm(z)]
    if c is not None:
        parts.append(pixel_norm(dense(params, "mapping.embed", c)))
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    for i in range(config.num_layers):
        x = dense(params, f"mapping.fc{i}", x, config.activation, config.lr_multiplier)
    return x


# ---- the generator -------------------------------------------------------------------------------


def synthesis_layer(params, buffers, config, name, x, w, noise, up=1, gain=1.0):
    """Modulated convolution → noise → bias → activation (Fig. 2c, 2d)."""
    styles = dense(params, f"{name}.affine", w)  # A: bias starts at 1
    if noise is not None:
        noise = noise * params[f"{name}.noise_strength"]  # one number per layer, at first 0
    epilogue = Epilogue(
        params[f"{name}.bias"], config.activation, noise=noise,
        **layers.scaled(config.activation, gain, config.conv_clamp),
    )  # fmt: skip
    y = layers._modulated_conv2d(
        x, params[f"{name}.weight"], styles, up=up, padding=(1, 1, 1, 1),
        resample_filter=buffers[f"{name}.resample_filter"], flip_weight=up == 1,
        epilogue=epilogue,
    )  # fmt: skip
    return layers.given(name, y)


def to_rgb(params, config, name, x, w):
    """1×1 modulated convolution without demodulation, bias, no activation."""
    weight = params[f"{name}.weight"]
    styles = dense(params, f"{name}.affine", w) * (1 / math.sqrt(weight.shape[1]))
    epilogue = Epilogue(params[f"{name}.bias"], clamp=config.conv_clamp)
    y = layers._modulated_conv2d(x, weight, styles, demodulate=False, epilogue=epilogue)
    return layers.given(name, y)


def synthesis(params, buffers, config, ws, noises):
    """ws [N, num_ws, w_dim], noises {layer: [1 or N, 1, H, W]} -> images.

    Layer i takes ws[:, i].  A block's toRGB takes the one that the next block begins with.
    """
    const = params["synthesis.b4.const"]
    x = np.broadcast_to(const, (ws.shape[0], *const.shape))
    img, i = None, 0
    for res in base.resolutions(config):
        block = f"synthesis.b{res}"
        filt = buffers[f"{block}.resample_filter"]
        resnet = config.architecture == "resnet" and res > 4
        if resnet:
            skipped = conv(params, f"{block}.skip", x, filt, up=2, gain=HALF)
        for name in ("conv0", "conv1") if res > 4 else ("conv1",):
            x = synthesis_layer(
                params, buffers, config, f"{block}.{name}", x, ws[:, i],
                noises.get(f"b{res}.{name}"), up=2 if name == "conv0" else 1,
                gain=HALF if resnet and name == "conv1" else 1.0,
            )  # fmt: skip
            i += 1
        if resnet:
            x = skipped + x
        if img is not None:
            img = _upsample2d(img, filt)
        if config.architecture == "skip" or res == config.img_resolution:
            rgb = to_rgb(params, config, f"{block}.torgb", x, ws[:, i])
            img = rgb if img is None else img + rgb
    return img


class Generator(base.Generator):
    """config: `Config`; params and buffers: those of the official state dict."""

    config_class = Config

    num_ws = property(lambda self: len(self.config.conv_layers) + 1)

    def _mapping(self, z, c):
        return mapping(self.params, self.config.mapping_kwargs, z, c)

    def _synthesis(self, ws, noises):
        return synthesis(self.params, self.buffers, self.config, ws, noises)

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params = mapping_params(
            config.mapping_kwargs, rng, config.z_dim, config.c_dim, config.w_dim
        )
        buffers = {"mapping.w_avg": zeros(config.w_dim)}
        filt = filters.setup_filter(config.resample_filter).astype(np.float32)
        params["synthesis.b4.const"] = normal(rng, config.channels(4), 4, 4)

        def layer(name, inside, outside, k, noise_res=0):
            params[f"{name}.weight"] = normal(rng, outside, inside, k, k)
            params[f"{name}.bias"] = zeros(outside)
            params[f"{name}.affine.weight"] = normal(rng, inside, config.w_dim)
            params[f"{name}.affine.bias"] = zeros(inside) + 1
            if k == 3:
                buffers[f"{name}.resample_filter"] = filt
            if noise_res and config.use_noise:
                params[f"{name}.noise_strength"] = zeros()
                buffers[f"{name}.noise_const"] = normal(rng, noise_res, noise_res)

        inside = config.channels(4)
        for res in base.resolutions(config):
            block, outside = f"synthesis.b{res}", config.channels(res)
            buffers[f"{block}.resample_filter"] = filt
            if res > 4:
                layer(f"{block}.conv0", inside, outside, 3, res)
            layer(f"{block}.conv1", outside, outside, 3, res)
            if config.architecture == "skip" or res == config.img_resolution:
                layer(f"{block}.torgb", outside, config.img_channels, 1)
            if config.architecture == "resnet" and res > 4:
                params[f"{block}.skip.weight"] = normal(rng, outside, inside, 1, 1)
                buffers[f"{block}.skip.resample_filter"] = filt
            inside = outside
        return cls(config, params, buffers)


def mapping_params(config, rng, z_dim, c_dim, w_dim):
    params = {}
    embedded = 0
    if c_dim:
        embedded = config.embed_features or w_dim
        params |= init.layer(rng, "mapping.embed", embedded, c_dim)
    sizes = (
        [z_dim + embedded] + [config.layer_features or w_dim] * (config.num_layers - 1) + [w_dim]
    )
    return params | init.mapping(rng, sizes, config.lr_multiplier)


# ---- the discriminator ---------------------------------------------------------------------------


def blocks(params, buffers, config, img):
    """img [N, C, R, R] -> after each block, the largest first: (its maps, what is left of img)."""
    act, clamp = config.activation, config.conv_clamp
    x = None
    for res in reversed(base.resolutions(config)[1:]):
        block = f"b{res}"
        filt = buffers[f"{block}.resample_filter"]
        if x is None or config.architecture == "skip":
            seen = conv(params, f"{block}.fromrgb", img, act=act, clamp=clamp)
            x = seen if x is None else x + seen
        if config.architecture == "skip":
            img = _downsample2d(img, filt)
        resnet = config.architecture == "resnet"
        if resnet:
            skipped = conv(params, f"{block}.skip", x, filt, down=2, gain=HALF)
        x = conv(params, f"{block}.conv0", x, act=act, clamp=clamp)
        gain = HALF if resnet else 1.0
        x = conv(params, f"{block}.conv1", x, filt, down=2, act=act, gain=gain, clamp=clamp)
        if resnet:
            x = skipped + x
        yield x, img


def discriminate(params, buffers, config, img, c=None):
    """img [N, C, R, R], labels c [N, c_dim] or None -> logits [N, 1]."""
    act, clamp = config.activation, config.conv_clamp
    for block in blocks(params, buffers, config, img):
        x, img = block
    if config.architecture == "skip":
        x = x + conv(params, "b4.fromrgb", img, act=act, clamp=clamp)
    if config.mbstd_num_channels > 0:
        x = minibatch_stddev(x, config.mbstd_group_size, config.mbstd_num_channels)
    x = conv(params, "b4.conv", x, act=act, clamp=clamp)
    x = dense(params, "b4.fc", np.reshape(x, (x.shape[0], -1)), act)
    x = dense(params, "b4.out", x)
    if c is None:
        return x
    # Projection (Miyato & Koyama 2018): how far the image points where the label does.
    label = mapping(params, config.mapping_kwargs, None, c)
    return np.sum(x * label, axis=1, keepdims=True) * (1 / math.sqrt(config.label_dim))


class Discriminator(base.Discriminator):
    """config: `DiscriminatorConfig`; params and buffers: those of the official state dict."""

    config_class = DiscriminatorConfig

    def _judge(self, img, c):
        return discriminate(self.params, self.buffers, self.config, img, c)

    def _maps(self, img):
        return (x for x, _ in blocks(self.params, self.buffers, self.config, img))

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params, buffers = {}, {}
        filt = filters.setup_filter(config.resample_filter).astype(np.float32)

        def layer(name, inside, outside, k, bias=True):
            params[f"{name}.weight"] = normal(rng, outside, inside, k, k)
            if bias:
                params[f"{name}.bias"] = zeros(outside)
            buffers[f"{name}.resample_filter"] = filt

        for res in reversed(base.resolutions(config)):
            here, below = config.channels(res), config.channels(res // 2)
            if res == config.img_resolution or config.architecture == "skip":
                layer(f"b{res}.fromrgb", config.img_channels, here, 1)
            if res > 4:
                buffers[f"b{res}.resample_filter"] = filt
                layer(f"b{res}.conv0", here, here, 3)
                layer(f"b{res}.conv1", here, below, 3)
                if config.architecture == "resnet":
                    layer(f"b{res}.skip", here, below, 1, bias=False)
        top, out = config.channels(4), config.label_dim or 1
        layer("b4.conv", top + config.mbstd_num_channels, top, 3)
        params |= init.layer(rng, "b4.fc", top, 16 * top) | init.layer(rng, "b4.out", out, top)
        if config.c_dim:
            params |= mapping_params(config.mapping_kwargs, rng, 0, config.c_dim, out)
        return cls(config, params, buffers)

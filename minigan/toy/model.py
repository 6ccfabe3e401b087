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

from minigan import latents
from minigan.autograd.variable import plain
from minigan.device import kind_of, on_gpu, with_arrays_on

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
            raise ValueError(
                f"Config: z_dim is {self.z_dim} and w_dim {self.w_dim}; expected equal, since "
                "style 'concat_z' takes z itself for w"
            )
        length = self.img_resolution
        if not isinstance(length, int) or length < 4 or length & (length - 1):
            raise ValueError(f"Config: img_resolution is {length!r}; expected a power of two ≥ 4")

    @property
    def resolutions(self):
        return [2**i for i in range(2, int(math.log2(self.img_resolution)) + 1)]

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
    weight = params[f"{name}.weight"]
    bias = params[f"{name}.bias"]
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
        x = dense(params, f"mapping.fc{i}", x, math.sqrt(2), config.lr_multiplier)
        x = leaky_relu(x)
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


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
    """A generator: its configuration and two flat dicts of arrays; the interface of all of ours.

    params: what training changes.  buffers: what it does not: `mapping.w_avg` and one fixed noise
    map for each layer, `synthesis.b8.conv0.noise_const` and so on.
    """

    config: Config
    params: dict
    buffers: dict

    config_class = Config

    @classmethod
    def init(cls, config, rng, noise_strength=0.0):
        """Fresh weights, float32.  rng: numpy.random.Generator.

        noise_strength: where it starts; 0 in the paper, more to look at an untrained toy.
        """
        check_rng(rng)
        buffers = {"mapping.w_avg": np.zeros(config.w_dim, np.float32)}
        for name, length in config.layers:
            buffers[f"synthesis.{name}.noise_const"] = normal(rng, length)
        return cls(config, _generator_params(config, rng, noise_strength), buffers)

    w_avg = property(lambda self: self.buffers["mapping.w_avg"])
    num_ws = property(lambda self: len(self.config.layers))
    z_dim = property(lambda self: self.config.z_dim)
    img_resolution = property(lambda self: self.config.img_resolution)

    def mapping(self, z, c=None, truncation_psi=1, truncation_cutoff=None):
        """z float [N, z_dim] -> ws [N, num_ws, w_dim], the same w for every layer, truncated.

        c [N, c_dim]: labels, for conditional networks only; for the toy None.  truncation_cutoff:
        truncate the first so many layers only.
        Raises: TypeError, ValueError for a z of another dtype or shape, NaN, or a ψ that is none.
        """
        check_array("z", z, (None, self.z_dim), like=self.w_avg)
        if not (isinstance(truncation_psi, (int, float)) and math.isfinite(truncation_psi)):
            raise ValueError(f"Generator: truncation_psi is {truncation_psi!r}; expected a number")
        cutoff = truncation_cutoff
        if cutoff is not None and cutoff not in range(self.num_ws + 1):
            raise ValueError(f"Generator: truncation_cutoff is {cutoff!r}; expected None or an int "
                             f"from 0 to {self.num_ws}")  # fmt: skip
        w = self._map(z, c)
        ws = np.broadcast_to(w[:, None], (w.shape[0], self.num_ws, w.shape[1]))
        return (
            ws if truncation_psi == 1 else latents.truncate(ws, self.w_avg, truncation_psi, cutoff)
        )

    def synthesis(self, ws, noise_mode="const", rng=None):
        """ws float [N, num_ws, w_dim] -> signals [N, 1, L]; images [N, C, R, R] in two dimensions.

        noise_mode: "const" (the buffers), "none", or "random", fresh from `rng` for every sample.
        Raises: TypeError, ValueError for other ws, an unknown noise_mode, "random" without an rng.
        """
        check_array("ws", ws, (None, self.num_ws, self.config.w_dim), like=self.w_avg)
        if noise_mode not in ("const", "none", "random"):
            raise ValueError(
                f"Generator: noise_mode is {noise_mode!r}; expected 'const', 'none' or 'random'"
            )
        if noise_mode == "random":
            check_rng(rng)
        noises = {}
        for name, const in self.buffers.items():
            if name.endswith(".noise_const"):
                if noise_mode == "random":
                    noise = normal(rng, ws.shape[0], 1, *const.shape).astype(ws.dtype, copy=False)
                    noise = np.asarray(noise, like=plain(ws))
                else:
                    noise = (const if noise_mode == "const" else 0 * const)[None, None]
                noises[name.removeprefix("synthesis.").removesuffix(".noise_const")] = noise
        return self._synthesize(ws, noises)

    def to(self, device):
        """A copy on "gpu", whose arrays are CuPy's, or on "cpu".  See `device.with_arrays_on`."""
        return with_arrays_on(self, device)

    def _map(self, z, c):
        if c is not None:
            raise ValueError("Generator: c was given; expected None, the toy has no labels")
        # For style "concat_z" w is z itself.
        return z if self.config.style == "concat_z" else mapping(self.params, self.config, z)

    def _synthesize(self, ws, noises):
        return synthesis(self.params, self.config, ws, noises)

    def __call__(self, z, c=None, truncation_psi=1, truncation_cutoff=None, noise_mode="const",
                 rng=None):  # fmt: skip
        """mapping, then synthesis: z [N, z_dim] -> signals [N, 1, L]."""
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        return self.synthesis(ws, noise_mode, rng)


# ---- the discriminator ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Discriminator:
    """D: signals [N, 1, L] -> logits [N, 1].  G's mirror, without styles and noise."""

    config: Config
    params: dict
    buffers: dict = dataclasses.field(default_factory=dict)  # none

    config_class = Config

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check_rng(rng)
        c = config.d_channels
        params = {"fromrgb.weight": normal(rng, c, 1, 1), "fromrgb.bias": zeros(c)}
        for res in reversed(config.resolutions[1:]):
            params |= {f"b{res}.conv.weight": normal(rng, c, c, 3), f"b{res}.conv.bias": zeros(c)}
        params |= {"b4.conv.weight": normal(rng, c, c + 1, 3), "b4.conv.bias": zeros(c)}
        params |= {"b4.fc.weight": normal(rng, c, 4 * c), "b4.fc.bias": zeros(c)}
        params |= {"b4.out.weight": normal(rng, 1, c), "b4.out.bias": zeros(1)}
        return cls(config, params)

    def to(self, device):
        """A copy on "gpu" or "cpu", as the generator's."""
        return with_arrays_on(self, device)

    def __call__(self, img, c=None):
        """img float [N, 1, L] -> logits [N, 1].  Raises: TypeError, ValueError as the generator."""
        weight = self.params["b4.out.weight"]
        check_array("img", img, (None, 1, self.config.img_resolution), like=weight)
        x = _conv_lrelu(self.params, "fromrgb", img)
        for res in reversed(self.config.resolutions[1:]):
            x = downsample(_conv_lrelu(self.params, f"b{res}.conv", x))
        x = _conv_lrelu(self.params, "b4.conv", minibatch_stddev(x))
        x = np.reshape(x, (x.shape[0], -1))
        x = leaky_relu(dense(self.params, "b4.fc", x, math.sqrt(2)))
        return dense(self.params, "b4.out", x)


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


# ---- weights, and checks at the door -------------------------------------------------------------


def _generator_params(config, rng, noise_strength):
    c, params = config.channels, {}
    if config.style != "concat_z":
        for i in range(config.num_layers):
            fan_in = config.z_dim if i == 0 else config.w_dim
            weight = normal(rng, config.w_dim, fan_in) / np.float32(config.lr_multiplier)
            params[f"mapping.fc{i}.weight"] = weight
            params[f"mapping.fc{i}.bias"] = zeros(config.w_dim)
    params["synthesis.b4.const"] = np.ones((1, c, 4), np.float32)
    for layer, _ in config.layers:
        name = f"synthesis.{layer}"
        if layer != "b4.conv0":
            params[f"{name}.weight"] = normal(rng, c, c, 3)
        elif config.style.startswith("concat"):
            params[f"{name}.weight"] = normal(rng, c, c + config.w_dim, 3)
        params[f"{name}.noise_strength"] = np.full(c, noise_strength, np.float32)
        params[f"{name}.bias"] = zeros(c)
        if config.style in ("adain", "off"):  # "off" keeps them, unused: the same network, cut off
            params[f"{name}.affine.weight"] = normal(rng, 2 * c, config.w_dim)
            params[f"{name}.affine.bias"] = zeros(2 * c)
    params["synthesis.torgb.weight"] = normal(rng, 1, c)
    params["synthesis.torgb.bias"] = zeros(1)
    return params


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def check_rng(rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {type(rng).__name__}; expected a numpy.random.Generator, such as "
                        "numpy.random.default_rng(0)")  # fmt: skip


class NotFinite(ValueError):
    """NaN or infinity where numbers are expected."""


def check_array(name, x, shape, like=None):
    """Raise unless x is a floating array of `shape` (None: any length), all finite (on the CPU: a
    GPU would be kept waiting), and where the network's array `like` is."""
    dtype = getattr(x, "dtype", None)
    if dtype not in (np.float32, np.float64):
        came = type(x).__name__ if dtype is None else f"an array of {dtype}"
        raise TypeError(f"{name} is {came}; expected an array of float32 or float64")
    if len(x.shape) != len(shape) or any(
        want not in (None, n) for want, n in zip(shape, x.shape, strict=True)
    ):
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {x.shape}; expected [{wanted}]")
    x = plain(x)
    if like is not None and on_gpu(x) != on_gpu(plain(like)):
        raise TypeError(
            f"{name} is a {kind_of(x)}, the network's arrays are {kind_of(plain(like))}; move one: "
            "G.to('gpu'), cupy.asarray(z)"
        )
    if on_gpu(x):
        return
    if not np.isfinite(np.sum(x)) and not np.isfinite(x).all():
        nan = int(np.isnan(x).sum())
        odd = f"{nan} NaN" if nan else f"{int(np.isinf(x).sum())} infinite"
        raise NotFinite(f"{name} holds {odd}; expected numbers")

"""StyleGAN3 (Karras et al. 2021, arXiv 2106.12423), numerically the official generator.

Read §3 and Fig. 4 of the paper beside `synthesis_layer`, App. C beside `schedule`.  Its
discriminator is StyleGAN2's.  What is gone: noise, mixing, path length, the sum of RGB over
resolutions.

Every signal here stands for a continuous one, of frequencies below a cutoff, in cycles across the
canvas.  Rates are samples across the canvas; what lies beyond its edge, the margin, is signal too.

Read first: `stylegan2.py`, `ops.filtered_lrelu`, `filters.py`.
Not here: half precision, which changes nothing but the rounding.
"""

import dataclasses
import functools
import math

import numpy as np

from minigan import check, filters, layers, networks
from minigan.layers import dense
from minigan.networks import base, stylegan2
from minigan.networks.init import normal, zeros
from minigan.ops.bias_act import _bias_act
from minigan.ops.conv2d import _conv2d
from minigan.ops.filtered_lrelu import _filtered_lrelu

Discriminator, DiscriminatorConfig = stylegan2.Discriminator, stylegan2.DiscriminatorConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """The generator.  Fields and defaults are those of the official constructors: config T.

    Config R has conv_kernel=1, use_radial_filters=True, channel_base=65536, channel_max=1024.
    """

    img_resolution: int = 1024
    img_channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 0  # of labels; 0: none
    mapping_kwargs: stylegan2.MappingConfig = stylegan2.MappingConfig(2, w_avg_beta=0.998)
    channel_base: int = 32768  # channels · twice the cutoff, up to …
    channel_max: int = 512
    num_layers: int = 14  # without toRGB
    num_critical: int = 2  # the last so many have their cutoff at half the rate
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3  # over the last cutoff
    margin_size: int = 10  # samples beyond each edge of the canvas
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6  # taps for each sample of the lower rate
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999  # decay of the mean squares per step

    def __post_init__(self):
        check.image_fields(
            self, img_channels=1, z_dim=1, w_dim=1, c_dim=0, channel_base=1, channel_max=1,
            num_layers=1, num_critical=0, margin_size=0, conv_kernel=1, filter_size=1,
            lrelu_upsampling=1,
        )  # fmt: skip
        positive = ("first_cutoff", "first_stopband", "last_stopband_rel", "output_scale")
        for name in positive:
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ValueError(f"Config: {name} is {value!r}; expected a number above 0")
        if not 0 <= self.magnitude_ema_beta <= 1:
            raise ValueError(
                f"Config: magnitude_ema_beta is {self.magnitude_ema_beta}; expected 0 to 1"
            )
        if self.num_critical >= self.num_layers or self.first_cutoff >= self.img_resolution / 2:
            raise ValueError(
                f"Config: num_critical is {self.num_critical} and first_cutoff {self.first_cutoff}"
                f"; expected fewer than num_layers, {self.num_layers}, and less than half of "
                f"img_resolution, {self.img_resolution}"
            )
        if min(layer.out_channels for layer in schedule(self)[1]) < 1:
            raise ValueError(
                f"Config: channel_base is {self.channel_base}; expected about img_resolution, "
                f"{self.img_resolution}, or more: the last layer has no channels"
            )
        taps = max(max(layer.up_taps, layer.down_taps) for layer in schedule(self)[1])
        if taps > 256:
            raise ValueError(
                f"Config: filter_size is {self.filter_size}, which makes filters of {taps} taps; "
                "expected 256 at most"
            )

    @property
    def largest(self):
        """Numbers in the largest array between its layers, for one picture.

        Upsampling by 2 for the activation, as is usual, counts as none.
        """
        (channels, _, size), found = schedule(self)
        inside = (l.out_channels * max(l.out_size, l.in_size * l.up // 2) ** 2 for l in found)
        return max(channels * size**2, *inside)

    def build(self, rng):
        """Its network with fresh weights, float32.  rng: numpy.random.Generator."""
        return networks.class_for(self).init(self, rng)


# ---- the schedule --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a layer is given and gives: frequencies in cycles, rates in samples, per canvas."""

    name: str
    in_channels: int
    out_channels: int
    in_size: int  # samples across, with the margins
    out_size: int
    in_rate: int
    out_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float  # from the cutoff to the stopband
    out_half_width: float
    torgb: bool
    critical: bool
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    padding: tuple  # of the upsampled image, before and after

    @property
    def middle_rate(self):
        """At which the activation is computed."""
        return self.in_rate * self.up

    def up_filter(self):
        """float64 [up_taps], or None: it removes what zero-insertion brings above in_cutoff."""
        width = 2 * self.in_half_width
        return filters.design_lowpass_filter(self.up_taps, self.in_cutoff, width, self.middle_rate)

    def down_filter(self, radial):
        """float64 [down_taps], radial [down_taps, down_taps], or None: removes what the new rate
        cannot hold.  Critical layers keep a separable one, whatever `radial` says (App. C.3)."""
        return filters.design_lowpass_filter(
            self.down_taps, self.out_cutoff, 2 * self.out_half_width, self.middle_rate,
            radial=radial and not self.critical,
        )  # fmt: skip


@functools.lru_cache(64)
def schedule(config):
    """(the input's (channels, rate, size), a `Layer` for each layer, toRGB last) (Eq. 35–36).

    Cutoff and stopband grow geometrically until the critical layers, which have the last ones.
    """
    n, res, most = config.num_layers, config.img_resolution, config.img_resolution / 2
    cutoffs, rates, widths, sizes, channels = [], [], [], [], []
    for i in range(n + 1):
        e = min(i / (n - config.num_critical), 1.0)
        cutoff = config.first_cutoff * (most / config.first_cutoff) ** e  # f_c
        last = most * config.last_stopband_rel
        stopband = config.first_stopband * (last / config.first_stopband) ** e  # f_t
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, res)))  # s
        cutoffs.append(cutoff)
        rates.append(rate)
        widths.append(max(stopband, rate / 2) - cutoff)  # f_h
        sizes.append(res if i >= n - 1 else rate + 2 * config.margin_size)
        channels.append(round(min(config.channel_base / 2 / cutoff, config.channel_max)))
    channels[n] = config.img_channels
    found = []
    for i in range(n + 1):
        j, torgb = max(i - 1, 0), i == n
        middle = max(rates[i], rates[j]) * (1 if torgb else config.lrelu_upsampling)
        up, down, kernel = middle // rates[j], middle // rates[i], config.conv_kernel
        kernel = 1 if torgb else kernel
        up_taps = config.filter_size * up if up > 1 and not torgb else 1
        down_taps = config.filter_size * down if down > 1 and not torgb else 1
        # What the filters and the output need, less what the convolution's own padding gives.
        total = (sizes[i] - 1) * down + 1 - (sizes[j] + kernel - 1) * up + up_taps + down_taps - 2
        low = (total + up) // 2
        found.append(Layer(
            f"L{i}_{sizes[i]}_{channels[i]}", channels[j], channels[i], sizes[j], sizes[i],
            rates[j], rates[i], cutoffs[j], cutoffs[i], widths[j], widths[i], torgb,
            i >= n - config.num_critical, kernel, up, down, up_taps, down_taps,
            (low, total - low),
        ))  # fmt: skip
    return (channels[0], rates[0], sizes[0]), tuple(found)


# ---- the generator -------------------------------------------------------------------------------


def _times(a, b):
    """a @ b for a sum of two products: [..., I, 2] and [..., 2, J]."""
    return a[..., :, :1] * b[..., :1, :] + a[..., :, 1:] * b[..., 1:, :]


def fourier_features(params, buffers, config, w):
    """w [N, w_dim] -> [N, C, S, S]: sines of fixed frequencies, turned and moved as w says (§3.2).

    The buffer `transform` [3, 3] is a transform of the canvas on top: the inverse of what is to
    happen to the picture.  A frequency that it lifts beyond the band fades out.
    """
    (channels, rate, size), _ = schedule(config)
    name = "synthesis.input"
    t = dense(params, f"{name}.affine", w)  # r_c, r_s, t_x, t_y; at first 1, 0, 0, 0
    t = t / np.sqrt(np.sum(np.square(t[:, :2]), axis=1, keepdims=True))
    r_c, r_s = t[:, 0], t[:, 1]
    turn = np.stack([np.stack([r_c, -r_s], axis=1), np.stack([r_s, r_c], axis=1)], axis=1)
    user, freqs = buffers[f"{name}.transform"], buffers[f"{name}.freqs"]
    moved = _times(turn, user[..., :2, 2:] - t[:, 2:, None])  # [N, 2, 1]
    phases = buffers[f"{name}.phases"][:, None] + _times(freqs, moved)  # [N, C, 1]
    freqs = _times(freqs, _times(turn, user[..., :2, :2]))  # [N, C, 2]
    lengths = np.sqrt(np.sum(np.square(freqs), axis=2, keepdims=True))
    band = config.first_cutoff
    amplitudes = np.clip(1 - (lengths - band) / (rate / 2 - band), 0.0, 1.0)
    p = ((np.arange(size, dtype=w.dtype, like=w) + 0.5) - size / 2) / rate  # beyond ±½: the margin
    p = np.stack([np.tile(p, size), np.repeat(p, size)])  # [2, S·S]: x, y
    x = np.sin(2 * math.pi * (_times(freqs, p) + phases)) * amplitudes
    x = np.reshape(x, (w.shape[0], channels, size, size))
    weight = params[f"{name}.weight"] * (1 / math.sqrt(channels))
    return layers.given(name, _conv2d(x, weight[:, :, None, None]))  # mixes channels


def synthesis_layer(params, buffers, config, layer, x, w, magnitude):
    """Modulated convolution → bias → up → leaky ReLU → down → crop (Fig. 4b).

    magnitude: the mean square that inputs of this layer have had; they are divided by its root.
    """
    name = f"synthesis.{layer.name}"
    styles = dense(params, f"{name}.affine", w)
    if layer.torgb:
        styles = styles * (1 / math.sqrt(layer.in_channels * layer.kernel**2))
    x = layers._modulated_conv2d_sg3(
        x, params[f"{name}.weight"], styles, demodulate=not layer.torgb,
        padding=(layer.kernel - 1,) * 4, input_gain=1 / np.sqrt(magnitude),
    )  # fmt: skip
    b = params[f"{name}.bias"]
    if layer.torgb:
        return layers.given(name, _bias_act(x, b, clamp=config.conv_clamp))
    y = _filtered_lrelu(
        x, buffers[f"{name}.up_filter"], buffers[f"{name}.down_filter"], b, (layer.up,) * 2,
        (layer.down,) * 2, layer.padding * 2, clamp=config.conv_clamp,
    )  # fmt: skip
    return layers.given(name, y)


def synthesis(params, buffers, config, ws, update_emas=False):
    """ws [N, num_ws, w_dim] -> (images, {the buffers that changed}).

    The input takes ws[:, 0], layer i ws[:, i + 1].  update_emas: as in training, each layer first
    moves its mean square towards that of its input (§3.2).
    """
    x, changed = fourier_features(params, buffers, config, ws[:, 0]), {}
    for i, layer in enumerate(schedule(config)[1]):
        key = f"synthesis.{layer.name}.magnitude_ema"
        magnitude = buffers[key]
        if update_emas:
            now = np.mean(np.square(x))
            magnitude = now + config.magnitude_ema_beta * (magnitude - now)
            changed[key] = magnitude
        x = synthesis_layer(params, buffers, config, layer, x, ws[:, i + 1], magnitude)
    return x * config.output_scale, changed


class Generator(base.Generator):
    """config: `Config`; params and buffers: those of the official state dict."""

    config_class = Config

    num_ws = property(lambda self: self.config.num_layers + 2)

    def _mapping(self, z, c):
        return stylegan2.mapping(self.params, self.config.mapping_kwargs, z, c)

    def _synthesis(self, ws, noises):
        return synthesis(self.params, self.buffers, self.config, ws)[0]

    def with_new_emas(self, ws, rng=None):
        """(the images of ws, a copy whose mean squares have moved towards those of this pass)."""
        img, changed = synthesis(self.params, self.buffers, self.config, ws, update_emas=True)
        return img, self.replace(buffers=self.buffers | changed)

    def transformed(self, matrix):
        """A copy whose pictures are transformed: by matrix [3, 3], which maps points of the canvas,
        1 wide and high, x to the right and y down, its middle at (0, 0).

        A shift by a quarter to the right: [[1, 0, 0.25], [0, 1, 0], [0, 0, 1]].
        Raises: ValueError for another shape, or a matrix without inverse.
        """
        matrix = np.asarray(matrix, np.float64)
        fits = matrix.shape == (3, 3) and np.isfinite(matrix).all()
        if not fits or abs(np.linalg.det(matrix)) < 1e-12:
            raise ValueError(
                f"transformed: matrix is {matrix.tolist()}; expected 3 × 3 with an inverse"
            )
        inverse = np.linalg.inv(matrix).astype(self.w_avg.dtype)
        return self.replace(buffers=self.buffers | {"synthesis.input.transform": inverse})

    @classmethod
    def init(cls, config, rng):
        """Fresh weights, float32.  rng: numpy.random.Generator."""
        check.rng(rng)
        params = stylegan2.mapping_params(
            config.mapping_kwargs, rng, config.z_dim, config.c_dim, config.w_dim
        )
        (channels, _, _), found = schedule(config)
        # Frequencies even over a disc of radius first_cutoff (App. C.2).
        freqs = normal(rng, channels, 2)
        lengths = np.sqrt(np.sum(np.square(freqs), axis=1, keepdims=True))
        freqs = freqs / (lengths * np.exp(np.square(lengths) / 4)) * np.float32(config.first_cutoff)
        name = "synthesis.input"
        params |= {
            f"{name}.weight": normal(rng, channels, channels),
            f"{name}.affine.weight": zeros(4, config.w_dim),
            f"{name}.affine.bias": np.array([1, 0, 0, 0], np.float32),
        }
        buffers = {
            "mapping.w_avg": zeros(config.w_dim),
            f"{name}.transform": np.eye(3, dtype=np.float32),
            f"{name}.freqs": freqs,
            f"{name}.phases": rng.random(channels, np.float32) - np.float32(0.5),
        }
        for layer in found:
            name, k = f"synthesis.{layer.name}", layer.kernel
            inside, outside = layer.in_channels, layer.out_channels
            params[f"{name}.weight"] = normal(rng, outside, inside, k, k)
            params[f"{name}.bias"] = zeros(outside)
            params[f"{name}.affine.weight"] = normal(rng, inside, config.w_dim)
            params[f"{name}.affine.bias"] = zeros(inside) + 1
            buffers[f"{name}.magnitude_ema"] = zeros() + 1
            for way, f in (
                ("up_filter", layer.up_filter()),
                ("down_filter", layer.down_filter(config.use_radial_filters)),
            ):
                if f is not None:
                    buffers[f"{name}.{way}"] = f.astype(np.float32)
        return cls(config, params, buffers)

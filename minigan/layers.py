"""The layers that all networks share, as functions of arrays.  Images are [N, C, H, W]."""

import contextlib
import contextvars
import math
import numbers

import numpy as np

from minigan import check
from minigan.autograd.variable import Variable, plain
from minigan.device import on_gpu
from minigan.ops.bias_act import ACTIVATIONS
from minigan.ops.conv2d import _conv2d, _conv_transpose2d
from minigan.ops.dense import _dense
from minigan.ops.dispatch import chosen, kernels, native
from minigan.ops.epilogue import Epilogue, apply_epilogue, parse_epilogue
from minigan.ops.upfirdn2d import _upfirdn2d, down_padding, up_padding


def conv2d_resample(
    x: np.ndarray,
    w: np.ndarray,
    f: np.ndarray | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | list | tuple = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
    styles: np.ndarray | None = None,
    epilogue: dict | None = None,
) -> np.ndarray:
    """Upsample, convolve, downsample, in the cheapest order (StyleGAN2 App. B).

    x [N, C, H, W]; w [O, C/groups, kh, kw]; f, the low-pass filter, as `ops.upfirdn2d`'s; up and
    down are whole numbers.  padding is that of the upsampled image.  flip_weight True correlates,
    as deep learning's convolutions do.  The upsampling has gain up².  styles [N, C] scales x;
    epilogue, a dict of `ops.bias_act`'s arguments, is applied at the end.
    Returns [N, O, (H·up + padding − kh + 1)/down, …].
    Raises: as `ops.conv2d` and `ops.upfirdn2d`.
    """
    who = "conv2d_resample"
    check.array(who, "x", x, 4)
    check.array(who, "w", w, 4, like=x)
    if styles is not None:
        check.array(who, "styles", styles, 2, like=x)
    groups = check.whole(who, "groups", groups, 1)
    flip_weight = check.flag(who, "flip_weight", flip_weight)
    flip_filter = check.flag(who, "flip_filter", flip_filter)
    f, up, down, padding, size = _check_resampling(who, x, w, f, up, down, padding)
    epilogue = parse_epilogue(who, (x.shape[0], w.shape[0], *size), x, epilogue)
    return _conv2d_resample(
        x, w, f, up, down, padding, groups, flip_weight, flip_filter, styles, epilogue
    )


def _check_resampling(who, x, w, f, up, down, padding):
    """f, up, down and padding of a convolution with resampling, checked; and its result's size."""
    if w.shape[0] == 0:
        raise ValueError(f"{who}: the weight has shape {w.shape}; expected at least one output")
    up, down = check.whole(who, "up", up, 1), check.whole(who, "down", down, 1)
    f, padding = check.fir(who, "f", f), check.padding(who, padding)
    around, used = _around(f, up, down, padding), (up > 1) + (down > 1)  # times that f is applied
    sizes = []
    for axis, (before, after) in ((0, around[2:]), (1, around[:2])):
        length, k, taps = x.shape[2 + axis] * up, w.shape[2 + axis], f.shape[-1 if axis else 0]
        left = length + before + after - (k - 1) - used * (taps - 1)  # before every down-th is kept
        if up > 1 and (w.shape[2:] != (1, 1) or down > 1):  # cropped after a transposed convolution
            before, after, length = before - k + 1, after - k + up, length - up + k
        if left < 1 or length + min(before, 0) + min(after, 0) < 1:
            raise ValueError(
                f"{who}: x is {x.shape[2]} × {x.shape[3]}, up is {up}, padding {padding}, w has "
                f"shape {w.shape} and f {f.shape}; expected a result of at least 1 × 1 pixels"
            )
        sizes.append(left)
    check.size(who, *sizes, "the result")
    return f, up, down, padding, [(n - 1) // down + 1 for n in sizes]


def _around(f, up, down, padding):
    """padding (x0, x1, y0, y1), and what keeps the image in its place under the filter."""
    padding = up_padding(f, (up, up), padding) if up > 1 else padding
    return down_padding(f, (down, down), padding) if down > 1 else padding


def _conv2d_resample(
    x, w, f=None, up=1, down=1, padding=(0, 0, 0, 0), groups=1, flip_weight=True,
    flip_filter=False, styles=None, epilogue=None,
):  # fmt: skip
    """conv2d_resample of checked arguments, with an `Epilogue` or None."""
    ups, downs, gain, (kh, kw) = (up, up), (down, down), up**2, w.shape[2:]
    x0, x1, y0, y1 = around = padding if up == down == 1 else _around(f, up, down, padding)
    if not flip_weight:
        w = np.flip(w, (2, 3))
    if (kh, kw) == (1, 1) and down > 1 and up == 1:  # on the smaller image
        x = _upfirdn2d(x, f, down=downs, padding=around, flip_filter=flip_filter)
        return _conv2d(x, w, groups=groups, styles=styles, epilogue=epilogue)
    if (kh, kw) == (1, 1) and up > 1 and down == 1:
        x = _conv2d(x, w, groups=groups, styles=styles)
        return _upfirdn2d(x, f, ups, (1, 1), around, flip_filter, gain, epilogue)
    if up > 1:
        # Zero-insertion and convolution together are a transposed convolution; the filter follows.
        y = _conv_transpose2d(x, _transposed(w, groups), ups, groups=groups, styles=styles)
        around = x0 - kw + 1, x1 - kw + up, y0 - kh + 1, y1 - kh + up
        if down == 1:
            return _upfirdn2d(y, f, (1, 1), (1, 1), around, flip_filter, gain, epilogue)
        y = _upfirdn2d(y, f, padding=around, flip_filter=flip_filter, gain=gain)
        return _upfirdn2d(y, f, down=downs, flip_filter=flip_filter, epilogue=epilogue)
    if down > 1:  # the filter first, so that no output is computed and thrown away
        x = _upfirdn2d(x, f, padding=around, flip_filter=flip_filter)
        return _conv2d(x, w, downs, groups=groups, styles=styles, epilogue=epilogue)
    return _conv2d(x, w, padding=around, groups=groups, styles=styles, epilogue=epilogue)


def _transposed(w, groups):
    """w [O, C/groups, kh, kw] as conv_transpose2d wants it, [C, O/groups, kh, kw], flipped: the
    transposed convolution of a kernel is the correlation with its mirror image."""
    O, inside, kh, kw = w.shape
    w = np.reshape(w, (groups, O // groups, inside, kh, kw))
    w = np.reshape(np.swapaxes(w, 1, 2), (groups * inside, O // groups, kh, kw))
    return np.flip(w, (2, 3))


def _square_sums(w):
    """[O, C]: Σ over the kernel of w²."""
    if type(w) is not Variable and chosen() != "reference":
        return kernels(w).square_sums(*native(w))
    if on_gpu(plain(w)):  # CuPy's einsum may call cuBLAS, which a CUDA graph cannot record
        return np.sum(np.square(w), axis=(2, 3))
    return np.einsum("oihw,oihw->oi", w, w)  # no array as large as w between


def _demodulation(w, styles):
    """[N, O]: 1 / the norm of each output's modulated weights (StyleGAN2 Eq. 3), ε = 1e-8.

    Σ_{i,k} (s_i·w_oik)² is a product of [N, C] and [C, O]: no sample needs weights of its own.
    """
    squares = _dense(np.square(styles), _square_sums(w))
    return 1.0 / np.sqrt(squares + 1e-8)


def _check_modulated(who, x, w, styles):
    check.array(who, "x", x, 4)
    check.array(who, "weight", w, 4, like=x)
    check.array(who, "styles", styles, 2, like=x)
    if w.shape[1] != x.shape[1]:
        raise ValueError(f"{who}: weight has shape {w.shape}; expected [O, {x.shape[1]}, kh, kw]")
    if styles.shape != x.shape[:2]:
        raise ValueError(
            f"{who}: styles has shape {styles.shape}; expected {x.shape[:2]}, x's N, C"
        )


def modulated_conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    styles: np.ndarray,
    noise: np.ndarray | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | list | tuple = 0,
    resample_filter: np.ndarray | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    b: np.ndarray | None = None,
    act: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    fused_modconv: bool = False,
) -> np.ndarray:
    """StyleGAN2's convolution: weights scaled by the style, then normalised (Eq. 1–3).

    x [N, C, H, W]; weight [O, C, kh, kw]; styles [N, C]; noise [1 or N, 1, H', W'], added after the
    demodulation.  padding and resample_filter as conv2d_resample's.  b [O], act, gain and clamp, as
    `ops.bias_act`'s, come last.  fused_modconv: as the equations read, see `_modulated_conv2d`.
    Returns [N, O, H', W'].  Raises: ValueError, TypeError for arguments that do not fit.
    """
    who = "modulated_conv2d"
    _check_modulated(who, x, weight, styles)
    resample_filter, up, down, padding, size = _check_resampling(
        who, x, weight, resample_filter, up, down, padding
    )
    shape = (x.shape[0], weight.shape[0], *size)
    end = {"b": b, "act": act, "gain": gain, "clamp": clamp, "noise": noise}
    return _modulated_conv2d(
        x, weight, styles, up, down, padding, resample_filter,
        check.flag(who, "demodulate", demodulate), check.flag(who, "flip_weight", flip_weight),
        parse_epilogue(who, shape, x, end), check.flag(who, "fused_modconv", fused_modconv),
    )  # fmt: skip


def _modulated_conv2d(
    x, weight, styles, up=1, down=1, padding=(0, 0, 0, 0), resample_filter=None, demodulate=True,
    flip_weight=True, epilogue=None, fused_modconv=False,
):  # fmt: skip
    """modulated_conv2d of checked arguments, with noise, b, act, gain and clamp as an `Epilogue`.

    Instead of each sample's own weights, its input is scaled by s and its output by the
    demodulation: the same by linearity.  fused_modconv does it as the equations read, with a group
    of channels for each sample.
    """
    scale = _demodulation(weight, styles) if demodulate else None
    args = (resample_filter, up, down, padding)
    if fused_modconv:
        n, c, height, width = x.shape
        w = weight * styles[:, None, :, None, None]  # w'_oikk of each sample (Eq. 1)
        w = w if scale is None else w * scale[:, :, None, None, None]  # w''_oikk (Eq. 3)
        w = np.reshape(w, (n * weight.shape[0], *weight.shape[1:]))
        x = np.reshape(x, (1, n * c, height, width))
        y = _conv2d_resample(x, w, *args, n, flip_weight)
        y = np.reshape(y, (n, weight.shape[0], *y.shape[2:]))
        return apply_epilogue(y, epilogue)
    if scale is not None:
        epilogue = (epilogue or Epilogue())._replace(scale=scale)
    return _conv2d_resample(
        x, weight, *args, flip_weight=flip_weight, styles=styles, epilogue=epilogue
    )


def modulated_conv2d_sg3(
    x: np.ndarray,
    w: np.ndarray,
    s: np.ndarray,
    demodulate: bool = True,
    padding: int | list | tuple = 0,
    input_gain: np.ndarray | float | None = None,
) -> np.ndarray:
    """StyleGAN3's modulated convolution (§3.2): as StyleGAN2's, on pre-normalised w and s.

    x [N, C, H, W]; w [O, C, kh, kw]; s [N, C].  With demodulation each output's weights are first
    divided by their root mean square, and s by its own over the whole batch.  input_gain, a scalar,
    [C] or [N, C], scales the input afterwards: the demodulation does not undo it.
    Returns [N, O, H', W'].  Raises: as modulated_conv2d.
    """
    who = "modulated_conv2d_sg3"
    _check_modulated(who, x, w, s)
    padding = _check_resampling(who, x, w, None, 1, 1, padding)[3]
    if isinstance(input_gain, numbers.Real):
        input_gain = check.number(who, "input_gain", input_gain)
    elif input_gain is not None:
        check.array(who, "input_gain", input_gain, None, like=x)
    if input_gain is not None and np.shape(input_gain) not in ((), x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"{who}: input_gain has shape {np.shape(input_gain)}; "
            f"expected (), [C] or [N, C] with x's {x.shape[:2]}"
        )
    return _modulated_conv2d_sg3(
        x, w, s, check.flag(who, "demodulate", demodulate), padding, input_gain
    )


def _modulated_conv2d_sg3(x, w, s, demodulate=True, padding=(0, 0, 0, 0), input_gain=None):
    """modulated_conv2d_sg3 of checked arguments."""
    epilogue = None
    if demodulate:
        # w / rms(w) comes after the convolution, as a factor: w itself may be kept transformed.
        squares = _square_sums(w)  # [O, C]
        rms = 1 / np.sqrt(np.mean(squares, axis=1) / math.prod(w.shape[2:]))  # [O]
        s = s / np.sqrt(np.mean(np.square(s)))
        norms = squares * np.square(rms)[:, None]  # of w / rms(w)
        epilogue = Epilogue(scale=rms / np.sqrt(_dense(np.square(s), norms) + 1e-8))
    if input_gain is not None:
        s = s * input_gain
    return _conv2d(x, w, padding=padding, styles=s, epilogue=epilogue)


# ---- layers with parameters: `name` finds them in the dict ---------------------------------------
# For networks, which have checked what they are given.

_watcher = contextvars.ContextVar("watcher", default=None)


@contextlib.contextmanager
def watch(seen):
    """While the block runs, call seen(name, y) with what each layer gives."""
    token = _watcher.set(seen)
    try:
        yield
    finally:
        _watcher.reset(token)


def given(name, y):
    """y, shown to whoever watches."""
    if _watcher.get() is not None:
        _watcher.get()(name, y)
    return y


def pixel_norm(x):
    """x / √(mean of squares over axis 1): every sample (or position) gets the same length."""
    return x / np.sqrt(np.mean(np.square(x), axis=1, keepdims=True) + 1e-8)


def dense(params, name, x, act="linear", lr_multiplier=1.0):
    """Equalised fully connected layer: x [N, in] -> [N, out].

    Weights are stored with variance 1/multiplier² and scaled when used, by multiplier/√in, the bias
    by the multiplier (PG-GAN §4.1): so Adam moves all layers at one relative speed, times that.
    """
    weight, b = params[f"{name}.weight"], params.get(f"{name}.bias")
    weight = weight * (lr_multiplier / math.sqrt(weight.shape[1]))
    if b is not None and lr_multiplier != 1:
        b = b * lr_multiplier
    return given(name, _dense(x, weight, Epilogue(b, act)))


def conv(params, name, x, f=None, up=1, down=1, act="linear", gain=1.0, clamp=None):
    """Equalised convolution with resampling by the filter f, bias if there is one, activation.

    gain multiplies the activation's own, and the clamp.  Upsampling layers turn the kernel around,
    as the official ones do.
    """
    weight = params[f"{name}.weight"]
    k = weight.shape[2]
    weight = weight * (1 / math.sqrt(weight.shape[1] * k * k))
    epilogue = Epilogue(params.get(f"{name}.bias"), act, **scaled(act, gain, clamp))
    y = _conv2d_resample(
        x, weight, f, up, down, (k // 2,) * 4, flip_weight=up == 1, epilogue=epilogue
    )
    return given(name, y)


def scaled(act, gain, clamp):
    """The gain and clamp of an activation whose output is multiplied by `gain`."""
    clamp = None if clamp is None else clamp * gain
    return {"gain": ACTIVATIONS[act][2] * gain, "clamp": clamp}


def minibatch_stddev(x, group_size=4, num_channels=1):
    """Append channels that say how much the samples of a group differ (PG-GAN §3).

    x [N, C, H, W] -> [N, C + num_channels, H, W].  Samples n, n + N/G, n + 2N/G, … form a group of
    G = min(group_size, N), None for all; each new channel is the mean over its share of C.
    Raises: ValueError if G does not divide N, or num_channels C.
    """
    n, c, h, w = x.shape
    group = n if group_size is None else min(group_size, n)
    if n % group or c % num_channels:
        raise ValueError(
            f"minibatch_stddev: x has shape {x.shape}; expected a batch divisible by {group} and "
            f"channels by {num_channels}"
        )
    y = np.reshape(x, (group, n // group, num_channels, c // num_channels, h, w))
    y = np.sqrt(np.var(y, axis=0) + 1e-8)
    y = np.mean(y, axis=(2, 3, 4))  # [N/G, F]
    y = np.concatenate([y] * group)  # sample n belongs to group n mod (N/G)
    y = np.broadcast_to(y[:, :, None, None], (n, num_channels, h, w))
    return np.concatenate([x, y], axis=1)

"""upfirdn2d, and the same with the padding worked out: filter2d, upsample2d, downsample2d.

The derivative of upfirdn2d is upfirdn2d, with up and down exchanged and the filter flipped.
"""

import functools
import math

import numpy as np

from minigan import check
from minigan.autograd import primitive
from minigan.ops.bias_act import ending, finished
from minigan.ops.dispatch import fast, kernels, native


def _upfirdn2d_plain(x, f, up, down, padding):
    return fast(x).upfirdn2d(*native(x), f.astype(x.dtype.newbyteorder("=")), up, down, padding)


def transposed(in_shape, out_shape, f, up, down, padding):
    """The padding with which upfirdn2d, its rates exchanged and f flipped, is its own transpose."""
    (H, W), (OH, OW), (x0, _, y0, _) = in_shape[2:], out_shape[2:], padding
    ty, tx = f.shape[0], f.shape[-1]
    return (
        tx - 1 - x0,
        W * up[0] - OW * down[0] + x0 - up[0] + 1,
        ty - 1 - y0,
        H * up[1] - OH * down[1] + y0 - up[1] + 1,
    )


upfirdn = primitive(
    _upfirdn2d_plain,
    lambda g, f, in_shape, up, down, padding: upfirdn(
        g, np.flip(f), down, up, transposed(in_shape, g.shape, f, up, down, padding)
    ),
)


def factors(f):
    """A filter as (fx [tx], fy [ty]) with f = fy ⊗ fx, or, if it is no such product, (f, None)."""
    return _factors(f.tobytes(), f.shape, f.dtype)


@functools.lru_cache(64)
def _factors(content, shape, dtype):
    f = np.frombuffer(content, dtype).reshape(shape).copy()  # writeable, as Numba wants arrays
    if f.ndim == 1:
        return f, f.copy()
    row, column = np.unravel_index(np.argmax(np.abs(f)), f.shape)
    if f[row, column] != 0:
        fx, fy = f[row].copy(), f[:, column] / f[row, column]
        if np.abs(np.outer(fy, fx) - f).max() <= 2 * np.finfo(dtype).eps * np.abs(f).max():
            return fx, fy
    return f, None


def correlation(f, flip_filter, gain):
    """The filter as a correlation kernel with its gain: once for 2-D, its root along each axis."""
    f = f if flip_filter else np.flip(f)
    if f.ndim == 1 and gain < 0:
        f = np.outer(f, f)  # the root of a negative gain would not be real
    return f * (gain ** (f.ndim / 2))


def resampled_size(who, x, f, up, down, padding, what="the result"):
    (H, W), (ty, tx), (x0, x1, y0, y1) = x.shape[2:], (f.shape[0], f.shape[-1]), padding
    h, w = H * up[1] + y0 + y1, W * up[0] + x0 + x1
    empty = min(H * up[1] + min(y0, 0) + min(y1, 0), W * up[0] + min(x0, 0) + min(x1, 0)) < 1
    if h < ty or w < tx or empty:
        raise ValueError(
            f"{who}: x is {H} × {W}, upsampled and padded {h} × {w}; expected at least the "
            f"filter's {ty} × {tx}"
        )
    h, w = (h - ty) // down[1] + 1, (w - tx) // down[0] + 1
    check.size(who, h, w, what)
    return h, w


def upfirdn2d(x, f, up=1, down=1, padding=0, flip_filter=False, gain=1, finish=None):
    """Upsample by inserting zeros, pad, filter, and keep every down-th sample.

    x [N, C, H, W]; f [taps] (separable) or [ty, tx], floating, or None for the identity.
    up − 1 zeros follow each sample; padding refers to the upsampled image.  flip_filter False is a
    convolution, True a correlation.  gain multiplies the result.  finish as in `conv2d`.
    Returns [N, C, (H·up + y0 + y1 − ty) // down + 1, …].
    Raises: TypeError for other types; ValueError for NaN in f, or an empty result.
    """
    f = check.fir("upfirdn2d", "f", f)
    return _resample("upfirdn2d", x, f, up, down, padding, flip_filter, gain, finish)


def _resample(who, x, f, up, down, padding, flip_filter, gain, finish=None):
    check.array(who, "x", x, 4)
    up, down = check.pair(who, "up", up), check.pair(who, "down", down)
    padding = check.padding(who, padding)
    f = correlation(f, check.flag(who, "flip_filter", flip_filter), check.number(who, "gain", gain))
    size = resampled_size(who, x, f, up, down, padding)
    end = ending(who, (*x.shape[:2], *size), x, finish)
    if end is not None and end.fused:
        f = f.astype(x.dtype)
        return kernels(x).upfirdn2d(x, f, up, down, padding, end.arguments)
    return finished(upfirdn(x, f, up, down, padding), end)


def _around(who, f, padding, before, after):
    """`padding`, plus what keeps the image's place: (f's size) -> samples before and after."""
    x0, x1, y0, y1 = check.padding(who, padding)
    ty, tx = f.shape[0], f.shape[-1]
    return [x0 + before(tx, 0), x1 + after(tx, 0), y0 + before(ty, 1), y1 + after(ty, 1)]


def filter2d(x, f, padding=0, flip_filter=False, gain=1):
    """upfirdn2d at one rate, padded so that the size stays; `padding` comes on top of that.

    x [N, C, H, W] and f as there; returns [N, C, H, W] if padding is 0.  Raises: as upfirdn2d.
    """
    f = check.fir("filter2d", "f", f)
    padding = _around("filter2d", f, padding, lambda t, _: t // 2, lambda t, _: (t - 1) // 2)
    return _resample("filter2d", x, f, 1, 1, padding, flip_filter, gain)


def upsample2d(x, f, up=2, padding=0, flip_filter=False, gain=1):
    """upfirdn2d that multiplies the size by `up`, and keeps the mean: its gain is up²·`gain`.

    x [N, C, H, W] and f as there; returns [N, C, H·up, W·up] if padding, on top of what keeps the
    image's place, is 0.  Raises: as upfirdn2d.
    """
    f, u = check.fir("upsample2d", "f", f), check.pair("upsample2d", "up", up)
    padding = _around(
        "upsample2d", f, padding, lambda t, i: (t + u[i] - 1) // 2, lambda t, i: (t - u[i]) // 2
    )
    gain = check.number("upsample2d", "gain", gain) * math.prod(u)
    return _resample("upsample2d", x, f, u, 1, padding, flip_filter, gain)


def downsample2d(x, f, down=2, padding=0, flip_filter=False, gain=1):
    """upfirdn2d that divides the size by `down`.

    x [N, C, H, W] and f as there; returns [N, C, H/down, W/down] if padding, on top of what keeps
    the image's place, is 0 and down divides H and W.  Raises: as upfirdn2d.
    """
    f, d = check.fir("downsample2d", "f", f), check.pair("downsample2d", "down", down)
    padding = _around(
        "downsample2d", f, padding, lambda t, i: (t - d[i] + 1) // 2, lambda t, i: (t - d[i]) // 2
    )
    return _resample("downsample2d", x, f, 1, d, padding, flip_filter, gain)

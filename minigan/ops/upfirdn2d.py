"""upfirdn2d, and the same with the padding worked out: filter2d, upsample2d, downsample2d.

The derivative of upfirdn2d is upfirdn2d, with up and down exchanged and the filter flipped.
"""

import functools
import math

import numpy as np

from minigan import check
from minigan.autograd import primitive
from minigan.ops.dispatch import fast, kernels, native
from minigan.ops.epilogue import apply_epilogue, fusible, parse_epilogue


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
    """The filter (None: the identity) as a correlation kernel, float64, with its gain: once for
    2-D, its root along each axis."""
    f = np.ones(1) if f is None else f.astype(np.float64)
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


def upfirdn2d(
    x: np.ndarray,
    f: np.ndarray | None,
    up: int | list | tuple = 1,
    down: int | list | tuple = 1,
    padding: int | list | tuple = 0,
    flip_filter: bool = False,
    gain: float = 1,
    epilogue: dict | None = None,
) -> np.ndarray:
    """Upsample by inserting zeros, pad, filter, and keep every down-th sample.

    x [N, C, H, W]; f [taps] (separable) or [ty, tx], floating, or None for the identity.
    up − 1 zeros follow each sample; padding refers to the upsampled image.  flip_filter False is a
    convolution, True a correlation.  gain multiplies the result.  epilogue as in `conv2d`.
    Returns [N, C, (H·up + y0 + y1 − ty) // down + 1, …].
    Raises: TypeError for other types; ValueError for NaN in f, or an empty result.
    """
    who = "upfirdn2d"
    f, up, down = check.fir(who, "f", f), check.pair(who, "up", up), check.pair(who, "down", down)
    padding = check.padding(who, padding)
    return _checked(who, x, f, up, down, padding, flip_filter, gain, epilogue)


def _checked(who, x, f, up, down, padding, flip_filter, gain, epilogue=None):
    """_upfirdn2d, after what all public functions ask."""
    check.array(who, "x", x, 4)
    flip_filter = check.flag(who, "flip_filter", flip_filter)
    gain = check.number(who, "gain", gain)
    size = resampled_size(who, x, f, up, down, padding)
    epilogue = parse_epilogue(who, (*x.shape[:2], *size), x, epilogue)
    return _upfirdn2d(x, f, up, down, padding, flip_filter, gain, epilogue)


def _upfirdn2d(
    x, f, up=(1, 1), down=(1, 1), padding=(0, 0, 0, 0), flip_filter=False, gain=1, epilogue=None
):
    """upfirdn2d of checked arguments, with an `Epilogue` or None."""
    f = correlation(f, flip_filter, gain)
    if epilogue is not None and fusible(x, *epilogue):
        return kernels(x).upfirdn2d(x, f.astype(x.dtype), up, down, padding, epilogue)
    return apply_epilogue(upfirdn(x, f, up, down, padding), epilogue)


def up_padding(f, up, padding=(0, 0, 0, 0)):
    """`padding` (x0, x1, y0, y1), plus what keeps an upsampled image in its place under f."""
    (ty, tx), (ux, uy), (x0, x1, y0, y1) = _taps(f), up, padding
    return (
        x0 + (tx + ux - 1) // 2,
        x1 + (tx - ux) // 2,
        y0 + (ty + uy - 1) // 2,
        y1 + (ty - uy) // 2,
    )


def down_padding(f, down, padding=(0, 0, 0, 0)):
    """`padding` (x0, x1, y0, y1), plus what keeps an image in its place under f, then down."""
    (ty, tx), (dx, dy), (x0, x1, y0, y1) = _taps(f), down, padding
    return (
        x0 + (tx - dx + 1) // 2,
        x1 + (tx - dx) // 2,
        y0 + (ty - dy + 1) // 2,
        y1 + (ty - dy) // 2,
    )


def _taps(f):
    return (1, 1) if f is None else (f.shape[0], f.shape[-1])


def filter2d(
    x: np.ndarray,
    f: np.ndarray | None,
    padding: int | list | tuple = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> np.ndarray:
    """upfirdn2d at one rate, padded so that the size stays; `padding` comes on top of that.

    x [N, C, H, W] and f as there; returns [N, C, H, W] if padding is 0.  Raises: as upfirdn2d.
    """
    who, same = "filter2d", (1, 1)
    f = check.fir(who, "f", f)
    padding = up_padding(f, same, check.padding(who, padding))
    return _checked(who, x, f, same, same, padding, flip_filter, gain)


def _filter2d(x, f):
    """filter2d of checked arguments."""
    return _upfirdn2d(x, f, padding=up_padding(f, (1, 1)))


def upsample2d(
    x: np.ndarray,
    f: np.ndarray | None,
    up: int | list | tuple = 2,
    padding: int | list | tuple = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> np.ndarray:
    """upfirdn2d that multiplies the size by `up`, and keeps the mean: its gain is up²·`gain`.

    x [N, C, H, W] and f as there; returns [N, C, H·up, W·up] if padding, on top of what keeps the
    image's place, is 0.  Raises: as upfirdn2d.
    """
    who = "upsample2d"
    f, up = check.fir(who, "f", f), check.pair(who, "up", up)
    padding = up_padding(f, up, check.padding(who, padding))
    gain = check.number(who, "gain", gain) * math.prod(up)
    return _checked(who, x, f, up, (1, 1), padding, flip_filter, gain)


def _upsample2d(x, f):
    """upsample2d of checked arguments, by 2."""
    return _upfirdn2d(x, f, (2, 2), padding=up_padding(f, (2, 2)), gain=4)


def downsample2d(
    x: np.ndarray,
    f: np.ndarray | None,
    down: int | list | tuple = 2,
    padding: int | list | tuple = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> np.ndarray:
    """upfirdn2d that divides the size by `down`.

    x [N, C, H, W] and f as there; returns [N, C, H/down, W/down] if padding, on top of what keeps
    the image's place, is 0 and down divides H and W.  Raises: as upfirdn2d.
    """
    who = "downsample2d"
    f, down = check.fir(who, "f", f), check.pair(who, "down", down)
    padding = down_padding(f, down, check.padding(who, padding))
    return _checked(who, x, f, (1, 1), down, padding, flip_filter, gain)


def _downsample2d(x, f):
    """downsample2d of checked arguments, by 2."""
    return _upfirdn2d(x, f, down=(2, 2), padding=down_padding(f, (2, 2)))

"""filtered_lrelu: a leaky ReLU whose kinks do not alias (StyleGAN3)."""

import math

import numpy as np

from minigan import check
from minigan.autograd import primitive
from minigan.autograd.variable import Variable, plain
from minigan.ops import reference
from minigan.ops.dispatch import chosen, kernels, native
from minigan.ops.upfirdn2d import correlation, resampled_size, transposed, upfirdn

SQRT2 = math.sqrt(2)


def _masked_plain(x, codes, fu, fd, up, down, padding, after, gain, slope):
    return kernels(x).masked(*native(x), codes, fu, fd, up, down, padding, after, gain, slope)


def _masked_vjp(g, codes, in_shape, fu, fd, up, down, padding, after, gain, slope):
    middle = (*in_shape[:2], *codes.shape[1:3])
    before = transposed(in_shape, middle, fu, up, (1, 1), padding)
    after = transposed(middle, g.shape, fd, (1, 1), down, after)
    return _masked(g, codes, np.flip(fd), np.flip(fu), down, up, after, before, gain, slope)


# Linear in x: the slopes that a filtered_lrelu has taken, 2 bits for each upsampled sample.
_masked = primitive(_masked_plain, _masked_vjp)
# The result y and its codes, computed once, as a function of x.
_given = primitive(
    lambda x, y, codes, fu, fd, up, down, padding, gain, slope: y,
    (
        lambda g, codes, in_shape, fu, fd, up, down, padding, gain, slope: _masked_vjp(
            g, codes, in_shape, fu, fd, up, down, padding, (0, 0, 0, 0), gain, slope
        ),
        None,
    ),
)


def filtered_lrelu(
    x: np.ndarray,
    fu: np.ndarray | None = None,
    fd: np.ndarray | None = None,
    b: np.ndarray | None = None,
    up: int | list | tuple = 1,
    down: int | list | tuple = 1,
    padding: int | list | tuple = 0,
    gain: float = SQRT2,
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
) -> np.ndarray:
    """Bias, upsample with fu, leaky ReLU · gain, clamp, downsample with fd (StyleGAN3 §3.2).

    x [N, C, H, W]; b [C] or None; fu and fd as f of `upfirdn2d`; the upsampling has gain up², and
    padding is that of the upsampled image, which is never in memory as a whole.
    Raises: TypeError for other types; ValueError for NaN in a filter, or an empty result.
    """
    who = "filtered_lrelu"
    check.array(who, "x", x, 4)
    if b is not None and check.array(who, "b", b, 1, like=x).shape != x.shape[1:2]:
        raise ValueError(f"{who}: b has shape {b.shape}; expected ({x.shape[1]},), x's channels")
    up, down = check.pair(who, "up", up), check.pair(who, "down", down)
    padding, flip = check.padding(who, padding), check.flag(who, "flip_filter", flip_filter)
    gain, slope = check.number(who, "gain", gain), check.number(who, "slope", slope)
    clamp = None if clamp is None else check.number(who, "clamp", clamp, least=0)
    fu, fd = check.fir(who, "fu", fu), check.fir(who, "fd", fd)
    h, w = resampled_size(who, x, fu, up, (1, 1), padding, "the upsampled image")
    if h < fd.shape[0] or w < fd.shape[-1]:
        raise ValueError(
            f"{who}: the upsampled image is {h} × {w}; expected at least fd's "
            f"{fd.shape[0]} × {fd.shape[-1]}"
        )
    return _filtered_lrelu(x, fu, fd, b, up, down, padding, gain, slope, clamp, flip)


def _filtered_lrelu(
    x, fu=None, fd=None, b=None, up=(1, 1), down=(1, 1), padding=(0, 0, 0, 0), gain=SQRT2,
    slope=0.2, clamp=None, flip_filter=False,
):  # fmt: skip
    """filtered_lrelu of checked arguments; whether b fits is asked as by `check_fit`."""
    if b is not None and b.shape != (x.shape[1],):
        raise ValueError(f"filtered_lrelu: b has shape {b.shape}; expected ({x.shape[1]},)")
    dtype = x.dtype.newbyteorder("=")
    fu = correlation(fu, flip_filter, math.prod(up)).astype(dtype)
    fd = correlation(fd, flip_filter, 1).astype(dtype)
    if chosen() != "reference" and Variable not in (type(x), type(b)):
        x, b = native(x, b)
        return kernels(x).filtered_lrelu(x, b, fu, fd, up, down, padding, gain, slope, clamp)
    if b is not None:
        x = x + np.reshape(b, (-1, 1, 1))
    if chosen() != "reference":
        (inside,) = native(plain(x))
        y, codes = kernels(inside).filtered_lrelu(
            inside, None, fu, fd, up, down, padding, gain, slope, clamp, keep=True
        )
        return _given(x, y, codes, fu, fd, up, down, padding, gain, slope)
    x = upfirdn(x, fu, up, (1, 1), padding)
    x = reference.bias_act(x, None, 1, lambda v: np.where(v < 0, slope * v, v), gain, clamp)
    return upfirdn(x, fd, (1, 1), down, (0, 0, 0, 0))

"""conv2d, conv_transpose2d and conv2d_weight_grad: each is the derivative of the other two.

All three are bilinear, and sums of the same products x·w·y: whichever two are given, the derivative
with respect to the third is one of the three functions.
"""

import numpy as np

from minigan import check
from minigan.autograd import primitive
from minigan.autograd.variable import Variable
from minigan.device import on_gpu
from minigan.ops.bias_act import scale_channels
from minigan.ops.dispatch import chosen, fast, kernels, native
from minigan.ops.epilogue import apply_epilogue, parse_epilogue, scale_only


def _conv2d_plain(x, w, stride, padding, groups):
    return fast(x).conv2d(*native(x, w), stride, padding, groups)


def _conv_transpose2d_plain(x, w, stride, padding, groups):
    return fast(x).conv_transpose2d(*native(x, w), stride, padding, groups)


def _weight_grad_plain(x, dy, size, stride, padding, groups):
    return fast(x).conv2d_weight_grad(*native(x, dy), size, stride, padding, groups)


def _crop(shape, size, stride, padding):
    """What conv_transpose2d must crop to give an image of `shape`: less at the end by the rows and
    columns that the stride left over."""
    (H, W), (kh, kw), (sx, sy), (x0, x1, y0, y1) = shape[2:], size, stride, padding
    return x0, x1 - (W + x0 + x1 - kw) % sx, y0, y1 - (H + y0 + y1 - kh) % sy


# Of stride (x, y) and padding (x0, x1, y0, y1), without styles and epilogue.
# fmt: off
_correlate = primitive(_conv2d_plain, (
    lambda g, w, in_shape, stride, padding, groups:
        _transposed(g, w, stride, _crop(in_shape, w.shape[2:], stride, padding), groups),
    lambda g, x, in_shape, stride, padding, groups:
        _weight_grad(x, g, in_shape[2:], stride, padding, groups)))
_transposed = primitive(_conv_transpose2d_plain, (
    lambda g, w, stride, padding, groups: _correlate(g, w, stride, padding, groups),
    lambda g, x, in_shape, stride, padding, groups:
        _weight_grad(g, x, in_shape[2:], stride, padding, groups)))
_weight_grad = primitive(_weight_grad_plain, (
    lambda g, dy, in_shape, size, stride, padding, groups:
        _transposed(dy, g, stride, _crop(in_shape, size, stride, padding), groups),
    lambda g, x, stride, padding, groups: _correlate(x, g, stride, padding, groups)))
# fmt: on


def _convolution(who, x, w, stride, padding, groups):
    """The arguments of a convolution, checked, except for their sizes."""
    check.array(who, "x", x, 4)
    check.array(who, "w", w, 4, like=x)
    groups = check.whole(who, "groups", groups, 1)
    return check.pair(who, "stride", stride), check.padding(who, padding), groups


def _result_size(who, x, size, stride, padding):
    """Height and width of conv2d's result."""
    (H, W), (kh, kw), (sx, sy), (x0, x1, y0, y1) = x.shape[2:], size, stride, padding
    h, w = H + y0 + y1, W + x0 + x1
    if h < kh or w < kw or min(H + min(y0, 0) + min(y1, 0), W + min(x0, 0) + min(x1, 0)) < 1:
        raise ValueError(
            f"{who}: x is {H} × {W}, padded {h} × {w}; expected at least the kernel's {kh} × {kw}"
        )
    h, w = (h - kh) // sy + 1, (w - kw) // sx + 1
    check.size(who, h, w, "the result")
    return h, w


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    stride: int | list | tuple = 1,
    padding: int | list | tuple = 0,
    groups: int = 1,
    styles: np.ndarray | None = None,
    epilogue: dict | None = None,
) -> np.ndarray:
    """Cross-correlate images with kernels: y[n,o,i,j] = Σ w[o,c,ky,kx] · x[n,c,i·sy+ky,j·sx+kx].

    x [N, C, H, W], w [O, C/groups, kh, kw], of one dtype.  Returns [N, O, H', W'] with
    H' = (H + y0 + y1 − kh) // sy + 1.  Channels and outputs are split into `groups` apart.
    styles [N, C], if given, scales the channels of x first.  epilogue, a dict of `bias_act`'s
    arguments, applies it to the result, on a GPU (or if it is but a scale) in the same pass.
    Raises: TypeError for other types; ValueError for shapes that do not fit or an empty result.
    """
    stride, padding, groups = _convolution("conv2d", x, w, stride, padding, groups)
    size = _result_size("conv2d", x, w.shape[2:], stride, padding)
    epilogue = parse_epilogue("conv2d", (x.shape[0], w.shape[0], *size), x, epilogue)
    if styles is not None:
        check.array("conv2d", "styles", styles, 2, like=x)
    return _conv2d(x, w, stride, padding, groups, styles, epilogue)


def _conv2d(x, w, stride=(1, 1), padding=(0, 0, 0, 0), groups=1, styles=None, epilogue=None):
    """conv2d of checked arguments, with an `Epilogue` or None.

    Only whether w and styles fit x's channels is asked here, for networks whose parameters are
    anybody's: the kernels would read beyond their ends.
    """
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError(
            f"conv2d: w has shape {w.shape}, x {x.shape[1]} channels, groups is {groups}; "
            "expected w [O, C/groups, kh, kw] and O a multiple of groups"
        )
    if styles is not None and styles.shape != x.shape[:2]:
        raise ValueError(
            f"conv2d: styles has shape {styles.shape}; expected x's [N, C], {x.shape[:2]}"
        )
    if chosen() == "reference" or Variable in (type(x), type(w), type(styles)):
        x = x if styles is None else scale_channels(x, styles)
        return apply_epilogue(_correlate(x, w, stride, padding, groups), epilogue)
    x, w, styles = native(x, w, styles)
    gpu = on_gpu(x)
    if gpu and epilogue is not None and Variable not in map(type, epilogue):
        return kernels(x).conv2d(x, w, stride, padding, groups, styles, epilogue)
    scale = None if gpu or styles is None or groups > 1 else scale_only(epilogue)
    if scale is not None:
        _, scale = native(x, scale)
        return kernels(x).conv2d(x, w, stride, padding, groups, styles, scale)
    return apply_epilogue(kernels(x).conv2d(x, w, stride, padding, groups, styles), epilogue)


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
    stride: int | list | tuple = 1,
    padding: int | list | tuple = 0,
    groups: int = 1,
    styles: np.ndarray | None = None,
) -> np.ndarray:
    """The transpose of conv2d: x[n,c,i,j] · w[c,o] is added to the window that conv2d would read.

    x [N, C, H, W], w [C, O/groups, kh, kw], of one dtype.  Returns [N, O, H', W'] with
    H' = (H − 1)·sy + kh − y0 − y1: positive padding crops the result, negative extends it.
    styles as in conv2d.  Raises: as conv2d.
    """
    stride, padding, groups = _convolution("conv_transpose2d", x, w, stride, padding, groups)
    (H, W), (kh, kw), (sx, sy), (x0, x1, y0, y1) = x.shape[2:], w.shape[2:], stride, padding
    h, w_ = (H - 1) * sy + kh, (W - 1) * sx + kw
    if min(h - max(0, y0) - max(0, y1), w_ - max(0, x0) - max(0, x1)) < 1:
        raise ValueError(
            f"conv_transpose2d: padding {padding} crops all of a result of {h} × {w_} pixels; "
            "expected at least one to remain"
        )
    check.size("conv_transpose2d", h - y0 - y1, w_ - x0 - x1, "the result")
    if styles is not None:
        check.array("conv_transpose2d", "styles", styles, 2, like=x)
    return _conv_transpose2d(x, w, stride, padding, groups, styles)


def _conv_transpose2d(x, w, stride=(1, 1), padding=(0, 0, 0, 0), groups=1, styles=None):
    """conv_transpose2d of arguments as in `_conv2d`."""
    if x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ValueError(
            f"conv_transpose2d: w has shape {w.shape}, x {x.shape[1]} channels, groups is {groups};"
            " expected w [C, O/groups, kh, kw] and C a multiple of groups"
        )
    if styles is not None and styles.shape != x.shape[:2]:
        raise ValueError(
            f"conv_transpose2d: styles has shape {styles.shape}; expected x's [N, C], {x.shape[:2]}"
        )
    if chosen() == "reference" or Variable in (type(x), type(w), type(styles)):
        x = x if styles is None else scale_channels(x, styles)
        return _transposed(x, w, stride, padding, groups)
    x, w, styles = native(x, w, styles)
    return kernels(x).conv_transpose2d(x, w, stride, padding, groups, styles)


def conv2d_weight_grad(
    x: np.ndarray,
    dy: np.ndarray,
    size: list | tuple,
    stride: int | list | tuple = 1,
    padding: int | list | tuple = 0,
    groups: int = 1,
) -> np.ndarray:
    """The gradient of sum(conv2d(x, w) · dy) with respect to w.

    x [N, C, H, W]; dy [N, O, H', W'], as conv2d's result; size (kh, kw).
    Returns [O, C/groups, kh, kw].  Raises: as conv2d.
    """
    who = "conv2d_weight_grad"
    check.array(who, "x", x, 4)
    check.array(who, "dy", dy, 4, like=x)
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"{who}: size is {size!r}; expected (kh, kw)")
    size = tuple(check.whole(who, f"size[{i}]", v, 1) for i, v in enumerate(size))
    stride, padding = check.pair(who, "stride", stride), check.padding(who, padding)
    groups = check.whole(who, "groups", groups, 1)
    h, w = _result_size(who, x, size, stride, padding)
    if dy.shape != (x.shape[0], dy.shape[1], h, w):
        raise ValueError(f"{who}: dy has shape {dy.shape}; expected ({x.shape[0]}, O, {h}, {w})")
    if x.shape[1] % groups or dy.shape[1] % groups:
        raise ValueError(
            f"{who}: x has {x.shape[1]} channels, dy {dy.shape[1]}; expected multiples of {groups}"
        )
    return _weight_grad(x, dy, size, stride, padding, groups)

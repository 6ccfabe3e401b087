"""bias_act: bias, activation, gain and clamp in one pass."""

import math

import numpy as np

from minigan import check
from minigan.autograd import primitive, stop_gradient
from minigan.autograd.variable import Variable
from minigan.device import on_gpu
from minigan.ops import reference
from minigan.ops.dispatch import chosen, fast, kernels, native


def _sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _below(x):
    return np.where(x > 0, 0.0, x)  # where a branch is not taken, it must not overflow


def _elu(x):
    return np.where(x > 0, x, np.expm1(_below(x)))


def _selu(x):
    # Klambauer et al. 2017, Eq. 2; the two constants from their fixed point at mean 0, variance 1.
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * np.where(x > 0, x, alpha * np.expm1(_below(x)))


#           function of (x, alpha)          alpha, gain: the defaults
ACTIVATIONS = {
    "linear": (lambda x, alpha: x, 1.0, 1.0),
    "relu": (lambda x, alpha: np.where(x > 0, x, 0.0), 0.0, math.sqrt(2)),
    "lrelu": (lambda x, alpha: np.where(x > 0, x, alpha * x), 0.2, math.sqrt(2)),
    "tanh": (lambda x, alpha: np.tanh(x), 0.0, 1.0),
    "sigmoid": (lambda x, alpha: _sigmoid(x), 0.0, 1.0),
    "elu": (lambda x, alpha: _elu(x), 0.0, 1.0),
    "selu": (lambda x, alpha: _selu(x), 0.0, 1.0),
    "softplus": (lambda x, alpha: np.logaddexp(x, 0.0), 0.0, 1.0),
    "swish": (lambda x, alpha: x * _sigmoid(x), 0.0, math.sqrt(2)),
}


def _act_plain(x, slope, gain, clamp):
    if x.ndim == 4 or on_gpu(x):
        return fast(x).scale_noise_act(*native(x), None, None, None, slope, gain, clamp)
    (x,) = native(x)
    return reference.bias_act(x, None, 0, lambda v: np.where(v > 0, v, slope * v), gain, clamp)


def _act_slope_plain(dy, y, slope, gain, clamp):
    return kernels(dy).act_slope(*native(dy, y), slope, gain, clamp)


# Keeps the result, which the next layer keeps anyway, and not the input: its sign tells the slope.
_act = primitive(
    _act_plain,
    lambda g, ans, slope, gain, clamp: _act_slope(g, stop_gradient(ans), slope, gain, clamp),
)
_act_slope = primitive(
    _act_slope_plain,
    lambda g, y, slope, gain, clamp: _act_slope(g, y, slope, gain, clamp),
)


def _layer_plain(x, scale, noise, b, slope, gain, clamp):
    x, scale, noise, b = native(x, scale, noise, b)
    return kernels(x).scale_noise_act(x, scale, noise, b, slope, gain, clamp)


def _affine_plain(x, scale, noise, b):
    return _layer_plain(x, scale, noise, b, 1.0, 1.0, None)


# x·scale + noise + b of images in one pass: scale [N, C], noise [1 or N, 1, H, W], b [C], or None.
_affine = primitive(_affine_plain, (
    lambda g, scale: g if scale is None else _affine(g, scale, None, None),
    lambda g, x: _pixel_dot(g, x),
    lambda g: np.sum(g, axis=1, keepdims=True),
    lambda g: np.sum(_pixel_sum(g), axis=0),
))  # fmt: skip
# Σ over an image's pixels of x·y, and of x: [N, C].
_pixel_dot = primitive(lambda x, y: kernels(x).pixel_dot(*native(x, y)), (
    lambda g, y: _affine(y, g, None, None),
    lambda g, x: _affine(x, g, None, None),
))  # fmt: skip

_pixel_sum = primitive(
    lambda x: kernels(x).pixel_dot(*native(x), None),
    lambda g, in_shape: np.broadcast_to(g[:, :, None, None], in_shape),
)

# And the activation, in the same pass: the end of a layer.
_layer = primitive(_layer_plain, (
    lambda g, scale: g if scale is None else _affine(g, scale, None, None),
    lambda g, x: _pixel_dot(g, x),
    lambda g: np.sum(g, axis=1, keepdims=True),
    lambda g: np.sum(_pixel_sum(g), axis=0),
),
    first=lambda g, ans, slope, gain, clamp: _act_slope(g, stop_gradient(ans), slope, gain, clamp),
)  # fmt: skip


def scale_channels(x, scale):
    """x [N, C, H, W] times scale [N, C], variables or not."""
    if chosen() == "reference":
        return x * scale[:, :, None, None]
    return _affine(x, scale, None, None)


def bias_act(
    x: np.ndarray,
    b: np.ndarray | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    scale: np.ndarray | None = None,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """clamp(gain · act(x·scale + noise + b)), in one pass.

    x: any shape with at least one axis; b [x.shape[dim]] or None.  act: one of `ACTIVATIONS`; alpha
    (lrelu's slope below zero, 0.2) and gain (√2 for relu, lrelu and swish, else 1) default to the
    official values.  clamp ≥ 0 limits the result's magnitude, last of all.  For images, with dim 1:
    scale [N, C] or None (a demodulation); noise [1 or N, 1, H, W] or None.
    Raises: TypeError for other types; ValueError for an unknown act, or a b that does not fit.
    """
    check.array("bias_act", "x", x, None)
    args = check_bias_act("bias_act", x.shape, x, dim, b, act, alpha, gain, clamp, scale, noise)
    return _bias_act(x, dim=dim, **args)


def check_bias_act(
    who, shape, x, dim=1, b=None, act="linear", alpha=None, gain=None, clamp=None, scale=None,
    noise=None,
):  # fmt: skip
    """bias_act's arguments by name, checked for an array of this shape and of x's dtype."""
    if not isinstance(act, str) or act not in ACTIVATIONS:
        raise ValueError(f"{who}: act is {act!r}; expected one of {', '.join(ACTIVATIONS)}")
    alpha = None if alpha is None else check.number(who, "alpha", alpha)
    gain = None if gain is None else check.number(who, "gain", gain)
    clamp = None if clamp is None else check.number(who, "clamp", clamp, least=0)
    if isinstance(dim, bool) or not isinstance(dim, int) or not 0 <= dim < len(shape):
        raise ValueError(f"{who}: dim is {dim!r}; expected an axis of x, which has {len(shape)}")
    if b is not None:
        check.array(who, "b", b, 1, like=x)
    if scale is not None or noise is not None:
        if len(shape) != 4 or dim != 1:
            raise ValueError(f"{who}: scale and noise need images and dim 1; x has shape {shape}")
        if scale is not None and check.array(who, "scale", scale, 2, like=x).shape != shape[:2]:
            raise ValueError(
                f"{who}: scale has shape {scale.shape}; expected {shape[:2]}, x's N, C"
            )
        if noise is not None:
            check.array(who, "noise", noise, 4, like=x)
    check_fit(who, shape, dim, b, noise)
    return {"b": b, "act": act, "alpha": alpha, "gain": gain, "clamp": clamp, "scale": scale,
            "noise": noise}  # fmt: skip


def check_fit(who, shape, dim, b, noise):
    """Raise unless b and noise fit an array of this shape: kernels would read beyond their ends.

    Asked of a network's parameters and buffers, too: these may be anybody's.
    """
    if b is not None and b.shape != (shape[dim],):
        raise ValueError(f"{who}: b has shape {b.shape}; expected ({shape[dim]},), x's axis {dim}")
    if noise is not None and noise.shape not in ((1, 1, *shape[2:]), (shape[0], 1, *shape[2:])):
        raise ValueError(
            f"{who}: noise has shape {noise.shape}; expected {(1, 1, *shape[2:])} or "
            f"{(shape[0], 1, *shape[2:])}"
        )


def _bias_act(
    x, b=None, dim=1, act="linear", alpha=None, gain=None, clamp=None, scale=None, noise=None
):
    """bias_act of checked arguments."""
    check_fit("bias_act", x.shape, dim, b, noise)
    function, default_alpha, default_gain = ACTIVATIONS[act]
    alpha = default_alpha if alpha is None else alpha
    gain = default_gain if gain is None else gain
    slope = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}.get(act, -1.0)
    recording = Variable in map(type, (x, b, scale, noise))
    if type(x) is not np.ndarray and on_gpu(x) and not recording and chosen() != "reference":
        return kernels(x).bias_act(x, dim, b, act, alpha, gain, clamp, scale, noise)
    slow = chosen() == "reference" or slope < 0 or gain <= 0
    if recording and not slow and x.ndim == 4 and dim == 1:
        if slope == gain == 1 and clamp is None:
            return x if b is scale is noise is None else _affine(x, scale, noise, b)
        return _layer(x, scale, noise, b, slope, gain, clamp)
    if slow or recording or x.ndim != 4 or dim != 1:
        x = x if scale is None else x * scale[:, :, None, None]
        x = x if noise is None else x + noise
        if slow or not recording:
            return reference.bias_act(x, b, dim, lambda v: function(v, alpha), gain, clamp)
        if b is not None:
            x = x + np.reshape(b, [-1 if axis == dim else 1 for axis in range(x.ndim)])
        return _act(x, slope, gain, clamp)
    return _layer_plain(x, scale, noise, b, slope, gain, clamp)

"""bias_act: bias, activation, gain and clamp in one pass."""

import math

import numpy as np

from minigan.autograd import primitive, stop_gradient
from minigan.autograd.variable import Variable
from minigan.ops import check, loops
from minigan.ops.switch import chosen, cpu, fast, native


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
    (x,) = native(x)
    if x.ndim == 4:
        return fast().scale_noise_act(x, None, None, None, slope, gain, clamp)
    return loops.bias_act(x, None, 0, lambda v: np.where(v > 0, v, slope * v), gain, clamp)


def _act_slope_plain(dy, y, slope, gain, clamp):
    return cpu().act_slope(*native(dy, y), slope, gain, clamp)


# Keeps the result, which the next layer keeps anyway, and not the input: its sign tells the slope.
_act = primitive(
    _act_plain,
    lambda g, ans, slope, gain, clamp: _act_slope(g, stop_gradient(ans), slope, gain, clamp),
)
_act_slope = primitive(
    _act_slope_plain,
    lambda g, y, slope, gain, clamp: _act_slope(g, y, slope, gain, clamp),
)


def _affine_plain(x, scale, noise, b):
    extra = [None if a is None else native(a)[0] for a in (scale, noise, b)]
    return cpu().scale_noise_act(*native(x), *extra, 1.0, 1.0, None)


# x·scale + noise + b of images in one pass: scale [N, C], noise [1 or N, 1, H, W], b [C], or None.
_affine = primitive(_affine_plain, (
    lambda g, scale: g if scale is None else _affine(g, scale, None, None),
    lambda g, x: _pixel_dot(g, x),
    lambda g: np.sum(g, axis=1, keepdims=True),
    lambda g: np.sum(g, axis=(0, 2, 3)),
))  # fmt: skip
# Σ over an image's pixels of x·y: [N, C].
_pixel_dot = primitive(lambda x, y: cpu().pixel_dot(*native(x, y)), (
    lambda g, y: _affine(y, g, None, None),
    lambda g, x: _affine(x, g, None, None),
))  # fmt: skip


def scale_channels(x, scale):
    """x [N, C, H, W] times scale [N, C], variables or not."""
    if chosen() == "loops":
        return x * scale[:, :, None, None]
    return _affine(x, scale, None, None)


def bias_act(
    x, b=None, dim=1, act="linear", alpha=None, gain=None, clamp=None, scale=None, noise=None
):
    """clamp(gain · act(x·scale + noise + b)), in one pass.

    x: any shape with at least one axis; b [x.shape[dim]] or None.  act: one of `ACTIVATIONS`; alpha
    (lrelu's slope below zero, 0.2) and gain (√2 for relu, lrelu and swish, else 1) default to the
    official values.  clamp ≥ 0 limits the result's magnitude, last of all.  For images, with dim 1:
    scale [N, C] or None (a demodulation); noise [1 or N, 1, H, W] or None.
    Raises: TypeError for other types; ValueError for an unknown act, or a b that does not fit.
    """
    who = "bias_act"
    check.array(who, "x", x, None)
    if not isinstance(act, str) or act not in ACTIVATIONS:
        raise ValueError(f"{who}: act is {act!r}; expected one of {', '.join(ACTIVATIONS)}")
    function, default_alpha, default_gain = ACTIVATIONS[act]
    alpha = default_alpha if alpha is None else check.number(who, "alpha", alpha)
    gain = default_gain if gain is None else check.number(who, "gain", gain)
    clamp = None if clamp is None else check.number(who, "clamp", clamp, least=0)
    if isinstance(dim, bool) or not isinstance(dim, int) or not 0 <= dim < x.ndim:
        raise ValueError(f"{who}: dim is {dim!r}; expected an axis of x, which has {x.ndim}")
    if b is not None and check.array(who, "b", b, 1, like=x).shape != (x.shape[dim],):
        raise ValueError(
            f"{who}: b has shape {b.shape}; expected ({x.shape[dim]},), x's axis {dim}"
        )
    if scale is not None or noise is not None:
        if x.ndim != 4 or dim != 1:
            raise ValueError(f"{who}: scale and noise need images and dim 1; x has shape {x.shape}")
        if scale is not None and check.array(who, "scale", scale, 2, like=x).shape != x.shape[:2]:
            raise ValueError(
                f"{who}: scale has shape {scale.shape}; expected {x.shape[:2]}, x's N, C"
            )
        wanted = [(n, 1, *x.shape[2:]) for n in (1, x.shape[0])]
        if noise is not None and check.array(who, "noise", noise, 4, like=x).shape not in wanted:
            raise ValueError(
                f"{who}: noise has shape {noise.shape}; expected {wanted[0]} or {wanted[1]}"
            )
    slope = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}.get(act, -1.0)
    recording = Variable in map(type, (x, b, scale, noise))
    slow = chosen() == "loops" or slope < 0 or gain <= 0
    if recording and not slow and x.ndim == 4 and dim == 1:
        if any(a is not None for a in (scale, noise, b)):
            x = _affine(x, scale, noise, b)
        return x if slope == gain == 1 and clamp is None else _act(x, slope, gain, clamp)
    if slow or recording or x.ndim != 4 or dim != 1:
        x = x if scale is None else x * scale[:, :, None, None]
        x = x if noise is None else x + noise
        if slow or not recording:
            return loops.bias_act(x, b, dim, lambda v: function(v, alpha), gain, clamp)
        if b is not None:
            x = x + np.reshape(b, [-1 if axis == dim else 1 for axis in range(x.ndim)])
        return _act(x, slope, gain, clamp)
    extra = [None if a is None else native(a)[0] for a in (scale, noise, b)]
    return fast().scale_noise_act(*native(x), *extra, slope, gain, clamp)

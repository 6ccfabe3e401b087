"""The definitions of the four operations, in NumPy, to read and to test the fast engines against.

Nothing here is clever: each function does what its formula says, a term after another, and is slow
for the reason it is clear.  Arrays are [N, C, H, W]; stride, up and down are (x, y); padding is
(x0, x1, y0, y1), negative to crop.  `minigan.ops` has the public functions, and checks arguments.
"""

import numpy as np


def pad(x, padding):
    """Zeros added around each image, or, where a number is negative, rows and columns cut off."""
    x0, x1, y0, y1 = padding
    H, W = x.shape[2:]
    x = x[:, :, max(0, -y0) : H - max(0, -y1), max(0, -x0) : W - max(0, -x1)]
    around = [(0, 0), (0, 0), (max(0, y0), max(0, y1)), (max(0, x0), max(0, x1))]
    return np.pad(x, around)


def conv2d(x, w, stride, padding, groups):
    """y[n, o, i, j] = Σ_{c, ky, kx} w[o, c, ky, kx] · x[n, c, i·sy + ky, j·sx + kx], x padded.

    What deep learning calls a convolution is a cross-correlation: w is not flipped.
    """
    x = pad(x, padding)
    (N, C, H, W), (O, _, kh, kw), (sx, sy) = x.shape, w.shape, stride
    y = np.zeros_like(x, shape=(N, O, (H - kh) // sy + 1, (W - kw) // sx + 1))
    ins, outs = C // groups, O // groups
    for group in range(groups):
        xs, os = slice(group * ins, (group + 1) * ins), slice(group * outs, (group + 1) * outs)
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                patch = x[:, xs, i * sy : i * sy + kh, j * sx : j * sx + kw]
                y[:, os, i, j] = np.tensordot(patch, w[os], axes=([1, 2, 3], [1, 2, 3]))
    return y


def conv_transpose2d(x, w, stride, padding, groups):
    """Each x[n, c, i, j] adds its multiple of w[c] to the window that conv2d would have read.

    The transpose of conv2d as a matrix, hence its derivative.  w [C, O/groups, kh, kw].
    """
    (N, C, H, W), (_, outs, kh, kw), (sx, sy) = x.shape, w.shape, stride
    y = np.zeros_like(x, shape=(N, outs * groups, (H - 1) * sy + kh, (W - 1) * sx + kw))
    ins = C // groups
    for group in range(groups):
        xs, os = slice(group * ins, (group + 1) * ins), slice(group * outs, (group + 1) * outs)
        for i in range(H):
            for j in range(W):
                patch = np.tensordot(x[:, xs, i, j], w[xs], axes=1)
                y[:, os, i * sy : i * sy + kh, j * sx : j * sx + kw] += patch
    return pad(y, [-p for p in padding])


def conv2d_weight_grad(x, g, size, stride, padding, groups):
    """∂w of conv2d: each g[n, o, i, j] times the window of x that made y[n, o, i, j], summed."""
    x = pad(x, padding)
    (_, C, _, _), (_, O, OH, OW), (kh, kw), (sx, sy) = x.shape, g.shape, size, stride
    dw = np.zeros_like(x, shape=(O, C // groups, kh, kw))
    ins, outs = C // groups, O // groups
    for group in range(groups):
        xs, os = slice(group * ins, (group + 1) * ins), slice(group * outs, (group + 1) * outs)
        for i in range(OH):
            for j in range(OW):
                patch = x[:, xs, i * sy : i * sy + kh, j * sx : j * sx + kw]
                dw[os] += np.tensordot(g[:, os, i, j], patch, axes=([0], [0]))
    return dw


def upfirdn2d(x, f, up, down, padding):
    """Insert zeros, pad, correlate with f, keep every down-th: Up, FIR, DowN.

    f is [taps], for both axes in turn, or [ty, tx].
    """
    f = np.outer(f, f) if f.ndim == 1 else f
    (N, C, H, W), (ty, tx), (ux, uy), (dx, dy) = x.shape, f.shape, up, down
    stuffed = np.zeros_like(x, shape=(N, C, H * uy, W * ux))
    stuffed[:, :, ::uy, ::ux] = x
    stuffed = pad(stuffed, padding)
    height, width = stuffed.shape[2] - ty + 1, stuffed.shape[3] - tx + 1
    y = np.zeros_like(x, shape=(N, C, height, width))
    for ky in range(ty):
        for kx in range(tx):
            y += f[ky, kx] * stuffed[:, :, ky : ky + height, kx : kx + width]
    return y[:, :, ::dy, ::dx]


def bias_act(x, b, dim, act, gain, clamp):
    """clamp(gain · act(x + b)): bias, activation, gain, clamp, in this order.  act: a function."""
    if b is not None:
        x = x + np.reshape(b, [-1 if axis == dim else 1 for axis in range(x.ndim)])
    y = act(x) * gain
    return y if clamp is None else np.clip(y, -clamp, clamp)


def filtered_lrelu(x, b, fu, fd, up, down, padding, gain, slope, clamp):
    """Bias, upsample, leaky ReLU, downsample (StyleGAN3 §3.2): the non-linearity at a higher rate.

    What it bends into frequencies above the limit of the low rate, the second filter takes out.
    """
    if b is not None:
        x = x + b[:, None, None]
    x = upfirdn2d(x, fu, up, (1, 1), padding)
    x = np.where(x < 0, slope * x, x) * gain
    if clamp is not None:
        x = np.clip(x, -clamp, clamp)
    return upfirdn2d(x, fd, (1, 1), down, (0, 0, 0, 0))

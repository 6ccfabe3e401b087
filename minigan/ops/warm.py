"""Compile the kernels ahead, so that the first picture does not have to wait for them."""

import numpy as np

from minigan import ops, progress
from minigan.autograd import vjp


def warm(everything=False):
    """Call each operation once, on small float32 arrays; what is compiled stays on disk.

    everything: also backwards, and in float64, as training and the tests need it.
    """
    dtypes = (np.float32, np.float64) if everything else (np.float32,)
    calls = [call for dtype in dtypes for call in _calls(dtype, everything)]
    for call in progress.bar(calls, "kernels"):
        call()


def _calls(dtype, backwards):
    x = np.ones((1, 32, 16, 16), dtype)
    w, point = np.ones((32, 32, 3, 3), dtype), np.ones((3, 32, 1, 1), dtype)
    styles, noise, b = np.ones((1, 32), dtype), np.ones((1, 1, 16, 16), dtype), np.ones(32, dtype)
    f = np.ones(4)
    functions = [
        lambda x: ops.conv2d(x, w, padding=1),
        lambda x: ops.conv2d(x, w[:, :, :2], padding=1),
        lambda x: ops.conv2d(x, point),
        lambda x: ops.conv2d(x, point, styles=styles),
        lambda x: ops.conv_transpose2d(x, w, stride=2),
        lambda x: ops.upfirdn2d(x, f, up=2, padding=2),
        lambda x: ops.bias_act(x, b, act="lrelu"),
        lambda x: ops.filtered_lrelu(x, f, f, b, up=2, down=2, padding=4),
    ]
    for function in functions:
        yield lambda function=function: function(x)
    yield lambda: ops.bias_act(x, b, act="lrelu", scale=styles, noise=noise)
    if backwards:
        functions.append(lambda x: ops.conv2d_weight_grad(x, x, (3, 3), padding=1))
        functions.append(lambda x: ops.conv2d_weight_grad(x, x, (1, 1)))
        for function in functions:
            yield lambda function=function: _back(function, x)


def _back(function, x):
    y, pullback = vjp(function, x)
    pullback(y)

"""The four operations that NumPy is too slow for: conv2d, upfirdn2d, bias_act, filtered_lrelu.

One meaning each, three engines: `reference` is the definition, to read first; `cpu` is Numba,
`gpu` is CUDA.  Arrays are [N, C, H, W], float32 or float64, NumPy's or CuPy's (the type says where
it is computed), or `autograd` variables of such.  Each operation's derivative is another operation
of this folder, so that all can be differentiated to any order:

    conv2d  ↔  conv_transpose2d  ↔  conv2d_weight_grad        each the derivative of the other two
    upfirdn2d  ↔  upfirdn2d with up and down exchanged, and the filter flipped
    filtered_lrelu  →  the same three steps backwards, with the slopes that were taken

Flips, paddings and gains are those of the operators of the same names in NVIDIA's StyleGAN2-ADA and
StyleGAN3.  stride, up and down are an int or [x, y]; padding is an int, [x, y] or [x0, x1, y0, y1],
and negative padding crops.  Results may have their channels innermost in memory.
"""

from minigan.ops import reference
from minigan.ops.bias_act import ACTIVATIONS, bias_act
from minigan.ops.conv2d import conv2d, conv2d_weight_grad, conv_transpose2d
from minigan.ops.dense import dense
from minigan.ops.dispatch import engine, free_memory, precision
from minigan.ops.filtered_lrelu import filtered_lrelu
from minigan.ops.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = [
    "ACTIVATIONS",
    "bias_act",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "dense",
    "downsample2d",
    "engine",
    "filter2d",
    "filtered_lrelu",
    "free_memory",
    "reference",
    "precision",
    "upfirdn2d",
    "upsample2d",
]

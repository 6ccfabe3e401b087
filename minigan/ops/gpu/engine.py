"""The functions of `ops/reference.py`, with the same arguments, by CUDA kernels."""

from minigan.ops.gpu.bias_act import (
    act_slope,
    bias_act,
    dense,
    pixel_dot,
    scale_noise_act,
    square_sums,
)
from minigan.ops.gpu.conv2d import conv2d, conv2d_weight_grad, conv_transpose2d
from minigan.ops.gpu.filtered_lrelu import filtered_lrelu, masked
from minigan.ops.gpu.upfirdn2d import upfirdn2d

__all__ = [
    "act_slope",
    "bias_act",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "dense",
    "filtered_lrelu",
    "masked",
    "pixel_dot",
    "scale_noise_act",
    "square_sums",
    "upfirdn2d",
]

"""The GPU engine: the functions of `loops.py`, with the same arguments, in CUDA C++.

Read in this order: `conv_naive.cu` (a thread an output), `conv_tiled.cu` (shared memory),
`tensor.cuh` and `conv_tensor.cu` (tensor cores), `conv_tensor_pack.cu` (what they are fed),
`conv.py` (which of them); `pointwise.cu` and `resample.cu`, which are bound by memory;
`filtered_lrelu.cu`, three steps in one; `launch.py` (compiling, launching) and `graph.py` (a whole
network in one launch).  `common.cuh`, `conv.cuh` and `resample.cuh` hold what they share.
"""

from minigan.ops.gpu.conv import conv2d, conv2d_weight_grad, conv_transpose2d
from minigan.ops.gpu.pointwise import (
    act_slope,
    bias_act,
    dense,
    pixel_dot,
    scale_noise_act,
    square_sums,
)
from minigan.ops.gpu.resample import filtered_lrelu, masked, upfirdn2d

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

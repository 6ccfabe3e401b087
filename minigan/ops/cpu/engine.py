"""The functions of `ops/reference.py`, with the same arguments, by Numba's kernels."""

from minigan.ops.cpu import conv2d as _conv2d
from minigan.ops.cpu.bias_act import act_slope, pixel_dot, scale_noise_act, square_sums
from minigan.ops.cpu.conv2d import conv2d, conv2d_weight_grad, conv_transpose2d
from minigan.ops.cpu.filtered_lrelu import filtered_lrelu, masked
from minigan.ops.cpu.runtime import memory, threads
from minigan.ops.cpu.upfirdn2d import upfirdn2d

__all__ = [
    "act_slope",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "filtered_lrelu",
    "free_memory",
    "masked",
    "pixel_dot",
    "scale_noise_act",
    "square_sums",
    "upfirdn2d",
]


def free_memory():
    """See `minigan.ops.free_memory`."""
    _conv2d.forget()
    threads.forget_scratch()
    memory.release()

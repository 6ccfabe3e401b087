"""The GPU engine: in CUDA C++: `engine` is its face, each operation has a file of its own name.

Read in this order: `conv2d_naive.cu` (a thread an output), `conv2d_tiled.cu` (shared
memory), `tensor.cuh` and `conv2d_tensor.cu` (tensor cores), `conv2d_tensor_pack.cu` (what they are
fed), `conv2d.py` (which of them); `bias_act.cu` and `upfirdn2d.cu`, which are bound by memory;
`filtered_lrelu.cu`, three steps in one; `launch.py` (compiling, launching) and `graph.py` (a whole
network in one launch).  `common.cuh`, `conv2d.cuh` and `upfirdn2d.cuh` hold what they share.
`emulator/` runs all of it on one core of the CPU.
"""

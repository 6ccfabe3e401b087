"""The CPU engine, in Numba: `engine` is its face, each operation has a file of its own name.

Read in this order: `runtime/simd.py` (registers), `runtime/compile.py`, `conv2d_direct.py`,
`conv2d_winograd.py` and `conv2d_winograd_up.py`, `conv2d.py` (which of them), `runtime/layout.py`,
`runtime/taps.py` (registers again), `upfirdn2d.py`, `filtered_lrelu.py`, `bias_act.py`; then
`runtime/memory.py` (what results are written to) and `runtime/threads.py`.
"""

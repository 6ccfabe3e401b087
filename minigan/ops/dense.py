"""dense: a matrix product and its epilogue.

On a GPU one kernel, where NumPy's @ would be cuBLAS, which a CUDA graph cannot record.
"""

import numpy as np

from minigan import check
from minigan.ops.dispatch import kernels, native
from minigan.ops.epilogue import apply_epilogue, fusible, parse_epilogue


def dense(x: np.ndarray, w: np.ndarray, **epilogue) -> np.ndarray:
    """bias_act(x @ w.T, **epilogue): x [N, C], w [O, C] -> [N, O].

    Raises: TypeError, ValueError as bias_act.
    """
    check.array("dense", "x", x, 2)
    check.array("dense", "w", w, 2, like=x)
    shape = (x.shape[0], w.shape[0])
    return _dense(x, w, parse_epilogue("dense", shape, x, epilogue) if epilogue else None)


def _dense(x, w, epilogue=None):
    """dense of checked arguments, with an `Epilogue` or None; whether w fits is asked here, as in
    `_conv2d`."""
    if x.shape[1] != w.shape[1]:
        raise ValueError(f"dense: w has shape {w.shape}; expected [O, {x.shape[1]}]")
    if fusible(x, w, *(epilogue or ())):
        return kernels(x).dense(*native(x, w), epilogue)
    return apply_epilogue(x @ w.T, epilogue)

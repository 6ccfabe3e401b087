"""The operations, both engines, against the official code's numbers: values and gradients.

How the numbers were made, and the tolerances: tests/golden/README.md.
"""

import json

import numpy as np
import pytest

from minigan import layers, ops
from minigan.autograd import vjp
from tests.arrays import get, put
from tests.conftest import GOLDEN

pytestmark = pytest.mark.usefixtures("device")

DTYPES = [np.float64, np.float32]
ENGINES = ["auto", "reference"]


def cases(name):
    meta = json.loads(str(np.load(GOLDEN / "ops" / f"{name}.npz")["meta_json"]))["cases"]
    return [pytest.param(name, case, id=f"{name}-{case['id']}") for case in meta]


def close(got, expected, dtype, gradient=False):
    """Within the tolerances of the reference vectors, relative to the largest value."""
    got = get(got)
    assert got.dtype == dtype and got.shape == expected.shape
    if dtype == np.float64:
        bound = (1e-9, 1e-12) if gradient else (1e-12, 0)
    else:
        bound = (5e-5, 1e-6) if gradient else (2e-6, 0)
    assert np.abs(got - expected).max() <= bound[0] * np.abs(expected).max() + bound[1]


class Vectors:
    """The arrays of one case: v["x"] is the file's cNN_x, or x if all cases share it; or None."""

    def __init__(self, golden, name, case):
        self.arrays, _ = golden(f"ops/{name}")
        self.case, self.id = case, case["id"]

    def __getitem__(self, key):
        for name in (f"{self.id}_{key}", key):
            if name in self.arrays:
                return self.arrays[name]

    def named(self, key):
        """The shared array that the case names under `key`."""
        name = self.case.get(key)
        return None if name is None else self.arrays[name]


def agree(v, function, inputs, dtype):
    """function(dict of arrays) equals y, with and without recording, and its gradients too."""
    inputs = {k: put(a.astype(dtype)) for k, a in inputs.items() if a is not None}
    y, pullback = vjp(function, inputs)
    close(y, v["y"], dtype)
    close(function(inputs), v["y"], dtype)
    if v["gy"] is not None:
        for name, grad in pullback(put(v["gy"].astype(dtype))).items():
            close(grad, v[f"d{name}"], dtype, gradient=True)


@pytest.fixture(params=ENGINES)
def engine(request):
    with ops.engine(request.param):
        yield request.param


@pytest.fixture(params=DTYPES, ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("name, case", cases("upfirdn2d"))
def test_upfirdn2d(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    f = v.named("filter")
    agree(v, lambda t: ops.upfirdn2d(t["x"], f, **case["args"]), {"x": v["x"]}, dtype)


@pytest.mark.parametrize("name, case", cases("filter_upsample_downsample2d"))
def test_padding_worked_out(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    f, op = v.named("filter"), getattr(ops, case["op"])
    agree(v, lambda t: op(t["x"], f, **case["args"]), {"x": v["x"]}, dtype)


@pytest.mark.parametrize("name, case", cases("bias_act"))
def test_bias_act(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    inputs = {"x": v.named("x"), "b": v.named("b")}
    agree(v, lambda t: ops.bias_act(t["x"], t.get("b"), **case["args"]), inputs, dtype)


@pytest.mark.parametrize("name, case", cases("filtered_lrelu"))
def test_filtered_lrelu(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    fu, fd = v.named("fu"), v.named("fd")
    inputs = {"x": v["x"], "b": v["b"] if case["bias"] else None}

    def function(t):
        return ops.filtered_lrelu(t["x"], fu, fd, t.get("b"), **case["args"])

    agree(v, function, inputs, dtype)


@pytest.mark.parametrize("name, case", cases("conv2d_resample"))
def test_conv2d_resample(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    f = v.named("filter")
    inputs = {"x": v["x"], "w": v["w"]}
    agree(v, lambda t: layers.conv2d_resample(t["x"], t["w"], f, **case["args"]), inputs, dtype)


def by_largest(a, axes):
    return a / np.max(np.abs(a), axis=axes, keepdims=True)


@pytest.mark.parametrize("name, case", cases("modulated_conv2d_stylegan2"))
def test_modulated_conv2d(golden, engine, dtype, name, case):
    """The reference run divided weights and styles by their largest magnitudes before demodulating:
    neutral but for ε, which is 1e-7 of the result here.  So do we, to see ε in its place."""
    v = Vectors(golden, name, case)
    f = v.named("filter")
    args = {k: a for k, a in case["args"].items() if k != "fused_modconv"}
    noise = v["noise"]
    noise = None if noise is None else put(noise.astype(dtype).reshape(-1, 1, *noise.shape[-2:]))

    def function(t):
        w, s = t["w"], t["s"]
        if args.get("demodulate", True):
            w = by_largest(w, (1, 2, 3)) * (1 / np.sqrt(w[0].size).item())
            s = by_largest(s, 1)
        return layers.modulated_conv2d(t["x"], w, s, noise, resample_filter=f, **args)

    agree(v, function, {"x": v["x"], "w": v["w"], "s": v["s"]}, dtype)


@pytest.mark.parametrize("name, case", cases("modulated_conv2d_stylegan3"))
def test_modulated_conv2d_sg3(golden, engine, dtype, name, case):
    v = Vectors(golden, name, case)
    gain = None if v["input_gain"] is None else put(v["input_gain"].astype(dtype))

    def function(t):
        return layers.modulated_conv2d_sg3(t["x"], t["w"], t["s"], input_gain=gain, **case["args"])

    agree(v, function, {"x": v["x"], "w": v["w"], "s": v["s"]}, dtype)

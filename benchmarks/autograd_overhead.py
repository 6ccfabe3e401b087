"""What recording costs: `python benchmarks/autograd_overhead.py`.

Two claims, each a ratio or a difference measured in one run, interleaved, medians:
1. microseconds that one recorded operation adds to the bare NumPy call (small arrays);
2. an MLP training step (forward, backward) against HIPS/autograd, the same NumPy code.
"""

import functools
import statistics
import sys
import time

import numpy as np

from minigan import autograd as ours


def seconds(f, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        f()
    return (time.perf_counter() - start) / repeats


def per_operation():
    x = np.ones((4, 4), np.float32)
    chain = 200

    def bare():
        y = x
        for _ in range(chain):
            y = y * x + x
        return y

    def recorded():
        ours.vjp(lambda v: bare_on(v), x)

    def bare_on(v):
        y = v
        for _ in range(chain):
            y = y * v + v
        return y

    pairs = [(seconds(recorded, 5), seconds(bare, 5)) for _ in range(40)]
    extra = statistics.median((r - b) / (2 * chain) for r, b in pairs) * 1e6
    print(f"recording adds {extra:.2f} µs per operation to bare NumPy (4×4 float32)")
    both = statistics.median(
        (seconds(lambda: ours.grad(lambda v: np.sum(bare_on(v)))(x), 5) - b) / (2 * chain)
        for _, b in pairs[:20]
    )
    print(f"recording and the backward pass together add {both * 1e6:.2f} µs per operation")


def mlp_step(np_module, value_and_grad, params, x, y):
    def loss(p):
        h = x
        for i in range(3):
            h = np_module.tanh(h @ p[f"w{i}"] + p[f"b{i}"])
        return np_module.mean((h - y) ** 2)

    return value_and_grad(loss)(params)


def against_hips():
    try:
        import autograd as hips
        import autograd.numpy as hips_numpy
    except ImportError:
        sys.exit("the second comparison needs HIPS/autograd: pip install autograd")
    for batch, width in [(8, 16), (32, 64), (64, 256)]:
        rng = np.random.default_rng(0)
        params = {f"w{i}": rng.standard_normal((width, width)) for i in range(3)}
        params |= {f"b{i}": np.zeros(width) for i in range(3)}
        x, y = rng.standard_normal((2, batch, width))
        ours_step = functools.partial(mlp_step, np, ours.value_and_grad, params, x, y)
        hips_step = functools.partial(mlp_step, hips_numpy, hips.value_and_grad, params, x, y)
        a, b = ours_step(), hips_step()
        assert np.isclose(a[0], b[0]) and all(np.allclose(a[1][k], b[1][k]) for k in params)
        ratio = statistics.median(seconds(hips_step, 5) / seconds(ours_step, 5) for _ in range(40))
        print(
            f"MLP step, batch {batch}, 3 layers of {width}: {ratio:.2f}× as fast as HIPS/autograd"
        )


if __name__ == "__main__":
    per_operation()
    against_hips()

"""What recording costs: `python benchmarks/autograd_overhead.py`.

Two claims, each a ratio or a difference measured in one run, interleaved, medians:
1. microseconds that one recorded operation adds to the bare NumPy call (small arrays);
2. an MLP training step (forward, backward) against HIPS/autograd, the same NumPy code.
"""

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


def mlp_step(np_module, value_and_grad, params, x, y, **kwargs):
    def loss(p):
        h = x
        for i in range(3):
            h = np_module.tanh(h @ p[f"w{i}"] + p[f"b{i}"])
        return np_module.mean((h - y) ** 2)

    return value_and_grad(loss)(params)


def against_hips():
    try:
        import autograd
        import autograd.numpy as hips_numpy
    except ImportError:
        sys.exit("the second comparison needs HIPS/autograd: pip install autograd")
    for batch, width in [(8, 16), (32, 64), (64, 256)]:
        rng = np.random.default_rng(0)
        params = {f"w{i}": rng.standard_normal((width, width)) for i in range(3)}
        params |= {f"b{i}": np.zeros(width) for i in range(3)}
        x, y = rng.standard_normal((2, batch, width))
        a = mlp_step(np, ours.value_and_grad, params, x, y)
        b = mlp_step(hips_numpy, autograd.value_and_grad, params, x, y)
        assert np.isclose(a[0], b[0]) and all(np.allclose(a[1][k], b[1][k]) for k in params)
        ratios = []
        for _ in range(40):
            t_hips = seconds(
                lambda: mlp_step(hips_numpy, autograd.value_and_grad, params, x, y), 5  # noqa: B023
            )
            t_ours = seconds(lambda: mlp_step(np, ours.value_and_grad, params, x, y), 5)  # noqa: B023
            ratios.append(t_hips / t_ours)
        print(
            f"MLP step, batch {batch}, 3 layers of {width}: {statistics.median(ratios):.2f}× the "
            "speed of HIPS/autograd"
        )


if __name__ == "__main__":
    per_operation()
    against_hips()

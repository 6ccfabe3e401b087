"""The four operations against what a user would take instead: python benchmarks/operations.py

Prints benchmarks/operations.md.  PyTorch is compared if installed: pip install -e '.[benchmark]'.
All variants of a row run in turn, in one process and on the same number of threads; each is called
twice untimed before each timing, so that its threads and caches are warm and another's are at rest.
Ratios are medians of the rounds' ratios.  Results are compared with ours before anything is timed.
"""

import argparse
import datetime
import functools
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import tracemalloc

import numpy as np
import scipy
import scipy.signal

from minigan import filters, ops
from minigan.ops.cpu import conv2d
from minigan.ops.cpu.runtime import memory, threads

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

SHAPES = [(16, 64, 32, 64), (16, 128, 16, 128), (16, 256, 8, 256), (1, 512, 64, 512),
          (1, 256, 128, 128), (1, 128, 256, 64), (1, 32, 1024, 32)]  # fmt: skip


def measure(variants, rounds):
    """Milliseconds [rounds, variants]."""
    times = []
    for _ in range(rounds):
        row = []
        for function in variants.values():
            time.sleep(0.01)
            begin = time.perf_counter()
            for _ in range(2):
                function()
                if time.perf_counter() - begin > 0.5:
                    break  # slow enough to be warm
            begin = time.perf_counter()
            function()
            row.append(1000 * (time.perf_counter() - begin))
        times.append(row)
    return np.array(times)


def numbers(y):
    return y if isinstance(y, np.ndarray) else y.numpy()


def compare(variants, rounds):
    """Assert that all variants agree; then time them."""
    with torch.no_grad() if torch else tempfile.TemporaryDirectory():
        results = [numbers(function()) for function in variants.values()]
        for name, result in zip(variants, results, strict=True):
            error = np.abs(result - results[0]).max() / np.abs(results[0]).max()
            assert result.shape == results[0].shape and error < 1e-4, (name, error)
        del results
        return dict(zip(variants, measure(variants, rounds).T, strict=True))


def ratio(times, other, ours="ours"):
    """How many times as fast as the best of `other` we are: the median over the rounds."""
    best = np.min([times[name] for name in other], axis=0)
    return float(np.median(best / times[ours]))


def row(*cells):
    print("| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells) + " |")


def header(*cells):
    print()
    row(*cells)
    row(*["---"] * len(cells))


def images(rng, *shape):
    """Random, with channels innermost in memory, as our own results have them."""
    n, c, h, w = shape
    return rng.standard_normal((n, h, w, c), dtype=np.float32).transpose(0, 3, 1, 2)


def im2col(x, w):
    """NumPy's way: every window written out, and one matrix product.  Stride 1, size kept."""
    k = w.shape[2]
    x = np.pad(x, [(0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, w[0].size)
    y = columns @ w.reshape(len(w), -1).T
    return y.reshape(*windows.shape[:1], *windows.shape[2:4], -1).transpose(0, 3, 1, 2)


def correlate(x, w):
    """SciPy's way: one plane at a time."""
    k = w.shape[2] // 2
    x = np.pad(x, [(0, 0), (0, 0), (k, k), (k, k)])
    planes = [
        [sum(scipy.signal.correlate2d(a, b, "valid") for a, b in zip(image, kernel, strict=True))
         for kernel in w] for image in x
    ]  # fmt: skip
    return np.array(planes)


def convolutions(rng, rounds):
    print("\n## conv2d, float32, milliseconds")
    print(
        "\n`×default`: against PyTorch's default layout; `×better`: against the better of its two."
    )
    header("k", "N,C,H→O", "pass", "algorithm", "ours", "direct", "NumPy im2col", "SciPy",
           "PyTorch", "channels_last", "×default", "×better")  # fmt: skip
    ratios = {}
    for k in (3, 1):
        for shape in SHAPES:
            n, c, h, o = shape
            x, dy = images(rng, n, c, h, h), images(rng, n, o, h, h)
            w = rng.standard_normal((o, c, k, k), dtype=np.float32)
            way = conv2d.algorithm(x.dtype, k, k, (1, 1), c, o, n * h * h)
            ours = {
                "forward": lambda x=x, w=w, p=k // 2: ops.conv2d(x, w, padding=p),
                "input": lambda dy=dy, w=w, p=k // 2: ops.conv_transpose2d(dy, w, padding=p),
                "weight": lambda x=x, dy=dy, k=k: ops.conv2d_weight_grad(
                    x, dy, (k, k), padding=k // 2
                ),
            }
            for name, function in ours.items():
                variants = {"ours": function}
                if way == "winograd":
                    variants["direct"] = functools.partial(directly, function)
                if name == "forward" and n * c * h * h * k * k < 1 << 28:
                    variants["im2col"] = functools.partial(im2col, x, w)
                if name == "forward" and k == 3 and shape == SHAPES[0]:
                    variants["scipy"] = functools.partial(correlate, x, w)
                variants |= torch_convolution(name, x, dy, w)
                times = compare(variants, rounds)
                m = {key: float(np.median(t)) for key, t in times.items()}
                r = ("–", "–")
                if torch:
                    r = ratio(times, ["torch"]), ratio(times, ["torch", "last"])
                    ratios.setdefault(k, []).append(r)
                row(f"{k}×{k}", f"{n},{c},{h}→{o}", name, way, m["ours"],
                    *(m.get(key, "") for key in ("direct", "im2col", "scipy", "torch", "last")), *r)  # fmt: skip
    for k, r in ratios.items():
        mean, least = np.exp(np.log(r).mean(0)), np.min(r, axis=0)
        print(f"\n{k}×{k}: geometric mean {mean[0]:.2f}× the default layout, {mean[1]:.2f}× the better "
              f"of the two; least {least[0]:.2f}× and {least[1]:.2f}×.")  # fmt: skip


def directly(function):
    with ops.engine("direct"):
        return function()


def torch_convolution(name, x, dy, w):
    if not torch:
        return {}
    p = w.shape[2] // 2
    wanted = {"forward": None, "input": [True, False, False], "weight": [False, True, False]}[name]
    variants = {}
    for layout in ("torch", "last"):
        memory = torch.contiguous_format if layout == "torch" else torch.channels_last
        a, b, c = (torch.from_numpy(v).contiguous(memory_format=memory) for v in (x, dy, w))
        if wanted is None:
            variants[layout] = functools.partial(F.conv2d, a, c, padding=p)
        else:
            back = functools.partial(
                torch.ops.aten.convolution_backward, b, a, c, None, [1, 1], [p, p], [1, 1], False,
                [0, 0], 1, wanted,
            )  # fmt: skip
            which = wanted.index(True)
            variants[layout] = lambda back=back, which=which: back()[which]
    return variants


def zero_insert(x, f, up, down, padding):
    """The official operator's expression on a CPU: zeros in, pad, depthwise convolution, slice."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1]).reshape(
        n, c, h * up, w * up
    )
    x = F.pad(x, padding)
    if f.ndim == 2:
        x = F.conv2d(x, f.flip(0, 1).expand(c, 1, *f.shape), groups=c)
    else:
        g = f.flip(0).expand(c, 1, 1, len(f))
        x = F.conv2d(F.conv2d(x, g, groups=c), g.transpose(2, 3), groups=c)
    return x[:, :, ::down, ::down]


def depthwise(x, f, up, down, padding):
    """The best we know in PyTorch: transposed and strided depthwise convolutions, no zeros."""
    c, pad = x.shape[1], padding[0]
    if up > 1 and down == 1:  # crop what the transposed convolution has more than the padding asks
        taps = f.shape[-1]
        kernels = _kernels(f, c, flip=False)
        if len(kernels) == 1:
            y = F.conv_transpose2d(x, kernels[0], stride=up, groups=c)
        else:
            y = F.conv_transpose2d(x, kernels[0], stride=(1, up), groups=c)
            y = F.conv_transpose2d(y, kernels[1], stride=(up, 1), groups=c)
        first, size = taps - 1 - pad, x.shape[2] * up + padding[0] + padding[1] - taps + 1
        y = F.pad(y, [0, max(0, first + size - y.shape[3]), 0, max(0, first + size - y.shape[2])])
        return y[:, :, first : first + size, first : first + size]
    if up == 1:
        x = F.pad(x, padding)
        kernels = _kernels(f, c, flip=True)
        if len(kernels) == 1:
            return F.conv2d(x, kernels[0], stride=down, groups=c)
        x = F.conv2d(x, kernels[0], stride=(1, down), groups=c)
        return F.conv2d(x, kernels[1], stride=(down, 1), groups=c)
    # up = down: one tap in `up` meets a sample; the rest is an ordinary convolution with those.
    taps = f.flip(*range(f.ndim))
    start = pad % up
    thin = taps[start::up] if f.ndim == 1 else taps[start::up, start::up]
    before = (pad - start) // up
    size = (x.shape[2] * up + padding[0] + padding[1] - f.shape[-1]) // down + 1
    after = size + thin.shape[-1] - 1 - x.shape[2] - before
    return depthwise(x, thin.flip(*range(f.ndim)), 1, 1, [before, after, before, after])


def _kernels(f, c, flip):
    f = f.flip(*range(f.ndim)) if flip else f
    if f.ndim == 2:
        return [f.expand(c, 1, *f.shape)]
    return [f.expand(c, 1, 1, len(f)), f[:, None].expand(c, 1, len(f), 1)]


def torch_resampling(x, f, up, down, padding):
    """{name: variant}: the official expression, and our candidates for the best."""
    if not torch:
        return {}
    one = torch.from_numpy(f.astype(np.float32))
    two = torch.outer(one, one)
    plain, last = torch.from_numpy(x).contiguous(), torch.from_numpy(x)
    official = two if len(f) < 8 else one  # what setup_filter makes of them
    variants = {"official": functools.partial(zero_insert, plain, official, up, down, padding)}
    for layout, a in (("default", plain), ("last", last)):
        for kind, g in (("1-D", one), ("2-D", two)):
            key = f"best {kind} {layout}"
            variants[key] = functools.partial(depthwise, a, g, up, down, padding)
    return variants


def scipy_resampling(x, f, up, down, padding):
    """SciPy's, one axis after the other; it pads by taps − 1 before, so crop to our padding."""
    size = (x.shape[2] * up + padding[0] + padding[1] - len(f)) // down + 1
    first = len(f) - 1 - padding[0]
    for axis in (2, 3):
        x = scipy.signal.upfirdn(f.astype(np.float32), x, up, 1, axis)
        x = np.take(x, range(first, first + (size - 1) * down + 1, down), axis)
    return x


def resampling(rng, rounds):
    print("\n## upfirdn2d, float32, milliseconds")
    print(
        "\n`official`: zero-insert, pad, depthwise convolution; `best`: the fastest of four PyTorch\n"
        "expressions (transposed or strided depthwise convolutions; 1-D or 2-D; both layouts).\n"
        "`bandwidth`: bytes in and out per second, against NumPy's copy from one array to another."
    )
    ratios = []
    header("N,C,H", "up", "down", "taps", "ours", "SciPy", "official", "best", "×official", "×best",
           "bandwidth")  # fmt: skip
    for n, c, h in ((16, 64, 32), (1, 32, 1024)):
        x = images(rng, n, c, h, h)
        flat = x.transpose(0, 2, 3, 1)
        for taps in (4, 12):
            f = filters.binomial(4) if taps == 4 else filters.design_lowpass_filter(12, 4, 4, 32)
            for up, down in ((1, 1), (2, 1), (1, 2), (2, 2)):
                first = (taps + up - 1) // 2 if up > down else (taps - down + 1) // 2
                last = (taps - up) // 2 if up > down else (taps - down) // 2
                padding = [first, last, first, last]
                g = f if taps == 12 else np.outer(f, f)
                call = functools.partial(ops.upfirdn2d, x, g, up, down, padding)
                variants = {"ours": call}
                y = call()
                share = (x.nbytes + y.nbytes) / (2 * x.nbytes)
                if h < 1024 and not (up > 1 and down > 1):
                    variants["scipy"] = functools.partial(scipy_resampling, x, f, up, down, padding)
                variants |= torch_resampling(x, f, up, down, padding)
                times = compare(variants, rounds)
                copy = functools.partial(np.copyto, np.empty_like(flat), flat)
                paired = measure({"copy": copy, "ours": call}, rounds)
                bandwidth = share * float(np.median(paired[:, 0] / paired[:, 1]))
                m = {key: float(np.median(t)) for key, t in times.items()}
                best = [key for key in m if key.startswith("best")]
                r = ("", "", "–", "–")
                if torch:
                    r = (m["official"], min(m[key] for key in best), ratio(times, ["official"]),
                         ratio(times, best))  # fmt: skip
                ratios.append(r[2:])
                row(f"{n},{c},{h}", up, down, taps, m["ours"], m.get("scipy", ""), *r,
                    f"{100 * bandwidth:.0f} %")  # fmt: skip
    means(ratios)


def means(ratios):
    if torch:
        mean, least = np.exp(np.log(ratios).mean(0)), np.min(ratios, axis=0)
        print(f"\nGeometric mean {mean[0]:.1f}× the official expression, {mean[1]:.2f}× the best; "
              f"least {least[0]:.2f}× and {least[1]:.2f}×.")  # fmt: skip


def activation(x, gain, slope):
    return F.leaky_relu(x, slope) * gain


def filtered(rng, rounds):
    print("\n## filtered_lrelu, float32, milliseconds")
    ratios = []
    header("N,C,H", "up", "down", "ours", "official", "best", "×official", "×best", "memory")
    for n, c, h in ((16, 64, 32), (1, 32, 1024)):
        for up, down in ((2, 2), (4, 2)):
            x = images(rng, n, c, h, h)
            b = rng.standard_normal(c, dtype=np.float32)
            fu = filters.design_lowpass_filter(6 * up, h / 4, h / 4, h * up)
            fd = filters.design_lowpass_filter(6 * down, h / 4, h / 4, h * up)
            total = h * up // down * down - down + 1 - h * up + 6 * up + 6 * down - 2
            low = (total + up) // 2
            padding = [low, total - low, low, total - low]
            ours = functools.partial(ops.filtered_lrelu, x, fu, fd, b, up, down, padding)
            variants = {"ours": ours}
            if torch:
                tu, td = (torch.from_numpy(f.astype(np.float32)) for f in (fu * up, fd))
                bias = torch.from_numpy(b)[:, None, None]

                def chain(
                    expression, image, tu=tu, td=td, up=up, down=down, padding=padding, bias=bias
                ):
                    middle = expression(image + bias, tu, up, 1, padding)
                    return expression(
                        activation(middle, math.sqrt(2), 0.2), td, 1, down, [0, 0, 0, 0]
                    )

                plain, last = torch.from_numpy(x).contiguous(), torch.from_numpy(x)
                variants["official"] = functools.partial(chain, zero_insert, plain)
                variants["best default"] = functools.partial(chain, depthwise, plain)
                variants["best last"] = functools.partial(chain, depthwise, last)
            times = compare(variants, rounds if h < 1024 else max(1, rounds // 3))
            m = {key: float(np.median(t)) for key, t in times.items()}
            best = [key for key in m if key.startswith("best")]
            r = ("", "", "–", "–")
            if torch:
                r = (m["official"], min(m[key] for key in best), ratio(times, ["official"]),
                     ratio(times, best))  # fmt: skip
            ratios.append(r[2:])
            y = None
            memory.release()  # or what is used again would not count
            tracemalloc.start()
            y = ours()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            most = (x.nbytes + peak) / (x.nbytes + y.nbytes)
            row(f"{n},{c},{h}", up, down, m["ours"], *r, f"{most:.2f}")
    means(ratios)
    print("\n`memory`: the input and all that is allocated at the peak, over input + output.")


PICTURE = """
import time; start = time.perf_counter()
import numpy as np
from minigan import filters, layers, ops
rng = np.random.default_rng(0)
f = filters.setup_filter([1, 3, 3, 1])
slowest, begin = 0, time.perf_counter()
x = rng.standard_normal((1, 64, 4, 4), dtype=np.float32); rgb = None
for size in (4, 8, 16, 32, 64):
    for up in ((1,) if size == 4 else (2, 1)):
        w = rng.standard_normal((64, 64, 3, 3), dtype=np.float32)
        s = rng.standard_normal((1, 64), dtype=np.float32)
        noise = rng.standard_normal((1, 1, size, size), dtype=np.float32)
        t = time.perf_counter()
        x = layers.modulated_conv2d(x, w, s, noise, up, padding=1, resample_filter=f, b=s[0], act="lrelu")
        slowest = max(slowest, time.perf_counter() - t)
    w = rng.standard_normal((3, 64, 1, 1), dtype=np.float32)
    t = time.perf_counter()
    y = layers.modulated_conv2d(x, w, s, demodulate=False, b=s[0, :3])
    rgb = y if rgb is None else ops.upsample2d(rgb, f) + y
    slowest = max(slowest, time.perf_counter() - t)
print(time.perf_counter() - begin, slowest)
"""


def compiling():
    """Seconds for the kernels of one 64² picture: compiled, and from the cache of another process."""
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for _ in range(2):
            env = {**os.environ, "NUMBA_CACHE_DIR": folder, "MINIGAN_QUIET": "1"}
            out = subprocess.run([sys.executable, "-c", PICTURE], env=env, capture_output=True, text=True, check=True)  # fmt: skip
            runs.append([float(word) for word in out.stdout.split()])
    code = "import time; t = time.perf_counter(); import minigan; print(time.perf_counter() - t)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print("\n## Starting, seconds")
    header("what", "seconds")
    row(
        "all the convolutions and resamplings of a 64² StyleGAN2 picture, nothing compiled",
        runs[0][0],
    )
    row("the same in a second process, from the cache, importing Numba included", runs[1][0])
    row("the slowest single call of that second process", runs[1][1])
    row("`import minigan`", float(out.stdout))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="timings of each variant (9)")
    rounds = parser.parse_args().rounds
    if torch:
        torch.set_num_threads(threads.threads())
    with open("/proc/cpuinfo") if os.path.exists("/proc/cpuinfo") else open(os.devnull) as f:
        names = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    version = f"PyTorch {torch.__version__}" if torch else "no PyTorch"
    import numba

    print("# The four operations, timed\n")
    print(
        "Made by `python benchmarks/operations.py > benchmarks/operations.md`: what is compared, and how,"
    )
    print(
        "stands at the top of that file.  Winograd's transformed weights are kept between calls, as they are"
    )
    print("between the passes of a training step.\n")
    print(f"{datetime.date.today()} · {names[0] if names else platform.processor()} · {threads.threads()} threads · "
          f"Python {platform.python_version()} · NumPy {np.__version__} · Numba {numba.__version__} · "
          f"SciPy {scipy.__version__} · {version}")  # fmt: skip
    rng = np.random.default_rng(0)
    convolutions(rng, rounds)
    resampling(rng, rounds)
    filtered(rng, rounds)
    compiling()


if __name__ == "__main__":
    main()

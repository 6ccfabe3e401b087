"""The GPU engine against PyTorch and the card itself: python benchmarks/gpu.py > benchmarks/gpu.md

Each time is the median of `--rounds`, by CUDA events, after two calls that are not timed; variants of
a row run in turn.  The operations' times are the GPU's: it is kept busy until their launches are all in
its queue.  The networks' times are from an idle GPU to the picture, the CPU's work included.  Results
are compared with PyTorch's before anything is timed, convolutions with its float64.  PyTorch is
compared if installed: pip install -e '.[benchmark]'.  Without a GPU the rows are printed empty: there
is nothing to say.
"""

import argparse
import datetime
import itertools
import math
import pathlib
import sys

import numpy as np

from minigan import filters, ops
from minigan.device import cupy
from minigan.ops.gpu import conv2d, launch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from benchmarks import generators

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

PRECISIONS = ("fp32", "tf32", "fp16")
BY_WARPGROUPS = ("tf32, warpgroups", "fp16, warpgroups")  # where the card has them
BOUND = {"fp32": 1e-5, "tf32": 2e-3, "fp16": 2e-3}
CONVOLUTIONS = [(16, 64, 32, 64), (8, 256, 32, 256), (1, 512, 64, 512), (8, 512, 64, 512),
                (1, 128, 256, 64), (1, 32, 1024, 32)]  # fmt: skip
PLANES = (1, 32, 1024)
NETWORKS = {256: (1, 8), 1024: (1, 8)}  # batches


def row(*cells):
    print("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells) + " |")


def header(*cells):
    print()
    row(*cells)
    row(*["---"] * len(cells))


KERNELS = r"""
extern "C" __global__ void spin(long long cycles) {
    for (long long start = clock64(); clock64() - start < cycles;);
}
extern "C" __global__ void copy(const float* x, float* y) {  // 1024 numbers a block
    long long first = blockIdx.x * 1024LL + threadIdx.x;
    float v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) v[k] = x[first + 256 * k];
#pragma unroll
    for (int k = 0; k < 4; ++k) y[first + 256 * k] = v[k];
}
"""


def milliseconds(variants, rounds, queued=True):
    """The median time of each, {name: ms}; CuPy's and PyTorch's run on one stream, the default.
    queued: the GPU's time alone, without the CPU's before each launch."""
    cp, times = cupy(), {name: [] for name in variants}
    spin = cp.RawKernel(KERNELS, "spin")
    for _ in range(rounds):
        for name, function in variants.items():
            for _ in range(2):
                function()
            start, end = cp.cuda.Event(), cp.cuda.Event()
            if queued:
                spin((1,), (1,), (np.int64(8e6),))  # some milliseconds
            else:
                cp.cuda.Device().synchronize()
            start.record()
            function()
            end.record()
            end.synchronize()
            times[name].append(cp.cuda.get_elapsed_time(start, end))
    return {name: float(np.median(t)) for name, t in times.items()}


def agree(variants, bound):
    cp = cupy()
    first, *others = [
        cp.asarray(y.double() if hasattr(y, "double") else y)
        for y in (f() for f in variants.values())
    ]
    for name, other in zip(list(variants)[1:], others, strict=True):
        error = float(abs(other - first).max() / abs(first).max())
        assert error <= bound, (
            f"{name}: {error:.1e} from {next(iter(variants))}, more than {bound:.0e}"
        )


def on_card(a, kind="float"):
    return getattr(torch.from_numpy(np.ascontiguousarray(a)).to("cuda"), kind)()


KIND = {"fp32": "float", "tf32": "float", "fp16": "half", "float64": "double"}  # of tensors


def rates(rounds):
    """Bytes a second of a copy, and multiply-adds a second of a matrix product, on this card."""
    cp = cupy()
    x = cp.asarray(np.random.default_rng(0).random(1 << 26, np.float32))
    y, kernel = cp.empty_like(x), cp.RawKernel(KERNELS, "copy")
    copies = {
        "CuPy's": lambda: cp.copyto(y, x),
        "a kernel's": lambda: kernel((x.size // 1024,), (256,), (x, y)),
    }
    if torch:
        tensor = on_card(np.ones(1 << 26, np.float32))
        copies["PyTorch's"] = lambda: tensor.clone()
    found = {"copy": 2 * x.nbytes / min(milliseconds(copies, rounds).values()) * 1e3}
    for name in PRECISIONS if torch else ():
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        a = on_card(np.random.default_rng(0).random((8192, 8192), np.float32), KIND[name])
        found[name] = (
            8192**3 / milliseconds({"product": lambda a=a: a @ a}, rounds)["product"] * 1e3
        )
    return found


def convolutions(rates, rounds):
    print("\n## conv2d, 3×3, milliseconds")
    print(
        "\n`of cuDNN`: its time over ours; `of the card`: our multiply-adds over a matrix product's."
    )
    usual = conv2d.WARPGROUPS
    header("N,C,H→O", "pass", "precision", "ours", "cuDNN", "of cuDNN", "of the card")
    for n, c, h, o in CONVOLUTIONS:
        rng = np.random.default_rng(0)
        host = [
            rng.standard_normal(s, dtype=np.float32)
            for s in ((n, c, h, h), (o, c, 3, 3), (n, o, h, h))
        ]
        for kind in PRECISIONS + (BY_WARPGROUPS if rates and launch.capability() == 90 else ()):
            precision, _, warpgroups = kind.partition(", ")
            for which in ("forward", "input", "weight"):
                part = precision == "fp16" and max(c, o) > 64 if which == "weight" else o > 32
                if warpgroups and not part:
                    continue  # they have no part in it
                label = (f"{n},{c},{h}→{o}", which, kind)
                if rates is None:
                    row(*label, "", "", "", "")
                    continue
                x, w, dy = (cupy().asarray(a) for a in host)
                calls = {
                    "forward": lambda x=x, w=w: ops.conv2d(x, w, padding=1),
                    "input": lambda dy=dy, w=w: ops.conv_transpose2d(dy, w, padding=1),
                    "weight": lambda x=x, dy=dy: ops.conv2d_weight_grad(x, dy, (3, 3), padding=1),
                }

                def ours(call=calls[which], precision=precision, warpgroups=bool(warpgroups)):
                    conv2d.WARPGROUPS = warpgroups
                    with ops.precision(precision):
                        return call()

                variants = {"ours": ours} | cudnn(which, precision, *host)
                agree({"ours": ours} | cudnn(which, "float64", *host), BOUND[precision])
                t = milliseconds(variants, rounds)
                conv2d.WARPGROUPS = usual
                share = n * o * h * h * c * 9 / t["ours"] * 1e3
                row(*label, t["ours"], t.get("cuDNN", ""), t["cuDNN"] / t["ours"] if torch else "",
                    share / rates[precision] if torch else "")  # fmt: skip


def cudnn(which, precision, x, w, dy):
    if not torch:
        return {}
    x, w, dy = (on_card(a, KIND[precision]) for a in (x, w, dy))

    def call():
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        if which == "forward":
            return F.conv2d(x, w, padding=1)
        if which == "input":
            return F.conv_transpose2d(dy, w, padding=1)
        return torch.nn.grad.conv2d_weight(x, w.shape, dy, padding=1)

    return {"cuDNN": call}


def memory_bound(rates, rounds, compiling):
    print(f"\n## upfirdn2d, bias_act, filtered_lrelu, [{', '.join(map(str, PLANES))}², float32]")
    print("\n`of the copy`: bytes that must be read and written, a second, over those of a copy.")
    header("operation", "ours", "PyTorch eager", "compiled", "×eager", "of the copy")
    n, c, h = PLANES
    host = np.random.default_rng(0).standard_normal((n, c, h, h), dtype=np.float32)
    b = np.random.default_rng(1).standard_normal(c, dtype=np.float32)
    for name, call, theirs in operations(h):
        if rates is None:
            row(name, "", "", "", "", "")
            continue
        x, bias = cupy().asarray(host), cupy().asarray(b)
        variants = {"ours": lambda call=call, x=x, bias=bias: call(x, bias)}
        if torch:
            args = on_card(host), on_card(b)
            variants["eager"] = lambda theirs=theirs, args=args: theirs(*args)
            if compiling:
                variants |= compiled(name, theirs, args)
        agree(variants, 1e-4)
        t = milliseconds(variants, rounds)
        moved = (x.nbytes + call(x, bias).nbytes) / t["ours"] * 1e3
        row(name, t["ours"], t.get("eager", ""), t.get("compiled", ""),
            t["eager"] / t["ours"] if torch else "", moved / rates["copy"])  # fmt: skip


def compiled(name, theirs, args):
    """{"compiled": theirs by torch.compile}, which takes minutes; or nothing, if it refuses."""
    function = torch.compile(theirs)
    try:
        function(*args)
    except Exception as reason:  # in many ways
        print(f"{name}: not compiled, {type(reason).__name__}", file=sys.stderr)
        return {}
    return {"compiled": lambda: function(*args)}


def operations(h):
    """(name, ours, PyTorch's as the official CPU code does it), functions of x and b."""
    up = generators.upfirdn
    for taps in (4, 12):
        f = filters.binomial(4) if taps == 4 else filters.design_lowpass_filter(12, 4, 4, 32)
        t = torch and torch.from_numpy(f.astype(np.float32))
        t = t.to("cuda") if torch and torch.cuda.is_available() else t
        for u, d in ((2, 1), (1, 2), (1, 1)):
            p = [(taps + u - d) // 2, (taps - u) // 2] * 2
            yield (f"upfirdn2d, {taps} taps, ↑{u} ↓{d}",
                   lambda x, b, f=f, u=u, d=d, p=p: ops.upfirdn2d(x, f, u, d, p),
                   lambda x, b, t=t, u=u, d=d, p=p: up(x, t, u, d, p))  # fmt: skip
    yield ("bias_act, lrelu", lambda x, b: ops.bias_act(x, b, act="lrelu"),
           lambda x, b: F.leaky_relu(x + b[:, None, None], 0.2) * math.sqrt(2))  # fmt: skip
    for u in (2, 4):
        fu = filters.design_lowpass_filter(6 * u, h / 4, h / 4, h * u)
        fd = filters.design_lowpass_filter(12, h / 4, h / 4, h * u)
        tu, td = ((torch and torch.from_numpy(f.astype(np.float32))) for f in (fu, fd))
        if torch and torch.cuda.is_available():
            tu, td = tu.to("cuda"), td.to("cuda")
        p = [3 * u + 5] * 4

        def chain(x, b, u=u, tu=tu, td=td, p=p):
            y = up(x + b[:, None, None], tu, u, 1, p, u**2)
            return up(F.leaky_relu(y, 0.2) * math.sqrt(2), td, 1, 2)

        yield (f"filtered_lrelu, ↑{u} ↓2, {6 * u} and 12 taps",
               lambda x, b, fu=fu, fd=fd, u=u, p=p: ops.filtered_lrelu(x, fu, fd, b, u, 2, p), chain)  # fmt: skip


def networks(rates, rounds):
    print("\n## StyleGAN2, official widths, random weights: a batch of pictures, milliseconds")
    header(
        "resolution",
        "batch",
        "precision",
        "ours",
        "as a graph",
        "PyTorch eager",
        "pictures/s",
        "×eager",
    )
    for res, batches in NETWORKS.items():
        network = rates and generators.network("stylegan2", res)
        G = network and network.to("gpu")
        for batch, precision in itertools.product(batches, PRECISIONS):
            if rates is None:
                row(f"{res}²", batch, precision, "", "", "", "", "")
                continue
            z = np.random.default_rng(1).standard_normal((batch, G.z_dim), np.float32)
            z = cupy().asarray(z)
            with ops.precision(precision):
                graph = G.compile(batch)

                def ours(G=G, z=z, precision=precision):
                    with ops.precision(precision):
                        return G(z)

                variants = {"ours": ours, "graph": lambda graph=graph, z=z: graph(z)}
                agree(variants, 0)
                if torch:
                    variants["eager"] = eager(network, G.mapping(z).get(), precision)
                agree(variants, 1e-2 if precision != "fp32" else 1e-4)
                t = milliseconds(variants, rounds, queued=False)
            best = min(t["ours"], t["graph"])
            row(f"{res}²", batch, precision, t["ours"], t["graph"], t.get("eager", ""),
                1000 * batch / best, t["eager"] / best if torch else "")  # fmt: skip


def eager(network, ws, precision):
    """The official networks' way: per-sample weights in grouped convolutions; fp16: all in half."""
    arrays = network.params | network.buffers
    p = {k: on_card(np.array(v), KIND[precision]) for k, v in arrays.items()}
    ws = on_card(ws, KIND[precision])

    def call():
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        with torch.inference_mode():
            return generators.torch_stylegan2(p, network.config, ws)

    return call


def card():
    """Its name, or why there is none."""
    try:
        cp = cupy()
    except RuntimeError as error:
        return None, str(error)
    name = cp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return (
        name,
        f"{name}, CuPy {cp.__version__}, {f'PyTorch {torch.__version__}' if torch else 'no PyTorch'}",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=("convolutions", "networks", "memory"))
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    args = parser.parse_args()
    name, words = card()
    print(f"# The GPU engine\n\n`python benchmarks/gpu.py`, {datetime.date.today()}: {words}.")
    measured = None
    if name is None:
        print("\nSo the rows below are empty: nobody has measured them yet.")
    else:
        measured = rates(args.rounds)
        print("\nThe card: " + ", ".join(
            [f"{measured['copy'] / 1e9:.0f} GB/s (copy, both ways)"]
            + [f"{measured[p] / 1e12:.1f}·10¹² multiply-adds/s ({p})" for p in PRECISIONS if p in measured]
        ) + ".")  # fmt: skip
    if args.only in (None, "convolutions"):
        convolutions(measured, args.rounds)
    if args.only in (None, "networks"):
        networks(measured, args.rounds)
    if args.only in (None, "memory"):
        memory_bound(measured, args.rounds, compiling=not args.no_compile)


if __name__ == "__main__":
    main()

"""Whole pictures against PyTorch: python benchmarks/generators.py [--config stylegan3-t …]

StyleGAN2 and StyleGAN3 of the official widths with random weights, batch 1, float32, on the CPU.
The other side is PyTorch, eager, as the official networks run where there is no GPU: zero-insertion,
padding and depthwise convolutions, per-sample weights in grouped convolutions, written here from
the papers' formulas.  Both pictures must agree.  Memory is a fresh process's peak.
PyTorch is compared if installed: pip install -e '.[benchmark]'.
"""

import argparse
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import minigan
from minigan import files
from minigan.networks import stylegan2, stylegan3

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for tests/official_file.py, and for the processes started below

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

R = {"conv_kernel": 1, "use_radial_filters": True, "channel_base": 65536, "channel_max": 1024}
CONFIGS = {
    "stylegan2": lambda res: stylegan2.Config(img_resolution=res, conv_clamp=256.0),
    "stylegan3-t": lambda res: stylegan3.Config(img_resolution=res),
    "stylegan3-r": lambda res: stylegan3.Config(img_resolution=res, **R),
}
GOALS = {"stylegan2": 2.5, "stylegan3-t": 15, "stylegan3-r": 25}


# ---- the other side ------------------------------------------------------------------------------


def upfirdn(x, f, up=1, down=1, pad=(0, 0, 0, 0), gain=1.0):
    n, c, h, w = x.shape
    if up > 1:
        x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1])
        x = x.reshape(n, c, h * up, w * up)
    x = F.pad(x, [max(p, 0) for p in pad])
    x = x[:, :, max(-pad[2], 0): x.shape[2] - max(-pad[3], 0),
          max(-pad[0], 0): x.shape[3] - max(-pad[1], 0)]  # fmt: skip
    f = f.flip(list(range(f.ndim))) * gain ** (f.ndim / 2)
    for taps in [f[None, :], f[:, None]] if f.ndim == 1 else [f]:
        x = F.conv2d(x, taps[None, None].expand(c, 1, *taps.shape), groups=c)
    return x[:, :, ::down, ::down]


def dense(p, name, x, act=False, multiplier=1.0):
    w = p[f"{name}.weight"]
    y = torch.addmm(p[f"{name}.bias"] * multiplier, x, (w * (multiplier / math.sqrt(w.shape[1]))).T)
    return F.leaky_relu(y, 0.2) * math.sqrt(2) if act else y


def activate(x, b, clamp, act=True):
    x = x + b[:, None, None]
    if act:
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x.clamp(-clamp, clamp)


def fused(x, w, styles, pad, demodulate, input_gain=None, up=None):
    """One sample's own weights, in a grouped convolution.  up: the filter, after a transposed one."""
    w = w[None] * styles[:, None, :, None, None]
    if demodulate:
        w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if input_gain is not None:
        w = w * input_gain
    n, o, c, k, _ = w.shape
    x = x.reshape(1, n * c, *x.shape[2:])
    if up is None:
        y = F.conv2d(x, w.reshape(n * o, c, k, k), padding=pad, groups=n)
    else:
        y = F.conv_transpose2d(x, w.transpose(1, 2).reshape(n * c, o, k, k), stride=2, groups=n)
        y = upfirdn(y, up, pad=(1, 1, 1, 1), gain=4.0)
    return y.reshape(n, o, *y.shape[2:])


def torch_stylegan2(p, config, ws):
    clamp, img, i = config.conv_clamp, None, 0
    x = p["synthesis.b4.const"].expand(len(ws), -1, -1, -1)
    for res in [2**k for k in range(2, int(math.log2(config.img_resolution)) + 1)]:
        block = f"synthesis.b{res}"
        filt = p[f"{block}.resample_filter"]
        for layer in ("conv0", "conv1") if res > 4 else ("conv1",):
            name = f"{block}.{layer}"
            up = filt if layer == "conv0" else None
            x = fused(x, p[f"{name}.weight"], dense(p, f"{name}.affine", ws[:, i]), 1, True, up=up)
            x = x + p[f"{name}.noise_const"] * p[f"{name}.noise_strength"]
            x, i = activate(x, p[f"{name}.bias"], clamp), i + 1
        if img is not None:
            img = upfirdn(img, filt, up=2, pad=(2, 1, 2, 1), gain=4.0)
        name = f"{block}.torgb"
        w = p[f"{name}.weight"]
        styles = dense(p, f"{name}.affine", ws[:, i]) / math.sqrt(w.shape[1])
        y = activate(fused(x, w, styles, 0, False), p[f"{name}.bias"], clamp, act=False)
        img = y if img is None else img + y
    return img


def torch_stylegan3(p, config, ws):
    (channels, rate, size), found = stylegan3.schedule(config)
    # The input is 36² numbers a channel on either side; ours is used for both.
    arrays = {k: v.numpy() for k, v in p.items()}
    x = torch.from_numpy(stylegan3.fourier_features(arrays, arrays, config, ws[:, 0].numpy()))
    for i, layer in enumerate(found):
        name = f"synthesis.{layer.name}"
        w, s = p[f"{name}.weight"], dense(p, f"{name}.affine", ws[:, i + 1])
        if layer.torgb:
            s = s / math.sqrt(layer.in_channels)
        else:
            w = w * w.square().mean((1, 2, 3), keepdim=True).rsqrt()
            s = s * s.square().mean().rsqrt()
        gain = p[f"{name}.magnitude_ema"].rsqrt()
        x = fused(x, w, s, layer.kernel - 1, not layer.torgb, gain)
        b, clamp = p[f"{name}.bias"], config.conv_clamp
        if layer.torgb:
            x = activate(x, b, clamp, act=False)
            continue
        x = x + b[:, None, None]
        pad = (*layer.padding, *layer.padding)
        x = upfirdn(x, p[f"{name}.up_filter"], layer.up, 1, pad, layer.up**2)
        x = (F.leaky_relu(x, 0.2) * math.sqrt(2)).clamp(-clamp, clamp)
        x = upfirdn(x, p[f"{name}.down_filter"], 1, layer.down)
    return x * config.output_scale


# ---- both ----------------------------------------------------------------------------------------


def network(name, res):
    G = CONFIGS[name](res).build(np.random.default_rng(0))
    for key, value in G.params.items():
        if key.endswith(".noise_strength"):
            G.params[key] = value + np.float32(0.1)
    return G


def speed(name, res, rounds):
    G = network(name, res)
    ws = G.mapping(np.random.default_rng(1).standard_normal((1, 512), np.float32))
    ours, theirs = [], []
    p = {k: torch.from_numpy(np.array(v)) for k, v in (G.params | G.buffers).items()}
    function = torch_stylegan2 if name == "stylegan2" else torch_stylegan3
    with torch.inference_mode():
        function(p, G.config, torch.from_numpy(np.array(ws))) if res <= 256 else None
        G.synthesis(ws)
        for _ in range(rounds):
            begun = time.perf_counter()
            img = G.synthesis(ws)
            between = time.perf_counter()
            other = function(p, G.config, torch.from_numpy(np.array(ws)))
            ours.append(between - begun)
            theirs.append(time.perf_counter() - between)
    error = np.abs(img - other.numpy()).max() / np.abs(img).max()
    assert error < 1e-3, error
    return np.median(ours), np.median(theirs), np.median(np.divide(theirs, ours))


def memory(name, res):
    """Peak of a fresh process that makes a picture, and of one that only makes the network, MB."""
    peaks = []
    for picture in (1, 0):
        code = (f"import numpy as np; from benchmarks import generators as g; "
                f"G = g.network({name!r}, {res}); "
                f"G(np.ones((1, 512), np.float32)) if {picture} else 0; g.peak()")  # fmt: skip
        peaks.append(int(fresh(code)))
    return peaks


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=ROOT)  # fmt: skip
    return done.stdout.split()[-1]


def peak():
    """Print the largest memory this process has had, MB; that of `resource` counts its parent's."""
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM")))


def loading():
    """Seconds, and MB beyond the bare process, to load a `.pkl` of some 300 MB."""
    from tests.official_file import write  # what it writes is read in tests too

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.pkl")
        write(path, CONFIGS["stylegan3-t"](1024), networks=("G", "D", "G_ema"))
        size = os.path.getsize(path) / 1e6
        code = "from benchmarks import generators as g; {}; g.peak()"
        bare = int(fresh(code.format("import minigan.files.nvidia")))
        full = int(fresh(code.format(f"G = g.files.read_networks({path!r})")))
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            minigan.load(path)
            between = time.perf_counter()
            files.read_networks(path)
            times.append((between - begun, time.perf_counter() - between))
        one, three = np.median(times, axis=0)
    return size, one, three, full - bare


def multiply_adds(res):
    """StyleGAN3-R's: (its convolutions', its filters').

    Filters up meet every up-th sample only, first along y; radial ones have mirrored rows, which
    may be added first.
    """
    _, found = stylegan3.schedule(CONFIGS["stylegan3-r"](res))
    convolutions = filters = 0
    for layer in found:
        size, out, taps = layer.in_size + layer.kernel - 1, layer.out_size, layer.down_taps
        convolutions += size**2 * layer.kernel**2 * layer.in_channels * layer.out_channels
        middle = size * layer.up + sum(layer.padding) - layer.up_taps + 1
        up = (size + middle) * middle * layer.up_taps // layer.up
        down = (middle + out) * out * taps if layer.critical else out**2 * taps**2 // 2
        filters += 0 if layer.torgb else layer.out_channels * (up + down)
    return convolutions, filters


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", nargs="*", default=list(CONFIGS), choices=[*CONFIGS, "none"])
    parser.add_argument("--resolution", nargs="*", type=int, default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=3, help="at 256²; at 1024² one")
    args = parser.parse_args()
    if torch:
        torch.set_num_threads(os.cpu_count())
    print(
        "| network | ours, s | PyTorch, s | as fast | goal | peak of a process, MB (without a picture) |"
    )
    print("|---|---|---|---|---|---|")
    for name in args.config if "none" not in args.config else []:
        for res in args.resolution:
            taken = (
                [f"{v:.2f}" for v in speed(name, res, args.rounds if res <= 256 else 1)]
                if torch
                else 3 * ["–"]
            )
            picture, bare = memory(name, res)
            print(
                f"| {name}, {res}² | {' | '.join(taken)}× | {GOALS[name]}× | {picture} ({bare}) |",
                flush=True,
            )
    from benchmarks.peak import peak_rate  # as a module: by its name compiled code is found again

    rate = peak_rate()
    print(f"\nAt most {rate / 1e9:.0f} G multiply-adds a second (float32).")
    for res in args.resolution:
        convolutions, filters = multiply_adds(res)
        print(f"stylegan3-r, {res}²: {convolutions / 1e9:.0f} G of them in its convolutions, "
              f"{filters / 1e9:.0f} G in its filters: at least {convolutions / rate:.2f} and "
              f"{filters / rate:.2f} s.")  # fmt: skip
    size, one, three, extra = loading()
    print(
        f"\nA .pkl of {size:.0f} MB: its G_ema in {one:.2f} s, all three networks in {three:.2f} s "
        f"and {extra} MB of memory."
    )


if __name__ == "__main__":
    main()

"""One training step of StyleGAN2 against PyTorch: python benchmarks/training_step.py

The same networks, weights and images: D's step (its loss on reals and fakes, gradient, Adam), then
G's, batch 16 at 64², about 2 million parameters each, on the same number of threads.  PyTorch runs
eagerly what its users write: F.conv2d, F.conv_transpose2d, depthwise filters, torch.optim.Adam; in
its default layout and in channels_last.  The losses are compared before anything is timed.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import time

import numpy as np

from minigan import autograd, losses, optim
from minigan.networks import base, stylegan2
from minigan.ops.cpu.runtime import threads

torch = None
if "--memory" not in sys.argv:  # in that process we are alone
    with contextlib.suppress(ImportError):
        import torch
        import torch.nn.functional as F

BATCH = 16
MAPPING = stylegan2.MappingConfig(num_layers=4)
G_CONFIG = stylegan2.Config(
    img_resolution=64,
    z_dim=128,
    w_dim=128,
    channel_base=4096,
    channel_max=192,
    mapping_kwargs=MAPPING,
)
D_CONFIG = stylegan2.DiscriminatorConfig(img_resolution=64, channel_base=4096, channel_max=160)


def inputs(dtype):
    rng = np.random.default_rng(0)
    real = np.tanh(rng.standard_normal((BATCH, 3, 64, 64), np.float32))
    z = rng.standard_normal((2, BATCH, G_CONFIG.z_dim), np.float32)
    networks = (
        stylegan2.Generator.init(G_CONFIG, rng),
        stylegan2.Discriminator.init(D_CONFIG, rng),
    )
    G, D = (
        n.replace(
            params={k: v.astype(dtype) for k, v in n.params.items()},
            buffers={k: v.astype(dtype) for k, v in n.buffers.items()},
        )
        for n in networks
    )
    return G, D, real.astype(dtype), z.astype(dtype)


def ours(dtype=np.float32):
    """A function that takes one step and returns its two losses."""
    G, D, real, z = inputs(dtype)
    adam = optim.Adam()
    state = {"G": G, "D": D, "g": adam.init(G.params), "d": adam.init(D.params)}

    def step():
        G, D = state["G"], state["D"]
        fake = G(z[0])

        def d_loss(params):
            judge = D.replace(params=params)
            return losses.d_logistic(judge(real), judge(fake))

        loss_d, grads = autograd.value_and_grad(d_loss)(D.params)
        params, state["d"] = adam.step(D.params, grads, state["d"])
        D = state["D"] = D.replace(params=params)

        def g_loss(params):
            return losses.g_nonsaturating(D(G.replace(params=params)(z[1])))

        loss_g, grads = autograd.value_and_grad(g_loss)(G.params)
        params, state["g"] = adam.step(G.params, grads, state["g"])
        state["G"] = G.replace(params=params)
        return float(loss_d), float(loss_g)

    return step


# ---- the same in PyTorch -------------------------------------------------------------------------


def fir(x, f, up=1, down=1, pad=(0, 0), gain=1.0):
    """Zero-insert, pad, filter each channel, decimate."""
    n, c, h, w = x.shape
    if up > 1:
        weight = (f * gain).flip([0, 1])[None, None].repeat(c, 1, 1, 1)
        y = F.conv_transpose2d(x, weight, stride=up, groups=c)
        before, after = 3 - pad[0], 3 - pad[1] - up + 1  # what it has too much at each end
        return y[:, :, before : y.shape[2] - after, before : y.shape[3] - after]
    weight = (f * gain).flip([0, 1])[None, None].repeat(c, 1, 1, 1)
    return F.conv2d(F.pad(x, [*pad, *pad]), weight, stride=down, groups=c)


def linear(p, name, x, act=False, multiplier=1.0):
    w = p[f"{name}.weight"]
    y = x @ (w * (multiplier / w.shape[1] ** 0.5)).t() + p[f"{name}.bias"] * multiplier
    return F.leaky_relu(y, 0.2) * 2**0.5 if act else y


def modulated(p, name, x, w, f, up, noise, strength):
    weight, s = p[f"{name}.weight"], linear(p, f"{name}.affine", w)
    d = (s.square() @ weight.square().sum([2, 3]).t() + 1e-8).rsqrt()
    x = x * s[:, :, None, None]
    if up == 2:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        y = fir(y, f, pad=(1, 1), gain=4)
    else:
        y = F.conv2d(x, weight, padding=1)
    y = y * d[:, :, None, None] + noise * strength
    return F.leaky_relu(y + p[f"{name}.bias"][:, None, None], 0.2) * 2**0.5


def torch_generator(p, b, z, layout):
    w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    for i in range(MAPPING.num_layers):
        w = linear(p, f"mapping.fc{i}", w, True, MAPPING.lr_multiplier)
    x, img = p["synthesis.b4.const"][None].repeat(len(z), 1, 1, 1), None
    x = x.contiguous(memory_format=layout)
    f = b["synthesis.b4.resample_filter"]
    for res in base.resolutions(G_CONFIG):
        for part in ("conv0", "conv1") if res > 4 else ("conv1",):
            name = f"synthesis.b{res}.{part}"
            x = modulated(p, name, x, w, f, 2 if part == "conv0" else 1, b[f"{name}.noise_const"],
                          p[f"{name}.noise_strength"])  # fmt: skip
        name = f"synthesis.b{res}.torgb"
        weight = p[f"{name}.weight"]
        s = linear(p, f"{name}.affine", w) / weight.shape[1] ** 0.5
        rgb = F.conv2d(x * s[:, :, None, None], weight) + p[f"{name}.bias"][:, None, None]
        img = rgb if img is None else rgb + fir(img, f, up=2, pad=(2, 1), gain=4)
    return img


def torch_discriminator(p, f, x):
    def conv(name, x, k):
        w = p[f"{name}.weight"]
        return w / (w.shape[1] * k * k) ** 0.5

    def act(name, y, gain=2**0.5):
        return F.leaky_relu(y + p[f"{name}.bias"][:, None, None], 0.2) * gain

    x = act("b64.fromrgb", F.conv2d(x, conv("b64.fromrgb", x, 1)))
    for res in (64, 32, 16, 8):
        skip = F.conv2d(fir(x, f, down=2, pad=(1, 1)), conv(f"b{res}.skip", x, 1)) * 0.5**0.5
        x = act(f"b{res}.conv0", F.conv2d(x, conv(f"b{res}.conv0", x, 3), padding=1))
        y = F.conv2d(fir(x, f, pad=(2, 2)), conv(f"b{res}.conv1", x, 3), stride=2)
        x = act(f"b{res}.conv1", y, 1.0) + skip
    n, c, h, w = x.shape
    s = (x.reshape(4, n // 4, c, h, w).var(0, unbiased=False) + 1e-8).sqrt().mean([1, 2, 3])
    x = torch.cat([x, s.repeat(4)[:, None, None, None].expand(n, 1, h, w)], 1)
    x = act("b4.conv", F.conv2d(x, conv("b4.conv", x, 3), padding=1))
    return linear(p, "b4.out", linear(p, "b4.fc", x.flatten(1), True))


def torchs(layout, dtype=np.float32):
    G, D, real, z = inputs(dtype)
    torch.set_num_threads(threads.threads())

    def tensor(a):
        t = torch.from_numpy(np.array(a))
        return t.contiguous(memory_format=layout) if t.ndim == 4 else t

    g = {k: tensor(v).requires_grad_() for k, v in G.params.items()}
    d = {k: tensor(v).requires_grad_() for k, v in D.params.items()}
    b = {k: tensor(v) for k, v in G.buffers.items()}
    f, real, z = b["synthesis.b4.resample_filter"], tensor(real), tensor(z)
    g_adam, d_adam = (torch.optim.Adam(p.values(), 0.002, (0.0, 0.99)) for p in (g, d))

    def step():
        with torch.no_grad():
            fake = torch_generator(g, b, z[0], layout)
        d_adam.zero_grad()
        loss_d = (
            F.softplus(-torch_discriminator(d, f, real)).mean()
            + F.softplus(torch_discriminator(d, f, fake)).mean()
        )
        loss_d.backward()
        d_adam.step()
        for p in d.values():
            p.requires_grad_(False)
        g_adam.zero_grad()
        loss_g = F.softplus(-torch_discriminator(d, f, torch_generator(g, b, z[1], layout))).mean()
        loss_g.backward()
        g_adam.step()
        for p in d.values():
            p.requires_grad_(True)
        return loss_d.item(), loss_g.item()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="timed steps of each (7)")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        step = ours()
        step(), step(), step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    # First of all: a new process is told its parent's peak as its own, if that is higher.
    run = [sys.executable, __file__, "--memory"]
    peak = float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    G, D, _, _ = inputs(np.float32)
    sizes = [sum(a.size for a in n.params.values()) / 1e6 for n in (G, D)]
    print(
        f"batch {BATCH}, 64², {sizes[0]:.2f} and {sizes[1]:.2f} million parameters, {threads.threads()} threads"
    )
    steps = {"ours": ours()}
    if torch:
        steps |= {
            "PyTorch": torchs(torch.contiguous_format),
            "PyTorch, channels_last": torchs(torch.channels_last),
        }
    if torch:  # in float64; of rounding to float32 Adam makes 1e-4 in two steps, 1e-2 in three
        both = ours(np.float64), torchs(torch.contiguous_format, np.float64)
        a, b = ([step() for _ in range(3)] for step in both)
        assert np.allclose(a, b, rtol=1e-9), (a, b)
        del both
    first = {name: [step() for _ in range(3)] for name, step in steps.items()}  # warm, and compared
    for name, values in first.items():
        assert np.allclose(values[:2], first["ours"][:2], rtol=5e-4), (name, values, first["ours"])
    times = np.zeros((args.rounds, len(steps)))
    for i in range(args.rounds):
        for j, step in enumerate(steps.values()):
            time.sleep(0.05)
            begun = time.perf_counter()
            step()
            times[i, j] = time.perf_counter() - begun
    for j, name in enumerate(steps):
        ratio = np.median(times[:, j] / times[:, 0])
        print(
            f"{name:24s} {1000 * np.median(times[:, j]):7.0f} ms a step   ours is {ratio:.2f}× as fast"
        )
    print(f"peak memory of ours, the whole process: {peak:.0f} MB")


if __name__ == "__main__":
    main()

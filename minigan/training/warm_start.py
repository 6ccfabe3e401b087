"""A run begins with another's networks: of a smaller resolution, or narrower, too.

    state = warm_start(training.start(config), ["portraits32.npz", "portraits32-D.npz"])

What is new adds nothing at first, so that nothing learned is lost (the idea of Net2Net, Chen et al.
2016): the first pictures are the old ones.

Read first: `training/step.py`.  Read next: `training/loop.py`, whose `--init` this is.
"""

import dataclasses
import math
import pathlib
import shlex
from collections.abc import Iterable

import numpy as np
import scipy.linalg

from minigan import files
from minigan.networks import base, stylegan2, stylegan3
from minigan.training.step import State

# Settings that do not change what a parameter of the same name and shape means: sizes, decays, how
# many samples D compares, and how far the networks have grown.
_FREE = {
    "img_resolution", "z_dim", "w_dim", "c_dim", "channel_base", "channel_max", "embed_features",
    "layer_features", "cmap_dim", "mbstd_group_size", "mbstd_num_channels", "w_avg_beta",
    "magnitude_ema_beta", "lod",
}  # fmt: skip


def warm_start(state: State, paths: Iterable[str | pathlib.Path]) -> State:
    """The state with what networks of some files have under the same name and in the same shape.

    state: fresh; paths: network files, or shipped names; the later one's network of a name counts.

    What G lacks there adds nothing to the picture at first: its toRGB starts at 0; and a StyleGAN2
    with more channels than the file's is the narrower one, widened, see `_widened`; with another
    mapping network, it has a fresh one, see `_remapped`.  D's new first block starts with what the
    old first layer saw, see `_hand_on`.  D and G_ema come from the files too, as far as they have
    them.  What was copied of each network is printed.
    Raises: as `files.read`; ValueError if nothing fits, and, with what to set, if the file's
    StyleGAN2 is the wider one or its parameters would mean something else here.
    """
    theirs, changes, copied = {}, {}, {}
    for path in paths:
        theirs |= files.read_networks(path)
    given = {"G": ("G", "G_ema"), "G_ema": ("G_ema", "G"), "D": ("D",)}
    for mine, names in given.items():
        network = getattr(state, mine)
        source = next((theirs[name] for name in names if name in theirs), None)
        copied[mine] = 0
        if source is None or type(source) is not type(network):
            continue  # of another paper, say; how much was copied is printed
        of_stylegan2 = isinstance(network.config, stylegan2.Config)
        if of_stylegan2:
            _check_no_wider(source.config, network.config)
            if _maps_otherwise(source.config, network.config):
                print(f"init: {mine} begins with a fresh mapping network, of another size")
                # Of both from one, or G and its average would be of different minds.
                source = _remapped(theirs.get("G_ema", source), network)
        _check_meaning(mine, source.config, network.config)
        new = {"params": {}, "buffers": {}}
        for part in new:
            widens, old = of_stylegan2 and part == "params", getattr(source, part)
            for name, value in getattr(network, part).items():
                if name in old and old[name].shape == value.shape:
                    new[part][name] = old[name]
                elif widens and name.startswith("synthesis.") and name in old:
                    new[part][name] = _widened(value, old[name])
        if mine == "D":
            new["params"] |= _hand_on(network.config, source)
        copied[mine] = len(new["params"])
        for name, value in network.params.items():
            if name.endswith("torgb.weight") and name not in new["params"]:
                new["params"][name] = np.zeros_like(value)
        changes[mine] = network.replace(
            **{part: getattr(network, part) | found for part, found in new.items()}
        )
    if not any(copied.values()):
        raise ValueError(
            f"no parameter of {', '.join(map(str, paths))} fits the networks of this config; "
            "expected a file of the same kind of networks, not wider than these"
        )
    for mine, count in copied.items():
        print(f"init: copied {count} of {len(getattr(state, mine).params)} parameters of {mine}")
    return dataclasses.replace(state, **changes)


def _maps_otherwise(theirs, ours):
    """Whether a mapping network of one size cannot take over the other's."""
    sizes = [(c.z_dim, c.w_dim, c.mapping_kwargs.num_layers) for c in (theirs, ours)]
    return sizes[0] != sizes[1] and not ours.c_dim


def _remapped(source, network, n=20_000):
    """source, a StyleGAN2, with the mapping network of `network`, fresh, in place of its own.

    Its affine layers take the new w whitened, turned at random, and brought to the mean and the
    covariance of the old w's.  The pictures are others then, but hardly worse: an old W is close to
    a normal distribution.  What the old mapping network had learned is lost.
    """
    rng = np.random.default_rng(0)
    ours, theirs = network.config, source.config
    (old, root), (new, white) = (
        _moments(G.mapping(rng.standard_normal((n, G.z_dim), np.float32))[:, 0])
        for G in (source, network)
    )
    values, vectors = white
    kept = np.argsort(-values)[: theirs.w_dim]
    white = (vectors[:, kept] / np.sqrt(values[kept])).T
    turn = np.linalg.qr(rng.standard_normal((theirs.w_dim, len(kept))))[0]
    values, vectors = root
    take = (vectors * np.sqrt(np.maximum(values, 0))) @ turn @ white  # [old w_dim, new w_dim]
    params = {k: v for k, v in source.params.items() if not k.startswith("mapping.")}
    for name in [k for k in params if k.endswith(".affine.weight")]:
        # A dense layer divides its weight by √(its inputs): equalized learning rate.
        weight, bias = params[name] / math.sqrt(theirs.w_dim), name.replace("weight", "bias")
        params[bias] = (params[bias] + weight @ (old - take @ new)).astype(np.float32)
        params[name] = (weight @ take * math.sqrt(ours.w_dim)).astype(np.float32)
    params |= {k: v for k, v in network.params.items() if k.startswith("mapping.")}
    changed = {name: getattr(ours, name) for name in ("z_dim", "w_dim", "mapping_kwargs")}
    config = dataclasses.replace(theirs, **changed)
    buffers = source.buffers | {"mapping.w_avg": new.astype(np.float32)}
    return dataclasses.replace(source, config=config, params=params, buffers=buffers)


def _moments(w):
    """Mean [D] of w [N, D], and eigenvalues and eigenvectors of its covariance."""
    w = w.astype(np.float64)
    return w.mean(axis=0), np.linalg.eigh(np.cov(w.T))


def differences(theirs, ours, prefix):
    """What to set, ["G.activation=relu", …], so that parameters of the configuration `theirs` mean
    in `ours` what they meant there; both of one class."""
    # The frequencies of StyleGAN3's layers follow from the resolution.
    free, found = _FREE - ({"img_resolution"} if isinstance(ours, stylegan3.Config) else set()), []
    for name in (field.name for field in dataclasses.fields(ours)):
        had, have = getattr(theirs, name), getattr(ours, name)
        if dataclasses.is_dataclass(had):
            found += differences(had, have, f"{prefix}{name}.")
        # Noise that was not there changes nothing: its strength is 0 at first.
        elif had != have and name not in free and (name, have) != ("use_noise", True):
            had = list(had) if isinstance(had, tuple) else had
            found.append(shlex.quote(f"{prefix}{name}={had}"))
    return found


def _check_meaning(name, theirs, ours):
    odd = differences(theirs, ours, f"{name[0]}.")
    if odd:
        raise ValueError(
            f"init: the parameters of {name} there would mean something else under this config: "
            f"set {' '.join(odd)}"
        )


def _check_no_wider(theirs, ours):
    sizes = [(theirs.w_dim, ours.w_dim, "numbers in w")]
    for res in base.resolutions(min(theirs, ours, key=lambda config: config.img_resolution)):
        sizes.append((theirs.channels(res), ours.channels(res), f"channels at {res} × {res}"))
    for had, have, what in sizes:
        if had > have:
            raise ValueError(
                f"init: the generator there has {had} {what}, and this config's {have}; expected "
                f"no more: set G.channel_base={theirs.channel_base} "
                f"G.channel_max={theirs.channel_max} G.w_dim={theirs.w_dim}"
            )


def _widened(value, old):
    """A parameter of a wider synthesis network, float32, with the narrower one's in its corner.

    New channels keep their random weights, and the old ones do not hear them: 0.  A weight of shape
    [O, I, …] is multiplied by 1/√I where it is used (equalized learning rate, PG-GAN §4.1): the old
    ones grow by the root of the ratio, so that a larger I changes nothing.
    """
    wider = value.copy()
    if value.ndim in (1, 3):  # a bias; the constant, [C, 4, 4]
        wider[: len(old)] = old
    else:
        wider[: len(old), old.shape[1] :] = 0
        gain = math.sqrt(value.shape[1] / old.shape[1])
        wider[: len(old), : old.shape[1]] = np.float32(gain) * old
    return wider


def _hand_on(config, source):
    """Parameters for the first block of a D of twice source's resolution, so that the old D goes on
    seeing what it saw: {} if this is not one.

    The old fromRGB, √2·lrelu(W·rgb + b), is a function of colour.  The new fromRGB has those of its
    channels that say most about it, and the skip, which averages 2×2 pixels and has no activation,
    is the linear map from these to all, fitted on random colours.  The other branch begins at 0.
    """
    res, old = config.img_resolution, source.params
    of_ours = isinstance(source.config, stylegan2.DiscriminatorConfig)
    if not of_ours or (config.architecture, source.config.img_resolution) != ("resnet", res // 2):
        return {}
    weight, b = old[f"b{res // 2}.fromrgb.weight"], old[f"b{res // 2}.fromrgb.bias"]
    colours = np.random.default_rng(0).uniform(-1, 1, (4096, weight.shape[1]))
    seen = colours @ weight[:, :, 0, 0].T / math.sqrt(weight.shape[1]) + b
    seen = math.sqrt(2) * np.maximum(seen, 0.2 * seen)
    kept = scipy.linalg.qr(seen, mode="r", pivoting=True)[1][: config.channels(res)]
    fit = np.linalg.lstsq(seen[:, kept], seen)[0].T / stylegan2.HALF
    new = {
        "fromrgb.weight": weight[kept], "fromrgb.bias": b[kept],
        "skip.weight": fit[:, :, None, None] * math.sqrt(len(kept)),
        "conv1.weight": np.zeros((len(b), len(kept), 3, 3)),
    }  # fmt: skip
    return {f"b{res}.{name}": value.astype(np.float32) for name, value in new.items()}

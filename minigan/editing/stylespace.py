"""S, the space of styles: one number for each channel of each layer, and which do what.

Wu et al. 2021 (StyleSpace, arXiv 2011.12799).  A style is the output of a layer's affine map of w;
so an edit of a channel is a change of that map's bias, and a generator edited so is one like any
other.  Of toRGB layers the convolution multiplies by the style over √C: a size measured there has
to be multiplied by √C first.  StyleGAN3 divides a layer's styles by their root mean square over the
batch: a change of one changes the others a little.

Read first: `directions.py`.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from minigan import autograd
from minigan.device import moved
from minigan.editing import space
from minigan.layers import dense
from minigan.networks.reader import in_batches


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer that takes styles."""

    name: str  # "b32.conv1"
    index: int  # of the w that it takes
    channels: int  # of StyleGAN (2019) twice its maps: scales, then shifts
    rgb: bool  # whether it is a toRGB


def layers(G) -> list[Layer]:
    """The layers with styles, in order; without StyleGAN3's input, whose affine map is a motion."""
    found, index = [], 0
    apart = any("torgb" in key for key in G.params)  # or else, in StyleGAN3, it is the last layer
    for key, bias in G.params.items():
        if not key.endswith(".affine.bias"):
            continue
        name = key.removeprefix("synthesis.").removesuffix(".affine.bias")
        rgb = "torgb" in name if apart else index == G.num_ws - 1
        if name != "input":
            found.append(Layer(name, index, len(bias), rgb))
        index += not (apart and rgb)  # toRGB takes the w of the next block's first layer
    return found


def names(G) -> list[tuple[str, int]]:
    """(layer, channel) of each number of S, in the order of `styles`."""
    return [(layer.name, i) for layer in layers(G) for i in range(layer.channels)]


def styles(G, w: np.ndarray) -> np.ndarray:
    """w [N, w_dim] -> S [N, channels of all layers]."""
    keys = [f"synthesis.{layer.name}.affine" for layer in layers(G)]
    return np.concatenate([dense(G.params, key, w) for key in keys], axis=1)


def spread(G, samples: int = space.SAMPLES, seed: int = space.SEED) -> tuple:
    """(mean, standard deviation) of each number of S, float64 [channels], for generated w."""
    w = space._samples(G, None, samples, seed).astype(G.w_avg.dtype)
    s = in_batches(lambda part: styles(G.to("cpu"), part), w, 1000).astype(np.float64)
    return s.mean(axis=0), s.std(axis=0)


def scores(positives: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """The paper's score of each channel, [C]: |mean δ| / std δ, δ = (s − mean)/std, of the styles
    [P, C] of pictures that have the attribute (§5.2).  NaN: a channel that does not vary.

    The authors' code calls those pictures positive whose classifier output is the *lowest*.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = (positives - mean) / std
        return np.abs(delta.mean(axis=0)) / delta.std(axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Effects:
    """What one standard deviation of each channel does to each of K readings: all [K, C]."""

    mean: np.ndarray  # in standard deviations of the reading
    consistency: np.ndarray  # mean over its standard deviation from picture to picture
    selectivity: np.ndarray  # |mean|, as a share of the effects on all readings; at most 1


def effects(G, read: Callable, ws: np.ndarray, rgb: bool = True, batch: int = 8) -> Effects:
    """The causal counterpart of `scores`: E = σ_c · ∂reading/∂s_c at the pictures of ws [N, …].

    read: images -> [N, K], differentiable, such as `reader.Network.outputs`.  rgb: also channels of
    toRGB layers; else theirs are 0.  One backward pass for each reading and batch.
    """
    sigma, some = spread(G)[1], layers(G)
    keys = [f"synthesis.{layer.name}.affine.weight" for layer in some]
    sigma = sigma * np.concatenate([np.full(a.channels, rgb or not a.rgb) for a in some])
    found, seen = [], []
    for first in range(0, len(ws), batch):
        y, pull = _pulled(G, read, ws[first : first + batch], keys)
        parts = []
        for k in range(y.shape[1]):
            wanted = np.zeros_like(y)
            wanted[:, k] = 1
            grads = pull(wanted)
            parts.append(np.concatenate([moved(grads[key], "cpu").T for key in keys], axis=1))
        found.append(np.stack(parts))  # [K, n, C]
        seen.append(moved(y, "cpu"))
    unit = np.concatenate(seen).std(axis=0).astype(np.float64) + 1e-12
    E = np.concatenate(found, axis=1) * sigma / unit[:, None, None]
    mean, tiny = E.mean(axis=1), 1e-12
    whole = np.sqrt(np.sum(np.mean(E * E, axis=1), axis=0)) + tiny
    return Effects(mean, mean / (E.std(axis=1) + tiny), np.abs(mean) / whole)


def _pulled(G, read, ws, keys):
    """(readings [n, K], their pullback to {key: [C, n]}: each picture's own change of styles).

    A bias is one for all pictures; so each w gets n numbers more, of which its own is 1, and the
    affine layers as many inputs more.  What these weigh is added to that picture's styles alone.
    """
    n, d = len(ws), ws.shape[2]
    own = np.broadcast_to(np.eye(n, dtype=ws.dtype, like=ws)[:, None], (n, ws.shape[1], n))
    wider, noises = np.concatenate([ws, own], axis=2), G.noise_maps
    noises = {layer: noise[None, None] for layer, noise in noises.items()}
    affine = {key: a for key, a in G.params.items() if key.endswith(".affine.weight")}
    added = {key: np.zeros_like(a, shape=(len(a), n)) for key, a in affine.items()}

    def f(changes):
        # `dense` divides by the root of the number of inputs, which has grown.
        weights = {
            key: np.concatenate([
                a * math.sqrt((d + n) / d), (added | changes)[key] * math.sqrt(d + n)
            ], axis=1)
            for key, a in affine.items()
        }  # fmt: skip
        return read(G.replace(params=G.params | weights)._synthesis(wider, noises))

    return autograd.vjp(f, {key: added[key] for key in keys})

"""What the generators and discriminators of all papers have in common: arguments and their checks.

A network is a configuration and two flat dicts of arrays, params (what training changes) and
buffers (what it does not), named as in the official state dicts.  Its mathematics are functions in
the paper's own file; these thin classes call them.
"""

import dataclasses
import math

import numpy as np

from minigan import toy
from minigan.autograd.variable import plain


def standard_normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def check_rng(rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is a {type(rng).__qualname__}; expected a numpy.random.Generator, such as "
            "numpy.random.default_rng(0)"
        )


class NotFinite(ValueError):
    """NaN or infinity where numbers are expected."""


def check_array(who, name, value, shape):
    """A finite float32 or float64 array (or a variable of one) of this shape; None: any length."""
    inside = plain(value)
    if not isinstance(inside, np.ndarray) or inside.dtype not in (np.float32, np.float64):
        came = f"dtype {inside.dtype}" if isinstance(inside, np.ndarray) else type(inside)
        raise TypeError(f"{who}: {name} is of {came}; expected a float32 or float64 array")
    fits = len(shape) == inside.ndim and all(
        wanted in (None, got) for wanted, got in zip(shape, inside.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{who}: {name} has shape {inside.shape}; expected ({wanted})")
    bad = inside.size - int(np.isfinite(inside).sum())
    if bad:
        raise NotFinite(f"{who}: {name} holds {bad} NaN or infinite among {inside.size} values")


def check_config(config, **at_least):
    """Whole numbers no smaller than these, and a resolution that blocks of ×2 can reach."""
    who = type(config).__qualname__
    for name, least in at_least.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{who}: {name} is {value!r}; expected a whole number from {least}")
    res = config.img_resolution
    if not isinstance(res, int) or res < 8 or res & (res - 1):
        raise ValueError(f"{who}: img_resolution is {res!r}; expected a power of two from 8")


def check_choice(config, name, choices):
    if getattr(config, name) not in choices:
        raise ValueError(
            f"{type(config).__qualname__}: {name} is {getattr(config, name)!r}; expected "
            + ", ".join(map(repr, choices))
        )


def resolutions(config):
    """4, 8, …, img_resolution."""
    return [2**i for i in range(2, int(math.log2(config.img_resolution)) + 1)]


@dataclasses.dataclass(frozen=True)
class Network:
    config: object
    params: dict
    buffers: dict

    def replace(self, **changes):
        """A copy with another config, params or buffers."""
        return dataclasses.replace(self, **changes)

    def _label(self, c, n, like):
        """c [N, c_dim] checked, or None for a network without labels."""
        who, c_dim = type(self).__qualname__, self.config.c_dim
        if c_dim == 0:
            if c is not None and np.shape(c) != (n, 0):
                raise ValueError(f"{who}: c was given; expected None, the network has no labels")
            return None
        if c is None:
            raise ValueError(f"{who}: c is None; expected labels of shape ({n}, {c_dim})")
        check_array(who, "c", c, (n, c_dim))
        return c.astype(plain(like).dtype) if isinstance(c, np.ndarray) else c


class Generator(Network):
    """z → mapping → w → truncation → synthesis → image.

    A paper's own class gives `noise_layers` {name: resolution}, `num_ws`, `_map(z, c)` → w and
    `_synthesize(ws, noises)` → images.
    """

    w_avg = property(lambda self: self.buffers["mapping.w_avg"])
    used_ws = property(lambda self: self.num_ws)  # fewer while a generator is growing
    z_dim = property(lambda self: self.config.z_dim)
    w_dim = property(lambda self: self.config.w_dim)
    c_dim = property(lambda self: self.config.c_dim)
    img_resolution = property(lambda self: self.config.img_resolution)
    img_channels = property(lambda self: self.config.img_channels)

    def mapping(self, z, c=None, truncation_psi=1, truncation_cutoff=None):
        """z float [N, z_dim] -> ws [N, num_ws, w_dim], the same w for every layer, truncated.

        c [N, c_dim]: labels, for conditional networks only.  truncation_psi: 1 changes nothing, 0
        gives the average w̄.  truncation_cutoff: truncate the first so many layers only.
        Raises: TypeError, ValueError for another dtype or shape, NaN, a ψ or a cutoff that is none.
        """
        check_array("Generator", "z", z, (None, self.z_dim))
        c = self._label(c, z.shape[0], z)
        if not (isinstance(truncation_psi, (int, float)) and math.isfinite(truncation_psi)):
            raise ValueError(f"Generator: truncation_psi is {truncation_psi!r}; expected a number")
        cutoff = truncation_cutoff
        if cutoff is not None and cutoff not in range(self.num_ws + 1):
            raise ValueError(f"Generator: truncation_cutoff is {cutoff!r}; expected None or an int "
                             f"from 0 to {self.num_ws}")  # fmt: skip
        w = self._map(z, c)
        ws = np.broadcast_to(w[:, None], (w.shape[0], self.num_ws, w.shape[1]))
        return ws if truncation_psi == 1 else toy.truncate(ws, self.w_avg, truncation_psi, cutoff)

    def synthesis(self, ws, noise_mode="const", rng=None):
        """ws float [N, num_ws, w_dim] -> images [N, img_channels, R, R], nominally in [−1, 1].

        noise_mode: "const" (the buffers), "none", or "random", fresh from `rng` for every sample.
        Raises: TypeError, ValueError for other ws, an unknown noise_mode, "random" without an rng.
        """
        check_array("Generator", "ws", ws, (None, self.num_ws, self.w_dim))
        if noise_mode not in ("const", "none", "random"):
            raise ValueError(
                f"Generator: noise_mode is {noise_mode!r}; expected 'const', 'none' or 'random'"
            )
        if noise_mode == "random":
            check_rng(rng)
        noises = {}
        for name, res in self.noise_layers.items() if noise_mode != "none" else ():
            if noise_mode == "random":
                fresh = standard_normal(rng, ws.shape[0], 1, res, res)
                noises[name] = fresh.astype(plain(ws).dtype, copy=False)
            else:
                noises[name] = self.buffers[f"synthesis.{name}.noise_const"][None, None]
        return self._synthesize(ws, noises)

    def __call__(
        self, z, c=None, truncation_psi=1, truncation_cutoff=None, noise_mode="const", rng=None
    ):
        """mapping, then synthesis: z [N, z_dim] -> images [N, img_channels, R, R]."""
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        return self.synthesis(ws, noise_mode, rng)


class Discriminator(Network):
    """Images → logits.  A paper's own class gives `_judge(img, c)`."""

    def __call__(self, img, c=None):
        """img float [N, img_channels, R, R] -> logits [N, 1].  c as the generator's.

        Raises: TypeError, ValueError for another dtype or shape, NaN, missing labels, or a batch
        that the groups of the minibatch statistics do not divide.
        """
        res = self.config.img_resolution
        check_array("Discriminator", "img", img, (None, self.config.img_channels, res, res))
        return self._judge(img, self._label(c, img.shape[0], img))

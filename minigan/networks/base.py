"""The one interface of all networks: a generator's, a discriminator's, and their configurations'.

A network is a configuration and two flat dicts of arrays, params (what training changes) and
buffers (what it does not), named as in the official state dicts.  Its mathematics are functions in
the paper's own file; its classes there are thin, and fill in one hook for each step.

Read first: `toy/model.py`, the smallest network that has this interface.
"""

import dataclasses
import hashlib
import math
import typing
from collections.abc import Callable, Iterator

import numpy as np

from minigan import check, latents, networks
from minigan.autograd.variable import Variable, plain
from minigan.device import moved, on_gpu, with_arrays_on
from minigan.networks.init import normal

# ---- configurations ------------------------------------------------------------------------------


class Sized:
    """A configuration whose layers have channels by resolution: img_resolution, channel_base, …"""

    def __post_init__(self):
        of_one = {"z_dim": 1, "w_dim": 1, "cmap_dim": 1, "mbstd_group_size": 1,
                  "mbstd_num_channels": 0}  # fmt: skip
        sizes = {name: least for name, least in of_one.items() if hasattr(self, name)}
        check.image_fields(self, img_channels=1, c_dim=0, channel_base=1, channel_max=1, **sizes)
        if self.channel_base < self.img_resolution:
            raise ValueError(
                f"{type(self).__qualname__}: channel_base is {self.channel_base}; expected at "
                f"least img_resolution, {self.img_resolution}, or the last layer has no channels"
            )
        new = getattr(self, "mbstd_num_channels", 0)
        if new and self.channels(4) % new:
            raise ValueError(
                f"{type(self).__qualname__}: mbstd_num_channels is {new}; expected a divisor of "
                f"the channels at 4 × 4, {self.channels(4)}"
            )

    def channels(self, res: int) -> int:
        """Channels of the layers at this resolution."""
        return min(self.channel_base // res, self.channel_max)

    @property
    def largest(self) -> int:
        """Numbers in the largest array between its layers, for one picture."""
        channels = {res: self.channels(res) for res in resolutions(self)}
        channels[self.img_resolution] = max(self.img_channels, channels[self.img_resolution])
        return max(n * res**2 for res, n in channels.items())

    def build(self, rng: np.random.Generator) -> "Network":
        """Its network with fresh weights, float32."""
        return networks.class_for(self).init(self, rng)


class Mapping:
    """The configuration of a mapping network."""

    def __post_init__(self):
        widths = ("embed_features", "layer_features")
        check.fields(self, num_layers=1, **{name: 1 for name in widths if hasattr(self, name)})
        if self.lr_multiplier <= 0 or not 0 <= self.w_avg_beta <= 1:
            raise ValueError(
                f"{type(self).__qualname__}: lr_multiplier is {self.lr_multiplier} and w_avg_beta "
                f"{self.w_avg_beta}; expected a number above 0, and one from 0 to 1"
            )


def resolutions(config) -> list[int]:
    """4, 8, …, img_resolution."""
    return [2**i for i in range(2, int(math.log2(config.img_resolution)) + 1)]


# ---- networks ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A configuration, and two flat dicts of arrays: what training changes, and what it does not.

    A class of networks has `config_class` and `init(config, rng)`, which makes fresh weights.
    """

    config: object
    params: dict
    buffers: dict = dataclasses.field(default_factory=dict)

    def replace(self, **changes) -> typing.Self:
        """A copy with another config, params or buffers."""
        return dataclasses.replace(self, **changes)

    def to(self, device: str) -> typing.Self:
        """A copy on "gpu", whose arrays are CuPy's, or on "cpu".  See `device.with_arrays_on`."""
        return with_arrays_on(self, device)

    @property
    def fingerprint(self) -> str:
        """Eight letters that change with any weight: what was measured, or found, with another
        network does not compare.  Half precision, in which networks are kept, changes nothing."""
        digest = hashlib.sha256()
        for name in sorted(self.params):
            with np.errstate(over="ignore"):
                digest.update(moved(self.params[name], "cpu").astype(np.float16).tobytes())
        return digest.hexdigest()[:8]

    c_dim = property(lambda self: getattr(self.config, "c_dim", 0))  # of labels; 0: none

    def _labels(self, c, n, like):
        """c [N, c_dim] checked, or None for a network without labels."""
        if self.c_dim == 0:
            if c is not None and np.shape(c) != (n, 0):
                raise ValueError("c was given; expected None, the network has no labels")
            return None
        if c is None:
            raise ValueError(f"c is None; expected labels of shape [{n}, {self.c_dim}]")
        check.finite("c", c, (n, self.c_dim), like=like)
        return c.astype(plain(like).dtype) if type(c) is not Variable else c


class Generator(Network):
    """z → mapping → w → truncation → synthesis → images.

    A paper's own class gives `num_ws` and two hooks: `_mapping(z, c)`, which returns w [N, w_dim],
    and `_synthesis(ws, noises)`, noises {layer: [1 or N, 1, …]} without those that are off.  Its
    buffers have `mapping.w_avg`, and one fixed noise map for each layer with noise,
    `synthesis.b8.conv0.noise_const` and so on.
    """

    w_avg = property(lambda self: self.buffers["mapping.w_avg"])
    used_ws = property(lambda self: self.num_ws)  # fewer while a generator is growing
    z_dim = property(lambda self: self.config.z_dim)
    w_dim = property(lambda self: self.config.w_dim)
    img_resolution = property(lambda self: self.config.img_resolution)
    img_channels = property(lambda self: self.config.img_channels)  # the toy's have none

    @property
    def noise_maps(self) -> dict[str, np.ndarray]:
        """{layer: [H, W]}, the fixed maps; empty for a network without noise."""
        found = {k: a for k, a in self.buffers.items() if k.endswith(".noise_const")}
        return {k[len("synthesis.") : -len(".noise_const")]: a for k, a in found.items()}

    def __call__(
        self,
        z: np.ndarray,
        c: np.ndarray | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """mapping, then synthesis: z [N, z_dim] -> images [N, C, R, R]."""
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        return self.synthesis(ws, noise_mode, rng)

    def mapping(
        self,
        z: np.ndarray,
        c: np.ndarray | None = None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
    ) -> np.ndarray:
        """z float [N, z_dim] -> ws [N, num_ws, w_dim], the same w for every layer, truncated.

        c [N, c_dim]: labels, for conditional networks only.  truncation_cutoff: truncate the first
        so many layers only.
        Raises: TypeError, ValueError for a z or c of another dtype or shape, NaN, missing labels,
        a ψ that is not a finite number, or a cutoff that is not from 0 to num_ws.
        """
        check.finite("z", z, (None, self.z_dim), like=self.w_avg)
        if not (isinstance(truncation_psi, (int, float)) and math.isfinite(truncation_psi)):
            raise ValueError(f"Generator: truncation_psi is {truncation_psi!r}; expected a number")
        cutoff = truncation_cutoff
        if cutoff is not None and cutoff not in range(self.num_ws + 1):
            raise ValueError(f"Generator: truncation_cutoff is {cutoff!r}; expected None or an int "
                             f"from 0 to {self.num_ws}")  # fmt: skip
        w = self._mapping(z, self._labels(c, z.shape[0], z))
        ws = np.broadcast_to(w[:, None], (w.shape[0], self.num_ws, w.shape[1]))
        return (
            ws if truncation_psi == 1 else latents.truncate(ws, self.w_avg, truncation_psi, cutoff)
        )

    def synthesis(
        self, ws: np.ndarray, noise_mode: str = "const", rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """ws float [N, num_ws, w_dim] -> images [N, C, R, R]; of the toy signals [N, 1, L].

        noise_mode: "const" (the buffers), "none", or "random", fresh from `rng` for every sample.
        Raises: TypeError, ValueError for other ws, an unknown noise_mode, "random" without an rng.
        """
        check.finite("ws", ws, (None, self.num_ws, self.w_dim), like=self.w_avg)
        if noise_mode not in ("const", "none", "random"):
            raise ValueError(
                f"Generator: noise_mode is {noise_mode!r}; expected 'const', 'none' or 'random'"
            )
        if noise_mode == "random":
            check.rng(rng)
        noises = {}
        for layer, const in self.noise_maps.items():
            if noise_mode == "random":
                noise = normal(rng, ws.shape[0], 1, *const.shape).astype(ws.dtype, copy=False)
                noises[layer] = np.asarray(noise, like=plain(ws))
            else:
                noises[layer] = (const if noise_mode == "const" else 0 * const)[None, None]
        return self._synthesis(ws, noises)

    def with_new_emas(
        self, ws: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, typing.Self]:
        """(images of ws with fresh noise, the generator whose running averages have seen them).

        Only StyleGAN3 keeps some; the others stay as they are.  Raises: as `synthesis`.
        """
        return self.synthesis(ws, "random", rng), self

    def compile(
        self,
        batch: int,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
    ) -> Callable:
        """A function of z [batch, z_dim], and of labels c where the network has some, that draws
        the images of `self`, bit for bit, with all its launches in one CUDA graph.

        z, c: CuPy arrays of the parameters' dtype.  The graph reads the parameters where they lie
        in memory now.
        Raises: RuntimeError for a network on the CPU, or one that cannot be recorded; ValueError.
        """
        if not on_gpu(self.w_avg):
            raise RuntimeError("compile: the network's arrays are on the CPU; G.to('gpu') first")
        check.setting("compile", "batch", batch, (int,), 1)
        if noise_mode not in ("const", "none"):
            raise ValueError(
                f"compile: noise_mode is {noise_mode!r}; expected 'const' or 'none', a graph draws "
                "no new noise"
            )
        from minigan.ops.gpu.graph import Graph  # the only one that needs CuPy

        args = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        sizes = (self.z_dim, self.c_dim) if self.c_dim else (self.z_dim,)
        examples = [np.zeros_like(self.w_avg, shape=(batch, n)) for n in sizes]
        graph = Graph(lambda *zc: self(*zc, noise_mode=noise_mode, **args), *examples)

        def draw(z, c=None):
            check.finite("z", z, (batch, self.z_dim), like=self.w_avg)
            c = self._labels(c, batch, z)
            return graph(z) if c is None else graph(z, c)

        return draw


class Discriminator(Network):
    """Images → logits.  A paper's own class gives one hook, `_judge(img, c)`, and if it has blocks
    another, `_maps(img)`, which yields what each of them gives."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of one image: (C, R, R)."""
        return (self.config.img_channels, self.config.img_resolution, self.config.img_resolution)

    def __call__(self, img: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        """img float [N, C, R, R], of the toy [N, 1, L] -> logits [N, 1].  c as the generator's.

        Raises: TypeError, ValueError for another dtype or shape, NaN, missing labels, or a batch
        that the groups of the minibatch statistics do not divide.
        """
        self._check(img)
        return self._judge(img, self._labels(c, img.shape[0], img))

    def maps(self, img: np.ndarray) -> Iterator[np.ndarray]:
        """img as above -> the maps [N, C, H, W] that each block gives, the largest first.

        Here images do not mix, as they do in the minibatch statistics of what follows.
        Raises: as above.
        """
        self._check(img)
        return self._maps(img)

    def _check(self, img):
        weight = next(iter(self.params.values()))
        check.finite("img", img, (None, *self.image_shape), like=weight)


def one_hot(label: int | None, c_dim: int) -> np.ndarray | None:
    """The label c [1, c_dim], float32, of a class; None for a network without classes, c_dim 0.

    Raises: ValueError for a class that the network does not have, or none where it has some.
    """
    if c_dim == 0:
        if label is not None:
            raise ValueError(f"--class is {label}, and the network has no classes; leave it out")
        return None
    if label is None or not 0 <= label < c_dim:
        raise ValueError(f"--class is {label}; expected a class from 0 to {c_dim - 1}")
    return np.eye(c_dim, dtype=np.float32)[label : label + 1]

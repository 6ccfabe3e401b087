"""What the generators and discriminators of all papers have in common: arguments and their checks.

A network is a configuration and two flat dicts of arrays, params (what training changes) and
buffers (what it does not), named as in the official state dicts.  Its mathematics are functions in
the paper's own file; these thin classes call them.
"""

import dataclasses
import math
import typing

import numpy as np

from minigan import networks, toy
from minigan.autograd.variable import Variable, plain
from minigan.device import on_gpu, with_arrays_on
from minigan.files.reading import Refused, shown


class Sized:
    """A configuration whose layers have channels by resolution: img_resolution, channel_base, …"""

    def __post_init__(self):
        of_one = {"z_dim": 1, "w_dim": 1, "cmap_dim": 1, "mbstd_group_size": 1,
                  "mbstd_num_channels": 0}  # fmt: skip
        sizes = {name: least for name, least in of_one.items() if hasattr(self, name)}
        check_config(self, img_channels=1, c_dim=0, channel_base=1, channel_max=1, **sizes)
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

    def channels(self, res):
        """Channels of the layers at this resolution."""
        return min(self.channel_base // res, self.channel_max)

    @property
    def largest(self):
        """Numbers in the largest array between its layers, for one picture."""
        channels = {res: self.channels(res) for res in resolutions(self)}
        channels[self.img_resolution] = max(self.img_channels, channels[self.img_resolution])
        return max(n * res**2 for res, n in channels.items())

    def build(self, rng):
        """Its network with fresh weights, float32.  rng: numpy.random.Generator."""
        return networks.class_for(self).init(self, rng)


class Mapping:
    """The configuration of a mapping network."""

    def __post_init__(self):
        widths = ("embed_features", "layer_features")
        check_fields(self, num_layers=1, **{name: 1 for name in widths if hasattr(self, name)})
        if self.lr_multiplier <= 0 or not 0 <= self.w_avg_beta <= 1:
            raise ValueError(
                f"{type(self).__qualname__}: lr_multiplier is {self.lr_multiplier} and w_avg_beta "
                f"{self.w_avg_beta}; expected a number above 0, and one from 0 to 1"
            )


_KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a word",
          tuple: "a list of numbers", type(None): "None"}  # fmt: skip


def check_fields(config, **at_least):
    """Raise unless each field is what its annotation says, and these no smaller.

    Lists become tuples and dicts configurations: JSON has only the former.
    """
    for name, hint in typing.get_type_hints(type(config)).items():
        value, kinds = getattr(config, name), typing.get_args(hint) or (hint,)
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, dict) and dataclasses.is_dataclass(hint):
            value = dataclasses.replace(getattr(type(config), name), **value)
        object.__setattr__(config, name, value)
        small = name in at_least and _is(value, int) and value < at_least[name]
        if small or not any(_is(value, kind) for kind in kinds):
            words = [_KINDS.get(kind, f"a {kind.__name__}") for kind in kinds]
            words[0] += f" from {at_least[name]}" if name in at_least else ""
            raise ValueError(
                f"{type(config).__qualname__}: {name} is {value!r:.60}; expected "
                + " or ".join(words)
            )


def _is(value, kind):
    if kind is tuple:
        return isinstance(value, tuple) and all(_is(one, float) for one in value)
    if kind in (int, float):
        kinds = (int, float) if kind is float else int
        return isinstance(value, kinds) and type(value) is not bool and math.isfinite(value)
    return isinstance(value, kind)


def check_config(config, **at_least):
    """`check_fields`, and a resolution that blocks of ×2 can reach."""
    check_fields(config, **at_least)
    who, res = type(config).__qualname__, config.img_resolution
    if res < 8 or res & (res - 1):
        raise ValueError(f"{who}: img_resolution is {res}; expected a power of two from 8")
    clamp = getattr(config, "conv_clamp", None)
    if clamp is not None and clamp <= 0:
        raise ValueError(f"{who}: conv_clamp is {clamp}; expected a number above 0, or None")


def check_choice(config, name, choices):
    if getattr(config, name) not in choices:
        raise ValueError(
            f"{type(config).__qualname__}: {name} is {getattr(config, name)!r}; expected "
            + ", ".join(map(repr, choices))
        )


def resolutions(config):
    """4, 8, …, img_resolution."""
    return [2**i for i in range(2, int(math.log2(config.img_resolution)) + 1)]


# ---- networks as files describe them -------------------------------------------------------------

# Of numbers in a configuration, before anything is made of it: a made-up one could ask for all the
# memory there is.
_MOST = 16384
_LIMITS = {"channel_base": 1 << 20, "num_layers": 64, "filter_size": 64, "lrelu_upsampling": 8}


def check_values(values):
    """Refuse a configuration whose values, {name: value}, are no plain numbers and words."""
    for name, value in values.items():
        if name == "mapping_kwargs" and isinstance(value, dict):
            check_values(value)
            continue
        for one in value if type(value) in (list, tuple) and len(value) <= 64 else [value]:
            most = _LIMITS.get(name, _MOST)
            if isinstance(one, (int, float)):
                if not -most <= one <= most:  # NaN neither
                    raise Refused(f"{shown(name)} is out of range; expected numbers up to {most}")
            elif not isinstance(one, (str, type(None), Mapping)):
                raise Refused(f"{shown(name)} is {shown(one)}; expected a number or a word")


class _Unknown(np.ndarray):
    """Numbers that nobody will look at: reckoning with them takes no memory."""

    def __mul__(self, other):
        return self

    __truediv__ = __sub__ = __mul__


class Shapes(np.random.Generator):
    """A random generator that draws nothing: its arrays have the right shape and take no memory.

    What an `init` makes of them shows the names and shapes of a network's arrays.
    """

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.broadcast_to(dtype(1), size).view(_Unknown)

    random = standard_normal


def outline(cls, config):
    """cls's network of this configuration without numbers.  Raises: Refused, if one picture would
    need too much memory."""
    most = min(1 << 28, (1 << 24) + 256 * getattr(config, "img_resolution", 0) ** 2)
    if getattr(config, "largest", 0) > most:
        raise Refused(
            f"one picture would need arrays of {config.largest:,} numbers between its layers; "
            f"expected at most {most:,}"
        )
    return cls.init(config, Shapes())


def filled(fresh, params, buffers, budget, unfit):
    """`outline`'s network with these arrays of a file, which have shape, dtype and array().

    All float64 stay so, others become float32.  They are charged before one is read.
    Raises: Refused, saying what does not fit, after the words `unfit`.
    """
    wanted, given = fresh.params | fresh.buffers, params | buffers
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape:
            there, here = (a[name].shape if name in a else None for a in (given, wanted))
            what = f"{shown(name)} ({there or 'absent'}, expected {here or 'none'})"
        elif given[name].dtype.kind != "f":
            what = f"{shown(name)} (numbers of kind {given[name].dtype}, expected float32)"
        elif (name in params) != (name in fresh.params):
            what = f"{shown(name)} (a parameter among the buffers, or the other way round)"
        else:
            continue
        raise Refused(f"{unfit} in {what}")
    doubles = all(a.dtype == np.float64 for a in given.values())
    dtype = np.dtype(np.float64 if doubles else np.float32)
    sizes = (math.prod(a.shape) for a in given.values())
    budget.charge("bytes of numbers", dtype.itemsize * sum(sizes))
    arrays = {name: given[name].array().astype(dtype, copy=False) for name in wanted}
    return dataclasses.replace(
        fresh, params={name: arrays[name] for name in fresh.params},
        buffers={name: arrays[name] for name in fresh.buffers},
    )  # fmt: skip


class _Network:
    def replace(self, **changes):
        """A copy with another config, params or buffers."""
        return dataclasses.replace(self, **changes)

    def _label(self, c, n, like):
        """c [N, c_dim] checked, or None for a network without labels."""
        c_dim = self.config.c_dim
        if c_dim == 0:
            if c is not None and np.shape(c) != (n, 0):
                raise ValueError("c was given; expected None, the network has no labels")
            return None
        if c is None:
            raise ValueError(f"c is None; expected labels of shape [{n}, {c_dim}]")
        toy.check_array("c", c, (n, c_dim), like=like)
        return c.astype(plain(like).dtype) if type(c) is not Variable else c


class Generator(_Network, toy.Generator):
    """The toy's interface, with other insides: z → mapping → w → truncation → synthesis → images.

    A paper's own class gives `num_ws`, `_w(z, c)` and `_synthesize(ws, noises)`.
    """

    used_ws = property(lambda self: self.num_ws)  # fewer while a generator is growing
    w_dim = property(lambda self: self.config.w_dim)
    c_dim = property(lambda self: self.config.c_dim)
    img_channels = property(lambda self: self.config.img_channels)

    def compile(self, batch, truncation_psi=1, truncation_cutoff=None, noise_mode="const"):
        """A function of z [batch, z_dim], and of labels c where the network has some, to images: as
        `self` with these arguments draws them, bit for bit, but all launches as one CUDA graph.

        z, c: CuPy arrays of the parameters' dtype.  What it draws with are today's parameters, at
        their place in memory.
        Raises: RuntimeError for a network on the CPU, or one that cannot be recorded; ValueError.
        """
        if not on_gpu(self.w_avg):
            raise RuntimeError("compile: the network's arrays are on the CPU; G.to('gpu') first")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ValueError(f"compile: batch is {batch!r}; expected a whole number from 1")
        if noise_mode not in ("const", "none"):
            raise ValueError(
                f"compile: noise_mode is {noise_mode!r}; expected 'const' or 'none', a graph draws "
                "no new noise"
            )
        from minigan.ops.gpu.graph import Graph  # the only room that needs CuPy

        args = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        sizes = (self.z_dim, self.c_dim) if self.c_dim else (self.z_dim,)
        examples = [np.zeros_like(self.w_avg, shape=(batch, n)) for n in sizes]
        graph = Graph(lambda *zc: self(*zc, noise_mode=noise_mode, **args), *examples)

        def draw(z, c=None):
            toy.check_array("z", z, (batch, self.z_dim), like=self.w_avg)
            c = self._label(c, batch, z)
            return graph(z) if c is None else graph(z, c)

        return draw

    def _map(self, z, c):
        return self._w(z, self._label(c, z.shape[0], z))


@dataclasses.dataclass(frozen=True, eq=False)
class Discriminator(_Network):
    """Images → logits.  A paper's own class gives `_judge(img, c)`."""

    config: object
    params: dict
    buffers: dict

    def to(self, device):
        """A copy on "gpu" or "cpu", as the generator's."""
        return with_arrays_on(self, device)

    def __call__(self, img, c=None):
        """img float [N, img_channels, R, R] -> logits [N, 1].  c as the generator's.

        Raises: TypeError, ValueError for another dtype or shape, NaN, missing labels, or a batch
        that the groups of the minibatch statistics do not divide.
        """
        res = self.config.img_resolution
        weight = next(iter(self.params.values()))
        toy.check_array("img", img, (None, self.config.img_channels, res, res), like=weight)
        return self._judge(img, self._label(c, img.shape[0], img))

"""NVIDIA's network files (StyleGAN2-ADA, StyleGAN3), opened without PyTorch or running them.

`pickles` gives a tree of modules; here its attributes become a configuration, and its tensors the
parameters and buffers, under their own names.  What they must be follows from the configuration.
"""

import dataclasses
import math

import numpy as np

from minigan import pickles
from minigan.networks import base, stylegan2, stylegan3
from minigan.pickles import Module, Refused, Tensor

# Arguments of theirs that change rounding, speed or training only.
_IGNORED = {
    "num_fp16_res", "use_fp16", "use_fp16_before_res", "fp16_channels_last", "channels_last",
    "fused_modconv_default", "freeze_layers",
}  # fmt: skip
# Of numbers in a configuration, before anything is made of it: a made-up one could ask for all the
# memory there is.
_MOST = 16384
_LIMITS = {"channel_base": 1 << 20, "num_layers": 64, "filter_size": 64, "lrelu_upsampling": 8}
_DEEPEST = 8  # modules within modules


def networks(path, only=None):
    """The networks of an official `.pkl`, {"G": …, "D": …, "G_ema": …}: those it has.

    only: names in the order of preference; the first that the file has is read, the others not.
    Raises: FileNotFoundError; ValueError for a file that is damaged, of another kind, or hostile.
    """
    try:
        with open(path, "rb") as file:
            found = pickles.load(file)
            if not isinstance(found, dict):
                raise Refused(f"it holds a {type(found).__name__}; expected a dict of networks")
            names = [n for n in only or ("G", "D", "G_ema") if isinstance(found.get(n), Module)]
            if not names:
                held = ", ".join(repr(key)[:40] for key in list(found)[:6])
                raise Refused(f"it holds {held}; expected networks named G, D or G_ema")
            limit = 4 * file.seek(0, 2) + (1 << 20)
            return {name: _network(name, found[name], limit) for name in names[: 1 if only else 3]}
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{path} cannot be read as a network of NVIDIA's: {error}") from None


def _network(name, module, limit):
    """Its network; the parameters of at most `limit` bytes."""
    cls, config = _described(module)
    _check_size(name, config, limit)
    fresh = cls.init(config, base.Shapes())
    wanted = {key: a.shape for key, a in (fresh.params | fresh.buffers).items()}
    tensors = dict(_tensors(module))
    odd = sorted(wanted.keys() ^ tensors.keys())
    odd += [key for key, shape in wanted.items() if key in tensors and tensors[key].shape != shape]
    if odd:
        what = ", ".join(
            f"{k} ({tensors[k].shape if k in tensors else 'absent'}, "
            f"expected {wanted.get(k, 'none')})" for k in odd[:3]
        )  # fmt: skip
        raise Refused(f"{name} does not fit its own description in {what}")
    if 4 * sum(math.prod(shape) for shape in wanted.values()) > limit:
        raise Refused(f"{name} has more numbers than the file can hold")
    arrays = {key: tensors[key].array().astype(np.float32, copy=False) for key in wanted}
    buffers = {key: arrays.pop(key) for key in fresh.buffers}
    return cls(config, arrays, buffers)


def _check_size(name, config, limit):
    """Refuse what even `init` without random numbers would need much memory for."""
    mapping = config.mapping_kwargs
    widths = [getattr(config, field, 0) for field in ("z_dim", "w_dim")]
    widths += [mapping.embed_features or 0, mapping.layer_features or 0]
    if hasattr(config, "label_dim"):  # of a discriminator
        widths.append(config.label_dim)
    taps = [0]
    if isinstance(config, stylegan3.Config):
        taps += [
            n for layer in stylegan3.schedule(config)[1] for n in (layer.up_taps, layer.down_taps)
        ]
    # As wide as two of these side by side, in float32, and 64 MB for small files.
    if 4 * mapping.num_layers * (2 * max(widths)) ** 2 > limit + (1 << 26) or max(taps) > 256:
        raise Refused(f"{name}'s description asks for more than such a file can hold")


def _tensors(module, prefix="", seen=None):
    """(name, Tensor), as a state dict has them."""
    seen = set() if seen is None else seen
    if prefix.count(".") > _DEEPEST:
        raise Refused(f"modules within modules, {_DEEPEST} deep; expected fewer")
    if id(module) in seen:  # each of those within it would be walked through again
        raise Refused(f"the module {prefix[:60]} stands in two places; expected a tree")
    seen.add(id(module))
    for kind, cls in (("_parameters", Tensor), ("_buffers", Tensor), ("_modules", Module)):
        for name, value in _dict(module.state, kind).items():
            if value is None:
                continue
            if not isinstance(value, cls) or not isinstance(name, str):
                raise Refused(f"{prefix}{name} is a {type(value).__name__}, not a {cls.__name__}")
            if cls is Module:
                yield from _tensors(value, f"{prefix}{name}.", seen)
            else:
                yield prefix + name, value


def _dict(state, name):
    value = state.get(name, {})
    if not isinstance(value, dict):
        raise Refused(f"{name} is a {type(value).__name__}; expected a dict")
    return value


# ---- configurations ------------------------------------------------------------------------------


def _described(module):
    """(class, configuration) of a Generator or Discriminator."""
    if module.class_name == "Discriminator":
        return stylegan2.Discriminator, _discriminator(module)
    if module.class_name != "Generator":
        raise Refused(
            f"a network {module.class_name[:60]!r}; expected a Generator or Discriminator"
        )
    synthesis = _child(module, "synthesis")
    if "layer_names" in synthesis.state:
        return stylegan3.Generator, _stylegan3(module, synthesis)
    if "block_resolutions" in synthesis.state:
        return stylegan2.Generator, _stylegan2(module, synthesis)
    raise Refused("a Generator that is neither StyleGAN2's nor StyleGAN3's")


def _child(module, name):
    found = _dict(module.state, "_modules").get(name)
    if not isinstance(found, Module):
        raise Refused(f"{module.class_name[:60]} has no {name}")
    return found


def _stylegan3(module, synthesis):
    names = synthesis.state["layer_names"]
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise Refused("StyleGAN3's layer_names is not a list of names")
    layer = _child(synthesis, names[0])
    seen = _attributes(module, "z_dim w_dim c_dim img_resolution img_channels")
    seen |= _attributes(synthesis, "num_layers num_critical margin_size output_scale")
    seen |= _attributes(layer, "conv_kernel conv_clamp magnitude_ema_beta")
    mapping = {"mapping_kwargs": _mapping(module, 2, 0.998)}
    return _configured(stylegan3.Config, module, seen | mapping)


def _block(resolutions):
    """The name of the first block."""
    if not isinstance(resolutions, list) or not resolutions or type(resolutions[0]) is not int:
        raise Refused("block_resolutions is not a list of numbers")
    return f"b{resolutions[0]}"


def _stylegan2(module, synthesis):
    resolutions = synthesis.state["block_resolutions"]
    block = _child(synthesis, _block(resolutions))
    seen = _attributes(module, "z_dim w_dim c_dim img_resolution img_channels")
    seen |= _attributes(block, "architecture")
    seen |= _attributes(_child(block, "conv1"), "use_noise activation conv_clamp")
    mapping = {"mapping_kwargs": _mapping(module, 8, 0.995)}
    return _configured(stylegan2.Config, module, seen | mapping)


def _discriminator(module):
    resolutions = module.state.get("block_resolutions")
    block, end = _child(module, _block(resolutions)), _child(module, "b4")
    seen = _attributes(module, "c_dim img_resolution img_channels")
    seen |= _attributes(block, "architecture")
    seen |= _attributes(_child(block, "conv0"), "activation conv_clamp")
    if "mbstd" in _dict(end.state, "_modules"):
        about = _attributes(_child(end, "mbstd"), "group_size num_channels")
        seen |= {f"mbstd_{name}": value for name, value in about.items()}
    if seen.get("c_dim"):
        seen |= {"mapping_kwargs": _mapping(module, 8, 0.995)}
    return _configured(stylegan2.DiscriminatorConfig, module, seen)


def _mapping(module, num_layers, w_avg_beta):
    """The mapping network's configuration: what was asked for, and what came of it."""
    mapping = _child(module, "mapping")
    asked = {"num_layers": num_layers, "w_avg_beta": w_avg_beta}
    asked |= _dict(_dict(module.state, "_init_kwargs"), "mapping_kwargs")
    asked |= _attributes(mapping, "num_layers w_avg_beta")
    if asked["w_avg_beta"] is None:  # a discriminator's, which keeps no average
        del asked["w_avg_beta"]
    return _made(stylegan2.MappingConfig, asked)


def _attributes(module, names):
    return {name: module.state[name] for name in names.split() if name in module.state}


def _configured(cls, module, seen):
    """A configuration from the constructor's arguments, overruled by what the network has."""
    asked = dict(_dict(module.state, "_init_kwargs"))
    for nested in ("synthesis_kwargs", "block_kwargs", "epilogue_kwargs"):
        asked |= _dict(asked, nested)
        asked.pop(nested, None)
    asked.pop("mapping_kwargs", None)
    return _made(cls, asked | seen)


def _made(cls, values):
    """cls with these values, but for those that are ignored; each is looked at before its use."""
    fields = {field.name for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in fields | _IGNORED:
            raise Refused(f"an argument {str(name)[:60]!r} that is not one of the official ones")
        for one in value if type(value) in (list, tuple) and len(value) <= 64 else [value]:
            _check_value(name, one)
    return cls(**{name: value for name, value in values.items() if name in fields})


def _check_value(name, value):
    if isinstance(value, (int, float)):
        most = _LIMITS.get(name, _MOST)
        if not -most <= value <= most:  # NaN neither
            raise Refused(f"{name} is out of range; expected numbers up to {most}")
    elif isinstance(value, str):
        if len(value) > 60:
            raise Refused(f"{name} is a text of {len(value)} letters; expected a word")
    elif not isinstance(value, (type(None), stylegan2.MappingConfig)):
        raise Refused(f"{name} is a {type(value).__name__}; expected a number or a word")

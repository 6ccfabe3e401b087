"""NVIDIA's network files (StyleGAN2-ADA, StyleGAN3), opened without PyTorch or running them.

`pickles` gives a tree of modules; here its attributes become a configuration, and its tensors the
parameters and buffers, under their own names.  What they must be follows from the configuration.
"""

import dataclasses
import os
import pathlib

from minigan.files import description, pickles
from minigan.files.pickles import Module, Tensor
from minigan.files.reading import Budget, Refused, shown
from minigan.networks import stylegan2, stylegan3

# Arguments of theirs that change rounding, speed or training only.
_IGNORED = {
    "num_fp16_res", "use_fp16", "use_fp16_before_res", "fp16_channels_last", "channels_last",
    "fused_modconv_default", "freeze_layers",
}  # fmt: skip
# These layers do not resample: they keep the default filter, whatever was asked for.
_UNUSED = {
    stylegan2.Generator: ("conv1.resample_filter",),
    stylegan2.Discriminator: ("conv0.resample_filter", "fromrgb.resample_filter",
                              "b4.conv.resample_filter"),
}  # fmt: skip
_DEEPEST = 8  # modules within modules


def networks(path: pathlib.Path, only: tuple[str, ...] | None = None) -> dict:
    """The networks of an official `.pkl`, {"G": …, "D": …, "G_ema": …}: those it has.

    only: names in the order of preference; the first that the file has is read, the others not.
    Raises: FileNotFoundError; ValueError for a file that is damaged, of another kind, or hostile.
    """
    with open(path, "rb") as file:
        try:
            budget = Budget(os.fstat(file.fileno()).st_size)
            found = pickles.load(file, budget)
            if not isinstance(found, dict):
                raise Refused(f"it holds {shown(found)}; expected a dict of networks")
            names = [n for n in only or ("G", "D", "G_ema") if isinstance(found.get(n), Module)]
            if not names:
                held = ", ".join(f"'{shown(key, 40)}'" for key in list(found)[:6])
                raise Refused(f"it holds {held}; expected networks named G, D or G_ema")
            return {name: _network(name, found[name], budget) for name in names[: 1 if only else 3]}
        except Exception as error:  # descriptions can be wrong in more ways than one can name
            raise ValueError(
                f"{path} cannot be read as a network of NVIDIA's: {shown(error, 600)}"
            ) from None


def _network(name, module, budget):
    """Its network, described and charged before any array is read."""
    cls, config = _described(module)
    fresh = description.outline(cls, config)
    unused, unfit = _UNUSED.get(cls, ()), f"{name} does not fit its own description"
    ours = {key: fresh.buffers.pop(key) for key in [*fresh.buffers] if key.endswith(unused)}
    held = {"_parameters": {}, "_buffers": {}}
    for kind, key, tensor in _tensors(module, budget):
        if key in fresh.params or key in fresh.buffers:
            held[kind][key] = tensor
        elif key not in ours:
            raise Refused(f"{unfit} in {shown(key)} (expected none)")
    network = description.filled(fresh, *held.values(), budget, unfit)
    return network.replace(buffers=network.buffers | ours)


def _tensors(module, budget, prefix="", seen=None):
    """(_parameters or _buffers, name, Tensor), named as in a state dict."""
    seen = set() if seen is None else seen
    if prefix.count(".") > _DEEPEST:
        raise Refused(f"modules within modules, {_DEEPEST} deep; expected fewer")
    if id(module) in seen:  # each of those within it would be walked through again
        raise Refused(f"the module {shown(prefix)} stands in two places; expected a tree")
    seen.add(id(module))
    for kind, cls in (("_parameters", Tensor), ("_buffers", Tensor), ("_modules", Module)):
        for name, value in _dict(module.state, kind).items():
            budget.charge("steps")  # one dict may be that of many modules
            if not isinstance(name, str) or len(name) > 100:
                raise Refused(f"a name in {shown(prefix)} is {shown(name)}; expected a short word")
            if value is None:
                continue
            if not isinstance(value, cls):
                raise Refused(
                    f"{shown(prefix + name)} is {shown(value)}; expected a {cls.__name__}"
                )
            if cls is Module:
                yield from _tensors(value, budget, f"{prefix}{name}.", seen)
            else:
                yield kind, prefix + name, value


def _dict(state, name):
    value = state.get(name, {})
    if not isinstance(value, dict):
        raise Refused(f"{name} is {shown(value)}; expected a dict")
    return value


# ---- configurations ------------------------------------------------------------------------------


def _described(module):
    """(class, configuration) of a Generator or Discriminator."""
    if module.class_name == "Discriminator":
        return stylegan2.Discriminator, _discriminator(module)
    if module.class_name != "Generator":
        raise Refused(
            f"a network '{shown(module.class_name)}'; expected a Generator or Discriminator"
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
        raise Refused(f"{shown(module.class_name)} has no {shown(name)}")
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
    for name in values:
        if name not in fields | _IGNORED:
            raise Refused(f"an argument '{shown(name)}' that is not one of the official ones")
    description.check_values(values)
    return cls(**{name: value for name, value in values.items() if name in fields})

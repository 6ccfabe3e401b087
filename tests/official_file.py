"""Writes a `.pkl` laid out as NVIDIA's StyleGAN3 files, of any size, with Python's own pickler.

The names that such a file uses exist as stand-ins while it is written.
"""

import collections
import io
import pickle
import struct
import sys
import types

import numpy as np

from minigan.networks import stylegan2, stylegan3

SOURCE = 'raise RuntimeError("embedded source must never run")' + " " * 30000


def write(path, config, networks=("G", "D", "G_ema"), change=lambda tree, stand_in: None):
    """A file of a generator of this config and StyleGAN2's discriminator; returns the networks.

    change: what to do with the tree of all modules before it is written.
    """
    made, tree = {}, {}
    about = stylegan2.DiscriminatorConfig(img_resolution=config.img_resolution, conv_clamp=256.0,
                                          img_channels=config.img_channels, c_dim=config.c_dim,
                                          channel_base=config.channel_base,
                                          channel_max=config.channel_max)  # fmt: skip
    with standing_in() as stand_in:
        for i, name in enumerate(networks):
            made[name] = (about if name == "D" else config).build(np.random.default_rng(i))
            tree[name] = module(made[name], stand_in)
        tree |= {"augment_pipe": None, "training_set_kwargs": None}
        change(tree, stand_in)
        with open(path, "wb") as file:
            pickle.dump(tree, file, protocol=4)
    return made


class standing_in:
    """Modules of these names, each function pickled as a call of that name."""

    NAMES = {
        "torch_utils": [],
        "torch": ["FloatStorage"],
        "torch_utils.persistence": ["_reconstruct_persistent_obj"],
        "torch._utils": ["_rebuild_tensor_v2", "_rebuild_parameter"],
        "torch.storage": ["_load_from_bytes"],
    }

    def __enter__(self):
        self.before = dict(sys.modules)
        found = {}
        for module_name, names in self.NAMES.items():
            place = sys.modules[module_name] = types.ModuleType(module_name)
            for name in names:
                cls = type(name, (), {"__module__": module_name})
                setattr(place, name, cls)
                found[name] = cls
        return found

    def __exit__(self, *error):
        for name in self.NAMES:
            sys.modules.pop(name)
            if name in self.before:
                sys.modules[name] = self.before[name]


class Call:
    """Pickled as function(*args)."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Numbers:
    """Pickled as PyTorch's storages are, made only when written."""

    def __init__(self, array, stand_in):
        self.array, self.stand_in = np.ascontiguousarray(array, np.float32), stand_in

    def __reduce__(self):
        return self.stand_in["_load_from_bytes"], (payload(self.array, self.stand_in),)


def payload(array, stand_in):
    """The five pickles and the raw numbers of `torch.save`'s legacy form."""
    out = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001,
                  {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):  # fmt: skip
        pickle.dump(value, out, 2)
    out.write(description(array, stand_in))
    pickle.dump(["1"], out, 2)
    return out.getvalue() + struct.pack("<q", array.size) + array.tobytes()


def description(array, stand_in):
    """The pickle that is one persistent id: what kind of storage, and how long."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 2)
    about = ("storage", stand_in["FloatStorage"], "1", "cpu", array.size, None)
    pickler.persistent_id = lambda value: about if value is array else None
    pickler.dump(array)
    return out.getvalue()


def module(network, stand_in):
    """The tree of a network's modules."""
    config = network.config
    common = {name: getattr(config, name) for name in ("c_dim", "img_resolution", "img_channels")}
    root = node("Discriminator", **common)
    if not isinstance(network, stylegan2.Discriminator):
        root = node("Generator", z_dim=config.z_dim, w_dim=config.w_dim, **common)
    root.update(_init_kwargs={"channel_base": config.channel_base,
                              "channel_max": config.channel_max})  # fmt: skip
    if isinstance(network, stylegan3.Generator):
        for name in ("use_radial_filters", "conv_kernel"):
            root["_init_kwargs"][name] = getattr(config, name)
    elif isinstance(network, stylegan2.Generator):
        root["_init_kwargs"]["synthesis_kwargs"] = {"resample_filter": [*config.resample_filter]}
    else:
        root["_init_kwargs"]["block_kwargs"] = {"resample_filter": [*config.resample_filter]}
        root["block_resolutions"] = [
            2**i for i in range(config.img_resolution.bit_length() - 1, 2, -1)
        ]
    for part in ("params", "buffers"):
        for name, value in getattr(network, part).items():
            place = root
            *above, last = name.split(".")
            for step in above:
                place = place["_modules"].setdefault(step, node("Part"))
            tensor = view(value, stand_in)
            if part == "params":
                tensor = Call(
                    stand_in["_rebuild_parameter"], tensor, False, collections.OrderedDict()
                )
            place["_parameters" if part == "params" else "_buffers"][last] = tensor
    if isinstance(network, stylegan3.Generator):
        parts = root["_modules"]
        parts["mapping"].update(num_layers=config.mapping_kwargs.num_layers, w_avg_beta=0.998)
        layers = [layer.name for layer in stylegan3.schedule(config)[1]]
        parts["synthesis"].update(layer_names=layers, num_layers=config.num_layers,
                                  num_critical=config.num_critical, output_scale=0.25,
                                  margin_size=config.margin_size)  # fmt: skip
        parts["synthesis"]["_modules"][layers[0]].update(conv_kernel=config.conv_kernel,
                                                         conv_clamp=256)  # fmt: skip
    elif isinstance(network, stylegan2.Generator):
        parts = root["_modules"]
        parts["mapping"].update(num_layers=config.mapping_kwargs.num_layers, w_avg_beta=0.995)
        parts["synthesis"]["block_resolutions"] = [
            2**i for i in range(2, config.img_resolution.bit_length())
        ]
        first = parts["synthesis"]["_modules"]["b4"]
        first.update(architecture=config.architecture)
        first["_modules"]["conv1"].update(use_noise=config.use_noise, activation="lrelu",
                                          conv_clamp=config.conv_clamp)  # fmt: skip
    else:
        top = root["_modules"][f"b{config.img_resolution}"]
        top.update(architecture="resnet")
        top["_modules"]["conv0"].update(activation="lrelu", conv_clamp=256)
    return wrapped(root, stand_in)


def view(array, stand_in, size=None, strides=None):
    """A tensor of these numbers, in another size and other strides if given."""
    size = tuple(array.shape) if size is None else size
    if strides is None:
        strides = tuple(int(np.prod(size[i + 1 :], dtype=int)) for i in range(len(size)))
    return Call(stand_in["_rebuild_tensor_v2"], Numbers(array, stand_in), 0, size, strides, False,
                collections.OrderedDict())  # fmt: skip


def node(kind, **attributes):
    return {"class": kind, "_parameters": {}, "_buffers": {}, "_modules": {}} | attributes


def wrapped(place, stand_in):
    """A node as a call of the persistence hook, its children too."""
    state = dict(place)
    kind = state.pop("class")
    state["_modules"] = {k: wrapped(v, stand_in) for k, v in place["_modules"].items()}
    meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": kind, "state": state}
    return Call(stand_in["_reconstruct_persistent_obj"], meta)

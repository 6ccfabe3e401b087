"""The networks, one file per paper: `stylegan1`, `stylegan2`, `stylegan3`; `reader` looks at
portraits.  `base` holds what they share; the table below names all that a file may hold.
"""

import importlib

# How a file calls a network: the module and the class that it is.  By name, since most programs
# need one of them, and since two of the modules lie in folders above this one.
NETWORKS = {
    "stylegan1.Generator": "minigan.networks.stylegan1",
    "stylegan1.Discriminator": "minigan.networks.stylegan1",
    "stylegan2.Generator": "minigan.networks.stylegan2",
    "stylegan2.Discriminator": "minigan.networks.stylegan2",
    "stylegan3.Generator": "minigan.networks.stylegan3",  # its discriminator is StyleGAN2's
    "reader.Network": "minigan.networks.reader",
    "toy.Generator": "minigan.toy.model",
    "toy.Discriminator": "minigan.toy.model",
    "feature_discriminator.FeatureDiscriminator": "minigan.training.feature_discriminator",
}


def class_of(kind: str) -> type:
    """The class that a file calls so.  Raises: KeyError for a kind that is not in `NETWORKS`."""
    return getattr(importlib.import_module(NETWORKS[kind]), kind.rpartition(".")[2])


def kind_of(network: object) -> str:
    """What a file calls this network.  Raises: TypeError for what no file holds."""
    module, name = type(network).__module__, type(network).__name__
    for kind, where in NETWORKS.items():
        if (where, kind.rpartition(".")[2]) == (module, name):
            return kind
    raise TypeError(f"a {module}.{name}; expected one of {', '.join(NETWORKS)}")


def class_for(config: object) -> type:
    """The class of the networks that have such a configuration.  Raises: TypeError if none has."""
    for kind, module in NETWORKS.items():
        if module == type(config).__module__ and class_of(kind).config_class is type(config):
            return class_of(kind)
    raise TypeError(f"{type(config).__qualname__} is the configuration of no network")

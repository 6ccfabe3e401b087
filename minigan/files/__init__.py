"""Networks on disk: `npz`, files of ours; `nvidia`, the official `.pkl`, opened by `pickles`.

`reading` bounds what reading any file may cost; `description` makes networks of what files say.
"""

from minigan.files.array import read_array
from minigan.files.npz import (
    ALIASES,
    MODELS,
    load,
    load_reader,
    read,
    read_networks,
    save,
    shipped,
)

__all__ = [
    "ALIASES",
    "MODELS",
    "load",
    "load_reader",
    "read",
    "read_array",
    "read_networks",
    "save",
    "shipped",
]

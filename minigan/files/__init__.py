"""Networks on disk: `npz`, files of ours; `nvidia`, the official `.pkl`, opened by `pickles`.

`reading` bounds what reading any file may cost.
"""

from minigan.files.npz import ALIASES, MODELS, load, read, read_networks, save, shipped

__all__ = ["ALIASES", "MODELS", "load", "read", "read_networks", "save", "shipped"]

"""minigan: the StyleGAN family, written from scratch on NumPy to be read, changed and broken.

Start with `toy/model.py` (a style-GAN in one dimension), then `autograd` (how it is
differentiated).  `import minigan` loads neither: each is imported when it is first asked for.
"""

import importlib
import os

__version__ = "0.1.0"


def load(name_or_path: str | os.PathLike):
    """The generator in a file, or a shipped one: `load("portraits")`.  See `minigan.files.load`."""
    from minigan import files

    return files.load(name_or_path)


def __getattr__(name: str):
    """A submodule, at its first use: `minigan.ops` after `import minigan` alone."""
    try:
        return importlib.import_module(f"minigan.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"minigan.{name}":
            raise
        raise AttributeError(f"module 'minigan' has no attribute {name!r}") from None

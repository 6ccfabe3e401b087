"""minigan: the StyleGAN family, written from scratch on NumPy to be read, changed and broken.

Start with `toy/model.py` (a style-GAN in one dimension), then `autograd` (how it is
differentiated).  `import minigan` loads neither: each is imported when it is first asked for.
"""

import importlib.util
import os


def __getattr__(name: str):
    """A submodule, `minigan.toy`, which nobody has imported yet."""
    if name.startswith("_") or importlib.util.find_spec(f"minigan.{name}") is None:
        raise AttributeError(f"minigan has no {name!r}")
    return importlib.import_module(f"minigan.{name}")


def load(name_or_path: str | os.PathLike):
    """The generator in a file, or a shipped one: `load("portraits")`.  See `minigan.files.load`."""
    from minigan import files

    return files.load(name_or_path)

"""minigan: the StyleGAN family, written from scratch on NumPy to be read, changed and broken.

Start with `toy/model.py` (a style-GAN in one dimension), then `autograd` (how it is
differentiated).  `import minigan` loads neither: each is imported when it is first asked for.
"""


def load(name_or_path):
    """The generator in a file, or a shipped one: `load("portraits")`.  See `minigan.files.load`."""
    from minigan import files

    return files.load(name_or_path)

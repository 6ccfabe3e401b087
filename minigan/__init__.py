"""minigan: the StyleGAN family, written from scratch on NumPy to be read, changed and broken.

Start with `toy.py` (a style-GAN in one dimension), then `autograd` (how it is differentiated).
`import minigan` loads neither: rooms are imported one by one, `from minigan import toy`.
"""


def load(name_or_path):
    """The generator in a file, or a shipped one: `load("portraits")`.  See `minigan.files.load`."""
    from minigan import files

    return files.load(name_or_path)

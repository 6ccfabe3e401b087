"""What a notebook shows: figures with alt text (`figures`) and the package's own source."""

from minigan.show.figures import COLOURS, images, new, picture, png, signals
from minigan.show.source import source

__all__ = ["COLOURS", "images", "new", "picture", "png", "signals", "source"]

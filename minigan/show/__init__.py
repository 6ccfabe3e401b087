"""What a notebook shows: figures with alt text (`figures`) and the package's own source."""

from minigan.show.figures import COLOURS, new, picture, signals
from minigan.show.source import source

__all__ = ["COLOURS", "new", "picture", "signals", "source"]

"""What the commands' arguments may be, as types for argparse."""

import argparse
import math
import pathlib
from collections.abc import Callable

NETWORK = "a shipped name such as portraits32, a file of ours (.npz) or an official one (.pkl)"


def whole(least: int) -> Callable[[str], int]:
    """Whole numbers from `least` on."""

    def parse(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return parse


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def check_images(network: str | pathlib.Path, G) -> None:
    """Raise ValueError for the toy, which has no images.  network: the argument that named it."""
    if not hasattr(G, "img_channels"):
        raise ValueError(f"{network} holds a toy, which draws signals; expected one of pictures")


def check_out(path: str) -> None:
    """Raise OSError unless a file can have this path: before the work, not after it."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"--out {path} is a folder; expected a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--out {path}: there is no folder {path.parent}")

"""Draw the README's pictures: `python tools/portraits.py [RUN]`.

docs/portraits.png: drawn portraits, the training data.  docs/training.png: the first latents of a
training run in the folder RUN, at four moments, from the grids that it has saved.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

from minigan.data import images, portraits

DOCS = pathlib.Path(__file__).parent.parent / "docs"


def drawn():
    rng = np.random.default_rng(11)
    pictures, _ = portraits.sample(20, 128, rng)
    return images.grid(pictures, 10)


def training(run):
    """Each row the same ten latents, larger; each row later than the one above."""
    grids = sorted(pathlib.Path(run).glob("fakes*.png"))
    last = len(grids) - 1
    rows = []
    for i in (last // 30, last // 8, last // 3, last):
        grid = np.asarray(Image.open(grids[i]))
        size = grid.shape[0] // 8
        tiles = grid.reshape(8, size, 8, size, 3).swapaxes(1, 2).reshape(64, size, size, 3)
        rows.append(np.concatenate(tiles[:10], axis=1))
        print(grids[i].name)
    picture = Image.fromarray(np.concatenate(rows))
    return np.asarray(
        picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST)
    )


def main():
    images.write_png(DOCS / "portraits.png", drawn())
    if len(sys.argv) > 1:
        images.write_png(DOCS / "training.png", training(sys.argv[1]))


if __name__ == "__main__":
    main()

"""Opening a shipped generator, and a picture of it: python benchmarks/shipped.py"""

import time

import numpy as np

import minigan
from minigan import files


def main():
    rng = np.random.default_rng(0)
    for name in sorted(path.stem for path in files.MODELS.glob("portraits*.npz")):
        if name.endswith("-D"):
            continue
        minigan.load(name)(rng.standard_normal((1, 64), np.float32))  # kernels are loaded
        opened, pictures = [], []
        for _ in range(15):
            z = rng.standard_normal((1, 64), np.float32)
            begun = time.perf_counter()
            G = minigan.load(name)
            G(z)
            opened.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            G(z)
            pictures.append(time.perf_counter() - begun)
        print(f"{name:17} opened, first picture {1000 * np.median(opened):5.1f} ms, "
              f"each further one {1000 * np.median(pictures):4.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()

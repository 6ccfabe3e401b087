"""Portraits drawn per second, on one core: python benchmarks/portraits.py"""

import os
import time

os.environ["MINIGAN_NUM_THREADS"] = "1"

import numpy as np

from minigan.data import portraits


def main():
    rng = np.random.default_rng(0)
    for size, count in ((32, 512), (64, 256), (128, 64), (256, 16)):
        portraits.sample(count, size, rng)
        rates = []
        for _ in range(7):
            begun = time.perf_counter()
            portraits.sample(count, size, rng)
            rates.append(count / (time.perf_counter() - begun))
        print(f"{size:3d}²: {np.median(rates):6.0f} pictures a second")


if __name__ == "__main__":
    main()

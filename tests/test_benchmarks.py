"""The benchmark that most machines cannot run does run: on the emulator, with a clock that stands still."""

import numpy as np
import pytest

from benchmarks import generators, gpu
from minigan.networks import stylegan2


@pytest.mark.slow
def test_gpu_table(device_emulated, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "torch", None)
    monkeypatch.setattr(generators, "torch", None)
    monkeypatch.setattr(gpu, "CONVOLUTIONS", [(2, 9, 8, 10)])
    monkeypatch.setattr(gpu, "PLANES", (1, 2, 32))
    monkeypatch.setattr(gpu, "NETWORKS", {16: [2]})
    monkeypatch.setattr(gpu, "rates", lambda rounds: dict.fromkeys(("copy", *gpu.PRECISIONS), 1e9))
    monkeypatch.setattr(gpu, "card", lambda: ("an emulator", "an emulator"))
    small = {"channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}
    monkeypatch.setitem(generators.CONFIGS, "stylegan2", lambda res: stylegan2.Config(img_resolution=res, **small))  # fmt: skip
    called = []

    def milliseconds(variants, rounds, queued=True):
        called.extend(variants.values())
        for function in variants.values():
            assert np.isfinite(function().get()).all()
        return dict.fromkeys(variants, 1.0)

    monkeypatch.setattr(gpu, "milliseconds", milliseconds)
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    gpu.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(rows) == 3 * 2 + 9 + 9 + 3 and len(called) == 9 + 9 + 2 * 3

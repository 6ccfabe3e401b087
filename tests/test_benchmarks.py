"""The benchmark that most machines cannot run does run: on the emulator, with a clock that stands still."""

import numpy as np
import pytest

from benchmarks import generators, gpu
from minigan.networks import stylegan2
from minigan.ops.gpu import conv2d, launch
from minigan.ops.gpu.emulator import cupy as stand_in


@pytest.mark.slow
@pytest.mark.parametrize("capability, convolutions", [("80", 9), ("90", 9 + 4)])
def test_gpu_table(capability, convolutions, device_emulated, monkeypatch, capsys):
    monkeypatch.setattr(stand_in.settings, "capability", capability)
    usual = capability == "80"  # either way, the benchmark leaves it as it was
    monkeypatch.setattr(conv2d, "WARPGROUPS", usual)
    launch._capability.cache_clear()
    monkeypatch.setattr(gpu, "torch", None)
    monkeypatch.setattr(generators, "torch", None)
    monkeypatch.setattr(gpu, "CONVOLUTIONS", [(2, 9, 8, 40)])
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
    assert len(rows) == 3 * 2 + convolutions + 9 + 3
    assert len(called) == convolutions + 9 + 2 * 3 and conv2d.WARPGROUPS == usual
    launch._capability.cache_clear()

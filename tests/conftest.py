"""What all tests share: quiet progress bars and the reference vectors."""

import json
import os
import pathlib

import numpy as np
import pytest

from minigan.device import cupy
from minigan.ops.gpu import emulator
from tests import arrays

os.environ["MINIGAN_QUIET"] = "1"
ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


DEVICES = [
    "cpu",
    pytest.param("emulator", marks=pytest.mark.slow),
    pytest.param("gpu", marks=pytest.mark.gpu),
]


@pytest.fixture(scope="module", params=DEVICES)
def device(request):
    """Runs the module's tests on NumPy arrays, on the emulator and on a GPU: see arrays.py."""
    if request.param == "emulator" and emulator.compiler() is None:
        pytest.skip("the emulator needs a C++ compiler: g++ or clang++")
    if request.param == "gpu":
        try:
            cupy()
        except RuntimeError as error:
            pytest.skip(str(error))
    arrays.move_to(request.param)
    yield request.param
    arrays.move_to("cpu")


@pytest.fixture
def device_emulated():
    """The emulator as CuPy, for a test."""
    if emulator.compiler() is None:
        pytest.skip("the emulator needs a C++ compiler: g++ or clang++")
    arrays.move_to("emulator")
    yield
    arrays.move_to("cpu")


@pytest.fixture(scope="session")
def golden():
    """golden("loss/adam_steps") -> (arrays, meta); how they were made: tests/golden/README.md."""

    def load(name):
        arrays = np.load(GOLDEN / f"{name}.npz")
        return arrays, json.loads(str(arrays["meta_json"]))

    return load


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A running JupyterLab: `tests.jupyter.Lab`."""
    from tests.jupyter import Lab

    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium: `tests.jupyter.Chromium`."""
    from tests import jupyter

    if jupyter.chromium() is None:
        pytest.skip("no chromium on this machine; apt-get install chromium")
    with jupyter.Chromium() as browser:
        yield browser


def pytest_terminal_summary(terminalreporter):
    """How many wrong solutions were tried, and how many survived: `test_mutants.py`."""
    stats = terminalreporter.stats
    wrong = {
        outcome: sum(
            "test_mutants_are_caught" in report.nodeid and "__correct_" not in report.nodeid
            for report in stats.get(outcome, ())
        )
        for outcome in ("passed", "failed")
    }
    if sum(wrong.values()):
        words = f"{sum(wrong.values())} wrong solutions tried, half of them without hidden tests"
        terminalreporter.write_line(f"mutants: {words}; {wrong['failed']} survived")

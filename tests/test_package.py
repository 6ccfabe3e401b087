"""Imports stay light and low; figures and sources show what they promise; the command line works."""

import ast
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from minigan import show, toy

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "minigan"
# Each room may import those before it, and its own.
FLOORS = ["device", "autograd", "losses", "optim", "toy", "ops", "filters", "layers", "networks", "augment", "pickles", "official", "files",
          "data", "features", "equivariance", "metrics", "measure", "expert", "settings", "training", "transfer", "runs", "generate", "toy_training", "toy_compare", "toy_mixing", "sticking", "imitation", "show",
          "cards", "grading", "__main__"]  # fmt: skip


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module in ("minigan", "minigan.data"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_room_imports_a_higher_one(path):
    mine = room(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "minigan" and rest and mine != "__init__":
            assert FLOORS.index(rest.split(".")[0]) <= FLOORS.index(mine), name
        if top in ("matplotlib", "ipywidgets", "IPython", "pygments"):
            assert mine == "show" or (top, path.name) == ("IPython", "worker.py")
        if top in ("pytest", "nbformat"):
            assert mine == "grading"
        assert top != "cupy"  # nobody but device.cupy(), when it is asked for


def test_import_is_light():
    code = (
        "import sys, minigan; print([m for m in sys.modules if m in ('numpy', 'numba', 'scipy')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_picture_needs_alt_text():
    fig, ax = show.new(title="A line")
    ax.plot([0, 1])
    with pytest.raises(ValueError, match="alt is ''; expected a sentence"):
        show.picture(fig, "")
    picture = show.picture(fig, 'Rises from 0 to 1, "straight"')
    html = picture._repr_html_()
    assert 'alt="Rises from 0 to 1, &quot;straight&quot;"' in html and "base64" in html
    assert repr(picture).startswith("[picture: Rises") and picture.data.startswith(b"\x89PNG")


def test_signals_has_a_row_for_each_label():
    x = np.zeros((3, 1, 8))
    picture = show.signals({"a": x, "b": ("data", x)}, "Zeros", "Two rows of three flat lines")
    assert picture.data.startswith(b"\x89PNG")


def test_source_is_the_packages_own():
    text = repr(show.source(toy.adain))
    assert text.startswith("# minigan/toy.py, line ") and "def adain(x, scale, bias):" in text
    assert "def" in show.source(toy.adain)._repr_html_()
    with pytest.raises(TypeError, match="no Python source"):
        show.source(np.add)


@pytest.mark.parametrize("arguments, silent", [([], False), (["--no-adain"], True)])
def test_the_toy_says_what_one_number_hides(arguments, silent):
    command = [sys.executable, "-m", "minigan", "toy", "--seed", "1", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers = [float(line.split()[-1]) for line in run.stdout.splitlines() if line.startswith("  ")]
    assert numbers[0] > 0.05 and (numbers[1] == 0) is silent and numbers[2] > 0.05
    assert ("no path leads from w" in run.stdout) is silent

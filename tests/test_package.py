"""Imports stay light and low; figures and sources show what they promise."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from minigan import progress, show, toy
from minigan.ops.cpu.runtime import compile as jit
from minigan.progress import quiet

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "minigan"
# Lowest first, as the block under "The layers" names them: each may import those before it.
LAYERS = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("```")[1].split("\n")
LAYERS = [line.split()[0] for line in LAYERS if line.strip()]


def layer(module):
    """The place in `LAYERS` of files.npz or files/npz: of what names most of it."""
    parts = module.removesuffix(".py").replace("/", ".").split(".")
    names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((LAYERS.index(name) for name in names if name in LAYERS), None)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module.startswith("minigan"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))


def test_all_that_there_is_has_a_layer():
    assert len(LAYERS) == len(set(LAYERS))
    missing = [str(p) for p in FILES if layer(str(p.relative_to(PACKAGE))) is None]
    assert missing == [str(PACKAGE / "__init__.py")]
    for name in LAYERS:
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    shown = [p for p in PACKAGE.iterdir() if p.name != "__pycache__"]
    assert len(shown) <= 26, sorted(p.name for p in shown)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_layer_imports_a_higher_one(path):
    inside = str(path.relative_to(PACKAGE))
    mine, own = layer(inside), inside.split("/")[0].removesuffix(".py")
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "minigan" and rest and mine is not None:
            theirs = layer(rest)
            assert theirs is None or theirs <= mine, name
        if top in ("matplotlib", "ipywidgets", "anywidget", "IPython", "pygments"):
            assert own == "show" or (top, path.name) == ("IPython", "worker.py")
        if top in ("pytest", "nbformat"):
            assert own == "grading"
        assert top != "tqdm" or inside == "progress.py"
        assert top != "sklearn" or inside == "editing/directions.py"
        assert top != "cupy"  # nobody but device.cupy(), when it is asked for


def test_files_named_in_the_text_are_there():
    """In docstrings and comments: `name.py` its path from there, the package or the root."""
    named = re.compile(r"`((?:\w+/)*\w+\.py)`|(?<![\w/<\"])((?:\w+/)*\w+\.cuh?)\b")
    count = 0
    for path in (p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".cu", ".cuh", ".h")):
        for match in named.finditer(path.read_text(encoding="utf-8")):
            name, count = match[1] or match[2], count + 1
            places = (path.parent, path.parent.parent, PACKAGE, ROOT)
            assert any((place / name).is_file() for place in places), f"{path}: {name}"
    assert count > 50


def test_no_imports_go_round():
    """Of modules at their top: what is imported inside a function comes after all of them."""
    modules = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in FILES
    }
    graph = graphlib.TopologicalSorter()
    for name, path in modules.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    graph.add(name, whole if whole in modules else node.module)
            elif isinstance(node, ast.Import):
                graph.add(name, *(alias.name for alias in node.names))
    graph.prepare()


def test_one_variable_silences_all_in_one_way(monkeypatch):
    for value, silent in ((None, False), ("", False), ("0", False), ("1", True)):
        monkeypatch.delenv("MINIGAN_QUIET", raising=False)
        if value is not None:
            monkeypatch.setenv("MINIGAN_QUIET", value)
        assert quiet() is silent
        with progress.bar(range(3), "three") as bar:
            assert bar.disable is silent and list(bar) == [0, 1, 2]
        notice = jit._Notice(wait=60)
        notice.on_start(None)
        assert (notice.timer is None) is silent
        notice.on_end(None)
    readers = [p.name for p in FILES if 'environ.get("MINIGAN_QUIET")' in p.read_text()]
    assert readers == ["progress.py"]


def test_a_quick_check_needs_what_a_student_installs():
    """`make check`: what its tests import is installed with the extras lab and grade."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["grade"]]
    known = {re.match(r"[\w-]+", need)[0].replace("pillow", "PIL") for need in needs}
    known |= {*sys.stdlib_module_names, "minigan", "tests"}
    rule = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    files = re.findall(r"tests/test_\w+\.py", rule)
    assert len(files) > 1
    for name in ("tests/conftest.py", "tests/arrays.py", *files):
        tops = {each.partition(".")[0] for each in imports(ROOT / name) if each}
        assert tops <= known, name


def test_import_is_light():
    code = (
        "import sys, minigan, minigan.progress; "
        "print([m for m in sys.modules if m in ('numpy', 'numba', 'scipy', 'tqdm')]); "
        "import minigan.editing.budget; print('sklearn' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]", "False"]


def test_a_submodule_is_imported_at_its_first_use():
    code = (
        "import sys, minigan; assert 'minigan.filters' not in sys.modules; "
        "print(minigan.filters.setup_filter([1, 1]).sum()); minigan.nosuch"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "1.0\n"
    assert run.stderr.endswith("AttributeError: module 'minigan' has no attribute 'nosuch'\n")


def test_a_picture_needs_alt_text():
    fig, ax = show.new(title="A line")
    ax.plot([0, 1])
    with pytest.raises(ValueError, match="alt is ''; expected a sentence"):
        show.picture(fig, "")
    picture = show.picture(fig, 'Rises from 0 to 1, "straight"')
    html = picture._repr_html_()
    assert 'alt="Rises from 0 to 1, &quot;straight&quot;"' in html and "base64" in html
    # JupyterLab shows the first line of a collapsed output: neither base64 nor the answer.
    assert len(html.splitlines()[0]) < 60 and "Rises" not in html.splitlines()[0]
    assert repr(picture).startswith("[picture: Rises") and picture.data.startswith(b"\x89PNG")


def test_signals_has_a_row_for_each_label():
    x = np.zeros((3, 1, 8))
    picture = show.signals({"a": x, "b": ("data", x)}, "Zeros", "Two rows of three flat lines")
    assert picture.data.startswith(b"\x89PNG")


def test_source_is_the_packages_own():
    text = repr(show.source(toy.adain))
    assert text.startswith("# minigan/toy/model.py, line ") and "def adain(x, scale, bias):" in text
    assert "def" in show.source(toy.adain)._repr_html_()
    with pytest.raises(TypeError, match="no Python source"):
        show.source(np.add)

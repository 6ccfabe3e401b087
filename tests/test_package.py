"""Imports stay light and low; figures and sources show what they promise; the command line works."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from minigan import __main__ as command_line
from minigan import show, toy
from minigan.data import portraits
from minigan.ops import warm
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
    assert len(shown) <= 24, sorted(p.name for p in shown)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_layer_imports_a_higher_one(path):
    inside = str(path.relative_to(PACKAGE))
    mine, own = layer(inside), inside.split("/")[0].removesuffix(".py")
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "minigan" and rest and mine is not None:
            theirs = layer(rest)
            assert theirs is None or theirs <= mine, name
        if top in ("matplotlib", "ipywidgets", "IPython", "pygments"):
            assert own == "show" or (top, path.name) == ("IPython", "worker.py")
        if top in ("pytest", "nbformat"):
            assert own == "grading"
        assert top != "cupy"  # nobody but device.cupy(), when it is asked for


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


def say(monkeypatch, capsys, *arguments):
    """What a command that fails says: a sentence."""
    monkeypatch.setattr(sys, "argv", ["minigan", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    text = end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err
    assert isinstance(end.value.code, str) is text.startswith("error: ") and "Traceback" not in text
    return text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("toy", "compare", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("toy", "mixing", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("sticking", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("features", "--task", "factors", "--out", "HERE/none/f.npz"), "there is no folder HERE/none"),
        (("imitate", "--out", "HERE"), "--out HERE is a folder; expected a file"),
        (("toy", "--seed", "-1"), "--seed: '-1' is not a whole number from 0"),
        (("toy", "compare", "--jobs", "0"), "--jobs: '0' is not a whole number from 1"),
        (("imitate", "--out", "HERE/p.npz", "--kimg", "nan"), "--kimg: 'nan' is not a number above 0"),
        (("export", "--run", "HERE/none", "--name", "n"), "there is no file HERE/none/checkpoint.npz"),
        (("measure", "--network", "HERE"), "HERE is a folder; expected a file"),
        (("measure", "--network", "HERE/page.npz"), "HERE/page.npz is a web page"),
        (("generate", "--network", "HERE/page.npz", "--seeds", "0", "--out", "HERE/o"), "is a web page"),
        (("generate", "--network", "portraits", "--seeds", "0", "--out", "HERE/page.npz"),
         "error: HERE/page.npz: File exists"),
        (("train", "--outdir", "HERE/page.npz/run"), "error: HERE/page.npz/run: Not a directory"),
        (("train", "--outdir", "HERE/run", "--resume"), "there is no file HERE/run/checkpoint.npz"),
        (("train", "--outdir", "HERE/run", "--init", "HERE/page.npz"), "HERE/page.npz is a web page"),
        (("train", "--outdir", "HERE/run", "--set", "G=3"), "G is 3; expected a generator's settings"),
        (("train", "--outdir", "HERE/run", "--set", "G.mapping_kwargs=3"), "expected a MappingConfig"),
        (("train", "--outdir", "HERE/run", "--set", "G.z_dim.x=3"), "no setting 'G.z_dim.x'"),
        (("train", "--outdir", "HERE/run", "--set", "batch={[]:1}"), "batch is '{[]:1}'; expected a"),
        (("train", "--outdir", "HERE/run", "--set", "grow=8"), "grow is 8; expected a list of numbers"),
    ],
)  # fmt: skip
def test_wrong_use_is_said_in_a_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "page.npz").write_text("<html>Quota exceeded")
    arguments = [a.replace("HERE", str(tmp_path)) for a in arguments]
    assert words.replace("HERE", str(tmp_path)) in say(monkeypatch, capsys, *arguments)
    assert [p.name for p in tmp_path.iterdir()] == ["page.npz"]


def test_a_bug_is_said_and_can_be_traced(monkeypatch, capsys):
    def broken(*args):
        raise KeyError("yaw")

    monkeypatch.setattr(portraits, "draw", broken)
    monkeypatch.setattr(warm, "warm", lambda everything: None)
    text = say(monkeypatch, capsys, "warm")
    assert text.startswith("error: KeyError: 'yaw'") and "MINIGAN_TRACEBACK=1" in text
    monkeypatch.setenv("MINIGAN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        command_line.main()


def test_each_command_may_stop_or_lack_memory(monkeypatch, capsys):
    for error, text in ((MemoryError, "error: MemoryError"), (KeyboardInterrupt, "stopped")):

        def broken(everything, error=error):
            raise error

        monkeypatch.setattr(warm, "warm", broken)
        monkeypatch.setattr(sys, "argv", ["minigan", "warm"])
        with pytest.raises(SystemExit, match=f"^{text}$"):
            command_line.main()


@pytest.mark.parametrize("arguments, silent", [([], False), (["--no-adain"], True)])
def test_the_toy_says_what_one_number_hides(arguments, silent):
    command = [sys.executable, "-m", "minigan", "toy", "--seed", "1", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers = [float(line.split()[-1]) for line in run.stdout.splitlines() if line.startswith("  ")]
    assert numbers[0] > 0.05 and (numbers[1] == 0) is silent and numbers[2] > 0.05
    assert ("no path leads from w" in run.stdout) is silent

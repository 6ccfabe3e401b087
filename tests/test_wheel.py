"""The wheel holds what ships and nothing else, and draws portraits where there is nothing but it."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from minigan.cli import pictures

ROOT = pathlib.Path(__file__).parent.parent
PARTS = ("minigan", "tests", "tools", "benchmarks", "pyproject.toml", "README.md", "LICENSE")
CACHES = shutil.ignore_patterns("__pycache__", "*.egg-info")


def run(*command, cwd):
    """What a command prints that must not find this project by itself."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = list(map(str, command))
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def python_in(folder):
    """A Python that finds this one's packages, but not this project, which lies elsewhere."""
    venv.create(folder)
    python = folder / "bin" / "python"
    paths = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    site = pathlib.Path(run(python, "-c", paths, cwd=folder).strip())
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.mark.slow
def test_a_wheel_holds_what_ships_and_draws_portraits(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "empty"
    source.mkdir()
    folder.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=CACHES)
        else:
            shutil.copy(ROOT / name, source)
    ships = {
        path.relative_to(source).as_posix()
        for path in (source / "minigan").rglob("*")
        if path.is_file()
    }
    for name in ("__pycache__/a.cpython-311.pyc", "ops/__pycache__/a.nbi", "ops/gpu/a.cubin"):
        (source / "minigan" / name).parent.mkdir(exist_ok=True)
        (source / "minigan" / name).write_text("made on this machine")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source)
    run(*pip, *build, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in held if name.split("/")[0].endswith(".dist-info")}
    assert held - about == ships
    assert {"METADATA", "RECORD", "LICENSE"} <= {name.split("/")[-1] for name in about}

    python = python_in(tmp_path / "venv")
    install = ("install", "--no-deps", "--no-index", "--ignore-installed", wheel)
    run(*pip, "--python", python, *install, cwd=tmp_path)
    where = run(python, "-c", "import minigan; print(minigan.__file__)", cwd=folder)
    assert pathlib.Path(where.strip()).is_relative_to(tmp_path / "venv")
    command = ("-m", "minigan", "generate", "--network", "portraits64", "--seeds", "0-3")
    run(python, *command, "--outdir", "out", cwd=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["out"]
    pictures.generate("portraits64", range(4), tmp_path / "here")
    for path in sorted((tmp_path / "here").iterdir()):
        assert (folder / "out" / path.name).read_bytes() == path.read_bytes()
    assert len(list((folder / "out").iterdir())) == 4

"""The command `minigan`: every command has its help, and wrong use is said in one sentence."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from minigan import files, toy
from minigan.cli.main import main
from minigan.data import portraits
from minigan.experiments import path_length
from minigan.ops import warm

ROOT = pathlib.Path(__file__).parent.parent
COMMANDS = {
    "toy", "train", "generate", "style-mix", "interpolate", "draw", "export", "distill", "reader",
    "measure", "card", "experiment", "warm", "invert",
}  # fmt: skip
EXPERIMENTS = {
    "styles_or_concatenation", "style_mixing", "texture_sticking", "path_length", "readable_w",
}  # fmt: skip


def helped(monkeypatch, capsys, *arguments):
    """What --help prints."""
    monkeypatch.setattr(sys, "argv", ["minigan", *arguments, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command_and_each_explains_itself(monkeypatch, capsys):
    listed = re.findall(r"^    ([a-z]\S*)", helped(monkeypatch, capsys), re.MULTILINE)
    assert set(listed) == COMMANDS and len(listed) == len(COMMANDS)
    for name in COMMANDS:
        assert f"usage: minigan {name} [-h]" in helped(monkeypatch, capsys, name)
    text = helped(monkeypatch, capsys, "experiment")
    assert set(re.findall(r"^    ([a-z]\S*)", text, re.MULTILINE)) == EXPERIMENTS
    for name in EXPERIMENTS:
        text = helped(monkeypatch, capsys, "experiment", name)
        assert all(option in text for option in ("--seeds", "--jobs", "--out"))


def test_help_imports_nothing_that_takes_time():
    code = (
        "import sys; sys.argv = ['minigan', '--help']\n"
        "from minigan.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'scipy', 'matplotlib', 'PIL', 'tqdm'}\n"
        "print('heavy:', sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: minigan" in run.stdout and run.stdout.endswith("heavy: []\n")


def test_the_console_script_is_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["scripts"]["minigan"]
    assert importlib.metadata.EntryPoint("minigan", name, "console_scripts").load() is main


def test_an_experiment_gets_the_options_that_were_given(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(path_length.TABLE.__class__, "make", lambda self, *args: asked.append(args))
    monkeypatch.setattr(path_length, "summary", lambda rows: "the table")
    for options in (
        [],
        ["--weight", "0", "5", "--seeds", "3", "4", "--jobs", "1", "--out", "t.csv"],
    ):
        monkeypatch.setattr(sys, "argv", ["minigan", "experiment", "path_length", *options])
        main()
    three = [(weight, [0, 1, 2]) for weight in (0, 2, 100)]
    assert asked[0] == (three, "notebooks/results/path_length.csv", 2)
    assert asked[1] == ([(0, [3, 4]), (5, [3, 4])], "t.csv", 1)
    assert capsys.readouterr().out == "the table\nthe table\n"


def say(monkeypatch, capsys, *arguments):
    """What a command that fails says: a sentence."""
    monkeypatch.setattr(sys, "argv", ["minigan", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    text = end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err
    assert isinstance(end.value.code, str) is text.startswith("error: ") and "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.npz"
    files.save(path, {"G": toy.Generator.init(toy.Config(), np.random.default_rng(0))})
    return path


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("experiment", "styles_or_concatenation", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("experiment", "style_mixing", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("experiment", "texture_sticking", "--out", "HERE/none/t.csv"), "there is no folder HERE/none"),
        (("experiment", "path_length", "--out", "HERE"), "HERE, which is a folder; expected a file"),
        (("experiment", "path_length", "--seeds", "1", "--out", "HERE/t.csv"), "expected two or more"),
        (("experiment", "path_length", "--weight", "-1"), "--weight: '-1' is not a number above 0"),
        (("experiment", "mixing"), "invalid choice: 'mixing'"),
        (("reader", "--task", "factors", "--out", "HERE/none/f.npz"), "there is no folder HERE/none"),
        (("distill", "--out", "HERE"), "--out HERE is a folder; expected a file"),
        (("toy", "--seed", "-1"), "--seed: '-1' is not a whole number from 0"),
        (("experiment", "style_mixing", "--jobs", "0"), "--jobs: '0' is not a whole number from 1"),
        (("distill", "--out", "HERE/p.npz", "--kimg", "nan"), "--kimg: 'nan' is not a number above 0"),
        (("export", "--run", "HERE/none", "--name", "n"), "there is no file HERE/none/checkpoint.npz"),
        (("measure", "HERE"), "HERE is a folder; expected a file"),
        (("card", "--network", "portraits32-D"), "does not say how it was made"),
        (("measure", "TOY"), "holds a toy, which draws signals; expected one of pictures"),
        (("distill", "--teacher", "TOY", "--out", "HERE/p.npz"), "holds a toy, which draws signals"),
        (("measure", "HERE/page.npz"), "HERE/page.npz is a web page"),
        (("generate", "--network", "HERE/page.npz", "--seeds", "0", "--outdir", "HERE/o"), "is a web page"),
        (("generate", "--network", "portraits", "--seeds", "0", "--outdir", "HERE/page.npz"),
         "error: HERE/page.npz: File exists"),
        (("train", "--outdir", "HERE/page.npz/run"), "error: HERE/page.npz/run: Not a directory"),
        (("train", "--outdir", "HERE/run", "--resume"), "there is no file HERE/run/checkpoint.npz"),
        (("train", "--outdir", "HERE/run", "--init", "HERE/page.npz"), "HERE/page.npz is a web page"),
        (("draw", "--outdir", "HERE/o", "--manner", "robot"), "--manner: invalid choice: 'robot'"),
        (("draw", "--outdir", "HERE/page.npz"), "error: HERE/page.npz: File exists"),
        (("train", "--outdir", "HERE/run", "--set", "G=3"), "G is 3; expected a generator's settings"),
        (("train", "--outdir", "HERE/run", "--set", "G.mapping_kwargs=3"), "expected a MappingConfig"),
        (("train", "--outdir", "HERE/run", "--set", "G.z_dim.x=3"), "no setting 'G.z_dim.x'"),
        (("train", "--outdir", "HERE/run", "--set", "batch={[]:1}"), "batch is '{[]:1}'; expected a"),
        (("train", "--outdir", "HERE/run", "--set", "grow=8"), "grow is 8; expected a list of numbers"),
    ],
)  # fmt: skip
def test_wrong_use_is_said_in_a_sentence(arguments, words, toy_file, tmp_path, monkeypatch, capsys):
    (tmp_path / "page.npz").write_text("<html>Quota exceeded")
    arguments = [a.replace("HERE", str(tmp_path)).replace("TOY", str(toy_file)) for a in arguments]
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
        main()


def test_each_command_may_stop_or_lack_memory(monkeypatch, capsys):
    for error, text in ((MemoryError, "error: MemoryError"), (KeyboardInterrupt, "stopped")):

        def broken(everything, error=error):
            raise error

        monkeypatch.setattr(warm, "warm", broken)
        monkeypatch.setattr(sys, "argv", ["minigan", "warm"])
        with pytest.raises(SystemExit, match=f"^{text}$"):
            main()


@pytest.mark.parametrize("arguments, silent", [([], False), (["--no-adain"], True)])
def test_the_toy_says_what_one_number_hides(arguments, silent):
    command = [sys.executable, "-m", "minigan", "toy", "--seed", "1", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers = [float(line.split()[-1]) for line in run.stdout.splitlines() if line.startswith("  ")]
    assert numbers[0] > 0.05 and (numbers[1] == 0) is silent and numbers[2] > 0.05
    assert ("no path leads from w" in run.stdout) is silent

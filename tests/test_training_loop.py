"""A training run: nothing is lost, and nothing is silent."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minigan import device, files, training
from minigan.data import images
from minigan.data.stream import open_data
from minigan.evaluation import variance
from minigan.training import loop
from tests.test_training import CONFIGS, EVERYTHING, G2, TINY, quiet, same  # noqa: F401

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize("name", CONFIGS)
def test_a_resumed_run_is_the_uninterrupted_one(name, tmp_path):
    config = CONFIGS[name]
    whole = training.train(config, tmp_path / "whole")
    training.train(dataclasses.replace(config, kimg=0.016), tmp_path / "parts")
    again = training.train(config, tmp_path / "parts", resume=True)
    same(whole, again)
    same(whole, training.restore(tmp_path / "parts" / "checkpoint.npz", config)[0])
    rows = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + len((tmp_path / "whole" / "log.csv").read_text().splitlines()) - 1
    assert whole.images == 40 and whole.step == 10


RUN = """
import sys
from tests.test_training_loop import *
config = dataclasses.replace(EVERYTHING, kimg=0.4, kimg_per_tick=0.008)
training.train(config, sys.argv[1], resume=pathlib.Path(sys.argv[1], "checkpoint.npz").exists())
"""


def start_run(folder):
    environment = {**os.environ, "MINIGAN_QUIET": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env=environment, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_the_same(tmp_path):
    config = dataclasses.replace(EVERYTHING, kimg=0.4, kimg_per_tick=0.008)
    begun = time.monotonic()
    whole = training.train(config, tmp_path / "whole")
    length = time.monotonic() - begun
    chance = random.Random(0)
    kills = 0
    while kills < 10:
        before = images_in(tmp_path / "killed")
        run = start_run(tmp_path / "killed")
        while images_in(tmp_path / "killed") == before and run.poll() is None:
            time.sleep(0.01)  # it imports, and comes to its first checkpoint
        time.sleep(chance.uniform(0, length / 20))
        if run.poll() is not None:
            break
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        # What was saved can be read at any moment, and no more than a tick was lost.
        training.restore(tmp_path / "killed" / "checkpoint.npz", config)
    assert kills == 10
    run = start_run(tmp_path / "killed")
    assert run.wait(120) == 0, run.stderr.read()
    same(whole, training.restore(tmp_path / "killed" / "checkpoint.npz", config)[0])


def images_in(folder):
    path = folder / "checkpoint.npz"
    if not path.exists():
        return -1
    with np.load(path) as file:
        return json.loads(str(file["meta_json"]))["state"]["images"]


def test_ctrl_c_saves_and_returns(tmp_path, monkeypatch, capsys):
    advance, steps = training.advance, []

    def interrupted(*args):
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt
        return advance(*args)

    monkeypatch.setattr(loop, "advance", interrupted)
    stopped = training.train(TINY, tmp_path)
    assert "stopped at 0.0 kimg and saved; --resume goes on" in capsys.readouterr().out
    assert stopped.step == 6
    same(stopped, training.restore(tmp_path / "checkpoint.npz", TINY)[0])  # between two ticks
    monkeypatch.setattr(loop, "advance", advance)
    same(training.train(TINY, tmp_path, resume=True), training.train(TINY, tmp_path / "whole"))


@pytest.mark.parametrize("where", ["synthesis.b8.conv0", "b8.conv1", "mapping.fc1"])
def test_nan_stops_with_its_step_and_layer(where, tmp_path, monkeypatch):
    state = training.train(dataclasses.replace(TINY, kimg=0.016), tmp_path)
    which = "G" if where.startswith(("synthesis", "mapping")) else "D"
    network = getattr(state, which)
    weight = network.params[f"{where}.weight"].copy()
    weight.flat[0] = np.nan
    broken = network.replace(params=network.params | {f"{where}.weight": weight})
    state = dataclasses.replace(state, **{which: broken})
    monkeypatch.setattr(loop, "restore", lambda *args: (state, []))
    with pytest.raises(training.Diverged) as error:
        training.train(TINY, tmp_path, resume=True)
    text = str(error.value)
    assert "came apart at step 4" in text and f"not finite first at {where}" in text
    assert f"the last good checkpoint is {tmp_path / 'checkpoint.npz'}" in text


def test_too_high_a_rate_is_noticed(tmp_path):
    config = dataclasses.replace(TINY, g_lr=1e30, d_lr=1e30)
    with (
        pytest.raises(training.Diverged, match="came apart at step [0-9]+ "),
        np.errstate(all="ignore"),
    ):
        training.train(config, tmp_path)
    assert training.restore(tmp_path / "checkpoint.npz", config)[0].step == 0


FULL = """
import resource, sys
from tests.test_training_loop import *
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # a disk that takes 20 kB a file
try:
    training.train(dataclasses.replace(TINY, kimg=0.2), sys.argv[1], resume=True)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_the_older_checkpoint(tmp_path):
    state = training.train(TINY, tmp_path)
    environment = {**os.environ, "MINIGAN_QUIET": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "cannot write" in run.stdout and "the older file there is intact" in run.stdout, (
        run.stderr
    )
    same(state, training.restore(tmp_path / "checkpoint.npz", TINY)[0])
    assert not list(tmp_path.glob(".*")), "temporary files are left"


def test_the_split_can_be_logged_at_each_tick(tmp_path):
    rows = []
    config = dataclasses.replace(TINY, split_each_tick=True)
    training.train(config, tmp_path, on_tick=lambda state, row: rows.append(row["w_share"]))
    assert len(rows) == 3 and all(0 < share <= 1 for share in rows)
    assert "w_share" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_a_run_that_ignores_w_is_told_so(tmp_path, capsys):
    state = training.start(TINY)
    dead = {k: 0 * v if k.endswith("affine.weight") else v for k, v in state.G.params.items()}
    dead |= {k: v + 1 for k, v in dead.items() if k.endswith("noise_strength")}
    variance.does_w_matter(state.G.replace(params=dead), 0)
    out = capsys.readouterr().out
    assert "WARNING: w explains less than 50 % of the variance" in out
    variance.does_w_matter(state.G, 0)
    out = capsys.readouterr().out
    assert "WARNING" not in out and "b8.conv1" in out


def test_labelled_pictures_train_a_conditional_network(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        images.write_png(tmp_path / f"{i}.png", picture)
    labels = {"labels": [[f"{i}.png", i % 3] for i in range(6)]}
    (tmp_path / "dataset.json").write_text(json.dumps(labels))
    plain = dataclasses.replace(TINY, data=str(tmp_path))
    with pytest.raises(
        ValueError, match="labels of .* have 3 numbers.*set G.c_dim and D.c_dim to 3"
    ):
        open_data(plain)
    with pytest.raises(ValueError, match="the networks' img_channels is 1; expected 3"):
        open_data(training.override(plain, {"G.img_channels": 1, "D.img_channels": 1}))
    config = training.override(plain, {"G.c_dim": 3, "D.c_dim": 3})
    state = training.train(config, tmp_path / "run")
    same(state, training.restore(tmp_path / "run" / "checkpoint.npz", config)[0])
    assert training.config_of(tmp_path / "run" / "checkpoint.npz") == config
    with pytest.raises(ValueError, match="c is None; expected labels"):
        state.G(rng.standard_normal((1, 4), np.float32))


def test_a_checkpoint_of_another_config_is_refused(tmp_path):
    training.train(TINY, tmp_path)
    for other, name in (
        (dataclasses.replace(TINY, gamma=2.0), "gamma"),
        (dataclasses.replace(TINY, G=dataclasses.replace(G2, z_dim=5)), "G.z_dim"),
    ):
        with pytest.raises(ValueError, match=f"is of another config: it differs in {name} "):
            training.train(other, tmp_path, resume=True)
    with pytest.raises(FileExistsError, match="exists; resume it, or name another folder"):
        training.train(TINY, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        training.train(TINY, tmp_path / "empty", resume=True)
    files.save(tmp_path / "net.npz", {"G": training.start(TINY).G})
    with pytest.raises(ValueError, match="expected a training checkpoint"):
        training.restore(tmp_path / "net.npz", TINY)


def test_what_came_apart_at_once_says_how_to_begin_again(tmp_path):
    """Nothing is replaced unasked: another process may be at work in the same folder."""
    said = "checkpoint.npz, from before the first step: delete it to begin again there"
    with pytest.raises(training.Diverged, match=said), np.errstate(all="ignore"):
        training.train(dataclasses.replace(TINY, g_lr=1e30), tmp_path / "run")
    with pytest.raises(FileExistsError, match="exists; resume it, or name another folder"):
        training.train(TINY, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").unlink()
    same(training.train(TINY, tmp_path / "run"), training.train(TINY, tmp_path / "another"))


@pytest.fixture
def photos(tmp_path):
    """A folder of six pictures."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.integers(3, 252, (8, 8, 3), dtype=np.uint8)
        images.write_png(tmp_path / "photos" / f"{i}.png", picture)
    return tmp_path / "photos"


def test_a_run_follows_its_pictures_to_another_place(tmp_path, photos):
    config = dataclasses.replace(TINY, data=str(photos))
    whole = training.train(config, tmp_path / "whole")
    training.train(dataclasses.replace(config, kimg=0.016), tmp_path / "run")
    photos.rename(tmp_path / "moved")
    said = "there is no folder or zip .*photos; if it has moved, say where: --data"
    with pytest.raises(FileNotFoundError, match=said):
        training.train(config, tmp_path / "run", resume=True)
    moved = dataclasses.replace(config, data=str(tmp_path / "moved"), kimg=0.028)
    training.train(moved, tmp_path / "run", resume=True)
    assert training.config_of(tmp_path / "run" / "checkpoint.npz").data == moved.data
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "moved")
    packed = dataclasses.replace(config, data=str(tmp_path / "packed.zip"))
    same(whole, training.train(packed, tmp_path / "run", resume=True))


def test_a_run_does_not_go_on_with_other_pictures(tmp_path, photos):
    config = dataclasses.replace(TINY, data=str(photos), kimg=0.016)
    training.train(config, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint.npz"

    def resumed(data=photos):
        longer = dataclasses.replace(config, data=str(data), kimg=0.02)
        return training.restore(checkpoint, longer, open_data(longer))

    original = images.Images(photos, 8).pictures[5].transpose(1, 2, 0)
    images.write_png(photos / "5.png", original + np.uint8(2))  # as another decoder might read it
    resumed()

    def refused(counts):
        said = f"photos does not hold the pictures .*{counts}.*--init .*checkpoint.npz"
        with pytest.raises(ValueError, match=said):
            resumed()

    images.write_png(photos / "5.png", 255 - original)
    refused("6 then, 6 now")
    images.write_png(photos / "5.png", original)
    images.write_png(photos / "6.png", original)
    refused("6 then, 7 now")
    (photos / "5.png").unlink()
    resumed()  # which of two is the sixth does not matter
    (photos / "6.png").rename(photos / "+.png")
    refused("6 then, 6 now")  # but the order does
    with pytest.raises(ValueError, match="it differs in data .*'portraits' here"):
        resumed("portraits")


def test_a_checkpoint_of_another_make_is_said(tmp_path):
    path = tmp_path / "checkpoint.npz"
    training.train(dataclasses.replace(TINY, kimg=0.004), tmp_path)
    networks, arrays, meta = files.read(path)
    for part, value in (
        ("config", meta["config"] | {"gravity": 9.8}),
        ("config", {k: v for k, v in meta["config"].items() if k != "D"}),
        ("config", 3),
        ("state", meta["state"] | {"gravity": 9.8}),
    ):
        files.save(path, networks, arrays, **meta | {part: value})
        said = "checkpoint.npz is not a checkpoint that this minigan can read|is of another config"
        with pytest.raises(ValueError, match=said):
            training.restore(path, TINY)
        if part == "config":
            with pytest.raises(ValueError, match=said):
                training.config_of(path)


def test_a_run_is_begun_with_networks_or_continued(tmp_path):
    with pytest.raises(ValueError, match="--init begins a run and --resume continues one"):
        training.train(TINY, tmp_path, resume=True, init=["portraits32"])


def gpu_here():
    try:
        return bool(device.cupy())
    except RuntimeError:
        return False


def command(*args):
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, args)], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "MINIGAN_QUIET": "1"},
    )  # fmt: skip


def test_the_command_trains_resumes_and_says_what_is_wrong(tmp_path):
    tiny = ("--set", "G.img_resolution=8", "D.img_resolution=8", "G.channel_max=8", "D.channel_max=8",
            "batch=4", "kimg_per_tick=0.008")  # fmt: skip
    run = command("train", "--outdir", tmp_path / "a", "--kimg", 0.016, *tiny)
    assert run.returncode == 0 and "does w matter?" in run.stdout, run.stderr
    run = command("train", "--outdir", tmp_path / "a", "--kimg", 0.024, "--resume")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "a" / "log.csv").read_text().count("\n") == 4
    assert files.load(tmp_path / "a" / "checkpoint.npz").img_resolution == 8
    (tmp_path / "nothing").mkdir()
    for args, message in [
        (
            ("--config", "portraits33"),
            "error: there is no config 'portraits33'; expected portraits32,",
        ),
        (("--set", "batchh=3"), "error: there is no setting 'batchh'; expected one of"),
        (("--set", "batch"), "error: --set batch: expected NAME=VALUE"),
        (
            ("--set", "G.img_resolution=48"),
            "error: Config: img_resolution is 48; expected a power of two",
        ),
        (("--data", tmp_path / "nothing"), "holds no picture that can be read"),
        (("--data", tmp_path / "none"), "error: there is no folder or zip"),
        *([] if gpu_here() else [(("--device", "gpu"), "error: the GPU ")]),
        (("--resume",), "error: there is no file"),
        (
            ("--resume", "--config", "portraits32", "--outdir", tmp_path / "a"),
            "is of another config: it differs in D.channel_max (8 there, 64 here), D.img_res",
        ),
        (
            ("--resume", "--set", "gamma=7", "--outdir", tmp_path / "a"),
            "is of another config: it differs in gamma",
        ),
    ]:
        run = command("train", "--outdir", tmp_path / "b", *args)
        assert run.returncode == 1 and message in run.stderr, (args, run.stderr)
        assert run.stderr.count("\n") == 1, run.stderr  # one sentence

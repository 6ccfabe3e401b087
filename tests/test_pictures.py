"""Pictures from the command line: the same as from Python, and wrong use said in one sentence."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from minigan import files, latents, toy
from minigan.cli import pictures
from minigan.cli.main import main
from minigan.data import images
from minigan.data.stream import Portraits
from minigan.networks import stylegan2

from .test_training import G2, quiet  # noqa: F401
from .test_training_loop import command


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.npz"
    G = stylegan2.Generator.init(G2, np.random.default_rng(0))
    w_avg = np.random.default_rng(1).standard_normal(4, np.float32)
    G = G.replace(buffers=G.buffers | {"mapping.w_avg": w_avg})
    files.save(path, {"G_ema": G})
    return path


def picture(path):
    return np.asarray(Image.open(path))


def test_generate(network, tmp_path):
    run = command(
        "generate", "--network", network, "--seeds", "0-2,7", "--trunc", 0.7, "--outdir", tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"seed{i:04d}.png" for i in (0, 1, 2, 7)]
    G = files.load(network)
    z = np.random.RandomState(7).randn(1, 4).astype(np.float32)
    wanted = images.to_uint8(G(z, truncation_psi=0.7))[0]
    assert np.array_equal(picture(tmp_path / "seed0007.png"), wanted)


def test_a_range_of_seeds_without_end_is_refused():
    assert latents.parse_range("0-3,7") == [0, 1, 2, 3, 7]
    with pytest.raises(ValueError, match="more than a million"):
        latents.parse_range("0-99999999999999")


def test_a_toy_draws_no_pictures(tmp_path, rng):
    files.save(tmp_path / "toy.npz", {"G": toy.Generator.init(toy.Config(), rng)})
    with pytest.raises(ValueError, match="toy.npz holds a toy, which draws signals"):
        pictures.generate(tmp_path / "toy.npz", [0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_style_mix(network, tmp_path):
    args = ("--rows", "1,2", "--cols", "3,4,5", "--styles", "0-1", "--outdir", tmp_path)
    assert command("style-mix", "--network", network, *args).returncode == 0
    grid = picture(tmp_path / "grid.png")
    assert grid.shape == (3 * 8, 4 * 8, 3) and (grid[:8, :8] == 255).all()
    G = files.load(network)
    ws = {i: G.mapping(latents.from_seed(i, 4)) for i in (2, 4)}
    mixed = np.concatenate([ws[4][:, :2], ws[2][:, 2:]], axis=1)
    wanted = images.to_uint8(G.synthesis(mixed))[0]
    assert np.array_equal(picture(tmp_path / "2-4.png"), wanted)
    assert np.array_equal(grid[16:, 16:24], wanted)
    assert np.array_equal(grid[16:, :8], images.to_uint8(G.synthesis(ws[2]))[0])


def test_interpolate(network, tmp_path):
    args = ("--seeds", "1,2", "--w-frames", 4, "--outdir", tmp_path)
    assert command("interpolate", "--network", network, *args).returncode == 0
    assert len(list(tmp_path.iterdir())) == 8
    G = files.load(network)
    one, two = (G.mapping(latents.from_seed(i, 4)) for i in (1, 2))
    assert np.array_equal(
        picture(tmp_path / "frame00000.png"), images.to_uint8(G.synthesis(one))[0]
    )
    middle = images.to_uint8(G.synthesis((one + two) / 2))[0].astype(int)
    for frame in (2, 6):
        assert np.abs(picture(tmp_path / f"frame{frame:05d}.png") - middle).max() <= 1


@pytest.mark.parametrize("channels, mode", [(1, "RGB"), (4, "RGBA")])
def test_networks_of_one_and_of_four_channels(channels, mode, tmp_path):
    config = dataclasses.replace(G2, img_channels=channels)
    G = config.build(np.random.default_rng(0))
    path = tmp_path / "net.npz"
    files.save(path, {"G_ema": G})
    pictures.generate(path, [3], tmp_path / "one")
    pictures.style_mix(path, [1], [2, 3], tmp_path / "mixed")
    pictures.interpolate(path, [1, 2], tmp_path / "film", frames=1)
    with Image.open(tmp_path / "one" / "seed0003.png") as file:
        assert file.mode == mode
    levels = np.rint(np.clip(127.5 * (G(latents.from_seed(3, 4))[0] + 1), 0, 255))
    assert np.array_equal(
        picture(tmp_path / "one" / "seed0003.png").transpose(2, 0, 1),
        np.repeat(levels, 3, axis=0) if channels == 1 else levels,
    )
    grid = picture(tmp_path / "mixed" / "grid.png")
    assert grid.shape == (16, 24, len(mode)) and (grid[:8, :8] == 255).all()  # its corner is opaque
    assert picture(tmp_path / "film" / "frame00001.png").shape == (8, 8, len(mode))


def test_two_channels_are_no_picture(tmp_path):
    G = dataclasses.replace(G2, img_channels=2).build(np.random.default_rng(0))
    files.save(tmp_path / "net.npz", {"G_ema": G})
    with pytest.raises(ValueError, match="the images have 2 channels; expected 1, 3 or 4"):
        pictures.generate(tmp_path / "net.npz", [0], tmp_path)


@pytest.mark.parametrize(
    "args, message",
    [
        (("generate", "--seeds", "x"), "'x' is no list of whole numbers; expected such as 0-3,7"),
        (("generate", "--seeds", "5-2"), "'5-2' is no list"),
        (
            ("generate", "--seeds", "1", "--class", "2"),
            "--class is 2, and the network has no classes",
        ),
        (("generate", "--seeds", "1", "--network", "none.npz"), "error: there is no file none.npz"),
        (
            ("style-mix", "--rows", "1", "--cols", "2", "--styles", "0-9"),
            "--styles names layer 4; expected layers from 0 to 3",
        ),
        (("interpolate", "--seeds", "1"), "seeds are [1], with 60 frames from one to the next"),
        (("generate", "--seeds", "4294967296"), "4294967296 is no seed; expected whole numbers"),
    ],
)
def test_wrong_use_is_one_sentence(network, tmp_path, args, message):
    name, *rest = args
    run = command(name, "--network", network, "--outdir", tmp_path, *rest)
    assert run.returncode == 1 and message in run.stderr and run.stderr.count("\n") == 1, run.stderr


def test_draw_is_a_folder_of_portraits_in_a_manner(tmp_path, monkeypatch):
    arguments = "draw", "--resolution", "32", "--seed", "7", "--manner", "sketch"
    for n in (2, 3):
        monkeypatch.setattr(
            "sys.argv", ["minigan", *arguments, "--n", str(n), "--outdir", str(tmp_path / str(n))]
        )
        main()
    names = [f"portrait{i:05d}.png" for i in range(3)]
    assert sorted(p.name for p in (tmp_path / "3").iterdir()) == names
    found = np.stack([picture(tmp_path / "3" / name) for name in names])
    drawn = Portraits(32, 7, "sketch").batch(0, 3)[0]
    assert np.array_equal(found, images.to_uint8(drawn))
    for name in names[:2]:  # however many are asked for
        assert (tmp_path / "2" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()

"""Pictures from the command line: the same as from Python, and wrong use said in one sentence."""

import numpy as np
import pytest
from PIL import Image

from minigan import files, generate
from minigan.data import images
from minigan.networks import stylegan2

from .test_training import G2, command, quiet  # noqa: F401


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
        "generate", "--network", network, "--seeds", "0-2,7", "--trunc", 0.7, "--out", tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"seed{i:04d}.png" for i in (0, 1, 2, 7)]
    G = files.load(network)
    z = np.random.RandomState(7).randn(1, 4).astype(np.float32)
    wanted = images.to_uint8(G(z, truncation_psi=0.7))[0]
    assert np.array_equal(picture(tmp_path / "seed0007.png"), wanted)


def test_a_range_of_seeds_without_end_is_refused():
    assert generate.parse_range("0-3,7") == [0, 1, 2, 3, 7]
    with pytest.raises(ValueError, match="more than a million"):
        generate.parse_range("0-99999999999999")


def test_style_mix(network, tmp_path):
    args = ("--rows", "1,2", "--cols", "3,4,5", "--styles", "0-1", "--outdir", tmp_path)
    assert command("style-mix", "--network", network, *args).returncode == 0
    grid = picture(tmp_path / "grid.png")
    assert grid.shape == (3 * 8, 4 * 8, 3) and (grid[:8, :8] == 255).all()
    G = files.load(network)
    ws = {i: G.mapping(generate.latent(i, 4)) for i in (2, 4)}
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
    one, two = (G.mapping(generate.latent(i, 4)) for i in (1, 2))
    assert np.array_equal(
        picture(tmp_path / "frame00000.png"), images.to_uint8(G.synthesis(one))[0]
    )
    middle = images.to_uint8(G.synthesis((one + two) / 2))[0].astype(int)
    for frame in (2, 6):
        assert np.abs(picture(tmp_path / f"frame{frame:05d}.png") - middle).max() <= 1


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
        (("style-mix", "--rows", "1", "--cols", "2", "--styles", "9"), "expected layers from 0 to"),
        (("interpolate", "--seeds", "1"), "expected two seeds"),
    ],
)
def test_wrong_use_is_one_sentence(network, tmp_path, args, message):
    name, *rest = args
    run = command(name, "--network", network, "--outdir", tmp_path, *rest)
    assert run.returncode == 1 and message in run.stderr and run.stderr.count("\n") == 1, run.stderr

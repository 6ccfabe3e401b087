"""The measures of a model card find what they are for, on generators made to fail in one way."""

import sys

import numpy as np
import pytest

from minigan import files
from minigan.data import portraits
from minigan.data.stream import BatchedPortraits, Portraits, open_data
from minigan.evaluation import measure, sheet


@pytest.fixture(scope="module")
def reader():
    return files.load_reader("factors")


class Painter:
    """A generator of real drawings: the floor of every measure.  Its latent is not theirs."""

    z_dim, num_ws, img_resolution = 2, 1, 32

    def __init__(self, **fixed):
        self.fixed = fixed

    def mapping(self, z, truncation_psi=1):
        return z[:, None]

    def synthesis(self, ws, noise_mode, rng):
        factors = portraits.sample_factors(len(ws), rng) | {
            name: np.full(len(ws), value) for name, value in self.fixed.items()
        }
        return portraits.draw(factors, 32, rng.integers(1 << 40, size=len(ws)))


class Copier(Painter):
    """It shows its training pictures, with the faintest noise."""

    def __init__(self, seen):
        self.seen = seen

    def synthesis(self, ws, noise_mode, rng):
        pictures = self.seen[rng.integers(0, len(self.seen), len(ws))]
        return pictures + 0.01 * rng.standard_normal(pictures.shape, np.float32)


class Layered(Painter):
    """Two layers: the first one's w decides the yaw, the second one's the skin."""

    num_ws = 2

    def mapping(self, z, truncation_psi=1):
        return np.stack([z, z], axis=1)

    def synthesis(self, ws, noise_mode, rng):
        factors = portraits.sample_factors(len(ws), rng)
        factors |= {"yaw": np.tanh(ws[:, 0, 0]), "skin": 0.5 + 0.5 * np.tanh(ws[:, 1, 1])}
        return portraits.draw(factors, 32, rng.integers(1 << 40, size=len(ws)))


def test_a_factor_is_ascribed_to_the_layer_that_decides_it(reader):
    found = measure.by_layer(Layered(), reader, 400)
    for name, layer in (("yaw", 0), ("skin", 1)):
        assert found[name][layer] > 0.8 and abs(found[name][1 - layer]) < 0.1, name
    assert max(map(abs, found["hair_color"])) < 0.1  # decided by neither


def test_coverage_finds_what_is_missing(reader):
    """Drawings cover everything; without glasses, two values are missed and one is too common."""
    for values in measure.coverage(Painter(), reader, 1500).values():
        for _, real, fake in values:
            assert real / 2 <= fake <= 2 * real
    found = measure.coverage(Painter(glasses=0), reader, 600)["glasses"]
    assert found[0][2] > 0.95 and found[1][2] < 0.03 and found[2][2] < 0.03


def test_shares_are_those_of_the_table(rng):
    found = measure.shares(portraits.sample_factors(4000, rng))
    np.testing.assert_allclose(found["glasses"], [0.6, 0.2, 0.2], atol=0.03)
    np.testing.assert_allclose(found["smile"], 0.25, atol=0.03)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_copies_are_found(size):
    """Whatever the batch in training, what is read back is what was seen; so it is of the stream
    on which the shipped networks were trained, each batch from one seed."""
    new, old = Portraits(32, 0), BatchedPortraits(32, 0, size)
    streams = {
        new: lambda i: new.batch(i, size),
        old: lambda i: portraits.sample(size, 32, np.random.default_rng([0, 1 << 61, i])),
    }
    for data, step in streams.items():
        seen = np.concatenate([step(i)[0] for i in range(0, 800, size)])
        copied = measure.memorised(Copier(seen), data, 800, n=60)
        assert copied["trained on"][0] < 0.2 * copied["never seen"][0]


def test_new_pictures_are_no_copies_and_the_count_is_that_used():
    honest = measure.memorised(Painter(), Portraits(32, 0), 800, n=100)
    assert honest["trained on"][0] == pytest.approx(honest["never seen"][0], rel=0.1)
    assert honest["others"] == 800  # and not as many as were asked for


@pytest.mark.parametrize("data", [Portraits(8, 3), BatchedPortraits(8, 3, 4)])
def test_a_portrait_is_a_function_of_seed_and_number(data):
    many, _ = data.batch(5, 20)
    for n in (1, 3, 8):
        np.testing.assert_array_equal(data.batch(9, n)[0], many[4 : 4 + n])
    assert len(np.unique(many.reshape(20, -1), axis=0)) == 20


def test_distances_rank_drawings_before_blurred_ones(reader):
    found = measure.distances(Painter(), reader, 400, seeds=(0, 1))
    floor, bad = (found[k]["frechet"] for k in ("drawings (floor)", "blurred (bad)"))
    assert max(floor) < min(bad)
    assert np.mean(found["G, ψ = 1"]["frechet"]) < 1.5 * np.mean(floor)


def test_a_generator_without_glasses_is_measured_all_the_same(reader):
    """What never varies cannot be read from anything: NaN, and every other factor has its number."""

    class Short(Painter):
        params = {}

    table = measure.by_layer(Short(glasses=0, hair_style=0), reader, 200)
    assert np.isnan(table["hair_style"]).all() and np.isfinite(table["yaw"]).all()


def test_blurring_keeps_block_means(rng):
    for size, block in ((32, 2), (64, 4)):
        x = rng.normal(size=(2, 3, size, size))
        y = measure.blurred(x)
        assert y.shape == x.shape and y[0, 0, 4, 4] == y[0, 0, 5, 5]
        at = slice(2 * block, 3 * block)
        assert y[1, 2, 2 * block, 2 * block] == pytest.approx(x[1, 2, at, at].mean())


def test_auc():
    assert measure._auc(np.array([3.0, 2.0]), np.array([0.0, 1.0])) == 1
    assert measure._auc(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5
    assert measure._auc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


def test_a_network_is_compared_with_the_stream_that_it_saw(tmp_path):
    """A checkpoint of today with portraits by number; one from before, with those of its batches."""
    from minigan import files, training
    from minigan.cli import models
    from tests.test_training import TINY

    training.train(TINY, tmp_path)
    networks, arrays, meta = files.read(tmp_path / "checkpoint.npz")
    data = models.drawn(meta)
    assert type(data) is Portraits
    np.testing.assert_array_equal(data.batch(3, 2)[0], open_data(TINY).batch(3, 2)[0])
    del meta["stream"]
    data = models.drawn(meta)
    rng = np.random.default_rng([TINY.seed, 1 << 61, 4])
    np.testing.assert_array_equal(data.batch(5, 1)[0], portraits.sample(4, 8, rng)[0][1:2])
    files.save(tmp_path / "old.npz", networks, arrays, **meta)
    with pytest.raises(ValueError, match="batch by batch.*--init"):
        training.restore(tmp_path / "old.npz", TINY)


def test_measures_of_a_network_that_saw_nothing_say_nothing_of_copies(tmp_path, monkeypatch):
    """A snapshot has no record of its training; `measure` must not invent one."""
    import minigan
    from minigan import files
    from minigan.cli import models

    files.save(tmp_path / "G.npz", {"G_ema": minigan.load("portraits32")})
    monkeypatch.setattr(models, "generator_tables", lambda G, data, seen, *sizes: (data, seen))
    assert models.measures(tmp_path / "G.npz") == (None, 0)


def test_an_official_file_can_be_measured(tmp_path, monkeypatch):
    from minigan.cli import models
    from minigan.networks import stylegan2
    from tests import official_file

    small = {"img_resolution": 8, "channel_base": 64, "channel_max": 8, "z_dim": 4, "w_dim": 4}
    official_file.write(tmp_path / "net.pkl", stylegan2.Config(**small), ("G_ema",))
    monkeypatch.setattr(models, "generator_tables", lambda G, *rest: (G.img_resolution, *rest))
    assert models.measures(tmp_path / "net.pkl") == (8, None, 0, measure.CARD)
    monkeypatch.setattr(sheet, "quick", lambda G: dict.fromkeys(sheet.NUMBERS, G.img_resolution))
    head, _, line = models.sheets([tmp_path / "net.pkl"]).splitlines()
    assert head.startswith("| network | kimg | minutes | distance | precision | recall | coverage")
    assert line.startswith("| net |  |  | 8.0 | 8.00 | 8.00 | 8 | 8.000 | 8.000 | 8.00 ")


def test_a_line_for_each_network_says_what_it_cost(tmp_path, monkeypatch, capsys):
    """A run's copies, kept at ticks, its checkpoint, and a shipped network."""
    from minigan import training
    from minigan.cli.main import main
    from tests.test_training import TINY

    config = training.override(TINY, {"kimg": 0.08, "kimg_per_tick": 0.04, "snapshot_kimg": 0.04})
    training.train(config, tmp_path)
    monkeypatch.setattr(sheet, "quick", lambda G: {"distance": float(G.img_resolution)})
    kept = sorted(map(str, tmp_path.glob("network*.npz")))
    files_of_it = [*kept, str(tmp_path / "checkpoint.npz"), "portraits64"]
    monkeypatch.setattr(sys, "argv", ["minigan", "measure", *files_of_it, "--quick"])
    main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    cells = [line.split(" | ") for line in lines[2:]]
    assert [c[0] for c in cells][-2:] == ["| checkpoint", "| portraits64"]
    assert [c[1] for c in cells][-2:] == ["0.08", "100"] and float(cells[0][1]) in (0.04, 0.08)
    assert cells[-1][2] == "46" and cells[-1][3] == "64.0 |"


def test_tables_from_fewer_samples_say_so(reader):
    import minigan
    from minigan.evaluation import tables

    sizes = measure.Sizes(80, 4, 6, 20, 64, 30, 8)
    found = measure.every(minigan.load("portraits32"), reader, Portraits(32, 0), 90, sizes)
    text = tables.of_generator(found)
    for words in ("**Quick:** fewer samples", "Distances to 80 drawings", "FFD-factors32-N80",
                  "N = 80) |", "path length, N = 4 ", "of 20 pictures to the nearest of 64:",
                  "of N = 6, dB"):  # fmt: skip
        assert words in text, words
    whole = tables.of_generator(found | {"sizes": measure.CARD})
    assert "Quick" not in whole and "Distances to 4000 drawings" in whole

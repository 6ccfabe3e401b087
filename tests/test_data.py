"""The portraits keep what they promise; folders and zips of pictures are read as they come."""

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from minigan.data import images, painting, portraits

R = 64


def where(**change):
    """Where the picture changes [R, R] if these factors move away from the middle, over a few faces."""
    rng = np.random.default_rng(0)
    base = portraits.sample_factors(24, rng)
    for name in ("yaw", "pitch"):
        base[name] = 0 * base[name]
    changed = base | {k: np.broadcast_to(v, 24) for k, v in change.items()}
    before, after = portraits.draw(base, R, 5), portraits.draw(changed, R, 5)
    return (np.abs(after - before) > 1e-6).any(axis=(0, 1))


def inside(mask, left, top, right, bottom):
    """Whether all of it lies in a box, in shares of the picture."""
    rows, columns = np.nonzero(mask)
    place = columns.min() / R, rows.min() / R, (columns.max() + 1) / R, (rows.max() + 1) / R
    return left <= place[0] and top <= place[1] and place[2] <= right and place[3] <= bottom


@pytest.mark.parametrize(
    "change, box",
    [
        ({"eye_color": 1}, (0.2, 0.35, 0.8, 0.6)),
        ({"eye_shape": 0.0}, (0.2, 0.35, 0.8, 0.65)),
        ({"brow_shape": 0.0}, (0.2, 0.25, 0.8, 0.5)),
        ({"glasses": "round"}, (0.1, 0.3, 0.9, 0.65)),
        ({"glasses": "square"}, (0.1, 0.3, 0.9, 0.65)),
        ({"smile": 0.0}, (0.3, 0.55, 0.7, 0.85)),
        ({"mouth_open": 0.5}, (0.3, 0.55, 0.7, 0.85)),
        ({"age": 0.5}, (0.2, 0.2, 0.8, 0.8)),
        ({"clothes": 2}, (0.0, 0.75, 1.0, 1.0)),
    ],
)
def test_a_factor_changes_its_own_pixels_only(change, box):
    change = {
        k: portraits.BY_NAME[k].choices.index(v) if isinstance(v, str) else v
        for k, v in change.items()
    }
    mask = where(**change)
    assert mask.any() and inside(mask, *box)


def test_colours_change_only_what_has_them():
    back, skin, hair = (where(**{name: 0.5}) if name != "hair_color" else where(hair_color=4)
                        for name in ("background", "skin", "hair_color"))  # fmt: skip
    assert back[:4].all() and not back[R // 2, 3 * R // 8 : 5 * R // 8].any()  # not the face
    assert skin[R // 2, R // 2] and not skin[:4].any() and not skin[:, :6].any()
    assert (
        hair[R // 4, R // 2] and not hair[R * 5 // 8 : R * 3 // 4, R * 7 // 16 : R * 9 // 16].any()
    )


@pytest.mark.parametrize("name", portraits.NAMES)
def test_each_factor_can_be_seen(name):
    factor = portraits.BY_NAME[name]
    values = range(len(factor.choices)) if factor.choices else (factor.low, factor.high)
    values = (0.0, 0.5) if name == "background" else values  # a hue: around the circle
    pictures = [
        portraits.draw({name: v} | ({"yaw": 0.5} if name != "yaw" else {}), R)[0] for v in values
    ]
    for i, one in enumerate(pictures):
        for two in pictures[:i]:
            assert np.abs(one - two).max() > 0.1


def test_turned_the_other_way_is_the_mirror_image(rng):
    factors = portraits.sample_factors(32, rng)
    other = factors | {"yaw": -factors["yaw"], "light": -factors["light"]}
    one, two = portraits.draw(factors, R), portraits.draw(other, R)
    assert np.abs(one - two[:, :, :, ::-1]).max() < 1e-5


def test_the_same_factors_and_seed_are_the_same_picture(rng):
    factors = portraits.sample_factors(5, rng)
    one = portraits.draw(factors, R, 7)
    assert one.dtype == np.float32 and one.shape == (5, 3, R, R) and np.abs(one).max() <= 1
    assert np.array_equal(one, portraits.draw(factors, R, [7] * 5))
    assert not np.array_equal(one, portraits.draw(factors, R, 8))
    single = portraits.draw({k: v[3:4] for k, v in factors.items()}, R, 7)
    assert np.array_equal(one[3:4], single)  # a portrait does not depend on its neighbours
    a, b = (portraits.sample(3, 32, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(a[0], b[0]) and all(np.array_equal(a[1][k], b[1][k]) for k in a[1])


def test_edges_are_soft():
    """A movement much smaller than a pixel changes pixels a little, and in proportion."""
    steps = np.linspace(0, 0.02, 5).astype(np.float32)
    row = portraits.draw({"yaw": steps, "glasses": 1, "smile": 0.5}, R).astype(np.float64)
    change = np.abs(row[1:] - row[:1]).max(axis=(1, 2, 3))
    # 0.005 of yaw is about a 25th of a pixel; from black to white, that is 0.08 of 2.
    assert 0 < change[0] < 0.12
    assert np.all(change <= 2.5 * change[0] * np.arange(1, 5))


def test_resolutions_show_the_same_picture(rng):
    factors = portraits.sample_factors(16, rng)
    large = portraits.draw(factors, 256).astype(np.float64)
    for size in (32, 64, 128):
        k = 256 // size
        small = large.reshape(16, 3, size, k, size, k).mean(axis=(3, 5))
        error = portraits.draw(factors, size) - small
        assert np.sqrt(np.mean(error**2)) < 0.1 and abs(error.mean()) < 0.02


def test_chance_has_its_share_of_the_variance(rng):
    """3–5 % at each resolution: with less, a generator learns to drop its noise."""
    for size in (32, 64):
        factors = portraits.sample_factors(500, rng)
        one, two = (
            portraits.draw(factors, size, rng.integers(1 << 40, size=500)).astype(np.float64)
            for _ in range(2)
        )
        share = 0.5 * np.mean((one - two) ** 2, axis=0).sum() / one.var(axis=0).sum()
        assert 0.03 < share < 0.05


def test_factors_are_drawn_as_the_table_says(rng):
    drawn = portraits.sample_factors(20_000, rng)
    for f in portraits.FACTORS:
        if f.choices:
            shares = np.bincount(drawn[f.name], minlength=len(f.choices)) / 20_000
            assert np.abs(shares - (f.shares or 1 / len(f.choices))).max() < 0.02
        else:
            assert f.low <= drawn[f.name].min() and drawn[f.name].max() <= f.high
            assert abs(drawn[f.name].mean() - (f.low + f.high) / 2) < 0.03 * (f.high - f.low)
    assert set(portraits.IDENTITY) == {f.name for f in portraits.FACTORS if f.identity}
    assert {f.level for f in portraits.FACTORS} == {"coarse", "middle", "fine"}


@pytest.mark.parametrize(
    "factors, resolution, error, message",
    [
        ({"hat": 1}, 32, ValueError, r"unknown factors \['hat'\]; expected some of yaw, pitch"),
        ({"yaw": 1.5}, 32, ValueError, "yaw goes from 1.5 to 1.5; expected -1.0 to 1.0"),
        ({"yaw": np.nan}, 32, ValueError, "yaw goes from nan to nan"),
        ({"glasses": 3}, 32, ValueError, "glasses goes from 3 to 3; expected 0 to 2"),
        ({"glasses": "oval"}, 32, ValueError, "glasses is 'oval'; expected one of"),
        ({"glasses": 0.5}, 32, TypeError, "glasses is of dtype float64.*indices of its choices"),
        ({"yaw": [[0.1]]}, 32, TypeError, r"yaw is of dtype float64 and shape \(1, 1\)"),
        ({"yaw": [0, 0.1], "smile": [0, 0.1, 0.2]}, 32, ValueError, "lengths differ"),
        ({}, 0, ValueError, "resolution is 0; expected a whole number from 4"),
        ({}, 32.0, ValueError, "resolution is 32.0"),
    ],
)
def test_wrong_factors_are_named(factors, resolution, error, message):
    with pytest.raises(error, match=message):
        portraits.draw(factors, resolution)


def test_the_table_and_the_painter_agree():
    columns = {name: i for i, name in enumerate(portraits.POSE)}
    for ours, theirs in [("yaw", "YAW"), ("pitch", "PITCH"), ("head_shape", "HEAD"), ("smile", "SMILE"),
                         ("mouth_open", "OPEN"), ("eye_shape", "EYE"), ("brow_shape", "BROW"), ("age", "AGE"),
                         ("light", "LIGHT")]:  # fmt: skip
        assert columns[ours] == getattr(painting, theirs)


# ---- pictures of one's own -----------------------------------------------------------------------


def png(mode, size, color, suffix="png"):
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, suffix)
    return file.getvalue()


def test_a_messy_folder_is_read_with_a_line_for_each_oddity(tmp_path):
    (tmp_path / "sub").mkdir()
    for name, data in {
        "a_good.png": png("RGB", (16, 16), (255, 0, 0)),
        "b_grey.png": png("L", (16, 16), 100),
        "c_clear.png": png("RGBA", (16, 16), (0, 0, 255, 0)),
        "d_wide.jpg": png("RGB", (40, 20), (0, 255, 0), "jpeg"),
        "e_broken.png": png("RGB", (16, 16), (1, 2, 3))[:60],
        "f_empty.png": b"",
        "g_notes.txt": b"hello",
        "sub/h_good.webp": png("RGB", (16, 16), (9, 9, 9), "webp"),
    }.items():
        (tmp_path / name).write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = images.Images(tmp_path, 16)
    lines = [str(w.message) for w in caught]
    assert len(lines) == 6 and all("\n" not in line for line in lines)
    for name, part in [("b_grey", "L made RGB"), ("c_clear", "RGBA made RGB"), ("d_wide", "40 × 20 made 16 × 16"),
                       ("e_broken", "cannot be read"), ("f_empty", "cannot be read"), ("g_notes", "not a picture")]:  # fmt: skip
        assert sum(line.startswith(name) and part in line for line in lines) == 1
    assert len(data) == 5 and data.classes is None
    means = data.pictures.mean(axis=(2, 3))
    assert means[0].tolist() == [255, 0, 0] and means[1].tolist() == [100, 100, 100]
    assert means[2].tolist() == [255, 255, 255]  # transparent: the white behind it
    assert means[3][1] > 240 and means[4].tolist() == [9, 9, 9]


def test_each_epoch_has_each_picture_once_in_another_order(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.png").write_bytes(png("RGB", (8, 8), (i, i, i)))
    data = images.Images(tmp_path, 8, seed=3)
    row = np.rint((data.batch(0, 40)[0][:, 0, 0, 0] + 1) * 127.5).astype(int)
    orders = row.reshape(4, 10)
    assert all(sorted(order) == list(range(10)) for order in orders.tolist())
    assert len({tuple(order) for order in orders.tolist()}) == 4
    part, _ = data.batch(17, 5)
    assert np.array_equal(part, data.batch(0, 40)[0][17:22])  # any stretch of the row, at any time
    assert part.dtype == np.float32 and part.min() >= -1 and part.max() <= 1


def test_an_official_zip_with_labels(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            archive.writestr(f"00000/img{i}.png", png("RGB", (8, 8), (i, 0, 0)))
        archive.writestr(
            "dataset.json", json.dumps({"labels": [[f"00000/img{i}.png", i % 3] for i in range(6)]})
        )
    data = images.Images(path, 8)
    assert data.c_dim == 3
    pictures, c = data.batch(0, 6)
    shown = np.rint((pictures[:, 0, 0, 0] + 1) * 127.5).astype(int)
    assert np.array_equal(c.argmax(axis=1), shown % 3) and c.dtype == np.float32
    assert data.labels(np.random.default_rng(0), 7).shape == (7, 3)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("00000/img9.png", png("RGB", (8, 8), (9, 0, 0)))
    with pytest.raises(ValueError, match="no label for 1 files, such as 00000/img9.png"):
        images.Images(path, 8)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds no picture that can be read"):
        images.Images(tmp_path, 8)
    with pytest.raises(FileNotFoundError, match="there is no folder or zip"):
        images.Images(tmp_path / "none", 8)
    (tmp_path / "x.zip").write_text("no zip")
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        images.Images(tmp_path / "x.zip", 8)


def test_a_grid_and_a_file(tmp_path, rng):
    pictures = rng.uniform(-1.2, 1.2, (5, 3, 4, 6)).astype(np.float32)
    grid = images.grid(pictures, 3)
    assert grid.shape == (8, 18, 3) and grid.dtype == np.uint8
    assert (
        np.array_equal(grid[4:, 6:12], images.to_uint8(pictures)[4])
        and (grid[4:, 12:] == 255).all()
    )
    images.write_png(tmp_path / "g.png", grid)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "g.png")), grid)
    assert images.to_uint8(np.array([[[[-1.0, 0, 1]]]]))[0, 0].tolist() == [
        [0] * 3,
        [128] * 3,
        [255] * 3,
    ]

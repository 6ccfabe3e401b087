"""Alignment does what the official script does, and brings a moved portrait back."""

import numpy as np
import pytest
from PIL import Image

from minigan.data import images, photos, portraits
from minigan.editing import align

SIZE, R = 256, 64


def four(landmarks):
    """Of 68 points, as detectors give them, the middles of the eyes and the mouth's corners."""
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.stack([*eyes, landmarks[48], landmarks[54]])


@pytest.mark.parametrize("case", range(10))
def test_the_square_and_the_picture_are_the_official_ones(case, golden):
    arrays, meta = golden("inversion/align_quad")
    settings, name = meta["cases"][case], f"c{case:02d}"
    points, resolution = four(arrays[f"{name}_landmarks"]), settings["output_size"]
    quad = arrays[f"{name}_quad"]
    assert np.abs(align.square(points) - quad).max() <= 1e-12 * np.abs(quad).max()
    if settings["picture"]:
        photo, expected = arrays[f"{name}_img"], arrays[f"{name}_aligned"]
        aligned, _ = align.align(photo, points, resolution)
        assert aligned.dtype == np.float32 and aligned.shape == (1, 3, resolution, resolution)
        gaps = images.to_uint8(aligned)[0].astype(int) - expected
        assert np.abs(gaps).max() <= 1  # a level, should a Pillow round otherwise


def moved(share=0.08, degrees=15.0, zoom=0.8):
    """The similarity [2, 3] that so moves a picture's pixels, about its middle."""
    angle, middle = np.radians(degrees), (SIZE - 1) / 2
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = middle - turn @ [middle, middle] + [share * SIZE, 0]
    return np.concatenate([turn, shift[:, None]], axis=1)


def after(points, similarity):
    return points @ similarity[:, :2].T + similarity[:, 2]


def photo_of(image, similarity):
    """A portrait [3, SIZE, SIZE] so moved, as a photo, its edges going on around it."""
    wide = np.pad(images.to_uint8(image[None])[0], ((SIZE, SIZE), (SIZE, SIZE), (0, 0)), "edge")
    back = np.linalg.inv(similarity[:, :2])
    shift = SIZE + 0.5 - back @ (similarity[:, 2] + 0.5)
    data = np.concatenate([back, shift[:, None]], axis=1).ravel()
    method = Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(wide).transform((SIZE, SIZE), *method))


@pytest.fixture(scope="module")
def drawn():
    """(factors, portraits of 256², of 64²)."""
    factors = portraits.sample_factors(40, np.random.default_rng(7))
    return factors, portraits.draw(factors, SIZE), portraits.draw(factors, R)


def test_a_moved_portrait_is_brought_back(drawn):
    """Where its landmarks were, exactly; where portraits have theirs, better than at their mean."""
    factors, large, small = drawn
    similarity, points = moved(), portraits.landmarks(factors, SIZE)
    shares = portraits.landmarks(factors)
    mean = portraits.landmarks(portraits.sample_factors(2000, np.random.default_rng(1))).mean(
        axis=0
    )
    place = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.8], [0.3, 0.8], [0.7, 0.8]])
    errors = {name: [] for name in ("unaligned", "own", "portraits", "mean")}
    for i in range(40):
        photo, marks = photo_of(large[i], similarity), after(points[i], similarity)
        images_of = {
            name: align.align(photo, marks, R, template)
            for name, template in (("own", shares[i]), ("portraits", "portraits"), ("mean", mean))
        }
        boxes = photo.reshape(R, 4, R, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 127.5 - 1
        images_of["unaligned"] = boxes[None], np.array([[4, 0, 1.5], [0, 4, 1.5]])
        for name, (image, back) in images_of.items():
            seen = after(SIZE * place - 0.5, similarity)
            there = np.linalg.solve(back[:, :2], (seen - back[:, 2]).T).T
            off = np.mean(np.sum((there - (R * place - 0.5)) ** 2, axis=1))
            errors[name].append((off, np.mean((image[0] - small[i]) ** 2)))
    pixels, mse = np.mean(list(errors.values()), axis=1).T
    unaligned, own, ours, at_mean = np.sqrt(pixels)
    assert 7 < unaligned < 7.5 and own < 1e-9 and ours < 3.2 and 5 < at_mean < 7
    assert mse[1] < 0.01 and mse[2] < 0.75 * mse[0] and mse[0] > 0.2 and mse[3] > 1.4 * mse[2]


def test_a_portrait_in_its_frame_stays_there_but_for_its_nod():
    """However far the head is turned."""
    corners = np.array([(0, 0), (0, SIZE), (SIZE, SIZE), (SIZE, 0)]) - 0.5
    factors = portraits.sample_factors(200, np.random.default_rng(3))
    for pitch, most in ((0, 0.03), (1, 0.08)):
        nod = factors | {"pitch": np.full(200, pitch, np.float32)}
        quads = [align.square(p, "portraits") for p in portraits.landmarks(nod, SIZE)]
        off = np.sqrt(np.mean((np.array(quads) - corners) ** 2, axis=(1, 2))) / SIZE
        assert np.quantile(off, 0.9) < most, off.max()
    assert np.quantile(off, 0.1) > 0.03


@pytest.mark.parametrize("turn", [0, 30, 180])
def test_the_similarity_says_where_each_pixel_comes_from(turn, drawn):
    _, large, _ = drawn
    there, shares = moved(0.02, turn, 0.6), portraits.landmarks({})[0]
    points = after(SIZE * shares - 0.5, there)
    aligned, back = align.align(photo_of(large[0], there), points, 128, shares)
    place = np.array([[0.0, 0.0], [64.0, 10.0], [127.0, 127.0]])
    drawing = np.linalg.solve(there[:, :2], (after(place, back) - there[:, 2]).T).T
    assert np.abs(drawing - (2 * place + 0.5)).max() < 1e-9
    pooled = large[0].reshape(3, 128, 2, 128, 2).mean(axis=(2, 4))
    assert np.abs(aligned[0] - pooled).mean() < 0.05


def test_what_was_cut_out_is_pasted_back_where_it_was(drawn):
    factors, large, _ = drawn
    points = after(portraits.landmarks(factors, SIZE)[3], moved())
    photo = photo_of(large[3], moved())
    for resolution in (SIZE, 4 * SIZE):  # enlarged, it is shrunk again
        aligned, similarity = align.align(photo, points, resolution, "portraits")
        pasted = align.paste_back(photo, aligned, similarity)
        assert pasted.dtype == np.uint8 and pasted.shape == photo.shape
        assert np.abs(pasted.astype(int) - photo).mean() < 2
        inked = align.paste_back(photo, -np.ones_like(aligned), similarity)
        middle = after(np.full((1, 2), (resolution - 1) / 2), similarity)[0].round().astype(int)
        assert inked[middle[1], middle[0]].tolist() == [0, 0, 0]
        y, x = np.mgrid[:SIZE, :SIZE]
        back = np.linalg.inv(similarity[:, :2])
        u, v = np.tensordot(back, np.stack([x, y]) - similarity[:, 2, None, None], 1) / resolution
        inside = (u > 0.12) & (u < 0.88) & (v > 0.12) & (v < 0.88)
        outside = (u < -0.02) | (u > 1.02) | (v < -0.02) | (v > 1.02)
        assert (inked[inside] == 0).all() and (inked[outside] == photo[outside]).all()
        assert inside.any() and outside.any()


GOOD = [(30, 40), (70, 41), (35.5, 80), (66, 8e1)]


@pytest.mark.parametrize(
    "text",
    [
        "30,40 70,41 35.5,80 66,80",
        "30,40;70,41;35.5,80;66,80",
        "x,y\n30,40\n70,41\n35.5,80\n66,8e1\n",
        "30 40\n70 41\r\n35.5 80\n66 80",
        "[[30, 40], [70, 41], [35.5, 80], [66, 80]]",
    ],
)
def test_points_are_read_from_a_line_a_table_and_a_list(text, tmp_path):
    assert np.array_equal(align.parse_points(text), GOOD)
    (tmp_path / "points.txt").write_text(text)
    assert np.array_equal(align.read_points(tmp_path / "points.txt"), GOOD)


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "30,40 70,41 35,80",
            "--landmarks: 3 points came; expected four points: left eye, right eye",
        ),
        ("30,40 70,41 35,80 66", "--landmarks: 7 numbers came; expected four points: left eye"),
        ("", "--landmarks: 0 points came; expected four"),
        ("30,40 70,4l 35,80 66,80", "--landmarks: '4l' is not a number; expected four"),
        ('{"left_eye": [3, 4]}', "is not a number; expected four"),
    ],
)
def test_other_points_are_refused_in_a_sentence(text, words):
    with pytest.raises(ValueError) as error:
        align.parse_points(text, "--landmarks")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_points_file_that_is_none_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ValueError, match=r"a\.png: not a text; expected four points"):
        align.read_points(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        align.read_points(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "points, words",
    [
        (GOOD[:3], r"the points have shape \(3, 2\); expected four points"),
        ([*GOOD[:3], (166, 80)], r"the right corner of the mouth is at \(166, 80\), outside of the "
         "picture; expected x from 0 to 99 and y from 0 to 89"),
        ([(np.nan, 40), *GOOD[1:]], r"the left eye is at \(nan, 40\), outside of the picture"),
        ([GOOD[1], GOOD[0], *GOOD[2:]], r"left and right are exchanged.*left eye \(70, 41\)"),
        ([*GOOD[:2], GOOD[3], GOOD[2]], "left and right are exchanged"),
        ([GOOD[1], GOOD[0], GOOD[3], GOOD[2]], "left and right are exchanged"),
        ([*GOOD[2:], *GOOD[:2]], "or eyes and mouth: .*expected left as in the picture, and the mouth"),
        ([(30, 40), (32, 41), *GOOD[2:]], "the eyes are 2.2 pixels apart; expected 4 at least"),
    ],
)  # fmt: skip
def test_points_that_are_no_face_are_refused(points, words):
    with pytest.raises(ValueError, match=words):
        align.align(np.zeros((90, 100, 3), np.uint8), points, 16)


def test_a_face_upside_down_is_no_error():
    turned = (100, 90) - np.array(GOOD)
    assert np.array_equal(align.check_points(turned, 100, 90), turned)


def test_another_template_is_refused():
    with pytest.raises(ValueError, match="template is 'celeba'; expected 'ffhq', 'portraits' or"):
        align.align(np.zeros((90, 100, 3), np.uint8), GOOD, 16, "celeba")


def test_points_of_a_large_file_are_found_in_the_photo_that_was_shrunk():
    photo = photos.Photo(np.zeros((50, 100, 3), np.uint8), (1000, 500), ())
    points = align.in_photo(np.array([(399.5, 99.5), (599.5, 99.5), (400, 300), (600, 300)]), photo)
    assert np.allclose(points[:2], [(39.5, 9.5), (59.5, 9.5)])
    with pytest.raises(ValueError, match="expected x from 0 to 999"):
        align.in_photo(np.array([(399, 99), (1599, 99), (400, 300), (600, 300)]), photo)

"""A folder or a zip of the student's own pictures, as training data; and pictures written back.

A zip (or folder) may hold `dataset.json`, as the official ones: {"labels": [["00000/img0.png", 3],
…]}, a class or a list of numbers for each file, or null.
"""

import io
import json
import pathlib
import warnings
import zipfile

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Images:
    """Pictures of a folder or a zip, all of one size: `batch(position, n)` for training.

    path: a folder, searched with its subfolders, or a .zip.  Other sizes are cropped to a square in
    the middle and resized; grey and transparent ones become RGB, over white; what cannot be read is
    left out.  Each of these is said in a warning, one line a file.
    Raises: FileNotFoundError; ValueError if nothing is left, or labels are missing for some files.
    """

    def __init__(self, path, resolution, seed=0):
        self.seed, pictures, names = seed, [], []
        files, read = _open(path)
        for name in files:
            if not name.lower().endswith(SUFFIXES):
                if pathlib.PurePath(name).name != "dataset.json":
                    warnings.warn(f"{name}: not a picture, left out", stacklevel=2)
                continue
            picture, remarks = _picture(read(name), resolution)
            if remarks:
                warnings.warn(f"{name}: {', '.join(remarks)}", stacklevel=2)
            if picture is not None:
                pictures.append(picture)
                names.append(name)
        if not pictures:
            raise ValueError(
                f"{path} holds no picture that can be read; expected {', '.join(SUFFIXES)}"
            )
        self.pictures = np.stack(pictures)  # uint8 [M, 3, R, R]
        self.classes = _labels(files, read, names)  # float32 [M, c_dim], or None

    c_dim = property(lambda self: 0 if self.classes is None else self.classes.shape[1])

    def __len__(self):
        return len(self.pictures)

    def batch(self, position, n):
        """Pictures position … position + n − 1 of an endless row: each epoch in another order."""
        rows = []
        for i in range(position, position + n):
            epoch, place = divmod(i, len(self))
            if not rows or place == 0:
                order = np.random.default_rng([self.seed, epoch]).permutation(len(self))
            rows.append(order[place])
        images = self.pictures[rows].astype(np.float32) * (1 / 127.5) - 1
        return images, None if self.classes is None else self.classes[rows]

    def labels(self, rng, n):
        """n labels as frequent as in the data: float32 [n, c_dim]."""
        return self.classes[rng.integers(len(self), size=n)]


def _open(path):
    """(the sorted names in a folder or a zip, a function that reads one)."""
    path = pathlib.Path(path)
    if path.is_dir():
        files = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
        return files, lambda name: (path / name).read_bytes()
    if not path.is_file():
        raise FileNotFoundError(f"there is no folder or zip {path}")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is neither a folder nor a zip") from None
    return sorted(i.filename for i in archive.infolist() if not i.is_dir()), archive.read


def _picture(data, resolution):
    """(uint8 [3, R, R] or None, what had to be done)."""
    from PIL import Image

    remarks = []
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return None, [f"cannot be read ({type(error).__name__}), left out"]
    if picture.mode != "RGB":
        remarks.append(f"{picture.mode} made RGB")
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        picture = picture.convert("RGB")
    width, height = picture.size
    if (width, height) != (resolution, resolution):
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        cropped = (left, top, left + side, top + side)
        picture = picture.resize((resolution, resolution), Image.Resampling.LANCZOS, cropped)
        remarks.append(f"{width} × {height} made {resolution} × {resolution}")
    return np.asarray(picture).transpose(2, 0, 1), remarks


def _labels(files, read, names):
    if "dataset.json" not in files:
        return None
    entries = json.loads(read("dataset.json")).get("labels")
    if entries is None:
        return None
    by_name = dict(entries)
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ValueError(
            f"dataset.json has no label for {len(missing)} files, such as {missing[0]}"
        )
    found = np.array([by_name[name] for name in names])
    if found.ndim == 1:  # classes
        if found.dtype.kind not in "iu" or found.min() < 0:
            raise ValueError(
                f"dataset.json: labels are {found[:3].tolist()} …; expected classes from 0"
            )
        return np.eye(found.max() + 1, dtype=np.float32)[found]
    return found.astype(np.float32)


# ---- writing -------------------------------------------------------------------------------------


def to_uint8(images):
    """Images in [−1, 1], [N, C, H, W] -> uint8 [N, H, W, 3]; grey ones become RGB."""
    levels = np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)
    return np.broadcast_to(levels.transpose(0, 2, 3, 1), (*levels.shape[::2], levels.shape[3], 3))


def grid(images, columns):
    """Images [N, C, H, W] side by side, row by row: uint8 [rows·H, columns·W, 3]."""
    tiles = to_uint8(images)
    n, h, w, _ = tiles.shape
    rows = -(-n // columns)
    blank = np.full((rows * columns - n, h, w, 3), 255, np.uint8)
    tiles = np.concatenate([tiles, blank]).reshape(rows, columns, h, w, 3)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, 3)


def write_png(path, picture):
    """uint8 [H, W, 3] to a PNG file, at once or not at all."""
    from PIL import Image

    from minigan.files import replacing

    with replacing(path) as file:
        Image.fromarray(picture).save(file, "png")

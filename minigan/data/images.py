"""A folder or a zip of the student's own pictures, as training data; and pictures written back.

A zip (or folder) may hold `dataset.json`, as the official ones: {"labels": [["00000/img0.png", 3],
…]}, a class or a list of numbers for each file, or null.  It may lie in a folder with its files.
"""

import functools
import io
import json
import pathlib
import posixpath
import unicodedata
import warnings
import zipfile

import numpy as np

from minigan import atomic
from minigan.data.photos import LARGEST, decode, whole
from minigan.files.reading import Budget, shown

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_PIXELS = 48_000_000  # 8000 × 6000, as of a phone
_DIRECTORY = 1 << 24  # bytes of a zip's list of files: some 180,000 of them
_CLASSES = 1 << 16
_ONES = 1 << 27  # numbers of all labels together


class Images:
    """Pictures of a folder or a zip, all of one size: `batch(position, n)` for training.

    path: a folder, searched with its subfolders, or a .zip.  Pictures become what a viewer would
    show: turned as their EXIF data say, in sRGB, over white where transparent.  Other sizes are
    cropped to a square in the middle and resized; what cannot be read, is of another format than
    those above, or has more than 48 million pixels or 256 MB is left out.  Each of these is said in
    a warning, one line a file.  Hidden files and folders are left out, which is said once.
    Raises: FileNotFoundError; ValueError if nothing is left, if dataset.json is damaged, or if
    labels are missing for some files.
    """

    def __init__(self, path, resolution, seed=0):
        self.seed, pictures, names = seed, [], []
        files = _open(path)
        hidden = [
            name for name in files
            if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
        ]  # fmt: skip
        if hidden:
            some = shown(hidden[0], 200)
            words = f"{path}: hidden files left out ({len(hidden)}), such as {some}"
            warnings.warn(words, stacklevel=2)
        for name in hidden:
            del files[name]
        labels = _labels(path, files)
        for name, read in files.items():
            if not name.lower().endswith(SUFFIXES):
                if posixpath.basename(name).lower() != "dataset.json":
                    warnings.warn(f"{shown(name, 200)}: not a picture, left out", stacklevel=2)
                continue
            picture, remarks = _picture(read, resolution)
            if remarks:
                words = " ".join(", ".join(remarks).split())  # decoders may say several lines
                warnings.warn(f"{shown(name, 200)}: {shown(words, 300)}", stacklevel=2)
            if picture is not None:
                pictures.append(picture)
                names.append(name)
        if not pictures:
            raise ValueError(
                f"{path} holds no picture that can be read; expected {', '.join(SUFFIXES)}"
            )
        self.pictures = np.stack(pictures)  # uint8 [M, 3, R, R]
        self.classes = None if labels is None else _rows(path, labels, names)

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


# ---- files ---------------------------------------------------------------------------------------


def _open(path):
    """{name: a function that reads it} of the files in a folder or a zip, sorted by name."""
    path = pathlib.Path(path)
    if path.is_dir():
        found = {
            str(p.relative_to(path)): functools.partial(whole, p)
            for p in path.rglob("*") if p.is_file()
        }  # fmt: skip
    elif path.is_file():
        try:
            with _Careful(io.FileIO(path)) as file:
                zipfile.ZipFile(file)
            archive = zipfile.ZipFile(path)
        except Exception as error:  # a damaged directory raises more than BadZipFile
            raise ValueError(
                f"{path} is neither a folder nor a zip that can be read: {shown(error, 200)}"
            ) from None
        found = {
            info.filename: functools.partial(_unpacked, archive, info)
            for info in archive.infolist() if not info.filename.endswith(("/", "\\"))
        }  # fmt: skip
    else:
        raise FileNotFoundError(f"there is no folder or zip {path}")
    return dict(sorted({_plain(name): read for name, read in found.items()}.items()))


class _Careful(io.BufferedReader):
    """A zip, whose list of files zipfile would read at any length."""

    def read(self, size=-1):
        if size is not None and size > _DIRECTORY:
            raise ValueError(
                f"its list of files has {size:,} bytes; expected {_DIRECTORY:,} at most"
            )
        return super().read(size)


def _unpacked(archive, info):
    if max(info.file_size, info.compress_size) > LARGEST:
        raise ValueError(f"{info.file_size:,} bytes when unpacked; expected {LARGEST:,} at most")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its compression is number {info.compress_type}; expected 0 or 8")
    with archive.open(info) as file:
        return file.read(info.file_size)  # without a number it unpacks more than the file's size


def _plain(name):
    """A file's name as all systems may write it: Windows with \\, macOS with accents apart."""
    return unicodedata.normalize("NFC", posixpath.normpath(name.replace("\\", "/"))).lstrip("/")


# ---- pictures ------------------------------------------------------------------------------------


def _picture(read, resolution):
    """(uint8 [3, R, R] or None, what had to be done) of the file that read() gives."""
    try:
        picture, remarks, _ = decode(read, functools.partial(middle, resolution), _PIXELS)
    except ValueError as error:
        return None, [f"{error}, left out"]
    return picture.transpose(2, 0, 1), remarks


def middle(resolution, picture, remarks):
    """The middle of one of Pillow's pictures, a square of this size."""
    from PIL import Image

    width, height = picture.size
    if (width, height) == (resolution, resolution):
        return picture
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    remarks.append(f"{width} × {height} made {resolution} × {resolution}")
    cropped = (left, top, left + side, top + side)
    return picture.resize((resolution, resolution), Image.Resampling.LANCZOS, cropped)


# ---- labels --------------------------------------------------------------------------------------


def _labels(path, files):
    """{file: label} as each dataset.json among `files` says, or None."""
    given, budget = None, Budget(0)
    for source in (name for name in files if posixpath.basename(name).lower() == "dataset.json"):
        where = f"{path}: {shown(source, 200)}"
        entries = _entries(where, files[source], budget, nested="/" in source)
        if entries is None:
            continue
        given, folder = given or {}, posixpath.dirname(source)
        for i, (name, label) in enumerate(entries):
            beside = posixpath.join(folder, _plain(name))
            name = beside if beside in files else _plain(name)
            if given.setdefault(name, label) != label:
                raise ValueError(
                    f"{where}: labels[{i}] gives {shown(name)} the label {label!r:.60}; it has "
                    f"{given[name]!r:.60} already"
                )
            first = next(iter(given.values()))
            if np.shape(label) != np.shape(first):
                raise ValueError(
                    f"{where}: labels[{i}] of {shown(name)} is {label!r:.60}; expected a label "
                    f"like the first, {first!r:.60}"
                )
    return given


def _rows(path, given, names):
    """float32 [len(names), c_dim]: these files' labels.  Raises: ValueError if some have none."""
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            f"{path}: dataset.json has no label for {len(missing)} files, such as "
            f"{shown(missing[0], 200)}"
        )
    found = np.array([given[name] for name in names])
    if found.ndim == 2:
        return found.astype(np.float32)
    classes = int(found.max()) + 1
    if len(found) * classes > _ONES:
        raise ValueError(
            f"{path}: dataset.json has {classes} classes for {len(found)} files; expected "
            f"{_ONES // len(found)} classes at most"
        )
    rows = np.zeros((len(found), classes), np.float32)
    rows[np.arange(len(found)), found] = 1
    return rows


def _entries(where, read, budget, nested):
    """The pairs (file, label) of a dataset.json, or None; in a folder, it may be another tool's.

    Raises: ValueError that says where.
    """
    try:
        text = read()
        budget.charge("letters of text", len(text))
        content = json.loads(text)
    except Exception as error:  # of the archive, of the text or of its depth
        raise ValueError(f"{where} cannot be read: {shown(error, 200)}") from None
    labels = content.get("labels", 0) if isinstance(content, dict) else 0
    if nested and isinstance(content, dict) and "labels" not in content:
        warnings.warn(f"{where} has no labels, left out", stacklevel=2)
        return None
    if labels is None:
        return None
    if not isinstance(labels, list):
        raise ValueError(
            f'{where} begins {json.dumps(content):.40}; expected {{"labels": [[file, label], …]}}'
        )
    for i, entry in enumerate(labels):
        match entry:
            case [str(), list(numbers)] if numbers and all(
                type(x) in (int, float) and abs(x) < 3e38 for x in numbers
            ):
                continue
            case [str(), label] if type(label) is int and 0 <= label < _CLASSES:
                continue
        raise ValueError(
            f"{where}: labels[{i}] is {entry!r:.60}; expected a file and its class, from 0 to "
            f"{_CLASSES - 1}, or a file and a list of finite numbers"
        )
    return labels


# ---- writing -------------------------------------------------------------------------------------


def to_uint8(images):
    """Images in [−1, 1], [N, C, H, W] -> uint8 [N, H, W, 3]; grey ones become RGB.

    Images of four channels become RGBA, [N, H, W, 4].  Raises: ValueError for other numbers.
    """
    if images.shape[1] not in (1, 3, 4):
        raise ValueError(f"the images have {images.shape[1]} channels; expected 1, 3 or 4")
    levels = np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)
    return levels.transpose(0, 2, 3, 1).repeat(3 if images.shape[1] == 1 else 1, axis=3)


def grid(images, columns):
    """Images [N, C, H, W] side by side, row by row: uint8 [rows·H, columns·W, 3], or 4 if RGBA."""
    tiles = to_uint8(images)
    n, h, w, c = tiles.shape
    rows = -(-n // columns)
    blank = np.full((rows * columns - n, h, w, c), 255, np.uint8)
    tiles = np.concatenate([tiles, blank]).reshape(rows, columns, h, w, c)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, c)


def write_png(path, picture, software=None):
    """uint8 [H, W, 3], or 4 of RGBA, to a PNG file, at once or not at all.

    software: a text that says what made it, for those who look into the file.
    """
    from PIL import Image, PngImagePlugin

    note = PngImagePlugin.PngInfo()
    if software is not None:
        note.add_text("Software", software)
    with atomic.replacing(path) as file:
        Image.fromarray(picture).save(file, "png", pnginfo=note)

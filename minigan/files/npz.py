"""Networks on disk: `.npz` files of ours, the arrays under their names, configurations as JSON;
NVIDIA's `.pkl` are read too (`files/nvidia.py`).

A file holds one or several networks, {"G_ema": Generator, "D": Discriminator, …}.  The array
`G_ema/synthesis.b4.const` is that parameter of G_ema.  Nothing is pickled and nothing executed.
"""

import dataclasses
import json
import os
import pathlib
import re

import numpy as np

from minigan import atomic
from minigan.device import with_arrays_on
from minigan.files import description, reading
from minigan.files.reading import Refused, shown
from minigan.networks import NETWORKS, base, class_of, kind_of

MODELS = pathlib.Path(__file__).parents[1] / "models"  # what ships, each with a model card
# What the lessons load, by what it is: the one place to change when a better one ships.
ALIASES = {"portraits": "portraits32", "portraits-D": "portraits32-D", "factors": "factors32",
           "identity": "identity32"}  # fmt: skip
_FORMAT, _VERSION = "minigan", 1
_EXPECTED = "expected NVIDIA's .pkl of that network, or a file that minigan saved"
_PYTORCH = f"a PyTorch checkpoint; {_EXPECTED}"
_PACKED = "compressed; unpack it first"
# What people take for a network: how the file begins, what it is, and what to do.
_OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch that: git lfs pull",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19": _PYTORCH,  # before PyTorch 1.6
    b"\x89HDF": f"an HDF5 file, such as Keras writes; {_EXPECTED}",
    b"\x1f\x8b": _PACKED, b"BZh": _PACKED, b"\xfd7zXZ": _PACKED, b"7z\xbc\xaf": _PACKED,
    b"\x89PNG": "a picture; expected a network", b"\xff\xd8\xff": "a picture; expected a network",
}  # fmt: skip


def save(
    path: str | os.PathLike,
    networks: dict[str, base.Network],
    arrays: dict[str, np.ndarray] | None = None,
    half: bool = False,
    **meta,
) -> None:
    """Write {name: network}, further {name: array} and further JSON values, at once or not at all.

    half: the networks as float16, half the size; `read` makes them float32 again.
    Raises: OSError if the file cannot be written; ValueError if half precision is too small;
    TypeError, ValueError for what `read` would refuse.
    """
    held, described = dict(arrays or {}), {}
    for name in held:
        if name == "meta_json" or name.partition("/")[0] in networks:
            raise ValueError(f"save: the array {name!r} has a network's name; expected another")
    for name, network in networks.items():
        if not name.isidentifier():
            raise ValueError(f"save: a network is called {name!r}; expected a word such as G_ema")
        try:
            kind = kind_of(network)
        except TypeError as error:
            raise TypeError(f"save: {name} is {error}") from None
        network = with_arrays_on(network, "cpu")
        described[name] = {
            "kind": kind,
            "config": dataclasses.asdict(network.config),
            "buffers": list(network.buffers),
        }
        for key, value in (network.params | network.buffers).items():
            held[f"{name}/{key}"] = _halved(name, key, value) if half else value
    for key, value in held.items():
        kinds = "f" if key.partition("/")[0] in networks else "biufcSU"
        if np.asarray(value).dtype.kind not in kinds:
            raise TypeError(f"save: {key} is of type {np.asarray(value).dtype}; expected numbers")
    text = json.dumps({"format": f"{_FORMAT} {_VERSION}", "networks": described, **meta})
    size = sum(max(4, value.itemsize) * value.size for value in map(np.asarray, held.values()))
    if size > reading.MOST_BYTES or len(text) > reading.MOST_TEXT:
        raise ValueError(
            f"save: {size:,} bytes of numbers and {len(text):,} letters of text; expected at most "
            f"{reading.MOST_BYTES:,} and {reading.MOST_TEXT:,}, as `read` takes"
        )
    with atomic.replacing(path) as file:
        np.savez(file, meta_json=np.array(text), **held)


def _halved(name, key, value):
    with np.errstate(over="ignore"):
        small = value.astype(np.float16)
    if np.isinf(small).any():
        raise ValueError(
            f"save: {name}/{key} goes up to {np.abs(value).max():.3g}; expected at most 65504 for "
            "half=True"
        )
    return small


def shipped(name_or_path: str | os.PathLike) -> pathlib.Path:
    """The path of a network that comes with the package, by its name; other paths as they are.

    Raises: FileNotFoundError for a bare name that is neither; ValueError for an address.
    """
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(name_or_path), re.IGNORECASE):  # not C:/
        raise ValueError(f"{name_or_path} is a URL; download it first and pass the file")
    inside = MODELS / f"{ALIASES.get(name_or_path, name_or_path)}.npz"
    plain = isinstance(name_or_path, str) and not set(name_or_path) & set("/\\.")
    if plain and not inside.is_file() and not pathlib.Path(name_or_path).exists():
        names = ", ".join(sorted(path.stem for path in MODELS.glob("*.npz")))
        raise FileNotFoundError(
            f"there is no file {name_or_path}; the shipped networks are {names}"
        )
    return inside if plain and inside.is_file() else pathlib.Path(name_or_path)


def read(
    path: str | os.PathLike,
) -> tuple[dict[str, base.Network], dict[str, np.ndarray], dict]:
    """What `save` wrote: ({name: network}, {name: further array}, the JSON values).

    Raises: FileNotFoundError; ValueError for a file that is not ours, is damaged or hostile, or
    whose arrays do not fit its configuration.
    """
    path = pathlib.Path(path)
    if _pickled(path):
        raise ValueError(f"{path} is a pickle; expected a file that minigan saved")
    return _read(path)


def _read(path, only=None):
    """What `read` gives.  only: names in the order of preference; only the first network that the
    file has; further arrays are then not read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        budget = reading.Budget(size)
        try:
            found = reading.members(reading.Region(file, 0, size, budget), 1 << 14, "its archive")
            held = {
                name.removesuffix(".npy"): reading.Array.of(*one) for name, one in found.items()
            }
            if "meta_json" not in held:
                raise Refused("it describes no networks")
            text = held.pop("meta_json")
            budget.charge("letters of text", text.region.size // 4)
            meta = json.loads(str(text.array()))
            reading.expect(isinstance(meta, dict), "its description")
            word, version = meta.pop("format").split()
            if word != _FORMAT:
                raise Refused(f"its format is '{shown(word)}'")
            described = meta.pop("networks") if int(version) == _VERSION else None
        except Exception as error:  # there are many kinds of damage
            raise ValueError(
                f"{path} is not a file of minigan's networks, or is damaged ({shown(error, 300)})"
            ) from None
        if described is None:
            raise ValueError(
                f"{path} is of format {shown(version)}; this minigan reads {_VERSION}: a newer one "
                "wrote it"
            )
        if only and isinstance(described, dict) and not described.keys() & set(only):
            held = [shown(name) for name in sorted(described)[:6]]
            raise ValueError(f"{path} holds {held}; expected a generator, {' or '.join(only)}")
        try:
            if not isinstance(described, dict):
                raise Refused("its networks are no dict")
            names = [name for name in only if name in described][:1] if only else described
            keys = {}
            for key in held:
                keys.setdefault(key.partition("/")[0], []).append(key)
            networks = {}
            for name in names:
                mine = {key.partition("/")[2]: held.pop(key) for key in keys.get(name, ())}
                networks[name] = _network(name, described[name], mine, budget)
            if not only:
                budget.charge("bytes of numbers", sum(a.region.size for a in held.values()))
            return networks, {} if only else {k: a.array() for k, a in held.items()}, meta
        except Exception as error:  # a description can be wrong in more ways than one can name
            raise ValueError(f"{path} does not hold what it says: {shown(error, 600)}") from None


def _network(name, about, mine, budget):
    """The network of this name, described and charged before any of its arrays is read."""
    if len(name) > 60 or not name.isidentifier():
        raise Refused(f"a network is called '{shown(name)}'; expected a word such as G_ema")
    fits = isinstance(about, dict) and isinstance(about.get("kind"), str)
    fits = fits and isinstance(about.get("config"), dict) and isinstance(about.get("buffers"), list)
    reading.expect(fits, f"the description of {name}")
    if about["kind"] not in NETWORKS:
        kinds = ", ".join(NETWORKS)
        raise Refused(f"{name} is a '{shown(about['kind'])}'; expected one of {kinds}")
    cls = class_of(about["kind"])
    description.check_values(about["config"])
    fresh = description.outline(cls, cls.config_class(**about["config"]))
    buffers = {key: mine.pop(key) for key in about["buffers"] if key in mine}
    unfit = f"{name} does not fit its configuration"
    return description.filled(fresh, mine, buffers, budget, unfit)


def read_networks(path: str | os.PathLike) -> dict[str, base.Network]:
    """The networks of a file, {"G": …, "D": …, "G_ema": …}: those it has.

    path: of a file, ours or NVIDIA's `.pkl`, or a shipped name such as "portraits32-D".
    Raises: as `read`.
    """
    path = shipped(path)
    return _official(path) if _pickled(path) else read(path)[0]


def _pickled(path):
    """Whether the file is a pickle, by its first byte (the opcode PROTO), not its name.

    Raises: FileNotFoundError; ValueError for a folder, and what is known to be no network.
    """
    if path.is_dir():
        inside = path / "checkpoint.npz"
        hint = f" such as {inside}" if inside.is_file() else ""
        raise ValueError(f"{path} is a folder; expected a file{hint}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with open(path, "rb") as file:
        start = file.read(64)
        file.seek(max(0, file.seek(0, 2) - (1 << 16)))
        end = file.read(1 << 16)
    what = next((text for begin, text in _OTHERS.items() if start.startswith(begin)), None)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        what = "a web page, such as one that says why there is no download; fetch the file anew"
    if start[:2] == b"PK" and b"/data.pkl" in end:  # the archive's directory
        what = _PYTORCH
    if start[:1] in (b"(", b"]", b"}", b"c") and end.rstrip()[-1:] == b".":
        what = f"a pickle of protocol 0 or 1, as no network's file is; {_EXPECTED}"
    if what is not None:
        raise ValueError(f"{path} is {what}")
    return start[:1] == b"\x80"


def _official(path, only=None):
    from minigan.files import nvidia

    return nvidia.networks(path, only)


def load(name_or_path: str | os.PathLike) -> base.Generator:
    """The generator of a file (ours, or NVIDIA's `.pkl`), or a shipped one by its name
    ("portraits"): the averaged one, "G_ema", where there are several.

    Raises: as `read`; ValueError if the file has no generator, or another network under its name.
    """
    names, path = ("G_ema", "G"), shipped(name_or_path)
    networks = _official(path, names) if _pickled(path) else _read(path, names)[0]
    [(name, network)] = networks.items()
    if not isinstance(network, base.Generator):
        raise ValueError(
            f"{path} holds a {type(network).__name__} called {name}; expected a generator"
        )
    return network


def load_reader(name_or_path: str | os.PathLike) -> base.Network:
    """The network of a file that reads portraits (`networks/reader.py`): by a shipped name
    ("factors", "identity") or a path.  Raises: as `read`; ValueError if the file has none."""
    networks = read_networks(name_or_path)
    for network in networks.values():
        if isinstance(network, class_of("reader.Network")):
            return network
    raise ValueError(f"{name_or_path} holds {sorted(networks)}; expected a reader of portraits")

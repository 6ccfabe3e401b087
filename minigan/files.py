"""Networks on disk: `.npz` files of ours, the arrays under their names, configurations as JSON;
NVIDIA's `.pkl` are read too (`official.py`).

A file holds one or several networks, {"G_ema": Generator, "D": Discriminator, …}.  The array
`G_ema/synthesis.b4.const` is that parameter of G_ema.  Nothing is pickled and nothing executed.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import re
import tempfile
import zipfile

import numpy as np

from minigan.device import with_arrays_on
from minigan.networks import base

KINDS = {
    f"{paper}.{network}": f"minigan.networks.{paper}"
    for paper in ("stylegan1", "stylegan2", "stylegan3")
    for network in ("Generator", "Discriminator")
    if (paper, network) != ("stylegan3", "Discriminator")  # StyleGAN2's
} | {
    "toy.Generator": "minigan.toy",
    "toy.Discriminator": "minigan.toy",
    "features.Network": "minigan.features",
    "expert.Expert": "minigan.expert",
}
MODELS = pathlib.Path(__file__).parent / "models"  # what ships, each with a model card
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


@contextlib.contextmanager
def replacing(path, mode="wb"):
    """Open a new file beside `path` that takes its place once it is complete and on the disk.

    Whatever goes wrong meanwhile, a full disk or a kill, an older file at `path` stays as it was.
    Raises: OSError that says so.
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        encoding = None if "b" in mode else "utf-8"
        with tempfile.NamedTemporaryFile(
            mode, dir=path.parent, prefix=f".{path.name}.", delete=False, encoding=encoding
        ) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            kept = "; the older file there is intact" if path.exists() else ""
            raise OSError(f"cannot write {path}: {error.strerror or error}{kept}") from error
        raise


def save(path, networks, arrays=None, half=False, **meta):
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
        module = type(network).__module__
        kind = f"{module.rpartition('.')[2]}.{type(network).__name__}"
        if KINDS.get(kind) != module:
            raise TypeError(f"save: {name} is a {kind}; expected one of {', '.join(KINDS)}")
        network = with_arrays_on(network, "cpu")
        described[name] = {
            "kind": kind,
            "config": dataclasses.asdict(network.config),
            "buffers": list(network.buffers),
        }
        for key, value in (network.params | network.buffers).items():
            held[f"{name}/{key}"] = _halved(name, key, value) if half else value
    text = json.dumps({"format": f"{_FORMAT} {_VERSION}", "networks": described, **meta})
    with replacing(path) as file:
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


def shipped(name_or_path):
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


def read(path):
    """What `save` wrote: ({name: network}, {name: further array}, the JSON values).

    Raises: FileNotFoundError; ValueError for a file that is not ours, is damaged, or whose arrays
    do not fit its configuration.
    """
    path = pathlib.Path(path)
    if _pickled(path):
        raise ValueError(f"{path} is a pickle; expected a file that minigan saved")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz archive")
        with np.load(path, allow_pickle=False) as file:
            if "meta_json" not in file.files:
                raise ValueError("it describes no networks")
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta_json")))
        word, version = meta.pop("format").split()
        if word != _FORMAT:
            raise ValueError(f"its format is {word!r}")
        described = meta.pop("networks") if int(version) == _VERSION else None
    except Exception as error:  # NumPy, zipfile, zlib and json have many for damage
        raise ValueError(
            f"{path} is not a file of minigan's networks, or is damaged ({error})"
        ) from None
    if described is None:
        raise ValueError(
            f"{path} is of format {version}; this minigan reads {_VERSION}: a newer one wrote it"
        )
    try:
        return (
            {name: _network(name, about, arrays) for name, about in described.items()},
            arrays,
            meta,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} does not hold what it says: {error}") from None


def _network(name, about, arrays):
    """The network of this name; takes its arrays out of `arrays`."""
    if about["kind"] not in KINDS:
        raise ValueError(f"{name} is a {about['kind']!r}; expected one of {', '.join(KINDS)}")
    module, cls = KINDS[about["kind"]], about["kind"].rpartition(".")[2]
    cls = getattr(importlib.import_module(module), cls)
    config = cls.config_class(**about["config"])
    mine = {key: arrays.pop(key) for key in list(arrays) if key.startswith(f"{name}/")}
    mine = {key.removeprefix(f"{name}/"): value for key, value in mine.items()}
    fresh = cls.init(config, base.Shapes())
    wanted = {key: a.shape for key, a in (fresh.params | fresh.buffers).items()}
    if wanted != {key: a.shape for key, a in mine.items()}:
        odd = sorted(
            key for key in wanted.keys() | mine.keys()
            if key not in mine or key not in wanted or mine[key].shape != wanted[key]
        )  # fmt: skip
        raise ValueError(f"{name} does not fit its configuration in {odd[:4]}")
    mine = {k: a.astype(np.float32) if a.dtype == np.float16 else a for k, a in mine.items()}
    buffers = {key: mine.pop(key) for key in about["buffers"]}
    return cls(config, mine, buffers)


def read_networks(path):
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
    what = next((text for begin, text in _OTHERS.items() if start.startswith(begin)), None)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        what = "a web page, such as one that says why there is no download; fetch the file anew"
    with contextlib.suppress(Exception):  # what is damaged, `read` says
        if start[:2] == b"PK" and any(
            name.endswith("data.pkl") for name in zipfile.ZipFile(path).namelist()
        ):
            what = _PYTORCH
    if what is not None:
        raise ValueError(f"{path} is {what}")
    return start[:1] == b"\x80"


def _official(path, only=None):
    from minigan import official

    return official.networks(path, only)


def load(name_or_path):
    """The generator of a file (ours, or NVIDIA's `.pkl`), or a shipped one by its name
    ("portraits"): the averaged one, "G_ema", where there are several.

    Raises: as `read`; ValueError if the file has no generator.
    """
    names, path = ("G_ema", "G"), shipped(name_or_path)
    networks = _official(path, names) if _pickled(path) else read(path)[0]
    for name in names:
        if name in networks:
            return networks[name]
    raise ValueError(f"{name_or_path} holds {sorted(networks)}; expected a generator, G_ema or G")

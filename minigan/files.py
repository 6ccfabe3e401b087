"""Networks on disk: `.npz` files of ours, the arrays under their names, configurations as JSON.

A file holds one or several networks, {"G_ema": Generator, "D": Discriminator, …}.  The array
`G_ema/synthesis.b4.const` is that parameter of G_ema.  Nothing is pickled and nothing executed.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np

KINDS = tuple(f"{paper}.{network}" for paper in ("stylegan1", "stylegan2")
              for network in ("Generator", "Discriminator"))  # fmt: skip
_FORMAT = "minigan 1"


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


def save(path, networks, arrays=None, **meta):
    """Write {name: network}, further {name: array} and further JSON values, at once or not at all.

    Raises: OSError if the file cannot be written.
    """
    held, described = dict(arrays or {}), {}
    for name, network in networks.items():
        module = type(network).__module__.rpartition(".")[2]
        described[name] = {
            "kind": f"{module}.{type(network).__name__}",
            "config": dataclasses.asdict(network.config),
            "buffers": list(network.buffers),
        }
        for key, value in (network.params | network.buffers).items():
            held[f"{name}/{key}"] = value
    text = json.dumps({"format": _FORMAT, "networks": described, **meta})
    with replacing(path) as file:
        np.savez(file, meta_json=np.array(text), **held)


def read(path):
    """What `save` wrote: ({name: network}, {name: further array}, the JSON values).

    Raises: FileNotFoundError; ValueError for a file that is not ours, is damaged, or whose arrays
    do not fit its configuration.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta_json")))
        described = meta.pop("networks")
        if meta.pop("format") != _FORMAT:
            raise KeyError("format")
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a file of minigan's networks, or is damaged ({error})"
        ) from None
    networks = {}
    for name, about in described.items():
        if about["kind"] not in KINDS:
            raise ValueError(f"{path}: {name} is a {about['kind']!r}; expected one of {KINDS}")
        module, _, cls = about["kind"].partition(".")
        cls = getattr(importlib.import_module(f"minigan.networks.{module}"), cls)
        config = cls.config_class(**about["config"])
        mine = {key: arrays.pop(key) for key in list(arrays) if key.startswith(f"{name}/")}
        mine = {key.removeprefix(f"{name}/"): value for key, value in mine.items()}
        fresh = cls.init(config, np.random.default_rng(0))
        wanted = {key: a.shape for key, a in (fresh.params | fresh.buffers).items()}
        if wanted != {key: a.shape for key, a in mine.items()}:
            odd = sorted(
                key for key in wanted.keys() | mine.keys()
                if key not in mine or key not in wanted or mine[key].shape != wanted[key]
            )  # fmt: skip
            raise ValueError(f"{path}: {name} does not fit its configuration in {odd[:4]}")
        buffers = {key: mine.pop(key) for key in about["buffers"]}
        networks[name] = cls(config, mine, buffers)
    return networks, arrays, meta


def read_networks(path):
    """The networks of a file, {"G": …, "D": …, "G_ema": …}: those it has.  Raises: as `read`."""
    return read(path)[0]


def load(name_or_path):
    """The generator of a file: the averaged one, "G_ema", where it has several.

    Raises: as `read`; ValueError if the file has no generator.
    """
    networks = read_networks(name_or_path)
    for name in ("G_ema", "G"):
        if name in networks:
            return networks[name]
    raise ValueError(f"{name_or_path} holds {sorted(networks)}; expected a generator, G_ema or G")

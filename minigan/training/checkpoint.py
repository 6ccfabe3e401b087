"""A run's checkpoint: all that it takes to go on, in one file that is replaced at once.

Read first: `training/step.py`, whose `State` it holds, and `files/npz.py`.
"""

import contextlib
import csv
import dataclasses
import json
import pathlib

import numpy as np

from minigan import atomic, files, latents
from minigan.data import images
from minigan.data.stream import BY_NUMBER
from minigan.files.reading import shown
from minigan.training.config import Config
from minigan.training.readable import Moments
from minigan.training.step import State

# What may differ between a checkpoint and the run that continues it.
_FREE = ("kimg", "cooldown_kimg", "kimg_per_tick", "snapshot_kimg", "split_each_tick")


def save(folder: pathlib.Path, config: Config, state: State, rows: list[dict], data) -> None:
    """The checkpoint; then what can be made from it: log.csv, a grid of images, perhaps a snapshot.

    rows: of the log, one a tick.  data: as `stream.open_data`'s.
    Raises: OSError if a file cannot be written, an older one being intact.
    """
    state = state.to("cpu")
    arrays, numbers = {}, {}
    for field in dataclasses.fields(state):
        name, value = field.name, getattr(state, field.name)
        if name in state.adams:
            for part in ("m", "v"):
                arrays |= {f"{name}/{part}/{k}": a for k, a in value[part].items()}
            numbers[name] = value["step"]
        elif name == "moments" and value is not None:
            parts = dataclasses.asdict(value)
            numbers[name] = parts.pop("steps")
            arrays |= {f"{name}/{part}": a for part, a in parts.items()}
        elif name not in state.networks and value is not None:
            numbers[name] = value
    if hasattr(data, "pictures"):
        arrays["data/pixels"] = pixels(data)
    files.save(folder / "checkpoint.npz", state.networks, arrays,
               state=numbers, config=dataclasses.asdict(config), log=rows,
               stream=BY_NUMBER)  # fmt: skip
    with atomic.replacing(folder / "log.csv", "w") as file:
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()} for row in rows
        )
    kimg = state.images / 1000
    picture = images.grid(latents.samples(state.G_ema, config.seed), 8)
    images.write_png(folder / f"fakes{round(kimg):06d}.png", picture)
    every = config.snapshot_kimg
    if every and rows and kimg // every > (rows[-2]["kimg"] if len(rows) > 1 else 0) // every:
        made = {"images": state.images, "seconds": sum(row["seconds"] for row in rows),
                "config": dataclasses.asdict(config), "stream": BY_NUMBER}  # fmt: skip
        files.save(folder / f"network{round(kimg):06d}.npz", {"G_ema": state.G_ema}, made=made)


def config_of(path: str | pathlib.Path) -> Config:
    """The training config of a checkpoint.  Raises: as `files.read`; ValueError."""
    networks, _, meta = files.read(path)
    if "config" not in meta:
        raise ValueError(f"{path} holds {sorted(networks)} only; expected a training checkpoint")
    with _naming(path):
        nested = {name: type(networks[name].config)(**meta["config"][name]) for name in ("G", "D")}
        return Config(**meta["config"] | nested)


def restore(path: str | pathlib.Path, config: Config, data=None) -> tuple[State, list[dict]]:
    """(the state, the log) of a checkpoint of this config.

    data: the training data; pictures must be those that the run began with, wherever they lie.
    Raises: as `files.read`; ValueError.
    """
    networks, arrays, meta = files.read(path)
    if not {"G", "D", "G_ema"} <= networks.keys() or "state" not in meta:
        raise ValueError(f"{path} holds {sorted(networks)} only; expected a training checkpoint")
    with _naming(path):
        ours, theirs = (
            json.loads(json.dumps(c)) for c in (dataclasses.asdict(config), meta["config"])
        )
        free = _FREE if "portraits" in (ours["data"], theirs.get("data")) else (*_FREE, "data")
        other = [found for found in _differing(theirs, ours) if found[0] not in free]
        if other:
            some = ", ".join(
                f"{shown(k)} ({then!r:.60} there, {now!r:.60} here)" for k, then, now in other[:2]
            )
            raise ValueError(f"{path} is of another config: it differs in {some}")
        if meta.get("stream") != BY_NUMBER:
            raise ValueError(
                f"{path} is of an older minigan, whose steps drew other numbers (portraits batch "
                f"by batch, for one); a new run can go on from its networks: --init {path}"
            )
        if hasattr(data, "pictures") and "data/pixels" in arrays:
            _check_same(path, config.data, arrays["data/pixels"], pixels(data))
        numbers = meta["state"]
        for name in [name for name in numbers if name.endswith("_adam")]:
            numbers[name] = {"step": numbers[name]} | {
                part: {k.removeprefix(f"{name}/{part}/"): a for k, a in arrays.items()
                       if k.startswith(f"{name}/{part}/")}
                for part in ("m", "v")
            }  # fmt: skip
        if "moments" in numbers:
            parts = {part: arrays[f"moments/{part}"] for part in ("xx", "xr")}
            numbers["moments"] = Moments(**parts, steps=numbers["moments"])
        return State(**networks, **numbers), meta["log"]


def _differing(theirs, ours, prefix=""):
    """(name, there, here) of what two configs do not share, such as ("G.z_dim", 64, 128)."""
    for name in sorted(ours.keys() | theirs.keys()):
        then, now = theirs.get(name), ours.get(name)
        if isinstance(then, dict) and isinstance(now, dict):
            yield from _differing(then, now, f"{prefix}{name}.")
        elif then != now:
            yield prefix + name, then, now


@contextlib.contextmanager
def _naming(path):
    """Entries that a checkpoint lacks, or should not have, become a ValueError with its name."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a checkpoint that this minigan can read, or is damaged "
            f"({type(error).__name__}: {shown(error, 300)})"
        ) from None


def pixels(data: images.Images) -> np.ndarray:
    """uint8 [M, 3, 4, 4]: some pixels of each image, enough to recognise it."""
    step = data.pictures.shape[3] // 4
    return data.pictures[:, :, step // 2 :: step, step // 2 :: step]


def _check_same(path, where, then, now):
    # Versions of Pillow differ by a level or two.
    if len(then) != len(now) or np.abs(then - now.astype(np.float32)).max() > 8:
        raise ValueError(
            f"{where} does not hold the pictures that the run began with, in their order "
            f"({len(then)} then, {len(now)} now); a new run can go on from here: --init {path}"
        )

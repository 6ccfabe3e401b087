"""A training run in a folder: progress, checkpoints, grids, a log; stopped and resumed at will.

    folder/checkpoint.npz       everything, each tick, replaced at once: what `resume` reads
    folder/log.csv              one row a tick
    folder/fakes000012.png      the same latents each tick, by G_ema; reals.png the data
    folder/network000050.npz    G_ema, every `snapshot_kimg`

Read first: `step.py`.
"""

import contextlib
import csv
import dataclasses
import json
import pathlib
import time

import numpy as np
from tqdm import tqdm

from minigan import atomic, files
from minigan.data import images, portraits
from minigan.device import cupy, machine
from minigan.evaluation import metrics
from minigan.files.reading import shown
from minigan.networks import stylegan1, stylegan2, stylegan3
from minigan.progress import quiet
from minigan.training.config import Config
from minigan.training.step import Diverged, State, advance, start
from minigan.training.warm_start import transfer

# For short runs: a shallow mapping network that learns faster than the paper's (0.01).
_SMALL = stylegan2.MappingConfig(num_layers=3, lr_multiplier=0.1)

PRESETS = {
    # Recognisable after some twenty minutes of two cores.
    "portraits32": Config(
        G=stylegan2.Config(img_resolution=32, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64),
        D=stylegan2.DiscriminatorConfig(img_resolution=32, channel_base=1536, channel_max=64),
        batch=8, gamma=0.1, mixing_prob=0.5, ema_kimg=10.0, kimg=150,
    ),
    # As wide as the preset above, to begin with a run of it: --init runs/mine/checkpoint.npz
    "portraits64": Config(
        G=stylegan2.Config(img_resolution=64, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64),
        D=stylegan2.DiscriminatorConfig(img_resolution=64, channel_base=1536, channel_max=64),
        batch=8, loss="relativistic", gamma=0.2, mixing_prob=0.5, ema_kimg=10.0, ema_rampup=0.0,
        kimg=300, cooldown_kimg=60,
    ),
    # StyleGAN as in 2019: progressive growing, styles mixed.  Only R1 is lazy, for the time's sake.
    "portraits32-2019": Config(
        G=stylegan1.Config(
            img_resolution=32, z_dim=64, w_dim=64, channel_base=1024, channel_max=64,
            mapping_kwargs=stylegan1.MappingConfig(num_layers=4, lr_multiplier=0.1),
        ),
        D=stylegan1.DiscriminatorConfig(img_resolution=32, channel_base=1024, channel_max=64),
        batch=8, gamma=0.1, r1_interval=8, mixing_prob=0.9, ema_kimg=10.0, grow=(8, 8),
        kimg=150, cooldown_kimg=40,
    ),
    # StyleGAN3-T, 2021: at 32 pixels the margins outweigh the canvas, so they are kept small.  Its
    # mean squares have a half-life of 2 kimg, not 20, for a short run.
    "portraits32-2021": Config(
        G=stylegan3.Config(img_resolution=32, z_dim=64, w_dim=64, mapping_kwargs=_SMALL,
                           channel_base=1536, channel_max=64, num_layers=6, margin_size=6,
                           magnitude_ema_beta=0.5 ** (8 / 2000)),
        D=stylegan2.DiscriminatorConfig(img_resolution=32, channel_base=1536, channel_max=64),
        batch=8, gamma=0.1, ema_kimg=10.0, kimg=150,
    ),
    # The paper's own settings, for 256² pictures and a good deal of patience.
    "stylegan2": Config(
        G=stylegan2.Config(img_resolution=256), D=stylegan2.DiscriminatorConfig(img_resolution=256),
        batch=32, gamma=10.0, pl_weight=2.0, mixing_prob=0.9, ema_kimg=10.0, ema_rampup=0.0,
        kimg=25000, kimg_per_tick=4, snapshot_kimg=200,
    ),
    # StyleGAN3-R's own; D sees blurred pictures at first.  T: without that,
    # and without G's last two lines.
    "stylegan3-r": Config(
        G=stylegan3.Config(img_resolution=256, magnitude_ema_beta=0.5 ** (32 / 20000),
                           conv_kernel=1, use_radial_filters=True, channel_base=65536,
                           channel_max=1024),
        D=stylegan2.DiscriminatorConfig(img_resolution=256, conv_clamp=256.0),
        batch=32, g_lr=0.0025, gamma=2.0, blur_sigma=10.0, ema_kimg=10.0, kimg=25000,
        kimg_per_tick=4, snapshot_kimg=200,
    ),
    # What ADA's authors choose for few pictures: γ = 0.0002·R²/batch, half the channels.
    "ada64": Config(
        G=stylegan2.Config(img_resolution=64, channel_base=16384,
                           mapping_kwargs=stylegan2.MappingConfig(num_layers=2)),
        D=stylegan2.DiscriminatorConfig(img_resolution=64, channel_base=16384),
        batch=32, g_lr=0.0025, d_lr=0.0025, gamma=0.0256, pl_weight=2.0, mixing_prob=0.9,
        ema_kimg=10.0, augment="bgc", mirror=True, kimg=5000, kimg_per_tick=4, snapshot_kimg=200,
    ),
}  # fmt: skip

# What may differ between a checkpoint and the run that continues it.
_FREE = ("kimg", "cooldown_kimg", "kimg_per_tick", "snapshot_kimg", "split_each_tick")
W_SHARE = 0.5  # a run in which w explains less of the variance ends with a warning


BY_NUMBER = "by number"  # how `Portraits` draws; a file from before does not say


class Portraits:
    """Endless drawn portraits: number i is the same in every run of this seed, in any batch."""

    c_dim = 0

    def __init__(self, resolution, seed):
        self.resolution, self.seed = resolution, seed

    def batch(self, position, n):
        """Portraits number position … position + n − 1."""
        rngs = [
            np.random.default_rng([self.seed, 1 << 61, i]) for i in range(position, position + n)
        ]
        rows = [portraits.sample_factors(1, rng) for rng in rngs]
        factors = {name: np.concatenate([row[name] for row in rows]) for name in portraits.NAMES}
        noise_seeds = np.array([rng.integers(1 << 40) for rng in rngs])
        return portraits.draw(factors, self.resolution, noise_seeds), None


class BatchedPortraits(Portraits):
    """The stream before portraits were drawn by number: each batch of `size` from one seed.

    The shipped networks were trained on it, so what they saw is read back from it.
    """

    def __init__(self, resolution, seed, size):
        super().__init__(resolution, seed)
        self.size = size

    def batch(self, position, n):
        first = position // self.size * self.size
        batches = [
            portraits.sample(
                self.size, self.resolution, np.random.default_rng([self.seed, 1 << 61, start])
            )[0]
            for start in range(first, position + n, self.size)
        ]
        return np.concatenate(batches)[position - first :][:n], None


def preset(name):
    """A config of PRESETS.  Raises: ValueError for another name."""
    if name not in PRESETS:
        raise ValueError(f"there is no config {name!r}; expected {', '.join(PRESETS)}")
    return PRESETS[name]


def open_data(config):
    """The training data that a config names.  Raises: ValueError, FileNotFoundError."""
    if config.G.img_channels != 3:
        raise ValueError(
            f"the pictures have 3 channels, and the networks' img_channels is "
            f"{config.G.img_channels}; expected 3"
        )
    if config.data == "portraits":
        data = Portraits(config.G.img_resolution, config.seed)
    else:
        data = images.Images(config.data, config.G.img_resolution, config.seed)
    if data.c_dim != config.G.c_dim:
        raise ValueError(
            f"the labels of {config.data} have {data.c_dim} numbers, and the networks' c_dim is "
            f"{config.G.c_dim}; set G.c_dim and D.c_dim to {data.c_dim}"
        )
    return data


def override(config, settings, within=""):
    """A config with fields replaced: {"batch": 16, "G.channel_max": 96, …}.

    within: what config is a part of, such as "G.", for errors.
    Raises: ValueError for a name that the config has not, or a value that it refuses.
    """
    fields, changes, inside = {f.name for f in dataclasses.fields(config)}, {}, {}
    for name, value in settings.items():
        first, _, rest = name.partition(".")
        if first not in fields or (rest and not dataclasses.is_dataclass(getattr(config, first))):
            wanted = ", ".join(sorted(fields))
            raise ValueError(f"there is no setting {within + name!r}; expected one of {wanted}")
        if rest:
            inside.setdefault(first, {})[rest] = value
        else:
            changes[first] = value
    for first, values in inside.items():
        part = changes.get(first, getattr(config, first))
        changes[first] = override(part, values, f"{within}{first}.")
    try:
        return dataclasses.replace(config, **changes)
    except TypeError as error:  # a dict of settings, one of which there is not
        raise ValueError(f"{within}{', '.join(changes)}: {error}") from None


def train(config, folder, resume=False, on_tick=None, init=None, device="cpu"):
    """Train until config.kimg; returns the last `State`.

    folder: made if missing.  resume: go on from its checkpoint, which must be of the same config
    but for kimg and the intervals of saving; the pictures may have moved.  on_tick(state, row), if
    given, is called after each checkpoint.  init: files whose networks to begin with; see
    `warm_start.py`.  Ctrl-C saves and returns.  A progress bar is shown unless MINIGAN_QUIET=1.
    Raises: ValueError, FileNotFoundError, FileExistsError for a folder, config or data that do not
    fit; RuntimeError for device "gpu" where there is none; OSError if a checkpoint cannot be
    written, the older one being intact; Diverged.
    """
    folder = pathlib.Path(folder)
    checkpoint = folder / "checkpoint.npz"
    try:
        data = open_data(config)
    except FileNotFoundError as error:
        hint = "; if it has moved, say where: --data" if resume else ""
        raise FileNotFoundError(f"{error}{hint}") from None
    if device == "gpu":
        cupy()  # or say at once what is missing
    if resume and init is not None:
        raise ValueError("--init begins a run and --resume continues one; expected one of them")
    if resume:
        state, rows = restore(checkpoint, config, data)
    else:
        if checkpoint.exists():
            raise FileExistsError(f"{checkpoint} exists; resume it, or name another folder")
        state, rows = start(config), []
        if init is not None:
            state = transfer(state, init)
        reals, _ = data.batch(0, 64)
        folder.mkdir(parents=True, exist_ok=True)
        images.write_png(folder / "reals.png", images.grid(reals, 8))
        _save(folder, config, state, rows, data)
    state = state.to(device)
    bar = tqdm(
        total=config.kimg, initial=state.images / 1000, unit="kimg", disable=quiet(),
        bar_format="{l_bar}{bar}| {n:.1f}/{total:g} kimg [{elapsed}<{remaining}, "
        "{rate_inv_fmt}{postfix}]",
    )  # fmt: skip
    tick = _Tick()
    try:
        with bar:
            while state.images < 1000 * config.kimg:
                before = state.images
                state, stats = advance(config, state, data)
                tick.add(stats)
                bar.update((state.images - before) / 1000)
                bar.set_postfix(tick.means(), refresh=False)
                every = 1000 * config.kimg_per_tick
                done = state.images >= 1000 * config.kimg
                if done or state.images // every > before // every:
                    rows = [*rows, tick.row(state) | {"machine": machine(device)}]
                    if config.split_each_tick and splits(state.G_ema):
                        rows[-1]["w_share"] = split(state.G_ema.to("cpu"), config.seed)["w"]
                    _save(folder, config, state, rows, data)
                    if on_tick is not None:
                        on_tick(state, rows[-1])
                    tick = _Tick()
    except KeyboardInterrupt:
        _save(folder, config, state, rows, data)
        print(f"stopped at {state.images / 1000:.1f} kimg and saved; --resume goes on")
        return state
    except Diverged as error:
        advice = "" if rows else ", from before the first step: delete it to begin again there"
        raise Diverged(
            f"{error}; the last good checkpoint is {checkpoint}{advice}"
        ) from None
    does_w_matter(state.G_ema.to("cpu"), config.seed)
    return state


class _Tick:
    """What happened since the last checkpoint."""

    def __init__(self):
        self.begun, self.sums = time.perf_counter(), {}

    def add(self, stats):
        for name, value in stats.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)

    def means(self):
        return {name: f"{total / count:.3f}" for name, (total, count) in self.sums.items()}

    def row(self, state):
        row = {"kimg": state.images / 1000, "step": state.step, "p": state.p}
        row |= {name: total / count for name, (total, count) in self.sums.items()}
        row["seconds"] = time.perf_counter() - self.begun
        return row


def _save(folder, config, state, rows, data):
    """The checkpoint, then what can be made anew from it: the log, the grid, perhaps a snapshot."""
    state = state.to("cpu")
    arrays, numbers = {}, {}
    for field in dataclasses.fields(state):
        name, value = field.name, getattr(state, field.name)
        if name in state.adams:
            for part in ("m", "v"):
                arrays |= {f"{name}/{part}/{k}": a for k, a in value[part].items()}
            numbers[name] = value["step"]
        elif name not in state.networks and value is not None:
            numbers[name] = value
    if hasattr(data, "pictures"):
        arrays["data/pixels"] = _pixels(data)
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
    picture = images.grid(samples(state.G_ema, config.seed), 8)
    images.write_png(folder / f"fakes{round(kimg):06d}.png", picture)
    every = config.snapshot_kimg
    if every and rows and kimg // every > (rows[-2]["kimg"] if len(rows) > 1 else 0) // every:
        files.save(folder / f"network{round(kimg):06d}.npz", {"G_ema": state.G_ema})


def _pixels(data):
    """uint8 [M, 3, 4, 4]: some pixels of each picture, enough to recognise it."""
    step = data.pictures.shape[3] // 4
    return data.pictures[:, :, step // 2 :: step, step // 2 :: step]


def samples(G, seed, n=64, psi=1):
    """n images of fixed latents, and labels in turn if the network has any."""
    rng = np.random.default_rng([seed, 1 << 60])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    c = np.eye(G.c_dim, dtype=np.float32)[np.arange(n) % G.c_dim] if G.c_dim else None
    parts = [slice(i, i + 16) for i in range(0, n, 16)]
    return np.concatenate([G(z[s], None if c is None else c[s], psi) for s in parts])


def config_of(path):
    """The training config of a checkpoint.  Raises: as `files.read`; ValueError."""
    networks, _, meta = files.read(path)
    if "config" not in meta:
        raise ValueError(f"{path} holds {sorted(networks)} only; expected a training checkpoint")
    with _naming(path):
        nested = {name: type(networks[name].config)(**meta["config"][name]) for name in ("G", "D")}
        return Config(**meta["config"] | nested)


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


def restore(path, config, data=None):
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
        other = sorted(
            k for k in ours.keys() | theirs.keys() if k not in free and ours.get(k) != theirs.get(k)
        )
        if other:
            some = ", ".join(
                f"{shown(k)} ({theirs.get(k)!r:.60} there, {ours.get(k)!r:.60} here)"
                for k in other[:2]
            )
            raise ValueError(f"{path} is of another config: it differs in {some}")
        if meta.get("stream") != BY_NUMBER:
            raise ValueError(
                f"{path} is of an older minigan, whose steps drew other numbers (portraits batch "
                f"by batch, for one); a new run can go on from its networks: --init {path}"
            )
        if hasattr(data, "pictures") and "data/pixels" in arrays:
            _check_same(path, config.data, arrays["data/pixels"], _pixels(data))
        numbers = meta["state"]
        for name in [name for name in numbers if name.endswith("_adam")]:
            numbers[name] = {"step": numbers[name]} | {
                part: {k.removeprefix(f"{name}/{part}/"): a for k, a in arrays.items()
                       if k.startswith(f"{name}/{part}/")}
                for part in ("m", "v")
            }  # fmt: skip
        return State(**networks, **numbers), meta["log"]


def _check_same(path, where, then, now):
    # Versions of Pillow differ by a level or two.
    if len(then) != len(now) or np.abs(then - now.astype(np.float32)).max() > 8:
        raise ValueError(
            f"{where} does not hold the pictures that the run began with, in their order "
            f"({len(then)} then, {len(now)} now); a new run can go on from here: --init {path}"
        )


def splits(G):
    """Whether the variance of a generator's outputs can be split between w and its noise."""
    return G.c_dim == 0 and any(name.endswith(".noise_const") for name in G.buffers)


def split(G, seed):
    """`metrics.variance_split`, of a few latents and always the same."""
    return metrics.variance_split(G, np.random.default_rng(seed), 128)


def does_w_matter(G, seed):
    """Print how the outputs' variance splits between w and the noise; warn if w does little."""
    if not splits(G):
        return
    found = split(G, seed)
    shares = ", ".join(f"{name} {100 * found[name]:.1f} %" for name in ("w", "noise", "both"))
    print(f"does w matter?  of the variance: {shares}")
    for name, w, noise in found["layers"]:
        print(f"  {name:12s} w {100 * w:5.1f} %   noise {100 * noise:5.2f} %")
    if found["w"] < W_SHARE:
        print(f"WARNING: w explains less than {100 * W_SHARE:.0f} % of the variance: "
              "this generator all but ignores its latent")  # fmt: skip

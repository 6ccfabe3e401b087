"""A training run in a folder: progress, checkpoints, grids, a log; stopped and resumed at will.

    folder/checkpoint.npz       everything, each tick, replaced at once: what `resume` reads
    folder/log.csv              one row a tick
    folder/fakes000012.png      the same latents each tick, by G_ema; reals.png the data
    folder/network000050.npz    G_ema, every `snapshot_kimg`

Read first: `step.py`, `checkpoint.py`.
"""

import pathlib
import time
from collections.abc import Callable, Iterable

from minigan import progress
from minigan.data import images
from minigan.data.stream import open_data
from minigan.device import cupy, machine
from minigan.evaluation import variance
from minigan.training.checkpoint import restore, save
from minigan.training.config import Config
from minigan.training.step import Diverged, State, advance, start
from minigan.training.warm_start import warm_start


def train(
    config: Config,
    folder: str | pathlib.Path,
    resume: bool = False,
    on_tick: Callable[[State, dict], object] | None = None,
    init: Iterable[str | pathlib.Path] | None = None,
    device: str = "cpu",
) -> State:
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
            state = warm_start(state, init)
        reals, _ = data.batch(0, 64)
        folder.mkdir(parents=True, exist_ok=True)
        images.write_png(folder / "reals.png", images.grid(reals, 8))
        save(folder, config, state, rows, data)
    state = state.to(device)
    bar = progress.bar(
        total=config.kimg, initial=state.images / 1000, unit="kimg",
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
                    if config.split_each_tick and variance.splits(state.G_ema):
                        shares = variance.split(state.G_ema.to("cpu"), config.seed)
                        rows[-1]["w_share"] = shares["w"]
                    save(folder, config, state, rows, data)
                    if on_tick is not None:
                        on_tick(state, rows[-1])
                    tick = _Tick()
    except KeyboardInterrupt:
        save(folder, config, state, rows, data)
        print(f"stopped at {state.images / 1000:.1f} kimg and saved; --resume goes on")
        return state
    except Diverged as error:
        advice = "" if rows else ", from before the first step: delete it to begin again there"
        raise Diverged(f"{error}; the last good checkpoint is {checkpoint}{advice}") from None
    variance.does_w_matter(state.G_ema.to("cpu"), config.seed)
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

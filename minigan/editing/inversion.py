"""Which w draws this picture?  It is looked for step by step, by the gradient of an error.

    found = optimise(G, photo, Perceptual(D, "my D"), Settings("w+", steps=200))
    found.best.images(G)           the picture as G draws it
    found.best.ws                  [N, num_ws, w_dim]

Settings' defaults are those of NVIDIA's projector (StyleGAN2, App. D), which looks in W and leaves
the noise maps free; here these stay as they are unless asked for, since they can store a picture
that w does not know.  In "w+" every layer has its own w: whatever the picture, it comes out well,
but what comes out need not lie where edits work.

Targets do not know of each other: a batch of them gives what they give one by one, up to rounding.

Read first: `space.py`, `perceptual.py`.  Read next: `tuning.py`.
"""

import dataclasses
import hashlib
import math
import os
import pathlib
import time
from collections.abc import Callable

import numpy as np

from minigan import autograd, check, files, optim, progress
from minigan.device import beside, moved
from minigan.editing.space import SAMPLES, statistics

SAVE_EVERY = 10  # seconds
BETAS = (0.9, 0.999)  # of Adam
_START = 1 << 60  # no step has this number


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where it is looked for, how long, and what counts as an error.  t = step/steps."""

    space: str = "w+"  # or "w", "z"
    steps: int = 1000
    lr: float = 0.1
    rampup: float = 0.05  # share of the steps in which lr grows from 0
    rampdown: float = 0.25  # and in which it falls to 0 again
    latent_noise: float = 0.05  # added to w, in units of W's radius; it falls to 0
    latent_noise_ramp: float = 0.75  # at this t
    noise: bool = False  # whether the noise maps are looked for too
    noise_weight: float = 1e5  # against pictures in them
    pixel: float = 1.0  # weight of the mean squared error, in [−1, 1]
    perceptual: float = 1.0
    whitened: bool = False  # steps along v instead of w; see `space.py`
    prior: float = 0.0  # weight of ‖v‖²/w_dim, which is about 1 for G's own w
    samples: int = SAMPLES  # for the statistics of W
    seed: int = 0

    def __post_init__(self):
        check.fields(self, steps=1, lr=0, rampup=0, rampdown=0, latent_noise=0,
                     latent_noise_ramp=0, noise_weight=0, pixel=0, perceptual=0, prior=0,
                     seed=0)  # fmt: skip
        check.choice(self, "space", ("z", "w", "w+"))
        if self.space == "z" and (self.whitened or self.prior):
            raise ValueError("Settings: space is 'z'; expected 'w' or 'w+' with whitened or prior")

    def lr_at(self, step: int) -> float:
        """The learning rate of this step: a short rise, and a long fall along a cosine."""
        t = step / self.steps
        down = min(1.0, (1 - t) / max(self.rampdown, 1e-9))
        return (
            self.lr * (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, t / max(self.rampup, 1e-9))
        )

    def noise_at(self, step: int) -> float:
        """How much noise w is given in this step, in units of W's radius."""
        left = max(0.0, 1 - step / self.steps / max(self.latent_noise_ramp, 1e-9))
        return self.latent_noise * left**2


@dataclasses.dataclass(frozen=True, eq=False)
class Code:
    """What a generator needs to draw N pictures."""

    ws: np.ndarray  # [N, num_ws, w_dim]
    noises: dict  # {layer: [N, 1, H, W]}, or empty: the generator's own

    def images(self, G) -> np.ndarray:
        """[N, C, R, R], in [−1, 1] but for what G overshoots."""
        return G._synthesis(self.ws, self.noises) if self.noises else G.synthesis(self.ws)


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion:
    """What was found.  losses[i] are those of the N targets after i steps."""

    best: Code  # of each target, where its loss was least, without noise on w
    last: Code
    steps: np.ndarray  # [N], whole: after how many steps the best was found
    losses: np.ndarray  # [done + 1, N]
    seconds: float

    @property
    def done(self) -> int:
        """Steps that were made; fewer than asked for after Ctrl-C."""
        return len(self.losses) - 1


def optimise(
    G,
    targets: np.ndarray,
    features: Callable | None,
    settings: Settings = Settings(),
    c: np.ndarray | None = None,
    start: np.ndarray | None = None,
    state: str | os.PathLike | None = None,
) -> Inversion:
    """Look for the latents of N targets at once, each with its own and with its own loss.

    targets float [N, C, R, R] in [−1, 1].  features: images -> [N, F], such as `Perceptual`; the
    squared difference is the perceptual part.  None: pixels only.  c [N, c_dim]: labels, for
    conditional networks.  start: where to begin, ws [N, num_ws, w_dim], of which "w" takes the
    layers' mean, or z [N, z_dim]; None: at the mean of W, or at a z drawn by the seed.
    state: a file to go on from if it is there, and to keep what there is, every ten seconds and
    after Ctrl-C, which ends the search early.  A search that was killed goes on bit for bit.
    Raises: TypeError, ValueError for targets, labels or a start that do not fit, or a state of
    another search; OSError if the state cannot be written.
    """
    search = _Search(G, targets, features, settings, c, start)
    now = search.begin()
    about = {"settings": dataclasses.asdict(settings), "network": G.fingerprint,
             "features": getattr(features, "label", ""),
             "inputs": _digest(targets, c, start)}  # fmt: skip
    if state is not None and pathlib.Path(state).exists():
        now = _restored(state, about, now)
    saved = time.perf_counter()
    bar = progress.bar(total=settings.steps, initial=now["done"], unit="step", text=settings.space)
    try:
        with bar:
            while now["done"] < settings.steps:
                begun = time.perf_counter()
                now = search.step(now)
                now["seconds"] += time.perf_counter() - begun
                bar.update(1)
                bar.set_postfix(loss=f"{np.mean(now['losses'][-1]):.4f}", refresh=False)
                if state is not None and time.perf_counter() - saved > SAVE_EVERY:
                    _save(state, about, now)
                    saved = time.perf_counter()
    except KeyboardInterrupt:
        pass
    if state is not None:
        _save(state, about, now)
    now = search.judged(now, search.loss(now["params"]))
    return Inversion(search.code(now["best"]), search.code(now["params"]), now["best_step"],
                     now["losses"], now["seconds"])  # fmt: skip


class _Search:
    """What stays the same during a search.  `now`, what changes, is a dict that is replaced."""

    def __init__(self, G, targets, features, settings, c, start):
        shape = (None, G.img_channels, G.img_resolution, G.img_resolution)
        check.finite("targets", targets, shape, like=G.w_avg)
        if targets.dtype != G.w_avg.dtype:
            raise TypeError(f"targets are {targets.dtype}; expected {G.w_avg.dtype}, as the "
                            "network's arrays")  # fmt: skip
        if len(targets) < 1:
            raise ValueError(f"targets have shape {targets.shape}; expected at least one")
        self.G, self.targets, self.features, self.settings = G, targets, features, settings
        self.c = G._labels(c, len(targets), targets)
        # Of conditional networks each label has its own statistics.
        labels = [None] if self.c is None else moved(self.c, "cpu")
        spaces = [statistics(G, label, settings.samples) for label in labels]
        self.mean = self._like([s.mean[None] for s in spaces])  # [1 or N, 1, D]
        self.radius = self._like([[[s.radius]] for s in spaces])
        if settings.whitened or settings.prior:
            self.root = self._like([s.power(0.5) for s in spaces])  # [1 or N, D, D]
            self.inverse = self._like([s.power(-0.5) for s in spaces])
        self.seen = None if features is None else features(targets)
        self.start = self._start(start)

    def _start(self, start):
        """The latents before the first step."""
        G, n, s = self.G, len(self.targets), self.settings
        if s.space == "z":
            if start is None:
                return np.repeat(self._like(_draw(s.seed, _START, (1, G.z_dim))), n, axis=0)
            check.finite("start", start, (n, G.z_dim), like=G.w_avg)
            return start.astype(self.targets.dtype)
        if start is None:
            w = np.repeat(self.mean, n // len(self.mean), axis=0)
            w = np.repeat(w, G.num_ws, axis=1)
        else:
            check.finite("start", start, (n, G.num_ws, G.w_dim), like=G.w_avg)
            w = start.astype(self.targets.dtype)
        if s.space == "w":
            w = w[:, :1] if start is None else np.mean(w, axis=1, keepdims=True)
        return (w - self.mean) @ self.inverse if s.whitened else w

    def _like(self, a):
        return beside(np.asarray(a, self.targets.dtype), self.targets)

    def begin(self):
        """Before the first step."""
        params, n = {"latent": self.start}, len(self.targets)
        if self.settings.noise:
            for layer, noise in _maps(self.G, self.settings.seed).items():
                params[f"noise.{layer}"] = np.repeat(self._like(noise), n, axis=0)
        adam = optim.Adam(betas=BETAS).init(params)
        return {"params": params, "m": adam["m"], "v": adam["v"], "done": 0, "seconds": 0.0,
                "losses": np.zeros((0, n), self.targets.dtype), "best": params,
                "best_loss": np.full(n, np.inf), "best_step": np.zeros(n, int)}  # fmt: skip

    def step(self, now):
        """What follows `now`."""
        done, s = now["done"], self.settings
        scale, noise = s.noise_at(done), None
        if scale:
            layers = self.G.num_ws if s.space == "w+" else 1
            drawn = self._like(_draw(s.seed, done, (layers, self.G.w_dim)))
            noise = drawn * (self.radius * scale)

        def total(params):
            losses = self.loss(params, noise)
            return np.sum(losses), losses

        (_, losses), grads = autograd.value_and_grad(total, has_aux=True)(now["params"])
        now = self.judged(now, losses, noise is None)
        adam = optim.Adam(s.lr_at(done), BETAS)
        moments = {"step": done, "m": now["m"], "v": now["v"]}
        params, moments = adam.step(now["params"], grads, moments)
        params = {k: a if k == "latent" else _normalised(a) for k, a in params.items()}
        return now | {"params": params, "m": moments["m"], "v": moments["v"], "done": done + 1}

    def judged(self, now, losses, counts=True):
        """`now` with the losses of its params, which are kept for the targets that they suit best
        so far.  With noise on w the losses are another w's, and do not count."""
        losses = moved(losses, "cpu")
        now = now | {"losses": np.concatenate([now["losses"], losses[None]])}
        if not counts:
            return now
        better = losses < now["best_loss"]
        here = beside(better, self.targets)
        return now | {
            "best": {k: np.where(np.reshape(here, (-1,) + (1,) * (a.ndim - 1)), a, now["best"][k])
                     for k, a in now["params"].items()},
            "best_loss": np.where(better, losses, now["best_loss"]),
            "best_step": np.where(better, now["done"], now["best_step"]),
        }  # fmt: skip

    def loss(self, params, noise=None):
        """[N].  noise [1 or num_ws, w_dim] is added to every target's w."""
        s, code = self.settings, self.code(params)
        if noise is not None:
            code = Code(code.ws + noise, code.noises)
        images = code.images(self.G)
        found = s.pixel * np.mean(np.square(images - self.targets), axis=(1, 2, 3))
        if self.seen is not None and s.perceptual:
            apart = self.features(images) - self.seen
            found = found + s.perceptual * np.sum(np.square(apart), axis=1)
        if s.prior:
            v = params["latent"]
            v = v if s.whitened else (v - self.mean) @ self.inverse
            found = found + s.prior * np.mean(np.square(v), axis=(1, 2))
        for map_ in code.noises.values():
            found = found + s.noise_weight * roughness(map_)
        return found

    def code(self, params):
        """The `Code` of latents and noise maps."""
        G, latent, s = self.G, params["latent"], self.settings
        if s.space == "z":
            ws = G.mapping(latent, self.c)
        else:
            w = self.mean + latent @ self.root if s.whitened else latent
            ws = np.broadcast_to(w, (len(self.targets), G.num_ws, G.w_dim))
        return Code(ws, {k[len("noise.") :]: a for k, a in params.items() if k != "latent"})


def roughness(noise: np.ndarray) -> np.ndarray:
    """How far noise maps [N, 1, H, W] are from noise: 0 where neighbours have nothing in common.

    The squared mean product of neighbours, in x and in y, at the map's own size and at each half of
    it down to 8² (StyleGAN2, Eq. 8): [N].
    """
    found = 0.0
    while True:
        for axis in (3, 2):
            together = np.mean(noise * np.roll(noise, 1, axis), axis=(1, 2, 3))
            found = found + np.square(together)
        n, _, height, width = noise.shape
        if height <= 8:
            return found
        noise = np.mean(np.reshape(noise, (n, 1, height // 2, 2, width // 2, 2)), axis=(3, 5))


def _normalised(noise):
    """Each map with mean 0 and mean square 1."""
    noise = noise - np.mean(noise, axis=(1, 2, 3), keepdims=True)
    return noise / np.sqrt(np.mean(np.square(noise), axis=(1, 2, 3), keepdims=True))


# ---- chance, which is the same for every target --------------------------------------------------


def _draw(seed, which, shape):
    """Standard normal numbers: in step `which`, or for the start."""
    return np.random.default_rng([seed, which]).standard_normal(shape)


def _maps(G, seed):
    """{layer: [1, 1, H, W]}, fresh noise for each map that G has."""
    rng = np.random.default_rng([seed, _START + 1])
    return {
        layer: rng.standard_normal((1, 1, *const.shape)) for layer, const in G.noise_maps.items()
    }


# ---- the state on disk ---------------------------------------------------------------------------

_PARTS = ("params", "m", "v", "best")  # dicts of arrays
_ARRAYS = ("losses", "best_loss", "best_step")


def _digest(*arrays):
    digest = hashlib.sha256()
    for a in arrays:
        if a is not None:
            digest.update(f"{a.shape}".encode() + moved(a, "cpu").tobytes())
    return digest.hexdigest()[:16]


def _save(path, about, now):
    arrays = {f"{part}/{k}": moved(a, "cpu") for part in _PARTS for k, a in now[part].items()}
    arrays |= {name: now[name] for name in _ARRAYS}
    files.save(path, {}, arrays, search=about, done=now["done"], seconds=now["seconds"])


def _restored(path, about, fresh):
    """`now` as it was saved.  fresh: before the first step, whose arrays have the same shapes."""
    _, arrays, meta = files.read(path)
    theirs = meta.get("search")
    if not isinstance(theirs, dict):
        raise ValueError(f"{path} is not the state of a search")
    differ = [k for k, v in about.items() if theirs.get(k) != v]
    if differ:
        raise ValueError(
            f"{path} is of a search with other {', '.join(differ)}; expected the same, or a path "
            "where no file is"
        )
    now = {"done": meta["done"], "seconds": meta["seconds"]}
    for part in _PARTS:
        now[part] = {k: beside(arrays[f"{part}/{k}"], a) for k, a in fresh[part].items()}
    return now | {name: arrays[name] for name in _ARRAYS}

"""A photo, looked for in a generator: from the file to a folder with pictures and a report.

    invert("me.jpg", "ffhq.pkl", "out", points=[[412, 380], …], minutes=10)

aligns the photo (`align.py`), chooses a method, looks for the latents (`inversion.py`), tunes the
generator if that was chosen (`tuning.py`), asks whether it draws such pictures at all
(`verdict.py`), and says what came of it (`report.py`).  Each file is complete or not there;
what is there after Ctrl-C is kept, and a run that was killed goes on.

Read first: `inversion.py`.  Read next: `verdict.py`, `report.py`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import time

import numpy as np

import minigan
from minigan import atomic, check, files
from minigan.data import images, photos
from minigan.device import beside, moved
from minigan.editing import align, inversion, report, tuning, verdict
from minigan.editing.perceptual import Perceptual, Pyramid
from minigan.editing.space import SAMPLES, statistics
from minigan.networks import base

# What sees portraits, by the pixels that it needs; measures are to use others.
READERS = {32: "factors32", 64: "factors64-teach"}
STEPS, MOST, LEAST = 200, 1000, 10  # of the search: by default, and what a budget may buy
TUNING = 0.5  # tuning's steps, as a share of the search's
TUNING_COST = 1.5  # of one such step, in steps of the search
SOFTWARE = f"made with minigan {minigan.__version__}"
ABOUT = "run.json"  # what was asked for and what was planned


@dataclasses.dataclass(frozen=True)
class Method:
    space: str  # of the search
    tuned: bool  # whether the generator is tuned then
    what: str


METHODS = {
    "w": Method("w", False, "one w for all layers: where edits work; details are lost"),
    "w+": Method("w+", False, "a w for each layer: exact; edits are weaker"),
    "pti": Method("w", True, "the w, then the generator's weights: exact where edits work, for one "
                  "more set of weights"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked for."""

    method: str = "auto"  # or of METHODS
    steps: int | None = None  # of the search
    minutes: float | None = None  # a budget for all, instead
    label: int | None = None  # the class of a conditional network
    calibrate: int | None = None  # own pictures that are looked for too; None: if G is small
    seed: int = 0
    device: str = "cpu"
    samples: int = SAMPLES  # for W's statistics

    def __post_init__(self):
        check.fields(self, steps=1, minutes=0, label=0, calibrate=0, seed=0)
        check.choice(self, "method", ("auto", *METHODS))
        if self.steps is not None and self.minutes is not None:
            raise ValueError("steps and minutes were given; expected one of them")


def invert(
    photo: str | os.PathLike,
    network: str | os.PathLike,
    outdir: str | os.PathLike,
    points: np.ndarray | None = None,
    wish: Wish = Wish(),
    resume: bool = False,
) -> dict:
    """Everything that the module says, into outdir; returns what stands in report.json.

    points [4, 2]: in the file's pixels, as `align.py` says; None: the picture is cut out already,
    and its middle is taken.  resume: go on with the run in outdir.
    Raises: OSError, ValueError, a sentence, for what cannot be read, does not fit, or an outdir
    with another run.
    """
    began, folder, picture = time.perf_counter(), pathlib.Path(outdir), photos.read(photo)
    if points is not None:
        points = align.in_photo(points, picture)
    G, D, drawn = _networks(network)
    c = base.one_hot(wish.label, G.c_dim)
    image, alignment = _target(picture, points, G, "portraits" if drawn else "ffhq")
    asked = {"photo or points": hashlib.sha256(image.tobytes()).hexdigest()[:16],
             "network": G.fingerprint} | dataclasses.asdict(wish)  # fmt: skip
    plan = _begun(folder, asked, resume)
    G, D = (None if x is None else x.to(wish.device) for x in (G, D))
    features, eyes = _features(G, D, drawn, pathlib.Path(network).name, wish.device)
    target, c = beside(image, G.w_avg), beside(c, G.w_avg)
    if plan is None:
        plan = _plan(wish, G, target, features, c, began)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(folder / ABOUT, "w") as file:
            file.write(json.dumps({"asked": asked, "plan": plan}, indent=1))
    print(f"{alignment['text']}\n{plan['why']}\n{eyes}")
    images.write_png(folder / "target.png", images.to_uint8(image)[0], SOFTWARE)

    chosen, tuned, measured, at = METHODS[plan["method"]], None, None, 0.0
    settings = inversion.Settings(chosen.space, plan["steps"], samples=wish.samples, seed=wish.seed)
    found = inversion.optimise(G, target, features, settings, c, state=folder / "search.state.npz")
    drawn = [found.best.images(G)]
    finished = found.done == plan["steps"]
    if chosen.tuned and finished:
        few = tuning.Settings(plan["tuning"], seed=wish.seed)
        tuned = tuning.tune(G, target, found.best.ws, features, few, c)
        finished = tuned.updates == plan["tuning"]
        drawn.append(tuned.G.synthesis(found.best.ws))
    if plan["calibrate"] and finished:
        at = time.perf_counter()
        measured = verdict.measure(G, D, target, features, plan["calibrate"], c, wish.seed,
                                   wish.samples, folder / "own.state.")  # fmt: skip
        finished, at = measured is not None, time.perf_counter() - at

    arrays = {"w": moved(found.best.ws, "cpu"), "losses": found.losses[:, 0]}
    if tuned is not None:
        arrays["tuning_losses"] = tuned.losses["loss"]
        files.save(folder / "tuned.npz", {"G_ema": tuned.G})
    files.save(folder / "latent.npz", {}, arrays, made_with=SOFTWARE, network=G.fingerprint,
               asked=asked, settings=dataclasses.asdict(settings))  # fmt: skip
    _write_pictures(folder, picture, alignment, image, [moved(x, "cpu") for x in drawn])
    space = statistics(G, None if c is None else moved(c[0], "cpu"), wish.samples)
    said = {
        "made_with": SOFTWARE,
        "photo": {"file": str(photo), "size": list(picture.size), "remarks": [*picture.remarks]},
        "network": {"name": str(network), "fingerprint": G.fingerprint, "num_ws": G.num_ws,
                    "resolution": G.img_resolution},
        "alignment": alignment,
        "wish": dataclasses.asdict(wish),
        "plan": plan | {"compared_by": eyes},
        "done": {"steps": found.done, "tuning": tuned.updates if tuned else 0},
        "errors": {
            "pixel": float(np.mean(np.square(drawn[-1] - target))),
            "perceptual": float(np.sum(np.square(features(drawn[-1]) - features(target)))),
            "distance": float(space.distance(moved(found.best.ws, "cpu")).mean()),
        },
        "own": measured,
        "verdict": verdict.verdict(measured, points is not None),
        "seconds": {"search": found.seconds, "tuning": tuned.seconds if tuned else 0.0,
                    "verdict": at, "all": time.perf_counter() - began},
        "not_done": _not_done(G, chosen, points, plan["calibrate"], finished),
        "finished": finished,
    }  # fmt: skip
    report.write(folder, said)
    if finished:
        for state in folder.glob("*.state.*"):
            state.unlink()
    return said


def _write_pictures(folder, picture, alignment, target, drawn):
    """target [1, 3, R, R]; drawn: what comes near it, nearer and nearer."""
    reconstruction, row = images.to_uint8(drawn[-1])[0], np.concatenate([target, *drawn])
    images.write_png(folder / "reconstruction.png", reconstruction, SOFTWARE)
    images.write_png(folder / "comparison.png", images.grid(row, len(row)), SOFTWARE)
    if alignment["similarity"] is not None:
        pasted = align.paste_back(picture.pixels, drawn[-1], np.array(alignment["similarity"]))
        images.write_png(folder / "pasted.png", pasted, SOFTWARE)


# ---- what goes in --------------------------------------------------------------------------------


def _networks(name):
    """(the generator of a file, the discriminator beside it or None, whether it draws portraits)"""
    path = files.shipped(name)
    found, meta = (
        (files.read_networks(path), {}) if path.suffix == ".pkl" else files.read(path)[::2]
    )
    G, D = found.get("G_ema") or found.get("G"), found.get("D")
    channels = getattr(G, "img_channels", None)
    if channels != 3:
        came = f"draws pictures of {channels} channels" if channels else f"holds {sorted(found)}"
        raise ValueError(f"{name} {came}; expected a generator of pictures in colour, 3 channels")
    beside_it = path.with_name(f"{path.stem}-D.npz")
    if D is None and beside_it.is_file():
        D = files.read_networks(beside_it).get("D")
    if not hasattr(D, "_maps") or D.image_shape != (3, *[G.img_resolution] * 2):
        D = None
    config = (meta.get("made") or meta).get("config", {})
    return G, D, config.get("data") == "portraits"


def _features(G, D, drawn, name, device):
    """(what compares pictures, that in words)"""
    found = Pyramid()
    why = "the network comes without a discriminator, so nothing that sees compares them"
    reader = next((READERS[size] for size in (64, 32) if G.img_resolution % size == 0), None)
    if drawn and reader:
        network = files.load_reader(reader).to(device)
        found, why = Perceptual(network, reader), "it reads drawn portraits"
    elif D is not None:
        found, why = Perceptual(D, f"D of {name}"), "the generator's own discriminator"
    return found, f"Pictures compared by {found.label}: {why}"


def _target(picture, points, G, template):
    """(image [1, 3, R, R], what the report says of where it was in the photo)"""
    if points is not None:
        target, similarity = align.align(picture.pixels, points, G.img_resolution, template)
        return target, {"template": template, "points": points.tolist(),
                        "similarity": similarity.tolist(),
                        "text": f"Aligned by four points to the frame of {template}"}  # fmt: skip
    from PIL import Image

    square = images.middle(G.img_resolution, Image.fromarray(picture.pixels), [])
    target = (np.asarray(square, np.float32) * (1 / 127.5) - 1).transpose(2, 0, 1)[None]
    return target, {"template": None, "points": None, "similarity": None,
                    "text": "Not aligned: the middle of the picture as it is"}  # fmt: skip


# ---- what is done --------------------------------------------------------------------------------


def _begun(folder, asked, resume):
    """The plan of the run in this folder, or None if there is none.

    Raises: ValueError unless resume says that it is to go on, and nothing else was asked of it.
    """
    path = folder / ABOUT
    if not path.exists():
        if resume:
            raise ValueError(f"{folder} holds no run; expected one to --resume")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is not an empty folder; expected one, or a new name")
        return None
    if not resume:
        raise ValueError(f"{folder} holds a run; --resume goes on with it, or take another folder")
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        differ = [name for name, value in asked.items() if before["asked"][name] != value]
        plan = before["plan"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what describes a run ({error!r})") from None
    if differ:
        raise ValueError(f"{folder} holds a run with another {', '.join(differ)}; expected the "
                         "same to --resume, or another folder")  # fmt: skip
    return plan


def _plan(wish, G, target, features, c, began):
    """{"method", "steps", "tuning", "calibrate", "why"}"""
    method, steps, n, why = wish.method, wish.steps or STEPS, wish.calibrate, "as asked"
    if n is None:
        n = 8 if G.img_resolution <= 64 else 0
    if wish.minutes is None:
        if method == "auto":
            method, why = "w", (
                "no encoder begins the search for this network, and without --minutes nothing says "
                "that tuning may take its time")  # fmt: skip
    else:
        space = "w" if method == "auto" else METHODS[method].space
        for few in (1, 3):  # the first step compiles
            settings = inversion.Settings(space, few, samples=wish.samples)
            rate = inversion.optimise(G, target, features, settings, c).seconds / few
        left = 60 * wish.minutes - (time.perf_counter() - began)
        own = (n + 1) * verdict.STEPS * rate if n else 0.0
        if wish.calibrate is None and own > 0.4 * left:
            n, own = 0, 0.0
        can, both = (left - own) / rate, 1 + TUNING * TUNING_COST
        if method == "auto":
            method, why = "pti", "no encoder; the budget reaches for tuning too"
            if can < STEPS * both:
                method, why = "w", f"no encoder; the budget is short for {STEPS} steps and tuning"
        steps = min(MOST, max(LEAST, int(can / (both if METHODS[method].tuned else 1))))
        why += f"; {rate:.2f} s a step: {wish.minutes:g} min buy {steps} steps"
    more = max(1, round(TUNING * steps)) if METHODS[method].tuned else 0
    return {"method": method, "steps": steps, "tuning": more, "calibrate": n,
            "why": f"Method {method}, {METHODS[method].what} ({why})"}  # fmt: skip


def _not_done(G, chosen, points, n, finished):
    """Sentences."""
    said = {
        "No encoder began the search: there is none for this network.": True,
        "Whether it is the same person was not measured.": True,
        "The noise maps are the generator's own; none was looked for.": bool(G.noise_maps),
        "The generator was not tuned (--method pti).": not chosen.tuned,
        "The photo was not aligned, so nothing was pasted back.": points is None,
        "None of the generator's own pictures was looked for, so errors have nothing to compare "
        "with (--calibrate 8).": not n,
        "The run was stopped early; --resume goes on with it.": not finished,
    }
    return [line for line, holds in said.items() if holds]

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
from minigan import atomic, files, latents
from minigan.data import images, photos
from minigan.device import beside, moved
from minigan.editing import align, inversion, report, tuning, verdict
from minigan.editing.perceptual import Perceptual, Pyramid
from minigan.editing.space import SAMPLES, statistics

READER = "factors32"  # what sees portraits; measures are to use another
STEPS, MOST, LEAST = 200, 1000, 10  # of the search: by default, and what a budget may buy
TUNING = 0.5  # tuning's steps, as a share of the search's
TUNING_COST = 1.5  # of one such step, in steps of the search
SOFTWARE = f"made with minigan {minigan.__version__}"
ABOUT = "run.json"  # what was asked for and what was planned
_POINTS = ("--landmarks x,y x,y x,y x,y or --points FILE: left eye, right eye, left and right "
           "corner of the mouth, left as in the picture; or --no-align for a picture that is cut "
           "out already")  # fmt: skip


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


def invert(
    photo: str | os.PathLike,
    network: str | os.PathLike,
    outdir: str | os.PathLike,
    points: np.ndarray | None = None,
    aligned: bool = False,
    method: str = "auto",
    steps: int | None = None,
    minutes: float | None = None,
    label: int | None = None,
    calibrate: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    samples: int = SAMPLES,
) -> dict:
    """Everything that the module says, into outdir; returns what stands in report.json.

    points [4, 2]: in the file's pixels, as `align.py` says.  aligned: it is cut out already, and
    only its middle is taken.  method: of METHODS, or "auto".  steps: of the search; minutes: a
    budget for all, instead.  label: the class of a conditional network.  calibrate: how many of
    the generator's own pictures are looked for too, 0 or more than 3; None: a few if it is small.
    samples: for W's statistics.
    Raises: OSError, ValueError, a sentence, for what cannot be read, does not fit, or an outdir
    with another run.
    """
    began, folder = time.perf_counter(), pathlib.Path(outdir)
    if points is None and not aligned:
        raise ValueError(f"{photo}: where is the face? Give {_POINTS}")
    if method not in ("auto", *METHODS):
        raise ValueError(f"method is {method!r}; expected auto, {', '.join(METHODS)}")
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were given; expected one of them")
    if calibrate is not None and 0 < calibrate < 4:
        raise ValueError(f"calibrate is {calibrate}; expected 0, or 4 or more")
    picture = photos.read(photo)
    if points is not None:
        points = align.in_photo(points, picture)
    G, D, drawn = _networks(network)
    c = latents.one_hot(label, G.c_dim)
    target, similarity, about = _target(picture, points, G, "portraits" if drawn else "ffhq")
    digest = hashlib.sha256(target.tobytes()).hexdigest()[:16]
    asked = {"photo or points": digest, "network": G.fingerprint,
             "method": method, "steps": steps, "minutes": minutes, "class": label,
             "calibrate": calibrate, "seed": seed}  # fmt: skip
    plan = _begun(folder, asked, resume)
    G, D = (None if x is None else x.to(device) for x in (G, D))
    features, why_features = _features(G, D, drawn, pathlib.Path(network).name, device)
    there, c = beside(target, G.w_avg), beside(c, G.w_avg)
    if plan is None:
        plan = _plan(asked, G, there, features, c, samples, began)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(folder / ABOUT, "w") as file:
            file.write(json.dumps({"asked": asked, "plan": plan}, indent=1))
    for line in (about["text"], plan["why"], f"compared by {features.label}: {why_features}"):
        print(line)
    images.write_png(folder / "target.png", images.to_uint8(target)[0], SOFTWARE)

    chosen = METHODS[plan["method"]]
    settings = inversion.Settings(chosen.space, plan["steps"], samples=samples, seed=seed)
    found = inversion.optimise(G, there, features, settings, c, state=folder / "search.state.npz")
    shots, tuned, finished = [target, moved(found.best.images(G), "cpu")], None, \
        found.done == plan["steps"]  # fmt: skip
    if chosen.tuned and finished:
        few = tuning.Settings(plan["tuning"], seed=seed)
        tuned = tuning.tune(G, there, found.best.ws, features, few, c)
        finished = tuned.updates == plan["tuning"]
        shots.append(moved(tuned.G.synthesis(found.best.ws), "cpu"))
    measured, at = None, time.perf_counter()
    if plan["calibrate"] and finished:
        measured = verdict.measure(G, D, there, features, plan["calibrate"], c, seed, samples,
                                   folder / "own.state.")  # fmt: skip
        finished = measured is not None
    seconds = {"search": found.seconds, "tuning": tuned.seconds if tuned else 0.0,
               "verdict": time.perf_counter() - at}  # fmt: skip

    _write(folder, picture, similarity, shots, found, tuned, G, {"settings":
           dataclasses.asdict(settings), "asked": asked})  # fmt: skip
    space = statistics(G, None if c is None else moved(c[0], "cpu"), samples)
    last = beside(shots[-1], G.w_avg)
    said = {
        "made_with": SOFTWARE,
        "photo": {"file": str(photo), "size": list(picture.size), "remarks": [*picture.remarks]},
        "network": {"name": str(network), "fingerprint": G.fingerprint, "num_ws": G.num_ws,
                    "resolution": G.img_resolution, "class": label},
        "alignment": about,
        "method": {"asked": method, "used": plan["method"], "what": chosen.what,
                   "why": plan["why"], "steps": plan["steps"], "done": found.done,
                   "tuning_steps": plan["tuning"], "tuning_done": tuned.updates if tuned else 0,
                   "compared_by": features.label, "compared_why": why_features, "seed": seed},
        "errors": {
            "pixel": float(np.mean(np.square(shots[-1] - target))),
            "perceptual": float(np.sum(np.square(features(last) - features(there)))),
            "distance": float(space.distance(moved(found.best.ws, "cpu")).mean()),
        },
        "own": {"pictures": plan["calibrate"] if measured else 0, "steps": verdict.STEPS,
                "measures": measured},
        "verdict": verdict.verdict(measured, not aligned),
        "seconds": seconds | {"all": time.perf_counter() - began},
        "not_done": _not_done(G, chosen, aligned, plan["calibrate"], finished),
        "finished": finished,
    }  # fmt: skip
    report.write(folder, said)
    if finished:
        for state in folder.glob("*.state.*"):
            state.unlink()
    return said


# ---- what goes in --------------------------------------------------------------------------------


def _networks(name):
    """(the generator of a file, the discriminator beside it or None, whether it draws portraits)"""
    path = files.shipped(name)
    found, meta = (
        (files.read_networks(path), {}) if path.suffix == ".pkl" else files.read(path)[::2]
    )
    G, D = found.get("G_ema") or found.get("G"), found.get("D")
    if getattr(G, "img_channels", 0) != 3:
        came = f"holds {sorted(found)}" if G is None else "draws signals"
        if hasattr(G, "img_channels"):
            came = f"draws pictures of {G.img_channels} channels"
        raise ValueError(f"{name} {came}; expected a generator of pictures in colour, 3 channels")
    beside_it = path.with_name(f"{path.stem}-D.npz")
    if D is None and beside_it.is_file():
        D = files.read_networks(beside_it).get("D")
    if not hasattr(D, "_maps") or D.image_shape != (3, *[G.img_resolution] * 2):
        D = None
    config = (meta.get("made") or meta).get("config", {})
    return G, D, config.get("data") == "portraits"


def _features(G, D, drawn, name, device):
    """(what compares pictures, why that)"""
    if drawn:
        reader = files.load_reader(READER)
        if G.img_resolution % reader.config.resolution == 0:
            return Perceptual(reader.to(device), READER), "it reads drawn portraits"
    if D is not None:
        return Perceptual(D, f"D of {name}"), "the discriminator that belongs to the generator"
    return Pyramid(), "the network comes without a discriminator, so no network sees the pictures"


def _target(picture, points, G, template):
    """(image [1, 3, R, R], the similarity to the photo or None, what the report says of it)"""
    if points is not None:
        target, similarity = align.align(picture.pixels, points, G.img_resolution, template)
        return target, similarity, {
            "template": template, "points": points.tolist(), "similarity": similarity.tolist(),
            "text": f"aligned by four points to the frame of {template}",
        }  # fmt: skip
    from PIL import Image

    square = images.middle(G.img_resolution, Image.fromarray(picture.pixels), [])
    target = (np.asarray(square, np.float32) * (1 / 127.5) - 1).transpose(2, 0, 1)[None]
    return target, None, {"template": None, "points": None, "similarity": None,
                          "text": "not aligned: the middle of the picture as it is"}  # fmt: skip


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


def _plan(asked, G, target, features, c, samples, began):
    """{"method", "steps", "tuning", "calibrate", "why"} for what was asked."""
    method, steps, n = asked["method"], asked["steps"] or STEPS, asked["calibrate"]
    if n is None:
        n = 8 if G.img_resolution <= 64 else 0
    if asked["minutes"] is None:
        why = "as asked" if method != "auto" else (
            "no encoder begins the search for this network, and without --minutes nothing says "
            "that tuning may take its time")  # fmt: skip
        method = "w" if method == "auto" else method
    else:
        space = METHODS[method].space if method != "auto" else "w"
        for few in (1, 3):  # the first step compiles
            settings = inversion.Settings(space, few, samples=samples)
            rate = inversion.optimise(G, target, features, settings, c).seconds / few
        left = 60 * asked["minutes"] - (time.perf_counter() - began)
        own = (n + 1) * verdict.STEPS * rate if n else 0.0
        if asked["calibrate"] is None and own > 0.4 * left:
            n, own = 0, 0.0
        can, both = (left - own) / rate, 1 + TUNING * TUNING_COST
        why = "as asked"
        if method == "auto":
            method = "pti" if can >= STEPS * both else "w"
            why = "the budget " + ("reaches for tuning too" if method == "pti" else "is too short "
                                   f"for {STEPS} steps and tuning")  # fmt: skip
        steps = min(MOST, max(LEAST, int(can / (both if METHODS[method].tuned else 1))))
        why += f"; {rate:.2f} s a step: {asked['minutes']:g} min buy {steps} steps"
    more = max(1, round(TUNING * steps)) if METHODS[method].tuned else 0
    why = f"method {method}, {METHODS[method].what} ({why})"
    return {"method": method, "steps": steps, "tuning": more, "calibrate": n, "why": why}


def _not_done(G, chosen, aligned, n, finished):
    """Sentences."""
    found = ["No encoder began the search: there is none for this network.",
             "Whether it is the same person was not measured."]  # fmt: skip
    if G.noise_maps:
        found.append("The noise maps are the generator's own; none was looked for.")
    if not chosen.tuned:
        found.append("The generator was not tuned (--method pti).")
    if aligned:
        found.append("The photo was not aligned, so nothing was pasted back.")
    if not n:
        found.append("None of the generator's own pictures was looked for, so errors have nothing "
                     "to compare with (--calibrate 8).")  # fmt: skip
    if not finished:
        found.append("The run was stopped early; --resume goes on with it.")
    return found


# ---- what comes out ------------------------------------------------------------------------------


def _write(folder, picture, similarity, shots, found, tuned, G, about):
    """All files but the report.  shots: target, reconstruction, and that of the tuned generator."""

    def write(name, pixels):
        images.write_png(folder / name, pixels, SOFTWARE)

    write("reconstruction.png", images.to_uint8(shots[-1])[0])
    write("comparison.png", images.grid(np.concatenate(shots), len(shots)))
    if similarity is not None:
        write("pasted.png", align.paste_back(picture.pixels, shots[-1], similarity))
    arrays = {"w": moved(found.best.ws, "cpu"), "losses": found.losses[:, 0]}
    arrays |= {f"noise/{k}": moved(a, "cpu") for k, a in found.best.noises.items()}
    if similarity is not None:
        arrays["similarity"] = similarity
    if tuned is not None:
        arrays["tuning_losses"] = tuned.losses["loss"]
        files.save(folder / "tuned.npz", {"G_ema": tuned.G})
    about |= {"made_with": SOFTWARE, "network": G.fingerprint}
    files.save(folder / "latent.npz", {}, arrays, **about)

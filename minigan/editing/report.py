"""What came of an inversion, in words (report.md) and for programs (report.json).

Read first: `invert.py`, which collects it.
"""

import json
import pathlib

from minigan import atomic
from minigan.editing.verdict import NAMES


def write(folder: pathlib.Path, said: dict) -> None:
    """folder/report.json and report.md of what `invert` says.  Raises: OSError."""
    for name, content in (("report.json", json.dumps(said, indent=1)), ("report.md", text(said))):
        with atomic.replacing(folder / name, "w") as file:
            file.write(content + "\n")


def text(said: dict) -> str:
    """The report as Markdown."""
    photo, network, method, errors = (said[k] for k in ("photo", "network", "method", "errors"))
    own, seconds = said["own"], said["seconds"]
    what = "" if network["class"] is None else f", class {network['class']}"
    steps = f"{method['done']} of {method['steps']} steps"
    if method["tuning_steps"]:
        steps += f", then {method['tuning_done']} of {method['tuning_steps']} updates of weights"
    lines = [
        f"# {photo['file']}, found in {network['name']}",
        f"**{said['verdict']['sentence']}**",
        "![Target, reconstruction.](comparison.png)",
        f"- Photo: {' × '.join(map(str, photo['size']))} pixels"
        + "".join(f", {remark}" for remark in photo["remarks"])
        + f"\n- Alignment: {said['alignment']['text']}"
        + f"\n- Network: {network['resolution']}², {network['num_ws']} w's, fingerprint "
        f"{network['fingerprint']}{what}"
        + f"\n- {method['why'][0].upper()}{method['why'][1:]}; {steps}; seed {method['seed']}"
        + f"\n- Compared by {method['compared_by']}: {method['compared_why']}",
        "## How far it is",
        "| of the reconstruction | |\n|---|---|\n"
        f"| mean squared error, in −1…1 | {errors['pixel']:.4f} |\n"
        f"| {method['compared_by']} | {errors['perceptual']:.3f} |\n"
        f"| distance of its w from the middle of W | {errors['distance']:.1f} |",
    ]
    if own["measures"]:
        rows = "".join(
            f"\n| {NAMES[k]} | {m['value']:.3g} | {m['median']:.3g} | {m['limit']:.3g} | "
            f"{'outside' if m['outside'] else 'inside'} |"
            for k, m in own["measures"].items()
        )
        lines += [
            f"Beside {own['pictures']} of the generator's own pictures, after {own['steps']} steps "
            "in W for each; the limit is that of the worst, of the logit what 1 % stay below:",
            "| | this picture | their median | their limit | |\n|---|---|---|---|---|" + rows,
        ]
    times = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    missing = "\n".join(f"- {line}" for line in said["not_done"])
    lines += [f"## Time\n\n{times}.", f"## Not done\n\n{missing}", said["made_with"] + "."]
    return "\n\n".join(lines)

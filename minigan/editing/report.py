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
    photo, network, wish, plan, done, errors, own = (
        said[k] for k in ("photo", "network", "wish", "plan", "done", "errors", "own")
    )
    label = "" if wish["label"] is None else f", class {wish['label']}"
    facts = [
        f"Photo: {', '.join([' × '.join(map(str, photo['size'])) + ' pixels', *photo['remarks']])}",
        said["alignment"]["text"],
        f"Network: {network['resolution']}², {network['num_ws']} w's, fingerprint "
        f"{network['fingerprint']}{label}",
        f"{plan['why']}; seed {wish['seed']}",
        f"Made: {done['steps']} of {plan['steps']} steps, {done['tuning']} of {plan['tuning']} "
        "updates of the weights",
        plan["compared_by"],
    ]
    parts = [
        f"# {photo['file']}, found in {network['name']}",
        f"**{said['verdict']['sentence']}**",
        "![The target, and what comes near it.](comparison.png)",
        _list(facts),
        "## How far it is",
        "| of the reconstruction | |\n|---|---|\n"
        f"| mean squared error, in −1…1 | {errors['pixel']:.4f} |\n"
        f"| perceptual distance | {errors['perceptual']:.3f} |\n"
        f"| distance of its w from the middle of W | {errors['distance']:.1f} |",
    ]
    if own is not None:
        rows = [
            f"| {name} | {own[k]['value']:.3g} | {own[k]['median']:.3g} | {own[k]['limit']:.3g} | "
            f"{'outside' if own[k]['outside'] else 'inside'} |"
            for k, name in NAMES.items() if k in own
        ]  # fmt: skip
        parts += [
            f"Beside {own['n']} of the generator's own pictures, after {own['steps']} steps in W "
            "for each:",
            "\n".join(
                ["| | this picture | their median | their limit | |", "|" + "---|" * 5, *rows]
            ),
        ]
    times = ", ".join(f"{name} {value:.0f} s" for name, value in said["seconds"].items())
    parts += [f"## Time\n\n{times}.", f"## Not done\n\n{_list(said['not_done'])}"]
    return "\n\n".join([*parts, f"{said['made_with']}."])


def _list(lines):
    return "\n".join(f"- {line}" for line in lines)

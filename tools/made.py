"""What the course's tables and model cards were made by, and whether it is still the same.

    python tools/made.py --check            a sentence for each that must be made again
    python tools/made.py --make NAME …      makes these again (all: each of them, some hours)

tools/made.json has digests of what was made, and of each source and network that made it. Of a
source the code counts, not its comments, docstrings, annotations, imports or layout. Each table has
a short list of what decides its numbers; what reference vectors hold (operations, layers, losses,
networks) is on none, so a change there costs nothing here.

What comes out as it was, up to rounding, stays as it was; its digests are noted. What comes out
otherwise is left for somebody to look at, and to commit, and the exit status is 1.
"""

import argparse
import ast
import csv
import dataclasses
import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "minigan"
RECORD = ROOT / "tools" / "made.json"
RESULTS = "notebooks/results"
_CARD = ("data/portraits.py", "data/painting.py", "evaluation/measure.py", "evaluation/tables.py",
         "networks/reader.py")  # fmt: skip
_GENERATOR = (*_CARD, "evaluation/metrics.py", "evaluation/equivariance.py",
              "evaluation/variance.py", "data/stream.py", "latents.py")  # fmt: skip
_PICTURES = ("psi07", "psi10", "curves")
_TOY = ("toy/model.py", "toy/training.py", "data/signals.py", "evaluation/metrics.py",
        "evaluation/variance.py")  # fmt: skip
_RUN = ("data/portraits.py", "data/painting.py", "evaluation/measure.py", "evaluation/metrics.py",
        "data/stream.py", "training/config.py", "training/presets.py", "training/step.py",
        "experiments/path_length.py",
        "models/factors32.npz")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Made:
    """A table or a card: its file, what decides its numbers, and what makes it again."""

    file: str
    sources: tuple[str, ...]  # within the package: code, and networks
    command: tuple[str, ...]  # arguments of Python
    minutes: int  # on two cores
    others: tuple[str, ...] = ()  # files that the command writes, too
    older: str = ""  # why it may be older than its sources, which `--check` then only says


def _card(name, sources, minutes, pictures=(), networks=(), older=""):
    file = f"minigan/models/{name}.md"
    others = tuple(f"minigan/models/{name}-{part}.png" for part in pictures)
    sources = (*sources, *(f"models/{network}.npz" for network in (name, *networks)))
    command = ("-m", "minigan", "card", "--network", name)
    return Made(file, sources, command, minutes, others, older)


_MOVED = "what draws and measures has been rearranged since, and draws the same, bit for bit"
MADE = {
    "factors32": _card("factors32", _CARD, 1),
    "identity32": _card("identity32", _CARD, 1),
    "factors64": _card("factors64", _CARD, 1, (), ("factors64-teach", "portraits64")),
    "factors64-teach": _card("factors64-teach", _CARD, 1),
    "identity64": _card("identity64", _CARD, 1, (), ("identity64-teach", "portraits64")),
    "identity64-teach": _card("identity64-teach", _CARD, 1),
    "portraits32": _card("portraits32", _GENERATOR, 5, _PICTURES, ("factors32",), _MOVED),
    "portraits32-2019": _card(
        "portraits32-2019", _GENERATOR, 4, _PICTURES, ("factors32",), _MOVED
    ),
    "portraits32-2021": _card(
        "portraits32-2021", _GENERATOR, 6, _PICTURES, ("factors32",), _MOVED
    ),
    "portraits64": _card(
        "portraits64", _GENERATOR, 10, _PICTURES, ("factors64",),
        "factors32 measured it; its next card will be measured by factors64",
    ),
    "styles_or_concatenation": Made(
        f"{RESULTS}/styles_or_concatenation.csv",
        (*_TOY, "experiments/styles_or_concatenation.py"),
        ("-m", "minigan", "experiment", "styles_or_concatenation"), 15,
    ),
    "style_mixing": Made(
        f"{RESULTS}/style_mixing.csv", (*_TOY, "latents.py", "experiments/style_mixing.py"),
        ("-m", "minigan", "experiment", "style_mixing"), 10,
    ),
    "texture_sticking": Made(
        f"{RESULTS}/texture_sticking.csv",
        ("experiments/texture_sticking.py", "evaluation/equivariance.py"),
        ("-m", "minigan", "experiment", "texture_sticking"), 10,
    ),
    "path_length": Made(
        f"{RESULTS}/path_length.csv", _RUN, ("-m", "minigan", "experiment", "path_length"), 90,
        older="its runs saw portraits in batches, before they were drawn by number",
    ),
}  # fmt: skip


def shape(node: object) -> object:
    """A syntax tree as lists, alike in all versions of Python, of what is executed."""
    if isinstance(node, list):
        return [shape(each) for each in node if not isinstance(each, (ast.Import, ast.ImportFrom))]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    if isinstance(node, ast.FunctionDef):
        del fields["returns"]
    if isinstance(node, ast.arg):
        del fields["annotation"]
    if isinstance(node, ast.JoinedStr):  # Python 3.12 ends some with an empty string
        fields["values"] = [v for v in node.values if getattr(v, "value", None) != ""]
    values = [[name, shape(value)] for name, value in fields.items() if value not in (None, [])]
    return [type(node).__name__, *values]


def digest(path: pathlib.Path) -> str:
    """What a file is, in 12 digits: of Python its code, of others their bytes."""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = json.dumps(shape(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def digests(made: Made) -> dict[str, str]:
    """{source: its digest}, and of what was made itself, which is not for editing."""
    text = (ROOT / made.file).read_text(encoding="utf-8").split("<!-- from here on made by")[-1]
    itself = {made.file: hashlib.sha256(text.encode()).hexdigest()[:12]}
    return itself | {source: digest(PACKAGE / source) for source in made.sources}


def stale() -> dict[str, str]:
    """{name: a sentence} for each table and card that is no longer what its sources make."""
    record = json.loads(RECORD.read_text())
    said = {}
    for name, made in MADE.items():
        now, then = digests(made), record.get(name, {})
        changed = [source for source in now | then if now.get(source) != then.get(source)]
        if changed:
            said[name] = (
                f"{made.file}: {', '.join(changed)} changed since it was made; make it again "
                f"({made.minutes} min): python tools/made.py --make {name}"
            )
    files = {made.file for made in MADE.values()}
    for path in itertools.chain((ROOT / RESULTS).glob("*.csv"), (PACKAGE / "models").glob("*.md")):
        if (file := path.relative_to(ROOT).as_posix()) not in files:
            said[path.stem] = f"{file}: tools/made.py does not say what makes it"
    return said


_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+")


def differs(before: str, after: str, csv_file: bool) -> str:
    """How one text of a table or card differs from another by more than rounding; "" if not so."""
    if csv_file:
        one, two = (
            [
                (key, value)
                for row in csv.DictReader(text.splitlines())
                for key, value in row.items()
            ]
            for text in (before, after)
        )
        pairs = [
            (a, b) for a, b in itertools.zip_longest(one, two) if a is None or a[0] != "seconds"
        ]
        other = [
            (a, b) for a, b in pairs if None in (a, b) or a[0] != b[0] or not _near(a[1], b[1])
        ]
        return f"{len(other)} of {len(pairs)} values differ, such as {other[0]}" if other else ""
    texts = [text.split("## Measures\n\n")[-1].strip() for text in (before, after)]
    # Which of the values are not covered, and which layer is in bold, hangs on the last digits.
    words = [
        re.sub(r"\W+", " ", re.sub(r"-?\d+(\.\d+)?|\*\*", "", text.split("not:")[0]))
        for text in texts
    ]
    if words[0] != words[1]:
        return "other words"
    # The latents' table has shares of factors that hardly vary, which are noise.
    one, two = (_NUMBER.findall(text.split("### What the latents")[0]) for text in texts)
    if len(one) != len(two):
        return f"{len(two)} numbers instead of {len(one)}"
    other = [pair for pair in zip(one, two, strict=True) if not _near(*pair, 0.1, 0.05)]
    return f"{len(other)} of {len(one)} numbers differ, such as {other[0]}" if other else ""


def _near(a, b, rel=1e-3, absolute=1e-9):
    try:
        return math.isclose(float(a), float(b), rel_tol=rel, abs_tol=absolute)
    except ValueError:  # words
        return a == b


def make(name: str) -> str:
    """Make a table or card again; how it differs from what it was, "" if it does not."""
    made = MADE[name]
    before = {file: (ROOT / file).read_bytes() for file in (made.file, *made.others)}
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *made.command], cwd=ROOT, env=env, check=True)
    after = (ROOT / made.file).read_text(encoding="utf-8")
    said = differs(before[made.file].decode(), after, made.file.endswith(".csv"))
    if not said:
        for file, content in before.items():
            (ROOT / file).write_bytes(content)
    record = json.loads(RECORD.read_text()) | {name: digests(made)}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="fail if something must be made again")
    what.add_argument("--make", nargs="+", choices=(*MADE, "all"), metavar="NAME")
    args = parser.parse_args()
    if args.check:
        said = stale()
        for name in [name for name in said if name in MADE and MADE[name].older]:
            print(f"{said.pop(name)} ({MADE[name].older})")
        sys.exit("\n".join(said.values()) or None)
    said = {name: make(name) for name in (MADE if "all" in args.make else args.make)}
    for name, how in said.items():
        print(f"{name}: {f'{how}; look at git diff' if how else 'as it was'}")
    sys.exit(any(said.values()))


if __name__ == "__main__":
    main()

"""python -m minigan.grading release [--check | --student DIR] · validate FILE"""

import argparse
import pathlib
import sys

from minigan.grading import grade, kernel, roster, sandbox, submission
from minigan.grading.plugin import grade_table
from minigan.grading.release import hand_out, release


def main():
    parser = argparse.ArgumentParser("python -m minigan.grading")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("release", help="make exercises/ from solutions/")
    make.add_argument("--check", action="store_true", help="change nothing; fail if stale")
    make.add_argument("--student", metavar="DIR", help="write what students get into a new folder")
    own = commands.add_parser("validate", help="before handing in: what would a grader see?")
    own.add_argument("file", type=pathlib.Path)
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # a pipe on Windows holds no ✗
    sys.exit(validate(args.file) if args.command == "validate" else make_exercises(args))


def make_exercises(args):
    """exercises/ from solutions/, or the folder for students; returns what went wrong, or None."""
    root = pathlib.Path.cwd()
    if not (root / "solutions").is_dir():
        return f"no folder solutions/ in {root}; run this in the project's root"
    if args.student:
        try:
            hand_out(root, pathlib.Path(args.student))
        except (FileExistsError, ValueError) as error:
            return str(error)
        print(f"wrote {args.student}")
        return None
    changed = release(root / "solutions", root / "exercises", args.check)
    if args.check and changed:
        return f"stale: {', '.join(changed)}.  Run: python -m minigan.grading release"
    for name in changed:
        print(f"exercises/{name}")
    return None


def validate(path):
    """Grade a notebook as the grader would: its solution cells alone, put into a fresh copy.

    The checks are those of solutions/ where there is one, else the file's own.  Returns the exit
    status: 0 if every check passes and the file's name will do, 1 if not, or a sentence if the
    file is no exercise.
    """
    folders = pathlib.Path("solutions"), sandbox.PACKAGE.parent / "exercises"
    names = {file.stem for folder in folders for file in folder.glob("*.ipynb")}
    name, right = roster.meant(path.name, names)
    original = folders[0] / f"{name}.ipynb"
    limits = sandbox.Limits(hidden=(str(pathlib.Path.cwd()),))
    try:
        if original.is_file():
            exercise, _ = grade.own(original)
            handed_in = submission.read(path, limits.notebook, exercise)
            if handed_in.problem:
                raise ValueError(handed_in.problem)
        else:
            exercise, handed_in = grade.own(path, limits)
        outcomes = grade.grade(exercise, handed_in, limits=limits)
    except (ValueError, kernel.CannotStart) as error:
        return f"{path}: {error}"
    if names and not right:
        print(f"A grader will not grade a file of the name {path.name!r}: call it "
              f"{name or 'as the exercise was called'}.ipynb")  # fmt: skip
    for remark in handed_in.remarks:
        print(remark)
    lines = grade_table([outcome | {"cell": n} for n, outcome in enumerate(outcomes)])
    print("\n".join(lines))
    if not original.is_file():
        print("(the visible checks only; the grader has more, and its own copy of these)")
    passed = all(not outcome["feedback"] for outcome in outcomes)
    return 0 if passed and (right or not names) else 1


if __name__ == "__main__":
    main()

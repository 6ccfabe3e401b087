"""python -m minigan.grading release [--check]"""

import argparse
import pathlib
import sys

from minigan.grading.release import release


def main():
    parser = argparse.ArgumentParser("python -m minigan.grading")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("release", help="make exercises/ from solutions/")
    make.add_argument("--check", action="store_true", help="change nothing; fail if stale")
    args = parser.parse_args()
    root = pathlib.Path.cwd()
    if not (root / "solutions").is_dir():
        sys.exit(f"no folder solutions/ in {root}; run this in the project's root")
    changed = release(root / "solutions", root / "exercises", args.check)
    if args.check and changed:
        sys.exit(f"stale: {', '.join(changed)}.  Run: python -m minigan.grading release")
    for name in changed:
        print(f"exercises/{name}")


if __name__ == "__main__":
    main()

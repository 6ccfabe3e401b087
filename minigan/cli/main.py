"""minigan …: what the course does from the command line.

An error is one sentence; MINIGAN_TRACEBACK=1 shows Python's traceback instead.
"""

import argparse
import os
import warnings

from minigan.cli import experiment, invert, models, pictures, toy, train, warm


def main() -> None:
    """Run the command that sys.argv names.  Raises: SystemExit with a sentence if it fails."""
    parser = argparse.ArgumentParser("minigan", description=__doc__.partition(":")[2])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in (toy, train, pictures, invert, models, experiment, warm):
        group.add(commands)
    args = parser.parse_args()
    warnings.formatwarning = lambda message, *_: f"{message}\n"  # without a line of our source
    try:
        args.run(args)
    except Exception as error:
        if os.environ.get("MINIGAN_TRACEBACK") == "1":
            raise
        raise SystemExit(f"error: {_sentence(error)}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    kind = type(error).__name__
    if isinstance(error, (ValueError, OSError, ArithmeticError, RuntimeError, MemoryError)):
        return str(error) or kind
    return f"{kind}: {error}; this is a bug in minigan, MINIGAN_TRACEBACK=1 shows where"

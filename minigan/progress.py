"""Whether progress bars and notices are wanted."""

import os


def quiet():
    """Whether MINIGAN_QUIET is 1."""
    return os.environ.get("MINIGAN_QUIET") == "1"

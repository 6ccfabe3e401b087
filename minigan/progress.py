"""Whether progress bars and notices are wanted; and the bars."""

import os
from collections.abc import Iterable


def quiet() -> bool:
    """Whether MINIGAN_QUIET is 1."""
    return os.environ.get("MINIGAN_QUIET") == "1"


def bar(items: Iterable | None = None, text: str | None = None, **options):
    """A tqdm bar over items, headed by text; none is seen if `quiet`.  options: tqdm's own."""
    from tqdm.auto import tqdm  # it takes longer than importing this package

    return tqdm(items, desc=text, disable=quiet(), **options)

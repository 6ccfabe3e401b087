"""Files that are complete or not there at all."""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def replacing(path: str | pathlib.Path, mode: str = "wb") -> Iterator[IO]:
    """Open a new file beside `path` that takes its place once it is complete and on the disk.

    mode: "wb", or "w" for text, in UTF-8 and with line ends as they are written.  Whatever goes
    wrong meanwhile, a full disk or a kill, an older file at `path` stays as it was.
    Raises: OSError that says so.
    """
    path = pathlib.Path(path)
    # Of a long name its beginning: with more behind it, it might be longer than a name may be.
    temporary = path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}"
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            kept = "; the older file there is intact" if path.exists() else ""
            raise OSError(f"cannot write {path}: {error.strerror or error}{kept}") from error
        raise

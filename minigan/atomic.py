"""Files that are complete or not there at all."""

import contextlib
import os
import pathlib
import tempfile


@contextlib.contextmanager
def replacing(path, mode="wb"):
    """Open a new file beside `path` that takes its place once it is complete and on the disk.

    Whatever goes wrong meanwhile, a full disk or a kill, an older file at `path` stays as it was.
    Raises: OSError that says so.
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        encoding = None if "b" in mode else "utf-8"
        with tempfile.NamedTemporaryFile(
            mode, dir=path.parent, prefix=f".{path.name}.", delete=False, encoding=encoding
        ) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            kept = "; the older file there is intact" if path.exists() else ""
            raise OSError(f"cannot write {path}: {error.strerror or error}{kept}") from error
        raise

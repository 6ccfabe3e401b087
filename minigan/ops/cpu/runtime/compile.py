"""How kernels are compiled and kept on disk."""

import contextlib
import functools
import glob
import hashlib
import pathlib
import re
import sys
import threading
import time

import numba
from numba.core import caching, event

from minigan.progress import quiet

_HERE = pathlib.Path(__file__).parent


@functools.cache
def _sources():
    """A digest of this folder: kernels inline each other, so a change of one file concerns all."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Files(caching.IndexDataCacheFile):
    """Numba's files on disk, but each named for its content.

    Numba numbers them: of two processes that compile at the same time, both take the next number,
    and a function may then be answered with another's code.
    """

    def save(self, key, data):
        overloads = self._load_index()
        content = repr((key, self._source_stamp)).encode()
        number = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
        overloads[key] = self._data_name(number)
        self._save_data(overloads[key], data)
        self._save_index(overloads)
        # What sources that are no more left behind: the folder would grow with each change.
        stem = self._index_name.removesuffix("nbi")
        for path in pathlib.Path(self._cache_path).glob(f"{glob.escape(stem)}*.nbc"):
            if path.name not in overloads.values():
                path.unlink(missing_ok=True)  # if another process still counts on it, it compiles


class Cache(caching.FunctionCache):
    """The compiled forms of a function, or of a `part` that was made for it."""

    def __init__(self, function, part=""):
        super().__init__(function)
        files = self._cache_file
        base = re.sub(r"-\d+(\.py\d+t?\.)nbi$", rf"{part}\1", files._index_name)  # not by its line
        stamp = (files._source_stamp, _sources())
        self._cache_file = _Files(files._cache_path, base.removesuffix("."), stamp)

    def _index_key(self, signature, codegen):
        return (*super()._index_key(signature, codegen), _sources())


def compiled(function, cache):
    """Compile on first use, for the types it meets; keep the result in cache(), if that can be.

    Without reference counts, so it cannot make arrays.  Each call would count each array that it
    takes, atomically, and threads that share one would wait for one another.
    """
    dispatcher = numba.njit(
        nogil=True, error_model="numpy", fastmath={"contract", "nsz"}, no_cfunc_wrapper=True,
        _nrt=False,
    )(function)  # fmt: skip
    # No folder to write to is no error: then each process compiles for itself.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = cache()
    return dispatcher


def kernel(function):
    """A compiled function."""
    return compiled(function, lambda: Cache(function))


class _Notice(event.Listener):
    """Says that a kernel is being compiled, when that takes more than a second.

    A terminal is told once, on stderr; a notebook has a line that ends with how long it took.
    """

    def __init__(self, wait=1.0):
        self.wait, self.said, self.timer, self.depth = wait, False, None, 0
        self.line, self.began, self.seconds = None, 0.0, 0.0

    def on_start(self, event):
        self.depth += 1  # a kernel's compilation contains those of the kernels it calls
        if self.depth == 1:
            self.began = time.monotonic()
            self._tell("compiling for this machine, once …")
            if not self.said and not quiet():
                self.timer = threading.Timer(self.wait, self.say)
                self.timer.daemon = True
                self.timer.start()

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.monotonic() - self.began
            if self.timer is not None:
                self.timer.cancel()
                self.timer.join()  # it may be speaking
                self.timer = None
            self._tell(f"compiled for this machine in {self.seconds:.0f} s")

    def say(self):
        self.said = True
        if notebook := _notebook():
            self.line = notebook.display({}, raw=True, display_id=True)
            self._tell("compiling for this machine, once …")
        else:
            print("minigan: compiling kernels for this machine, once …", file=sys.stderr)

    def _tell(self, words):
        if self.line is not None:
            text = f"minigan: kernels {words}"
            self.line.update({"text/plain": text, "text/html": f"<i>{text}</i>"}, raw=True)


def _notebook():
    """IPython.display, if this process is a notebook's kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.modules["IPython.display"] if hasattr(shell, "kernel") else None


event.register("numba:compile", _Notice())

"""Where a student's process runs: what it may use, and how it is shut in.

On Linux bubblewrap (`bwrap`) gives it file systems, processes and a network of its own: it sees
Python, the package and an empty scratch directory in memory, and no other file, process or host.
Elsewhere the same process runs with limits on time and memory only; `missing()` says so in words,
and so does every report.
"""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

from minigan.grading import seccomp

PACKAGE = pathlib.Path(__file__).resolve().parent.parent
MEBI = 1 << 20


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one submission may use.  Seconds; bytes; processes and threads together."""

    cell: float = 20.0  # seconds of the student's code for a cell, and for a check
    total: float = 300.0  # seconds of the student's code in all
    memory: int = 4096 * MEBI  # that all its processes use together
    answer: int = 4 * MEBI  # of one result
    files: int = 128 * MEBI  # all that it writes (in memory), and any one file
    entries: int = 20_000  # files and folders
    processes: int = 64
    notebook: int = 32 * MEBI  # of the submitted file
    hidden: tuple = ()  # folders that the sandbox must not show, wherever they lie


@functools.cache
def missing():
    """Why student's code cannot be shut in on this machine, in a sentence; "" if it can be."""
    if not sys.platform.startswith("linux"):
        return f"there is no sandbox for {sys.platform}: use Linux"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed: apt-get install bubblewrap"
    try:
        probe = subprocess.run(_bwrap() + ["true"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start here: {error}"
    said = (probe.stderr.strip().splitlines() or ["(no message)"])[-1]
    return "" if probe.returncode == 0 else f"bubblewrap does not start here: {said}"


@functools.cache
def filtered():
    """Whether system calls are filtered here (`seccomp.py`)."""
    if missing() or seccomp.program() is None:
        return False
    number = seccomp.opened()
    command = [*_bwrap(), "--seccomp", str(number), "true"]
    probe = subprocess.run(command, capture_output=True, timeout=30, pass_fds=[number])
    os.close(number)
    return probe.returncode == 0


def isolation():
    """Lines for the report: what is enforced on this machine."""
    if missing():
        return [
            f"NOT sandboxed ({missing()})",
            "enforced: time, memory; NOT: files, network, processes",
        ]
    lines = ["sandboxed: no network, no files but Python's and its own; limits on time, on the "
             "memory of its processes, on files and on processes"]  # fmt: skip
    if not filtered():
        lines.append("NOT enforced: memory that is in no process (no filter of system calls here)")
    return lines


def _bwrap(hidden=()):
    """The sandbox, up to the command that runs in it; it shows nothing below the folders `hidden`
    but what Python itself needs."""
    root = os.geteuid() == 0
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"]
    if root:  # the worker gives these up once it has become another user
        command += ["--cap-drop", "ALL"]
        for name in ("SETUID", "SETGID", "CHOWN"):
            command += ["--cap-add", f"CAP_{name}"]
    else:
        command += ["--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    shown = {pathlib.Path("/" + path) for path in (
        "usr", "bin", "sbin", "lib", "lib64", "etc/ld.so.cache", "etc/alternatives")}  # fmt: skip
    for prefix in {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)} - {"/usr"}:
        # its parts: a project may lie in the folder of its own environment
        shown |= {pathlib.Path(prefix, part) for part in (
            "bin", "lib", "lib64", "include", "share", "etc", "pyvenv.cfg")}  # fmt: skip
    hidden = {path for path in map(pathlib.Path, hidden)
              if path.is_dir() and path not in shown and shown & set(path.parents)}  # fmt: skip
    for path in sorted(shown | hidden, key=lambda path: (len(path.parts), path)):
        for parent in reversed(path.parents[:-1]):  # bwrap would make them 0700
            command += ["--perms", "0755", "--dir", str(parent)]
        if path in hidden:  # what is shown below it comes after it
            command += ["--perms", "0755", "--tmpfs", str(path)]
        else:
            command += ["--ro-bind-try", str(path), str(path)]
    for path in hidden:
        command += ["--remount-ro", str(path)]
    command += ["--ro-bind", str(PACKAGE), "/package"]
    # a shared mapping of /dev/zero would be memory that no process shows
    command += ["--proc", "/proc", "--dev", "/dev", "--dev-bind", "/dev/null", "/dev/zero"]
    return command


def command(limits):
    """(command line, environment, descriptors it inherits) of a worker with these `Limits`."""
    settings = {"memory": limits.memory, "files": limits.files, "answer": limits.answer,
                "processes": limits.processes, "sandboxed": not missing()}  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MPLBACKEND": "agg",
                   "MINIGAN_QUIET": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                   "NUMBA_NUM_THREADS": "1", "MINIGAN_NUM_THREADS": "1",
                   "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}  # fmt: skip
    if missing():
        worker = [sys.executable, "-m", "minigan.grading.worker"]
        return [*worker, json.dumps(settings)], os.environ | environment, []
    settings["package"] = "/package"
    if os.geteuid() == 0:  # a user that nobody else is, so that its processes can be counted
        settings["uid"] = 100_000 + os.getpid() % 1_000_000
    outer = _bwrap(limits.hidden)
    for path in ("/scratch", "/dev/shm"):
        outer += ["--perms", "1777", "--size", str(limits.files), "--tmpfs", path]
    if "/tmp" not in outer:  # Python, or this project, may itself lie below it
        outer += ["--symlink", "/scratch", "/tmp"]
    outer += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/scratch"]
    environment |= {"HOME": "/scratch", "TMPDIR": "/scratch", "IPYTHONDIR": "/scratch/.ipython"}
    for name, value in environment.items():
        outer += ["--setenv", name, value]
    numbers = [seccomp.opened()] if filtered() else []
    for number in numbers:
        outer += ["--seccomp", str(number)]
    # not -I, which would leave out the seed of hashes, and with it the order of a set
    worker = [sys.executable, "-s", "-P", "-c", BOOT, json.dumps(settings)]
    return outer + worker, None, numbers


# The package arrives as /package; the worker copies it to where it may be written, and that copy is
# what the student's code imports.  The worker itself is run from the file, before any import of it.
BOOT = (
    "import runpy, sys; sys.argv = ['worker', sys.argv[1]]; "
    "runpy.run_path('/package/grading/worker.py', run_name='__main__')"
)

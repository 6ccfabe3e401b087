"""The process a student's code runs in: it defines cells, and calls functions when it is asked to.

Started by `kernel.py`, usually in a sandbox; it speaks `wire.py` on what were its standard input
and output.  Nothing in here decides about points: it holds no check and no expected value.

Requests: {"define": source} · {"beside": name, "source": source} · {"call": name, "args": …,
"kwargs": …, "errstate": …, "answers": […]}, each with its number and `fresh`, true where a cell or
a check begins.  While a call runs, the functions named in `answers` raise "write this one
yourself", whatever name the student's code knows them by.
"""

import builtins
import contextlib
import importlib
import os
import random
import shutil
import sys

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None

NOT_YOURS = "write this one yourself"


def confine(limits):
    """Copy the package where Numba may write, then give up what the student's code must not have.

    limits: dict with memory, files (bytes) and processes.  The number of processes binds a user who
    is not root: in a user namespace of its own, or (`uid`) one that root has chosen.
    """
    if limits.get("package"):
        shutil.copytree(limits["package"], "/scratch/course/minigan", copy_function=_copy)
        sys.path.insert(0, "/scratch/course")
    if "uid" in limits:  # started by root
        for folder, _, names in os.walk("/scratch"):
            for name in (folder, *(os.path.join(folder, n) for n in names)):
                os.chown(name, limits["uid"], limits["uid"])
        os.setgroups([])
        os.setgid(limits["uid"])
        os.setuid(limits["uid"])
    for name, most in (
        ("RLIMIT_AS", 2 * limits["memory"]),  # what is reserved; what is used is watched outside
        ("RLIMIT_FSIZE", limits["files"]),
        ("RLIMIT_NPROC", limits["processes"] if limits["sandboxed"] else None),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 128),  # pipes and sockets hold memory, too
    ):
        if most is not None and hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (most, most))


def _copy(source, target):
    """Copy a file, unless it is gone: what another process writes to a cache has a temporary name
    until it is whole."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _refuse(*args, **kwargs):
    """Its code stands in for a guarded function's, so it uses no name of this module."""
    raise PermissionError("write this one yourself: the package has it")


class Answers:
    """Guards around package functions, each of which refuses while its name is in `blocked`.

    The function behind a guard then refuses, too, however the student's code has come by it.  In a
    process that the student's code forks, all of them refuse for good.
    """

    def __init__(self):
        self.blocked, self.known = set(), {}  # known: name -> the function, and its code
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=lambda: self.block(self.known))

    def block(self, names):
        """From now on these refuse, and no others.  names: dotted, of guarded functions."""
        self.blocked = set(names)
        for dotted, (function, code) in self.known.items():
            if code is not None:
                refusing = _refuse.__code__.replace(co_freevars=code.co_freevars)
                function.__code__ = refusing if dotted in self.blocked else code

    def guard(self, dotted):
        """Put a guard where the function is, and wherever else a loaded module refers to it."""
        if dotted in self.known:
            return
        owner, name = _find(dotted)
        function = getattr(owner, name)
        self.known[dotted] = function, getattr(function, "__code__", None)

        def guarded(*args, **kwargs):
            if dotted in self.blocked:
                raise PermissionError(f"{NOT_YOURS}: the task is what {dotted} does")
            return function(*args, **kwargs)

        guarded.__name__, guarded.__doc__ = name, function.__doc__
        setattr(owner, name, guarded)
        for module in list(sys.modules.values()):
            for key, value in list(getattr(module, "__dict__", {}).items()):
                if value is function:
                    setattr(module, key, guarded)


def _find(dotted):
    """(owner, name) of a dotted name: a module or a class, and the attribute's name."""
    parts = dotted.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1]
    raise ModuleNotFoundError(dotted)


class Worker:
    """Answers requests until its input ends."""

    def __init__(self, source, sink, most):
        import numpy as np
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        from minigan.grading import wire

        self.np, self.wire = np, wire
        self.source, self.sink, self.most = source, sink, most
        self.answers = Answers()
        settings = Config()
        settings.HistoryManager.enabled = False
        InteractiveShell.enable_gui = lambda self, gui=None: None  # there is none: %matplotlib
        self.shell = InteractiveShell.instance(config=settings, user_ns={"__name__": "__main__"})
        self.shell.register_magic_function(lambda line: None, magic_name="matplotlib")
        self.beside = {}  # the names a harness sees beside the student's functions: the set-up's

    def serve(self):
        """Until the grader hangs up."""
        with contextlib.suppress(EOFError):
            while True:
                message, arrays = self.wire.read(self.source, self.most)
                self.reply(message, arrays)

    def reply(self, message, arrays):
        """Answer one request; an answer carries its number."""
        self.number = message["number"]
        try:
            if message["fresh"]:  # random numbers that are not seeded are the same in every run
                random.seed(0)
                self.np.random.seed(0)
            packer, out = self.call(message, arrays) if "call" in message else self.define(message)
            self.send(packer, out)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers as well
            self.send(self.wire.Packer(), {"error": self.describe(error)})

    def send(self, packer, message):
        self.sink.write(packer.frame(message | {"number": self.number}, self.most))
        self.sink.flush()

    def define(self, message):
        """Run a cell, or define a harness.  A cell's last exception is reported with its line."""
        if "beside" in message:
            namespace = dict(self.beside) | {
                name: self.shell.user_ns[name]
                for name in message["names"]
                if name in self.shell.user_ns
            }
            exec(message["source"], namespace)
            self.shell.user_ns[f"beside {message['beside']}"] = namespace[message["beside"]]
            return self.wire.Packer(), {"result": None}
        for dotted in message["answers"]:
            self.answers.guard(dotted)
        before = dict(self.shell.user_ns)
        result = self.shell.run_cell(message["define"], store_history=False, silent=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        if not message["student"]:
            names = self.shell.user_ns.items()
            self.beside |= {name: v for name, v in names if before.get(name, self) is not v}
        return self.wire.Packer(), {"result": None}

    def call(self, message, arrays):
        """Call a function; what comes back is its result and which arguments it has changed."""
        wire, np = self.wire, self.np
        unpacker = wire.Unpacker(arrays, special=self.special, learn=True)
        args = [unpacker.decode(node) for node in message["args"]]
        kwargs = {name: unpacker.decode(node) for name, node in message["kwargs"].items()}
        known = unpacker.known
        before = [self.snapshot(value) for value in known]
        if message["call"] not in self.shell.user_ns:
            raise NameError(f"name {message['call']!r} is not defined", name=message["call"])
        function = self.shell.user_ns[message["call"]]
        self.answers.block(message["answers"])
        try:
            with np.errstate(**message["errstate"]):
                result = function(*args, **kwargs)
        finally:
            self.answers.block(())
        packer = wire.Packer(known)
        changes = [
            [number, wire.state(value) if isinstance(value, np.random.Generator) else None]
            for number, (value, old) in enumerate(zip(known, before, strict=True))
            if self.snapshot(value) != old
        ]
        return packer, {"result": packer.encode(result), "changes": changes}

    def snapshot(self, value):
        """Something that differs once `value` has changed."""
        if isinstance(value, self.np.ndarray):
            return value.tobytes()
        if isinstance(value, self.np.random.Generator):
            return repr(value.bit_generator.state)
        if isinstance(value, dict):
            return [(key, id(item)) for key, item in value.items()]
        return [id(item) for item in value]

    def special(self, key, value):
        """Values only the grader sends: generators, functions of its own, and the student's."""
        if key == "rng":
            return self.wire.set_state(self.np.random.Generator(self.np.random.PCG64(0)), value)
        if key == "student":
            return self.shell.user_ns[value]
        if key == "function":
            return lambda *args, **kwargs: self.back(value, args, kwargs)
        raise ValueError(f"a value of an unknown kind, {key!r}")

    def back(self, number, args, kwargs):
        """Call a function of the grader's that was an argument."""
        packer = self.wire.Packer()
        body = {"args": packer.encode(args), "kwargs": packer.encode(kwargs)}
        self.send(packer, {"function": number} | body)
        message, arrays = self.wire.read(self.source, self.most)
        if "error" in message:
            name, text = message["error"]
            kind = getattr(builtins, name, RuntimeError)
            usable = isinstance(kind, type) and issubclass(kind, Exception)
            raise (kind if usable else RuntimeError)(text)
        return self.wire.Unpacker(arrays).decode(message["result"])

    @staticmethod
    def describe(error):
        """[type, text, the missing name of a NameError, the line in the student's cell]."""
        line, step = getattr(error, "lineno", None), error.__traceback__
        while step is not None:  # the last line that lies in a cell
            if "ipython-input" in step.tb_frame.f_code.co_filename:
                line = step.tb_lineno
            step = step.tb_next
        try:
            text = str(error)
        except BaseException:  # a student's own __str__
            text = "(no message)"
        name = error.name if isinstance(error, NameError) else None
        name, line = (v if type(v) in (str, int) else None for v in (name, line))
        return [type(error).__name__[:100], text[:2000], name, line]


def main():
    """python -m minigan.grading.worker LIMITS_AS_JSON"""
    import json

    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    limits = json.loads(sys.argv[1])
    confine(limits)
    Worker(source, sink, limits["answer"]).serve()


if __name__ == "__main__":
    main()

"""The grader's side of a student's process: start it, ask it, and end it when it must be ended."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import numpy as np
import psutil

from minigan.grading import sandbox, wire


class StudentError(Exception):
    """The student's code failed.  ename, text, name (of a NameError) and line in its cell."""

    def __init__(self, ename, text, name=None, line=None):
        super().__init__(f"{ename}: {text}" if ename else text)
        self.ename, self.text, self.name, self.line = ename, text, name, line


class Ended(StudentError):
    """The student's process is no more, or had to be ended; `text` says why."""

    def __init__(self, text):
        super().__init__("", text)


class Spent(Ended):
    """Not asked any more: the submission has used up its time."""


class CannotStart(Exception):
    """A student's process ended before any of the student's code had run in it."""


class Kernel:
    """One student's process.  It is started when it is first needed, and again after its end.

    limits: `sandbox.Limits`.  prepare: called with the kernel after each start.
    """

    def __init__(self, limits, prepare=lambda kernel: None):
        self.limits, self.prepare = limits, prepare
        self.process = None
        self.number = 0  # of requests
        self.deadline = None  # of what it is doing now
        self.spent = 0.0  # seconds of the student's code, in all
        self.allowance = limits.cell  # seconds left for this cell or check
        self.fresh = True  # a cell or check begins: its random numbers, too
        self.why = ""
        self.returned = ""  # what came of the latest call, in words

    def fresh_allowance(self):
        """A new cell or check begins: it has `limits.cell` seconds."""
        self.allowance, self.fresh = self.limits.cell, True

    def define(self, source, student=False, answers=()):
        """Run a cell.  Raises: StudentError."""
        self._ask({"define": source, "student": student, "answers": list(answers)})

    def harness(self, name, source, names):
        """Define an instructor's function that runs beside the student's functions `names`."""
        self._ask({"beside": name, "source": source, "names": list(names)})

    def call(self, name, args, kwargs, answers, parameters=()):
        """Call a function there, on copies of the arguments; only a generator's state comes back.

        parameters: the names of its positional arguments.  Raises: StudentError if it fails or
        changes an argument in place, Ended if the process does not survive it.
        """
        functions, owners = [], []  # owners: of each mutable object sent, the argument it is in

        def special(value):
            if isinstance(value, Remote):
                return {"student": value.name}
            if callable(value):
                functions.append(value)
                return {"function": len(functions) - 1}
            return None

        packer = wire.Packer(special=special, learn=True)

        def encode(owner, value):
            node = packer.encode(value)
            owners.extend([owner] * (len(packer.known) - len(owners)))
            return node

        def decode(reply, arrays):
            unpacker, changed = wire.Unpacker(arrays, packer.known), {}
            for number, state in reply["changes"]:
                sent = unpacker._of(packer.known, number)
                if type(sent) is np.random.Generator:
                    wire.set_state(sent, state)
                else:
                    changed[owners[number]] = True
            return unpacker.decode(reply["result"]), list(changed)

        named = [*parameters, *(f"number {n + 1}" for n in range(len(parameters), len(args)))]
        message = {"call": name, "errstate": np.geterr(), "answers": list(answers),
                   "args": list(map(encode, named, args)),
                   "kwargs": {key: encode(key, kwargs[key]) for key in kwargs}}  # fmt: skip
        result, changed = self._ask(message, packer, functions, decode)
        if changed:
            named = ", ".join(changed)
            raise StudentError("", f"your function changed its argument in place: {named}")
        return result

    def close(self):
        """End the process, with all it has started."""
        process, self.process = self.process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it did not read any more
            process.stdin.close()
        process.stdout.close()

    def start(self):
        """Start the process, and let `prepare` bring it to where it is needed."""
        command, environment, inherited = sandbox.command(self.limits)
        self.why = ""
        try:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=inherited,
            )  # fmt: skip
        finally:
            for number in inherited:
                os.close(number)
        threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()
        left = self.allowance, self.fresh
        self.fresh_allowance()
        self.prepare(self)
        self.allowance, self.fresh = left

    def _ask(self, message, packer=None, functions=(), decode=lambda reply, arrays: None):
        """Send a request, serve its calls of `functions`, and decode the reply, all in its time."""
        if self.spent >= self.limits.total:
            raise Spent(f"not run: the submission has used up its {self.limits.total:g} s")
        while self.process is None:  # which may end again while it is prepared
            self.start()
        seconds = min(self.allowance, self.limits.total - self.spent)
        packer = packer or wire.Packer()
        callbacks = _Callbacks(functions, packer.arrays, self.limits.answer)
        start = time.monotonic()
        self.deadline = start + seconds
        try:
            self.number += 1
            about = {"number": self.number, "fresh": self.fresh}
            self.fresh = False
            self._send(message | about, packer)
            while True:
                reply, arrays = wire.read(
                    self.process.stdout, self.limits.answer + wire.TEXT, wire.TEXT
                )
                if type(reply) is not dict or reply.get("number") != self.number:
                    raise ValueError("no answer to what was asked")
                if "function" not in reply:
                    break
                self._send(*callbacks.answer(reply, arrays))
            if "error" not in reply:
                return decode(reply, arrays)
            is_a, none = wire.Unpacker._is, type(None)
            name, text, missing, line = is_a(reply["error"], list)
            error = StudentError(is_a(name, str)[:100], is_a(text, str),
                                 is_a(missing, str, none), is_a(line, int, none))  # fmt: skip
        except (EOFError, BrokenPipeError):
            raise self._end("") from None
        except Exception as error:  # whatever a forged answer leads to
            raise self._end(f"the kernel sent what no answer looks like ({error})") from None
        finally:
            self.deadline = None
            self.spent += time.monotonic() - start
            self.allowance -= time.monotonic() - start
        raise error

    def _send(self, message, packer):
        self.process.stdin.write(packer.frame(message))
        self.process.stdin.flush()

    def _watch(self, process):
        """Ends the process when its time or memory is used up.  Runs in a thread of its own."""
        while process.poll() is None:
            time.sleep(0.05)
            deadline = self.deadline
            if deadline is not None and time.monotonic() >= deadline:
                late = "a loop that does not end, or one too slow"
                late = f"stopped after {self.limits.cell:g} s: {late}"
                self.why = late if self.spent < self.limits.total else "stopped: no time is left"
                return _kill(process)
            tree = _tree(process)
            size, entries = _written(tree)
            if size + sum(map(_memory, tree)) > self.limits.memory:
                self.why = f"stopped: it used more than {self.limits.memory >> 20:,} MB of memory"
            elif entries > self.limits.entries:
                self.why = f"stopped: it made more than {self.limits.entries:,} files"
            else:
                continue
            return _kill(process)

    def _end(self, words):
        """Close, and return the `Ended` that says why: the watch's words, these, or a signal."""
        process, why = self.process, self.why or words
        if not why:
            try:
                code = process.wait(2)
            except subprocess.TimeoutExpired:
                code = None
            why = _last_words(code)
        self.close()
        return Ended(why)


class _Callbacks:
    """Answers a student's calls of the functions that a check has given with its arguments.

    They take numbers and arrays alone, few and small beside what the check has sent: what it does
    with them costs the grader's own time and memory.
    """

    def __init__(self, functions, sent, most):
        self.functions, self.calls, self.left = functions, 0, most
        self.largest = max(128, 16 * sum(array.nbytes for array in sent))

    def answer(self, reply, arrays):
        """The message to send back, and its packer.  Raises: ValueError if it is no call."""
        unpacker, packer = wire.Unpacker(arrays), wire.Packer()
        function = unpacker._of(self.functions, reply["function"])
        args, kwargs = unpacker.decode(reply["args"]), unpacker.decode(reply["kwargs"])
        self.calls += 1
        try:
            size = sum(map(_size, [*args, *kwargs.values()]))
            self.left -= size
            if size > self.largest or self.left < 0 or self.calls > 1000:
                raise ValueError("a function of the check was called too often, or given too much")
            out = {"result": packer.encode(function(*args, **kwargs))}
            self.left -= sum(array.nbytes for array in packer.arrays)
            return out, packer
        except Exception as error:  # the student's mistake as a rule: wrong arguments
            return {"error": [type(error).__name__, str(error)]}, wire.Packer()


def _size(value):
    """Bytes of a number, an array, or a list of them.  Raises: TypeError for anything else."""
    if type(value) in (list, tuple):
        return sum(map(_size, value))
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return value.nbytes
    if type(value) not in (bool, int, float, complex):
        raise TypeError(
            f"a function of the check takes numbers and arrays, not {type(value).__name__}"
        )
    return 8


class Remote:
    """Stands for a student's function in the checks' namespace."""

    def __init__(self, kernel, name, answers, parameters=(), label=None):
        self.kernel, self.name, self.answers, self.parameters = kernel, name, answers, parameters
        self.__name__ = label or name

    def __call__(self, *args, **kwargs):
        result = self.kernel.call(self.name, args, kwargs, self.answers, self.parameters)
        self.kernel.returned = f"{self.__name__} returned {type(result).__name__}"
        return result


def _tree(process):
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def _written(tree):
    """Bytes and entries of the file systems in memory that the processes in a sandbox see."""
    for child in tree:
        try:
            found = [
                os.statvfs(f"/proc/{child.pid}/root{name}") for name in ("/scratch", "/dev/shm")
            ]
        except OSError:  # outside of it, or no more
            continue
        used = [((f.f_blocks - f.f_bfree) * f.f_frsize, f.f_files - f.f_ffree) for f in found]
        return tuple(map(sum, zip(*used, strict=True)))
    return 0, 0


def _kill(process):
    """End a process and all that it has started."""
    for child in _tree(process):
        with contextlib.suppress(psutil.Error):
            child.kill()
    process.kill()


def _memory(child):
    try:
        return child.memory_info().rss
    except psutil.Error:
        return 0


def _last_words(code):
    """What an exit status says; a sandbox reports a signal as 128 + its number."""
    number = -code if code is not None and code < 0 else (code or 0) - 128
    if number == getattr(signal, "SIGSYS", None):  # `seccomp.py`
        return "stopped: segments of shared memory are not allowed"
    if number > 0:
        try:
            return f"the kernel died ({signal.Signals(number).name})"
        except ValueError:
            pass
    return f"the kernel ended itself (exit status {code})"

"""The grader's side of a student's process: start it, ask it, and end it when it must be ended."""

import contextlib
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
        self.why = ""

    def fresh_allowance(self):
        """A new cell or check begins: it has `limits.cell` seconds."""
        self.allowance = self.limits.cell

    def define(self, source, student=False, answers=()):
        """Run a cell.  Raises: StudentError."""
        self._ask({"define": source, "student": student, "answers": list(answers)})

    def harness(self, name, source, names):
        """Define an instructor's function that runs beside the student's functions `names`."""
        self._ask({"beside": name, "source": source, "names": list(names)})

    def call(self, name, args, kwargs, answers):
        """Call a function there; arguments it changes in place are changed here.

        Raises: StudentError if it fails, Ended if the process does not survive it.
        """
        functions = []

        def special(value):
            if isinstance(value, Remote):
                return {"student": value.name}
            if callable(value):
                functions.append(value)
                return {"function": len(functions) - 1}
            return None

        packer = wire.Packer(special=special, learn=True)
        message = {"call": name, "args": packer.encode(args), "kwargs": packer.encode(kwargs),
                   "errstate": np.geterr(), "answers": list(answers)}  # fmt: skip
        reply, arrays = self._ask(message, packer, functions)
        unpacker = wire.Unpacker(arrays, packer.known)
        try:
            for number, node in reply["changes"]:
                _apply(unpacker, unpacker._of(packer.known, number), node)
            return unpacker.decode(reply["result"])
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._end(f"the kernel sent what no answer looks like ({error})") from None

    def restart(self):
        """Begin again in a new process."""
        self.close()
        self.start()

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
        command, environment = sandbox.command(self.limits)
        self.why = ""
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()
        left, self.allowance = self.allowance, self.limits.cell
        self.prepare(self)
        self.allowance = left

    def _ask(self, message, packer=None, functions=()):
        if self.spent >= self.limits.total:
            raise Ended(f"not run: the submission has used up its {self.limits.total:g} s")
        if self.process is None:
            self.start()
        seconds = min(self.allowance, self.limits.total - self.spent)
        start = time.monotonic()
        self.deadline = start + seconds
        try:
            self.number += 1
            self._send(message | {"number": self.number}, packer or wire.Packer())
            while True:
                reply, arrays = wire.read(self.process.stdout, self.limits.answer + 1024)
                if type(reply) is not dict or reply.get("number") != self.number:
                    raise ValueError("no answer to what was asked")
                if "function" not in reply:
                    break
                self._back(reply, arrays, functions)
        except (EOFError, BrokenPipeError):
            raise self._end("") from None
        except ValueError as error:
            raise self._end(f"the kernel sent what no answer looks like ({error})") from None
        finally:
            self.deadline = None
            self.spent += time.monotonic() - start
            self.allowance -= time.monotonic() - start
        if "error" in reply:
            try:
                name, text, missing, line = reply["error"]
            except (TypeError, ValueError):
                raise self._end("the kernel sent what no answer looks like") from None
            raise StudentError(str(name)[:100], str(text), missing, line)
        return reply, arrays

    def _send(self, message, packer):
        self.process.stdin.write(packer.frame(message))
        self.process.stdin.flush()

    def _back(self, reply, arrays, functions):
        """The student's code calls a function that a check gave it."""
        unpacker, packer = wire.Unpacker(arrays), wire.Packer()
        function = unpacker._of(functions, reply["function"])
        args = unpacker.decode(reply.get("args"))
        kwargs = unpacker.decode(reply.get("kwargs"))
        try:
            answer = {"result": packer.encode(function(*args, **kwargs))}
        except Exception as error:  # the student's mistake as a rule: wrong arguments
            packer, answer = wire.Packer(), {"error": [type(error).__name__, str(error)]}
        self._send(answer, packer)

    def _watch(self, process):
        """Ends the process when its time or memory is used up.  Runs in a thread of its own."""
        while process.poll() is None:
            time.sleep(0.05)
            deadline = self.deadline
            if deadline is not None and time.monotonic() >= deadline:
                late = "a loop that does not end, or one too slow"
                late = f"stopped after {self.limits.cell:g} s: {late}"
                self.why = late if self.spent < self.limits.total else "stopped: no time is left"
            elif sum(_memory(child) for child in _tree(process)) > self.limits.memory:
                self.why = f"stopped: it used more than {self.limits.memory >> 20:,} MB of memory"
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


class Remote:
    """Stands for a student's function in the checks' namespace."""

    def __init__(self, kernel, name, answers, label=None):
        self.kernel, self.name, self.answers = kernel, name, answers
        self.__name__ = label or name

    def __call__(self, *args, **kwargs):
        return self.kernel.call(self.name, args, kwargs, self.answers)


def _apply(unpacker, sent, node):
    """Change an argument as it was changed there."""
    if type(sent) is np.ndarray:
        new = unpacker._of(unpacker.arrays, node["array"])
        if new.shape != sent.shape or new.dtype != sent.dtype:
            raise ValueError("an argument of another shape")
        sent[...] = new
    elif type(sent) is np.random.Generator:
        wire.set_state(sent, node["rng"])
    elif type(sent) is dict:
        new = unpacker.decode(node)
        sent.clear()
        sent.update(new)
    else:
        sent[:] = unpacker.decode(node)


def _tree(process):
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


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
    if number > 0:
        try:
            return f"the kernel died ({signal.Signals(number).name})"
        except ValueError:
            pass
    return f"the kernel ended itself (exit status {code})"

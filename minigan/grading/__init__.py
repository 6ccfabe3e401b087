"""Exercises: made from solutions, checked with words, graded under `pytest --nbval`.

cells.py       what the metadata of a cell means (nbgrader's schema, version 3)
expect.py      the checks' vocabulary: each failure says got, expected and the usual cause
release.py     solutions/ -> exercises/: `python -m minigan.grading release [--check]`
plugin.py      the pytest plugin that counts the points; it does nothing without --nbval

A class, `pytest --nbval --submissions=DIR`, from the outside in:

classroom.py   students and checks as pytest's files and items; the run
roster.py      who is in the folder, and what they handed in
submission.py  what is taken from a notebook: the solution cells, and nothing else
grade.py       the instructor's checks, run here, on stand-ins for the student's functions
kernel.py      the stand-ins, and the process behind them: its time, its memory, its end
wire.py        what goes there and back: plain values and arrays, nothing that runs
worker.py      that process: it defines cells and calls functions
sandbox.py     what it may use and see
seccomp.py     the system calls that are refused there
report.py      grades as .json, .csv, .html, on the terminal, and in notebooks to hand back
dask.py        the same on many machines
"""

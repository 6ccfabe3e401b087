"""Exercises: made from solutions, checked with words, graded under `pytest --nbval`.

cells.py     what the metadata of a cell means (nbgrader's schema, version 3)
expect.py    the checks' vocabulary: each failure says got, expected and the usual cause
release.py   solutions/ -> exercises/: `python -m minigan.grading release [--check]`
plugin.py    the pytest plugin that counts the points; it does nothing without --nbval
"""

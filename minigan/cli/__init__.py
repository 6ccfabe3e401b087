"""The command `minigan`: one file for each group of commands.

Each has `add(commands)`, which makes its parsers.  What a command works with is imported when it
runs: `minigan --help` must not wait for the compiler.
"""

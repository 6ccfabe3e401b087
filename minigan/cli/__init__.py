"""The command `minigan`: one file for each group of commands; parsing only."""

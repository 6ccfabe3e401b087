"""One file for each measured question of the course; each writes a table of notebooks/results/."""

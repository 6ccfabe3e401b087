"""One file for each measured question of the course; each has a `Table` of notebooks/results/."""

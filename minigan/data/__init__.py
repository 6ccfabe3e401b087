"""Data whose every factor is known.  So far `signals`, for the one-dimensional Part 1."""

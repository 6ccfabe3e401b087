"""Pictures found in a generator, and changed there: alignment, inversion, tuning."""

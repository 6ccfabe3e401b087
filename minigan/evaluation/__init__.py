"""What generators do, measured: distances, equivariance, variance, and all of it in tables."""

"""Samplers: from noise at t = 0 to data at t = 1, one algorithm per file."""

"""Metrics of temporal localisation: NumPy in, numbers out."""

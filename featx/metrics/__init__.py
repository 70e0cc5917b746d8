"""Metrics: NumPy arrays in, numbers out."""

"""Stage 3: adapter and features to results and tables."""

"""A run that is scored: what was learned, which classes and videos are asked for."""

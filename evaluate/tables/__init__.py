"""Tables as data and as text; the benchmark tables."""

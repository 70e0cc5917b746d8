"""Official annotations of the benchmarks."""

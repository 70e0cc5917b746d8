"""Learning an adapter: what it is learned from, its steps and its validation."""

"""Stage 2: features and manifest to adapter."""

"""Stage 1: videos to feature store."""

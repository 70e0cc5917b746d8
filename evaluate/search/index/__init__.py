"""A search index on disk that grows with its store."""

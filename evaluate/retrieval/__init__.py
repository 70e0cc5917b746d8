"""Retrieval: sentences and videos, in both directions."""

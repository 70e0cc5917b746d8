"""Temporal models of one's own: finding their source, asking before it runs, building and checking the module."""

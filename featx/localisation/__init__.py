"""Temporal localisation: annotations, proposals, the detector, and how a run names what it finds."""

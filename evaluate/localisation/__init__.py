"""Localisation: proposals, detections, and what runs say of them."""

"""Processes that decode and encode, one a device, and what they say to each other."""

"""Stores that several machines fill: a plan of disjoint parts, each of which anyone may commit, once.

Nothing is renamed over, appended to or locked. What decides is that a place gives a key to one writer only
(`Backend.put_if_absent`). docs/scale-out.md tells the whole.
"""

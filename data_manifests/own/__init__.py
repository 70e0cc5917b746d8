"""Somebody's own videos: folders, CSV files, tables of captions."""

"""Scores of videos, and the results that are made of them: one way for training and evaluation."""

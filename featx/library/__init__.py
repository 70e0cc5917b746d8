"""The functions of `import featx` that belong to no stage, and what all of them share."""

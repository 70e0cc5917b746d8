"""Features of labelled videos: which rows of a store a clip is made of, and where they are read from."""

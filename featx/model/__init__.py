"""What is learned: prompts, the temporal Transformer, and their file."""

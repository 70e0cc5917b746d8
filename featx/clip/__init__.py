"""What frozen image-text models are computed with, whatever library their weights come from.

Preprocessing of pictures, the exact text Transformer with prompts, and the image encoder as a CUDA graph.
"""

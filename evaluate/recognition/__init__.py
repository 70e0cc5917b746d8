"""Recognition: scores of whole videos, and predictions as a file."""

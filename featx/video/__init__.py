"""Video files: which they are, what they are called, and single frames of them."""

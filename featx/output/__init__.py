"""What a person sees: progress, and text in formats that other programs open."""

"""OpenAI CLIP: loading, preprocessing, and its two frozen towers."""

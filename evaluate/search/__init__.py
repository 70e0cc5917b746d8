"""Finding frames, moments and videos of a store by a text or a picture."""

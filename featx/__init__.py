"""featx: frozen CLIP features of videos, computed once, and what is learned on them."""

__version__ = "0.1.0"

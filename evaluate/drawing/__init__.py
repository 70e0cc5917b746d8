"""Pictures: what is drawn, and on what."""

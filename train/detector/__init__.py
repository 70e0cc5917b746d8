"""Learning a detector of temporal proposals."""

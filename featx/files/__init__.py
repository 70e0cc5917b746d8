"""Files that are written whole or not at all, carry checksums, and are locked while they are written."""

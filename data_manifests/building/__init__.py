"""From annotations and videos to a manifest: entries, names, lists, draws, checks."""

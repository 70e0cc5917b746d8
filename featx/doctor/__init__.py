"""`featx doctor` and ``featx --version --verbose``: what this machine has, and what would stand in the way."""

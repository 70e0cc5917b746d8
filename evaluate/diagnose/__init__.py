"""Where a run goes wrong."""

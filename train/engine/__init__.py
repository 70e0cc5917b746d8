"""The loop over steps, whatever is learned: ranks, checkpoints, log, schedule."""

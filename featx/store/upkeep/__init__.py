"""Looking after a store: checking, repairing, copying, removing, compacting."""

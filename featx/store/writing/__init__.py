"""Writing a store: one commit a shard, whole or not at all."""

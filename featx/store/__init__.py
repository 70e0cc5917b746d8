"""The feature store: features of many videos in shards on disk."""

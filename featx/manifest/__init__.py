"""What videos show: manifests, the episodes drawn from them, and lists of classes."""

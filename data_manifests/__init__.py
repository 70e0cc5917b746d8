"""Official annotations, folders and generated data to manifests."""

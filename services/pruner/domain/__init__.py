"""What pruning is made of, without gRPC."""

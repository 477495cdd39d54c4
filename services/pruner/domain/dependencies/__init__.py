"""Which parameters can only go together, found by following each index through a network."""

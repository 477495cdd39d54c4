"""Networks that the trainer trains: one more arm of a search."""

"""Code of a user's own, run in a worker."""

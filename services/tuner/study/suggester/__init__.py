"""The process that chooses trials, with the libraries that the service does without."""

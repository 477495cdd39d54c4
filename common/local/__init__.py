"""The whole suite on one machine, as supervised processes."""

"""Sums over the workers of a world: who adds up, and what is exchanged in a step."""

"""Bounds that tests and benchmarks hold the suite to."""

IMPORT_MEMORY_MB = 1024
"""Most memory of an import's process, libraries included; services/catalog/README.md states it."""

"""Exit codes of `aimass`. Imports nothing: Ctrl-C may come while all else is imported."""

EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""

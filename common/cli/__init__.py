"""The `aimass` command, on top of the public stubs."""

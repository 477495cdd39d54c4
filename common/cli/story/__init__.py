"""The story that `make demo` tells: one suite, from raw data to a small, explained model."""

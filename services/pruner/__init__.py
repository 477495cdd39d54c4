"""The pruner: any model smaller and faster at equal quality."""

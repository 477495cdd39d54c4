"""A pool that is held without a store."""


class AlwaysHolding:
    """A `Holding` for a single process: this one holds the pool."""

    def holder(self) -> str:
        """Nobody else holds it."""
        return ""

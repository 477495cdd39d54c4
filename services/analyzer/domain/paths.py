"""Names of fields in requests, for errors. Imports no numpy."""

from common.errors import InvalidFieldError

MOST_CHALLENGERS = 7
"""So many versions may be compared with a baseline."""


class Paths:
    """Names of fields in the request, for errors.

    Args:
        is_comparison: Whether CompareModels was called.
    """

    def __init__(self, is_comparison: bool) -> None:
        self._is_comparison = is_comparison

    @property
    def spec(self) -> str:
        """Path of the specification."""
        return "options" if self._is_comparison else "analysis.spec"

    def of(self, name: str) -> str:
        """Returns the path of a field of the specification."""
        return f"{self.spec}.{name}"

    def model(self, place: int) -> str:
        """Returns the path of a model: 0 is the baseline."""
        if self._is_comparison:
            return f"model_versions[{place}]"
        return self.of("model_version" if place == 0 else f"challengers[{place - 1}]")

    def too_many(self) -> InvalidFieldError:
        """Returns the error that too many versions are to be compared."""
        if self._is_comparison:
            most = MOST_CHALLENGERS + 1
            return InvalidFieldError("model_versions", f"must be at most {most} model versions.")
        return self.error("challengers", f"must be at most {MOST_CHALLENGERS} model versions.")

    def error(self, name: str, description: str, reason: str = "") -> InvalidFieldError:
        """Returns the error about a field of the specification."""
        return InvalidFieldError(self.of(name), description, reason=reason)

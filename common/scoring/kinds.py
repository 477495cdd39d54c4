"""Kinds of problems. Light on purpose: the service, which carries no numpy, needs them too."""

from enum import StrEnum


class ProblemKind(StrEnum):
    """Kinds of problems, named as in `aimass.tuner.v1.ProblemKind`."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"
    FORECASTING = "forecasting"

    @property
    def has_classes(self) -> bool:
        """Whether a row has one class of several."""
        return self in (ProblemKind.BINARY, ProblemKind.MULTICLASS)


TABLE_KINDS = tuple(kind for kind in ProblemKind if kind is not ProblemKind.FORECASTING)
"""Those whose rows do not depend on each other: `Problem` has them."""

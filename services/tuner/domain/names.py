"""Names of families, with the kinds of problems that they learn.

Light on purpose: the service names them without the libraries that they need. A test holds this
table equal to the registry.
"""

from collections.abc import Mapping
from types import MappingProxyType

from common.scoring.kinds import TABLE_KINDS, ProblemKind
from services.tuner.domain.forecasting.names import FORECAST_FAMILIES

_ALL = frozenset(TABLE_KINDS)
_ONE_CLASS = frozenset({ProblemKind.BINARY, ProblemKind.MULTICLASS})
_VALUES = frozenset({ProblemKind.REGRESSION})
_FORECASTS = frozenset({ProblemKind.FORECASTING})
_PROBABLE = _ONE_CLASS | frozenset({ProblemKind.MULTI_LABEL})

FAMILY_KINDS: Mapping[str, frozenset[ProblemKind]] = MappingProxyType(
    {
        "light_boosting": _ALL,
        "hist_boosting": _ALL,
        "perceptron": _ALL,
        "linear": _ALL,
        "naive_bayes": _PROBABLE,
        "nearest_neighbours": _ALL,
        "support_vectors": _ALL,
        "gaussian_process": _VALUES,
        "decision_tree": _ALL,
        "random_forest": _ALL,
        "extra_trees": _ALL,
        **dict.fromkeys(FORECAST_FAMILIES, _FORECASTS),
    }
)
"""The kinds of problems that each family learns."""

DEEP_IMAGE, DEEP_TABLE, DEEP_TEXT = "deep_image", "deep_table", "deep_text"
TRAINED_KINDS: Mapping[str, frozenset[ProblemKind]] = MappingProxyType(
    dict.fromkeys((DEEP_IMAGE, DEEP_TABLE, DEEP_TEXT), _ONE_CLASS | _VALUES)
)
"""The kinds that families of networks learn, which the trainer trains."""


def families_for(kind: ProblemKind) -> list[str]:
    """Returns the names of the families that learn a kind of problem."""
    return [name for name, kinds in FAMILY_KINDS.items() if kind in kinds]


def networks_for(kind: ProblemKind) -> list[str]:
    """Returns the names of the families of networks that learn a kind of problem."""
    return [name for name, kinds in TRAINED_KINDS.items() if kind in kinds]

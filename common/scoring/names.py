"""Names of metrics, with the kinds of problems that they fit.

Light on purpose: services name them without the libraries that they need. A test holds these tables
equal to the registry.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from common.scoring.kinds import ProblemKind

_ONE_CLASS = frozenset({ProblemKind.BINARY, ProblemKind.MULTICLASS})
_LABELS = frozenset({ProblemKind.MULTI_LABEL})
_VALUES = frozenset({ProblemKind.REGRESSION})
_FORECASTS = frozenset({ProblemKind.FORECASTING})
_PROBABLE = _ONE_CLASS | _LABELS

METRIC_KINDS: Mapping[str, frozenset[ProblemKind]] = MappingProxyType(
    {
        "roc_auc": _PROBABLE,
        "average_precision": _PROBABLE,
        "log_loss": _PROBABLE,
        "brier": _PROBABLE,
        "accuracy": _ONE_CLASS,
        "balanced_accuracy": _ONE_CLASS,
        "f1": frozenset({ProblemKind.BINARY}),
        "f1_macro": _PROBABLE,
        "f1_micro": _PROBABLE,
        "mcc": _ONE_CLASS,
        "hamming": _LABELS,
        "subset_accuracy": _LABELS,
        "mase": _FORECASTS,
        "smape": _FORECASTS,
        "rmse": _VALUES | _FORECASTS,
        "mae": _VALUES | _FORECASTS,
        "r2": _VALUES,
        "mape": _VALUES | _FORECASTS,
        "pinball": _VALUES,
    }
)
"""The kinds of problems that each metric fits."""

DEFAULT_METRICS: Mapping[ProblemKind, str] = MappingProxyType(
    {
        ProblemKind.BINARY: "roc_auc",
        ProblemKind.MULTICLASS: "log_loss",
        ProblemKind.MULTI_LABEL: "f1_micro",
        ProblemKind.REGRESSION: "rmse",
        ProblemKind.FORECASTING: "mase",
    }
)
"""What each kind of problem is judged by where users do not say."""

_QUANTILE = "pinball_"


def metrics_for(kind: ProblemKind) -> list[str]:
    """Returns the names of the metrics that fit a kind of problem, the default first."""
    default = DEFAULT_METRICS[kind]
    fitting = [name for name, kinds in METRIC_KINDS.items() if kind in kinds]
    return [default, *(name for name in fitting if name != default)]


def metric_kinds(name: str) -> frozenset[ProblemKind]:
    """Returns the kinds that a metric fits, `pinball_0.9` for instance; none if there is none."""
    return METRIC_KINDS.get(name) or (_VALUES if _is_quantile(name) else frozenset())


def named(names: Sequence[str]) -> str:
    """Returns names for a message: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _is_quantile(name: str) -> bool:
    if not name.startswith(_QUANTILE):
        return False
    try:
        return 0 < float(name.removeprefix(_QUANTILE)) < 1
    except ValueError:
        return False

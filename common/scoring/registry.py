"""All metrics by the names that users give them."""

from collections.abc import Mapping
from types import MappingProxyType

from common.errors import InvalidFieldError
from common.scoring import deciding, probabilities, ranking, values
from common.scoring.arrays import Positions
from common.scoring.costs import CostColumn
from common.scoring.forms import MeanMetric
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Metric
from common.wording import quoted

_ALL: tuple[Metric, ...] = (
    *ranking.RANKING,
    *probabilities.PROBABILITIES,
    *deciding.DECIDING,
    *values.REGRESSION,
)

METRICS: Mapping[str, Metric] = MappingProxyType({each.name: each for each in _ALL})

_DEFAULTS: Mapping[ProblemKind, Metric] = MappingProxyType(
    {
        ProblemKind.BINARY: ranking.ROC_AUC,
        ProblemKind.MULTICLASS: probabilities.LOG_LOSS,
        ProblemKind.MULTI_LABEL: deciding.F1_MICRO,
        ProblemKind.REGRESSION: values.RMSE,
    }
)

_QUANTILE = "pinball_"


def default_metric(kind: ProblemKind) -> Metric:
    """Returns the metric that a kind of problem is judged by where users do not say."""
    return _DEFAULTS[kind]


def metrics_for(kind: ProblemKind) -> list[Metric]:
    """Returns the metrics that fit a kind of problem, the default first."""
    default = default_metric(kind)
    return [default, *(each for each in _ALL if kind in each.kinds and each is not default)]


def metric_named(name: str, field: str = "metric") -> Metric:
    """Returns a metric.

    Args:
        name: One of `METRICS`, or `pinball_` and the level of a quantile: `pinball_0.9`.
        field: Path of the name in the request.

    Raises:
        InvalidFieldError: There is none of that name.
    """
    metric = METRICS.get(name) or _quantile(name)
    if metric is None:
        known = f"{', '.join(METRICS)}, or pinball_0.9 for another quantile"
        raise InvalidFieldError(field, f"there is no metric {quoted(name)}; take one of {known}.")
    return metric


def metric_for(kind: ProblemKind, name: str = "", field: str = "metric") -> Metric:
    """Returns a metric that fits a kind of problem.

    Args:
        kind: Of the problem.
        name: See `metric_named`; empty for the default.
        field: Path of the name in the request.

    Raises:
        InvalidFieldError: There is none of that name, or it does not fit.
    """
    if not name:
        return default_metric(kind)
    metric = metric_named(name, field)
    check_fits(metric, kind, field)
    return metric


def check_fits(metric: Metric, kind: ProblemKind, field: str = "metric") -> None:
    """Checks that a metric fits a kind of problem.

    Raises:
        InvalidFieldError: It does not; the message names those that do.
    """
    if kind in metric.kinds:
        return
    fitting = ", ".join(each.name for each in metrics_for(kind))
    problem = kind.replace("_", "-")
    raise InvalidFieldError(
        field, f"{metric.name} does not fit {problem} problems; take one of {fitting}."
    )


def on_rows(metric: Metric, rows: Positions) -> Metric:
    """Returns a metric for some rows of a problem: only costs of single rows depend on them."""
    return metric.take(rows) if isinstance(metric, CostColumn) else metric


def level_of(metric: Metric) -> float | None:
    """Returns the level of the quantile that a metric asks for; None where it asks for none."""
    return metric.level if isinstance(metric, MeanMetric) else None


def _quantile(name: str) -> Metric | None:
    if not name.startswith(_QUANTILE):
        return None
    try:
        return values.pinball(float(name.removeprefix(_QUANTILE)))
    except ValueError:
        return None

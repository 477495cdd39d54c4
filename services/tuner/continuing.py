"""Searches that go on from others: which may, and what of the other one they can use.

Light: the service checks it too.
"""

from collections.abc import Sequence

from aimass.tuner.v1 import tuner_pb2
from common.errors import InvalidFieldError
from common.names import DatasetVersionName
from common.scoring.kinds import ProblemKind
from services.tuner.convert import specification_from_proto
from services.tuner.domain.resolution.data import refused
from services.tuner.domain.specification import FIELD, TuningSpecification
from services.tuner.kind import TUNING_RUNS

_FIELD = "continue_from"
_SAME = (
    *("dataset_version", "targets", "kind", "metric", "costs", "left_out"),
    *("weight_column", "group_column", "seed", "forecast", "outliers"),
)
"""What trials depend on: where these are equal, nothing has to be fitted again."""


def check_name(name: str) -> None:
    """Raises `InvalidFieldError` where a name is none of a search."""
    TUNING_RUNS.check_name(name, f"{FIELD}.{_FIELD}")


def unknown(name: str) -> InvalidFieldError:
    """Returns the error for a search that does not exist."""
    return refused(
        _FIELD, f"There is no {name}; see `aimass runs list`, or leave it out.", "UNKNOWN_RUN"
    )


def check_continued(specification: TuningSpecification, run: tuner_pb2.TuningRun) -> None:
    """Checks that a search can go on from another one.

    Args:
        specification: Resolved.
        run: The other search.

    Raises:
        InvalidFieldError: It cannot; says why, and the cure.
    """
    if not run.model_version:
        raise refused(
            _FIELD,
            f"{run.name} has no model; wait until it has ended with one, or name one that has.",
            "RUN_HAS_NO_MODEL",
        )
    other = specification_from_proto(run.spec)
    own, its = (_search(each) for each in (specification, other))
    if own != its:
        raise refused(
            _FIELD,
            f"{run.name} is {its}, and this is {own}; name another one, or leave it out.",
            "OTHER_KIND",
        )
    own, its = (_dataset(each) for each in (specification, other))
    if own != its:
        raise refused(
            _FIELD,
            f"{run.name} has learned from {its}, not from {own}; name one of the same data set.",
            "OTHER_DATA",
        )
    if sorted(specification.targets) != sorted(other.targets):
        raise refused(
            _FIELD,
            f"{run.name} predicts {_listed(other.targets)}, not {_listed(specification.targets)}; "
            "name one of the same targets.",
            "OTHER_TARGETS",
        )


def has_same_trials(specification: TuningSpecification, other: TuningSpecification) -> bool:
    """Whether trials of another search say all of this one: its data, metric and seed are equal."""
    return all(getattr(specification, name) == getattr(other, name) for name in _SAME)


def _search(specification: TuningSpecification) -> str:
    is_forecast = specification.kind is ProblemKind.FORECASTING
    return "a search for forecasts" if is_forecast else "a search in tables"


def _dataset(specification: TuningSpecification) -> str:
    return f"datasets/{DatasetVersionName.from_name(specification.dataset_version).id}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5])

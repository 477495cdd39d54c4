"""A specification against its data: what is left open is filled in, what does not fit is refused.

Needs the schema only, no data: it runs before a search is created.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.data.scans import Scan
from common.data.schema import Column
from common.names import DatasetVersionName, ModelName
from common.scoring.kinds import ProblemKind
from services.tuner.domain.estimate import Estimate, estimate, table_bytes, usual_trial_bytes
from services.tuner.domain.forecast_estimate import forecast_estimate
from services.tuner.domain.resolution.columns import check_roles, features_of, left_out_of
from services.tuner.domain.resolution.data import LEAST_ROWS, TuningData, refused
from services.tuner.domain.resolution.forecasts import (
    forecast_columns,
    resolved_forecast,
    wants_forecasts,
)
from services.tuner.domain.resolution.goals import check_costs, resolved_families, resolved_metric
from services.tuner.domain.resolution.networks import with_networks
from services.tuner.domain.resolution.outliers import resolved_outliers
from services.tuner.domain.resolution.targets import resolved_kind, resolved_targets
from services.tuner.domain.specification import TuningSpecification

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Resolved:
    """A specification with nothing left open.

    Attributes:
        specification: Resolving it again changes nothing.
        estimate: What it will need.
    """

    specification: TuningSpecification
    estimate: Estimate


def resolve_against_data(
    specification: TuningSpecification, data: TuningData, scan: Scan | None = None
) -> Resolved:
    """Fills in every default that depends on the data and checks that all fits together.

    Args:
        specification: What the caller asked for.
        data: The data set version it names.
        scan: The outlier scan it names; None where it names none.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    if data.row_count < LEAST_ROWS:
        raise refused(
            "dataset_version",
            f"{data.name} has {data.row_count} training and validation rows, and a search needs "
            f"{LEAST_ROWS} at least; split it otherwise or add rows.",
            "TOO_FEW_ROWS",
        )
    if wants_forecasts(specification, data):
        return _resolved_forecast(specification, data)
    targets = resolved_targets(specification, data)
    kind = resolved_kind(specification, data, targets)
    check_roles(specification, data, targets)
    check_costs(specification.costs, kind, targets[0])
    resolved = specification.model_copy(
        update={
            "dataset_version": data.name,
            "model": specification.model or _usual_model(data),
            "targets": tuple(target.name for target in targets),
            "kind": kind,
            "metric": resolved_metric(specification, kind),
            "families": resolved_families(specification, kind),
            "left_out": left_out_of(specification, data, targets),
            "outliers": resolved_outliers(specification, data, scan),
        }
    )
    features = features_of(resolved, data, targets)
    families = with_networks(resolved, bool(specification.families), data, features)
    resolved = resolved.model_copy(update={"families": families})
    memory = _resolved_memory(resolved, features, data.row_count)
    resolved = resolved.model_copy(update={"trial_memory_bytes": memory})
    return Resolved(resolved, estimate(resolved, features, data.row_count))


def _resolved_forecast(specification: TuningSpecification, data: TuningData) -> Resolved:
    kind = ProblemKind.FORECASTING
    resolved = resolved_forecast(specification, data).model_copy(
        update={
            "dataset_version": data.name,
            "model": specification.model or _usual_model(data),
            "metric": resolved_metric(specification, kind),
            "families": resolved_families(specification, kind),
        }
    )
    columns, rows = forecast_columns(resolved, data), data.counts.total
    memory = _resolved_memory(resolved, columns, rows)
    resolved = resolved.model_copy(update={"trial_memory_bytes": memory})
    return Resolved(resolved, forecast_estimate(resolved, columns, rows))


def _usual_model(data: TuningData) -> str:
    return ModelName(DatasetVersionName.from_name(data.name).id).name


def _resolved_memory(
    specification: TuningSpecification, features: Sequence[Column], rows: int
) -> int:
    """Returns what each trial may hold, which must be as much as the data at least."""
    given = specification.trial_memory_bytes
    if given is None:
        return usual_trial_bytes(features, rows)
    needed = table_bytes(features, rows)
    if given < needed:
        raise refused(
            "trial_memory_bytes",
            f"A copy of the {rows:,} rows alone takes {needed / _MEBIBYTE:,.0f} MiB; give each "
            "trial that much at least, or leave it out.",
            "TOO_LITTLE_MEMORY",
        )
    return given

"""What an import that appends may ask for: what the version before has.

Light on purpose: the service checks requests by it, and has neither numpy nor pyarrow.
"""

from aimass.catalog.v1 import dataset_pb2
from common.data.messages import schema_from_proto
from common.data.schema import ColumnType, Schema, TimeSeries
from common.errors import InvalidFieldError
from services.catalog.domain import fields
from services.catalog.domain.spec import ImportSpec, SplitMethod, TimeSeriesSpec

Version = dataset_pb2.DatasetVersion

_BY_VALUES = (ColumnType.IMAGE, ColumnType.EMBEDDING)


def like_base(spec: ImportSpec, base: Version) -> ImportSpec:
    """Returns a specification whose types, target, task and series are those of the version before.

    Args:
        spec: What was asked for.
        base: The version to append to.

    Raises:
        InvalidFieldError: Something else was asked for, or the split cannot go on.
    """
    _check_groups(spec, base)
    schema = schema_from_proto(base.schema)
    _check_targets(spec, schema, base.name)
    _check_types(spec, schema, base.name)
    types = {column.name: column.type for column in schema.columns if column.type not in _BY_VALUES}
    several = len(schema.targets) > 1
    return spec.model_copy(
        update={
            "target": "" if several else schema.target,
            "targets": list(schema.targets) if several else [],
            "task": schema.task,
            "column_types": types,
            "time_series": _series(spec, schema.time_series, base.name),
        }
    )


def _check_targets(spec: ImportSpec, schema: Schema, base: str) -> None:
    asked = {spec.target, *spec.targets} - {""}
    before = {schema.target, *schema.targets} - {""}
    if asked and asked != before:
        told = fields.listed(sorted(before)) if before else "none"
        raise InvalidFieldError(
            fields.TARGETS if spec.targets else fields.TARGET,
            f"is {told} in {base}, to which rows are to be appended; leave it out",
        )
    if spec.task not in (None, schema.task):
        raise InvalidFieldError(
            fields.TASK,
            f"is {schema.task} in {base}, to which rows are to be appended; leave it out",
        )


def _check_types(spec: ImportSpec, schema: Schema, base: str) -> None:
    before = {column.name: column.type for column in schema.columns}
    for name, asked in spec.column_types.items():
        if name not in before:
            raise InvalidFieldError(
                fields.COLUMN_TYPES,
                f"{base} has no column `{name}`, but {fields.listed(list(before))}; leave it out",
                reason="UNKNOWN_COLUMN",
            )
        if asked is not before[name]:
            raise InvalidFieldError(
                fields.COLUMN_TYPES,
                f"`{name}` is {before[name]} in {base}, to which rows are to be appended; leave "
                "it out",
                reason="BAD_COLUMN_TYPE",
            )


def _check_groups(spec: ImportSpec, base: Version) -> None:
    asked, before = spec.split, base.split
    alike = before.method == dataset_pb2.SPLIT_METHOD_GROUPED and before.column == asked.column
    if asked.method is SplitMethod.GROUPED and not alike:
        raise InvalidFieldError(
            f"{fields.SPLIT}.method",
            f"{base.name} was not split by the groups of `{asked.column}`, so that its groups may "
            "be in several parts; leave the split out, or import all rows anew",
        )


def _series(spec: ImportSpec, before: TimeSeries | None, base: str) -> TimeSeriesSpec | None:
    kept = None
    if before is not None:
        kept = TimeSeriesSpec(
            time_column=before.time_column,
            series_column=before.series_column,
            covariates=list(before.covariates),
        )
    asked = spec.time_series
    if asked is None or (kept and _roles(asked) in (_roles(kept), (*_roles(kept)[:2], []))):
        return kept
    told = f"the time in `{kept.time_column}`" if kept else "no time series"
    raise InvalidFieldError(
        fields.TIME_SERIES, f"{base} has {told}; leave this out, so that the columns are the same"
    )


def _roles(series: TimeSeriesSpec) -> tuple[str, str, list[str]]:
    return series.time_column, series.series_column, series.covariates

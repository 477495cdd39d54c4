"""From the profiles of the columns to a schema: types, target, task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from common.data.schema import MAX_CATEGORIES, ColumnType, Schema, Task
from common.errors import InvalidFieldError
from common.wording import quoted
from services.catalog.domain import fields
from services.catalog.domain.columns import (
    VECTORS,
    ColumnPlan,
    distinct_numbers,
    example,
    fits,
    misfit,
    plan_column,
)
from services.catalog.domain.profile import ColumnProfile
from services.catalog.domain.sources.base import RawColumn, RawKind
from services.catalog.domain.spec import ImportSpec

_TARGET_NAMES = ("target", "label", "class", "y")
_CLASS_NAMES = ("label", "class")
_FEW_CLASSES = 20
_FEW_LABELS = 20


@dataclass(frozen=True)
class ImportPlan:
    """What the data set will look like.

    Attributes:
        schema: Its schema.
        columns: How each of its columns comes about.
        row_count: Number of rows.
    """

    schema: Schema
    columns: tuple[ColumnPlan, ...]
    row_count: int

    @property
    def storage(self) -> pa.Schema:
        """Arrow schema of the rows as stored."""
        return pa.schema([plan.field for plan in self.columns])

    @property
    def target(self) -> ColumnPlan | None:
        """The target's plan; None where there is no target."""
        named = (plan for plan in self.columns if plan.column.name == self.schema.target)
        return next(named, None)


def resolve_target(spec: ImportSpec, columns: Sequence[RawColumn], default: str) -> str:
    """Returns the name of the target column; empty where there is none.

    Args:
        spec: What was asked for.
        columns: The file's columns.
        default: Target by the format's own rules; empty for none.

    Raises:
        InvalidFieldError: Names a column that does not exist, or the lack of a target.
    """
    names = [column.name for column in columns]
    unknown = [name for name in spec.column_types if name not in names]
    if unknown:
        raise InvalidFieldError(
            fields.COLUMN_TYPES,
            f"there is no column {fields.listed(unknown)}; the columns are {fields.listed(names)}",
            reason="UNKNOWN_COLUMN",
        )
    for field, name in _named_columns(spec):
        if name not in names:
            raise InvalidFieldError(
                field,
                f"there is no column {quoted(name)}; the columns are {fields.listed(names)}",
                reason="UNKNOWN_COLUMN",
            )
    if spec.targets:
        return spec.targets[0]
    if spec.target or spec.task is Task.UNSUPERVISED:
        return spec.target
    taken = set() if spec.time_series is None else spec.time_series.columns
    free = [name for name in (default, *_TARGET_NAMES) if name in names and name not in taken]
    found = next(iter(free), "")
    task = Task.FORECASTING if spec.time_series else spec.task
    if not found and task is not None:
        raise InvalidFieldError(
            fields.TARGET,
            f"{task} needs a target; name one of the columns {fields.listed(names)}",
            reason="MISSING_TARGET",
        )
    return found


def plan_import(
    spec: ImportSpec,
    profiles: Mapping[str, ColumnProfile],
    target: str,
    known_labels: Sequence[str] = (),
) -> ImportPlan:
    """Decides on types and task.

    Args:
        spec: What was asked for.
        profiles: What is known of each column after all rows.
        target: Name of the target column; empty for none.
        known_labels: The target's labels in the rows before, if any.

    Raises:
        InvalidFieldError: Names the column whose values do not allow what was asked for.
    """
    if spec.append:
        _check_types_before(spec, profiles)
    targets = tuple(spec.targets) or ((target,) if target else ())
    task, reason = Task.UNSUPERVISED, "There is no target column."
    for name in targets:
        _refuse_missing(profiles[name])
        task, reason = _task(spec, profiles[name])
    if not targets and spec.task is not None:
        reason = "It was asked for."
    plans = tuple(
        _target(spec, profile, task, known_labels) if name in targets else _feature(spec, profile)
        for name, profile in profiles.items()
    )
    schema = Schema(tuple(plan.column for plan in plans), task, target, reason, targets)
    rows = next(iter(profiles.values())).rows
    return ImportPlan(schema, plans, rows)


def _check_types_before(spec: ImportSpec, profiles: Mapping[str, ColumnProfile]) -> None:
    """Checks that new rows have the types of those before, which nobody can choose anew."""
    for name, before in spec.column_types.items():
        if not fits(profiles[name], before):
            raise fields.bad_file(
                f"{misfit(profiles[name], before)}, unlike the rows before; correct the file, or "
                "import all rows anew",
                "OTHER_COLUMNS",
            )


def _named_columns(spec: ImportSpec) -> list[tuple[str, str]]:
    """Returns the columns that a specification names, each with its field."""
    named = [(fields.TARGET, spec.target)]
    named += [(f"{fields.TARGETS}[{number}]", name) for number, name in enumerate(spec.targets)]
    if spec.time_series is not None:
        series = spec.time_series
        named += [
            (f"{fields.TIME_SERIES}.time_column", series.time_column),
            (f"{fields.TIME_SERIES}.series_column", series.series_column),
        ]
        named += [
            (f"{fields.TIME_SERIES}.covariates[{number}]", name)
            for number, name in enumerate(series.covariates)
        ]
    return [(field, name) for field, name in named if name]


def _refuse_infinite(profile: ColumnProfile, field: str) -> None:
    if profile.first_infinite:
        what = "an infinite value"
        if profile.raw.kind is RawKind.EMBEDDING:
            what = "a vector with an infinite or missing number"
        raise InvalidFieldError(
            field,
            f"column `{profile.raw.name}` holds {what} in row {profile.first_infinite}; replace it "
            "by a number or leave it empty",
            reason="INFINITE_VALUE",
        )


def _task(spec: ImportSpec, profile: ColumnProfile) -> tuple[Task, str]:
    if spec.time_series is not None:
        return Task.FORECASTING, "Columns of time series were named."
    if spec.targets:
        return Task.MULTI_LABEL, "Several targets were named."
    if spec.task is not None:
        return spec.task, "It was asked for."
    name = profile.raw.name
    forced = spec.column_types.get(name)
    if forced is ColumnType.NUMERIC:
        return Task.REGRESSION, f"The target `{name}` was declared numeric."
    if profile.numbers is None or forced is not None:
        return Task.CLASSIFICATION, f"The target `{name}` holds labels."
    distinct = distinct_numbers(profile)
    if not profile.numbers.whole:
        return Task.REGRESSION, f"The target `{name}` holds numbers with fractions."
    if name in _CLASS_NAMES and distinct <= MAX_CATEGORIES:
        reason = f"The target is called `{name}` and holds whole numbers."
        return Task.CLASSIFICATION, reason
    if distinct <= _FEW_CLASSES:
        reason = f"The target `{name}` has {distinct} distinct whole numbers."
        return Task.CLASSIFICATION, reason
    return Task.REGRESSION, f"The target `{name}` has about {distinct} distinct whole numbers."


def _target(
    spec: ImportSpec, profile: ColumnProfile, task: Task, known_labels: Sequence[str]
) -> ColumnPlan:
    """Plans the target's column, for classification or regression."""
    name = profile.raw.name
    forced = spec.column_types.get(name)
    if profile.numbers is not None and forced in (None, ColumnType.NUMERIC):
        _refuse_infinite(profile, fields.TARGET)
    if task in (Task.REGRESSION, Task.FORECASTING):
        return _number_target(profile, forced, task)
    if task is Task.MULTI_LABEL:
        return _truth_target(profile, forced)
    if forced not in (None, ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
        raise InvalidFieldError(
            fields.COLUMN_TYPES,
            f"`{name}` is the target of a classification and cannot be {forced}; use categorical",
            reason="BAD_COLUMN_TYPE",
        )
    if profile.raw.kind in (*VECTORS, RawKind.TIMESTAMP) or profile.labels is None:
        raise InvalidFieldError(
            fields.TARGET,
            f"column `{name}` has no classes, or more than {MAX_CATEGORIES}; choose another target "
            "or the task regression",
            reason="BAD_TARGET",
        )
    truth = profile.is_boolean and profile.numbers is None
    guess = ColumnType.BOOLEAN if truth else ColumnType.CATEGORICAL
    plan = plan_column(profile, forced or guess, by_number=forced is None, known=known_labels)
    if len(plan.present_labels) < 2 and not spec.append:
        raise InvalidFieldError(
            fields.TARGET,
            f"target column `{name}` has a single class, {fields.listed(plan.present_labels)}; "
            "classification needs two or more",
            reason="SINGLE_CLASS",
        )
    return plan


def _truth_target(profile: ColumnProfile, forced: ColumnType | None) -> ColumnPlan:
    """Plans one of several targets."""
    if not fits(profile, ColumnType.BOOLEAN) or forced not in (None, ColumnType.BOOLEAN):
        raise InvalidFieldError(
            fields.TARGETS,
            f"column `{profile.raw.name}` is one of several targets and holds other values than "
            "true and false, or 0 and 1; leave it out, or write a column for each label",
            reason="BAD_TARGET",
        )
    return plan_column(profile, ColumnType.BOOLEAN)


def _number_target(profile: ColumnProfile, forced: ColumnType | None, task: Task) -> ColumnPlan:
    if profile.numbers is None or forced not in (None, ColumnType.NUMERIC):
        raise InvalidFieldError(
            fields.TASK,
            f"{task} needs numbers, and target column `{profile.raw.name}` holds something "
            f"else{example(profile)}; choose classification or another target",
            reason="TARGET_NOT_NUMERIC",
        )
    return plan_column(profile, ColumnType.NUMERIC)


def _feature(spec: ImportSpec, profile: ColumnProfile) -> ColumnPlan:
    name = profile.raw.name
    wanted = spec.column_types.get(name) or _guess_type(profile)
    series = spec.time_series
    if series is not None and name == series.time_column:
        wanted = _require_times(profile)
    elif series is not None and name == series.series_column:
        _require_series(profile)
    if wanted in (ColumnType.NUMERIC, ColumnType.EMBEDDING) and profile.numbers is not None:
        _refuse_infinite(profile, fields.UPLOAD)
    return plan_column(profile, wanted)


def _guess_type(profile: ColumnProfile) -> ColumnType:
    if profile.raw.type is not None:
        return profile.raw.type
    if profile.raw.kind in VECTORS:
        return VECTORS[profile.raw.kind]
    if profile.numbers is not None:
        return ColumnType.NUMERIC
    if profile.is_boolean:
        return ColumnType.BOOLEAN
    if profile.is_timestamp:
        return ColumnType.TIMESTAMP
    # Labels repeat; texts hardly do.
    few = max(_FEW_LABELS, profile.rows // 2)
    if profile.labels is not None and len(profile.labels) <= few:
        return ColumnType.CATEGORICAL
    return ColumnType.TEXT


def _require_times(profile: ColumnProfile) -> ColumnType:
    field = f"{fields.TIME_SERIES}.time_column"
    if not fits(profile, ColumnType.TIMESTAMP):
        raise InvalidFieldError(
            field,
            f"column `{profile.raw.name}` does not hold times"
            f"{example(profile, ColumnType.TIMESTAMP)}; write them as ISO 8601, for example "
            "2024-01-31 or 2024-01-31T10:30:00",
            reason="BAD_TIME",
        )
    _require_present(profile, field)
    return ColumnType.TIMESTAMP


def _require_series(profile: ColumnProfile) -> None:
    field = f"{fields.TIME_SERIES}.series_column"
    if profile.raw.kind in VECTORS:
        raise InvalidFieldError(
            field,
            f"column `{profile.raw.name}` holds {VECTORS[profile.raw.kind]} values, which name no "
            "series; choose a column of names or numbers",
            reason="BAD_COLUMN_TYPE",
        )
    _require_present(profile, field)


def _require_present(profile: ColumnProfile, field: str) -> None:
    missing = profile.unread if profile.is_timestamp else profile.missing
    if missing.count:
        raise InvalidFieldError(
            field,
            f"column `{profile.raw.name}` has no value in {missing.count} rows, first in row "
            f"{missing.first}; remove those rows",
            reason="MISSING_VALUE",
        )


def _refuse_missing(profile: ColumnProfile) -> None:
    missing = profile.missing if profile.numbers is None else profile.unread
    if missing.count:
        raise InvalidFieldError(
            fields.TARGET,
            f"target column `{profile.raw.name}` has no value in {missing.count} of "
            f"{profile.rows} rows, first in row {missing.first}; remove those rows or choose "
            "another target",
            reason="MISSING_TARGET_VALUE",
        )

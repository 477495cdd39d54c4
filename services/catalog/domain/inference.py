"""From the profiles of the columns to a schema: types, target, task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from common.data.schema import MAX_CATEGORIES, ColumnType, Schema, Task
from common.errors import InvalidFieldError
from services.catalog.domain import fields
from services.catalog.domain.columns import ColumnPlan, distinct_numbers, example, plan_column
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
    if spec.target and spec.target not in names:
        raise InvalidFieldError(
            fields.TARGET,
            f"there is no column `{spec.target}`; the columns are {fields.listed(names)}",
            reason="UNKNOWN_COLUMN",
        )
    if spec.target or spec.task is Task.UNSUPERVISED:
        return spec.target
    found = next((name for name in (default, *_TARGET_NAMES) if name in names), "")
    if not found and spec.task is not None:
        raise InvalidFieldError(
            fields.TARGET,
            f"{spec.task} needs a target; name one of the columns {fields.listed(names)}",
            reason="MISSING_TARGET",
        )
    return found


def plan_import(spec: ImportSpec, profiles: Mapping[str, ColumnProfile], target: str) -> ImportPlan:
    """Decides on types and task.

    Args:
        spec: What was asked for.
        profiles: What is known of each column after all rows.
        target: Name of the target column; empty for none.

    Raises:
        InvalidFieldError: Names the column whose values do not allow what was asked for.
    """
    task, reason = Task.UNSUPERVISED, "There is no target column."
    if target:
        _refuse_missing(profiles[target])
        task, reason = _task(spec, profiles[target])
    elif spec.task is not None:
        reason = "It was asked for."
    plans = tuple(
        _target(spec, profile, task) if name == target else _feature(spec, profile)
        for name, profile in profiles.items()
    )
    schema = Schema(tuple(plan.column for plan in plans), task, target, reason)
    rows = next(iter(profiles.values())).rows
    return ImportPlan(schema, plans, rows)


def _refuse_infinite(profile: ColumnProfile, field: str) -> None:
    if profile.first_infinite:
        raise InvalidFieldError(
            field,
            f"column `{profile.raw.name}` holds an infinite value in row "
            f"{profile.first_infinite}; replace it by a number or leave it empty",
            reason="INFINITE_VALUE",
        )


def _task(spec: ImportSpec, profile: ColumnProfile) -> tuple[Task, str]:
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


def _target(spec: ImportSpec, profile: ColumnProfile, task: Task) -> ColumnPlan:
    """Plans the target's column, for classification or regression."""
    name = profile.raw.name
    forced = spec.column_types.get(name)
    if profile.numbers is not None and forced in (None, ColumnType.NUMERIC):
        _refuse_infinite(profile, fields.TARGET)
    if task is Task.REGRESSION:
        return _regression_target(profile, forced)
    if forced not in (None, ColumnType.CATEGORICAL, ColumnType.BOOLEAN):
        raise InvalidFieldError(
            fields.COLUMN_TYPES,
            f"`{name}` is the target of a classification and cannot be {forced}; use categorical",
            reason="BAD_COLUMN_TYPE",
        )
    if profile.raw.kind in (RawKind.IMAGE, RawKind.TIMESTAMP) or profile.labels is None:
        raise InvalidFieldError(
            fields.TARGET,
            f"column `{name}` has no classes, or more than {MAX_CATEGORIES}; choose another target "
            "or the task regression",
            reason="BAD_TARGET",
        )
    truth = profile.is_boolean and profile.numbers is None
    guess = ColumnType.BOOLEAN if truth else ColumnType.CATEGORICAL
    plan = plan_column(profile, forced or guess, by_number=forced is None)
    if len(plan.present_labels) < 2 and not spec.append:
        raise InvalidFieldError(
            fields.TARGET,
            f"target column `{name}` has a single class, {fields.listed(plan.present_labels)}; "
            "classification needs two or more",
            reason="SINGLE_CLASS",
        )
    return plan


def _regression_target(profile: ColumnProfile, forced: ColumnType | None) -> ColumnPlan:
    if profile.numbers is None or forced not in (None, ColumnType.NUMERIC):
        raise InvalidFieldError(
            fields.TASK,
            f"regression needs numbers, and target column `{profile.raw.name}` holds something "
            f"else{example(profile)}; choose classification or another target",
            reason="TARGET_NOT_NUMERIC",
        )
    return plan_column(profile, ColumnType.NUMERIC)


def _feature(spec: ImportSpec, profile: ColumnProfile) -> ColumnPlan:
    wanted = spec.column_types.get(profile.raw.name) or _guess_type(profile)
    if wanted is ColumnType.NUMERIC and profile.numbers is not None:
        _refuse_infinite(profile, fields.UPLOAD)
    return plan_column(profile, wanted)


def _guess_type(profile: ColumnProfile) -> ColumnType:
    if profile.raw.type is not None:
        return profile.raw.type
    if profile.raw.kind is RawKind.IMAGE:
        return ColumnType.IMAGE
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

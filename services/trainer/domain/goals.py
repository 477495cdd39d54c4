"""What a run predicts: its target columns and its task."""

from dataclasses import dataclass

from common.data.schema import LABEL_TYPES, Column, ColumnType, Schema, require_column
from common.data.schema import Task as DataTask
from common.models.preprocessing import Task
from services.trainer.domain.specification import FIELD, TrainingSpecification, refused

MAX_CLASSES = 1_000
_TARGET_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_MARKS = (0.0, 1.0)


@dataclass(frozen=True)
class Goal:
    """What is predicted.

    Attributes:
        task: What a network does.
        columns: The target; of several labels their columns.
        horizon: Steps to forecast; 1 where there is nothing of the kind.
    """

    task: Task
    columns: tuple[Column, ...]
    horizon: int = 1

    @property
    def target(self) -> Column:
        """The (first) target."""
        return self.columns[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return tuple(column.name for column in self.columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes or labels as far as the schema knows them, in the order of outputs."""
        if self.task == "multi_label":
            return self.names
        return self.target.labels if self.task == "classification" else ()

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        if self.task in ("regression", "forecasting"):
            return self.horizon
        if self.task == "multi_label":
            return len(self.columns)
        return 2 if self.target.type is ColumnType.BOOLEAN else _class_count(self.target)


def goal_of(specification: TrainingSpecification, schema: Schema) -> Goal:
    """Returns what a run predicts.

    Args:
        specification: What the caller asked for.
        schema: Of the data.

    Raises:
        InvalidFieldError: A target is missing or does not fit the task; names the cure.
    """
    if _wants_labels(specification, schema):
        return Goal("multi_label", _labels(specification, schema))
    target = _target(specification, schema)
    if _wants_forecasts(specification, schema):
        if target.type is not ColumnType.NUMERIC:
            raise refused(
                "target", f"Forecasts are of numbers and `{target.name}` is {target.type}."
            )
        return Goal("forecasting", (target,))
    return Goal(_task(specification, schema, target), (target,))


def _wants_labels(specification: TrainingSpecification, schema: Schema) -> bool:
    """Whether labels that do not exclude each other are to be predicted."""
    task = specification.task
    if specification.targets and task not in (None, "multi_label"):
        raise refused("targets", f"Are for MULTI_LABEL; name one `target` for {task.upper()}.")
    if specification.target and task == "multi_label":
        raise refused("target", "MULTI_LABEL has `targets`; name the columns of all labels there.")
    if task is not None:
        return task == "multi_label"
    is_own = not specification.target and schema.task is DataTask.MULTI_LABEL
    return bool(specification.targets) or is_own


def _wants_forecasts(specification: TrainingSpecification, schema: Schema) -> bool:
    """Whether the future of series is to be found."""
    task = specification.task
    if specification.forecast is not None and task not in (None, "forecasting"):
        raise refused("forecast", f"Is for FORECASTING, not for {task.upper()}; leave it out.")
    if task is not None or specification.forecast is not None:
        return task in (None, "forecasting")
    is_own = specification.target in ("", schema.target)
    return is_own and schema.task is DataTask.FORECASTING


def _labels(specification: TrainingSpecification, schema: Schema) -> tuple[Column, ...]:
    own = schema.targets or tuple(filter(None, (schema.target,)))
    names = specification.targets or own
    if not names:
        raise refused("targets", "The data set names no targets; give the columns of the labels.")
    columns = []
    for index, name in enumerate(names):
        field = f"targets[{index}]" if specification.targets else "targets"
        column = _checked(require_column(schema, name, f"{FIELD}.{field}"), field)
        if name in names[:index]:
            raise refused(field, f"`{name}` is listed twice.")
        _check_marks(column, field)
        columns.append(column)
    return tuple(columns)


def _check_marks(column: Column, field: str) -> None:
    """Checks that a label is there in some rows and not in others."""
    told = column.numeric
    is_marked = told is not None and told.min in _MARKS and told.max in _MARKS
    if column.type is not ColumnType.BOOLEAN and not (is_marked and column.distinct_count <= 2):
        raise refused(
            field,
            f"`{column.name}` holds other values than true and false, or 0 and 1; leave it out, or "
            "write a column for each label.",
            reason="NO_LABEL",
        )
    if column.distinct_count == 1:
        raise refused(
            field,
            f"`{column.name}` is the same in all rows; there is nothing to learn, leave it out.",
            reason="ONE_CLASS",
        )


def _target(specification: TrainingSpecification, schema: Schema) -> Column:
    name = specification.target or schema.target
    if not name:
        raise refused("target", "The data set names no target; give the column to predict.")
    return _checked(require_column(schema, name, f"{FIELD}.target"), "target")


def _checked(target: Column, field: str) -> Column:
    """Returns a column that can be predicted at all."""
    if target.type not in _TARGET_TYPES:
        raise refused(field, f"`{target.name}` is a column of type {target.type}; choose another.")
    if target.missing_count:
        raise refused(
            field,
            f"`{target.name}` has no value in {target.missing_count} rows; leave those rows out of "
            "the data or choose another target.",
            reason="MISSING_TARGET",
        )
    return target


def _task(specification: TrainingSpecification, schema: Schema, target: Column) -> Task:
    task = specification.task or _default_task(schema, target)
    if task == "regression":
        if target.type is not ColumnType.NUMERIC:
            raise refused(
                "task", f"Regression needs a numeric target and `{target.name}` is {target.type}."
            )
        return task
    classes = _class_count(target)
    if classes < 2:
        raise refused(
            "target",
            f"`{target.name}` has only one class; there is nothing to learn.",
            reason="ONE_CLASS",
        )
    if classes > MAX_CLASSES:
        raise refused(
            "task",
            f"`{target.name}` has about {classes} distinct values; classification takes at most "
            f"{MAX_CLASSES} classes. Use REGRESSION or another target.",
        )
    return task


def _default_task(schema: Schema, target: Column) -> Task:
    is_own = target.name == schema.target and len(schema.targets) <= 1
    if is_own and schema.task in (DataTask.CLASSIFICATION, DataTask.REGRESSION):
        return "classification" if schema.task is DataTask.CLASSIFICATION else "regression"
    return "classification" if target.type in LABEL_TYPES else "regression"


def _class_count(target: Column) -> int:
    if target.type is ColumnType.CATEGORICAL:
        return len(target.categories)
    return target.distinct_count

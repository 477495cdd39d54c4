"""A specification against its data: what is left open is filled in, what does not fit is refused.

Needs the schema only, no data: it runs before a run is created.
"""

from collections.abc import Sequence
from dataclasses import replace

from common.data.schema import (
    LABEL_TYPES,
    Column,
    ColumnType,
    KnownDataset,
    Schema,
    SplitCounts,
    require_column,
)
from common.models.preprocessing import Task
from common.networks import specification as networks
from common.networks.kinds.base import Data
from common.networks.specification import CustomNetwork, NetworkInput, NetworkSpecification
from services.trainer.domain.augmentation.specification import resolved_augmentation
from services.trainer.domain.forecasts.resolution import resolved_forecast, window_counts
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.goals import Goal, goal_of
from services.trainer.domain.length import with_usual_length
from services.trainer.domain.loss import Loss, check_labels, resolved_loss
from services.trainer.domain.optimisation import resolved_optimizer, resolved_schedule
from services.trainer.domain.origins import TrainedNetwork, check_origins
from services.trainer.domain.specification import (
    FIELD,
    TrainingSpecification,
    refused,
    resolved_distillation,
    resolved_monitor,
)
from services.trainer.domain.text import TextSettings, resolved_text

_DEFAULT_KINDS: dict[Data, str] = {
    "a table": "mlp",
    "images": "cnn",
    "time series": "series_linear",
    "texts": "embedding_bag",
}
_TABLE_TYPES = LABEL_TYPES | {ColumnType.NUMERIC}
_JOINED_TYPES = _TABLE_TYPES | {ColumnType.TEXT}
"""Types of columns of which a network takes many."""


def resolve_against_data(
    specification: TrainingSpecification,
    data: KnownDataset,
    parent: TrainedNetwork | None = None,
    teacher: TrainedNetwork | None = None,
) -> TrainingSpecification:
    """Fills in every default that depends on the data and checks that all fits together.

    Args:
        specification: What the caller asked for.
        data: The data set version it names.
        parent: The parent model version it names; None where it names none.
        teacher: The teacher it names; None where it names none.

    Returns:
        The specification with nothing left open. Resolving it again changes nothing.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    if data.counts.train == 0:
        raise refused("dataset_version", f"{data.name} has no training rows; split it otherwise.")
    goal = goal_of(specification, data.schema)
    _check_weight_column(specification, data.schema, goal)
    forecast = None
    if goal.task == "forecasting":
        forecast = resolved_forecast(specification, data)
        goal = replace(goal, horizon=forecast.horizon or 1)
    resolved = _filled_in(specification, data, goal, forecast, parent, teacher)
    if "epochs" not in specification.model_fields_set:
        counts = example_counts(resolved, data)
        resolved = with_usual_length(resolved, counts.train, is_validated=counts.validation > 0)
    _check_warmup(resolved)
    check_origins(resolved, goal, parent, teacher)
    return resolved


def _filled_in(
    specification: TrainingSpecification,
    data: KnownDataset,
    goal: Goal,
    forecast: Forecast | None,
    parent: TrainedNetwork | None,
    teacher: TrainedNetwork | None,
) -> TrainingSpecification:
    """Returns a specification with everything filled in but how long it trains."""
    known, taught_by = parent or teacher, teacher.name if teacher else ""
    features, text, network = _inputs(specification, data.schema, goal, forecast, known)
    _check_training(specification, goal.task)
    loss = _loss(specification, goal, known)
    return specification.model_copy(
        update={
            "dataset_version": data.name,
            "target": "" if goal.task == "multi_label" else goal.target.name,
            "targets": goal.names if goal.task == "multi_label" else (),
            "task": goal.task,
            "features": features,
            "forecast": forecast,
            "network": network,
            "optimizer": resolved_optimizer(specification.optimizer, network.kind),
            "schedule": resolved_schedule(specification.schedule, specification.early_stopping),
            "loss": loss,
            "text": text,
            "augmentation": resolved_augmentation(
                specification.augmentation, network.input, goal.task, f"{FIELD}.augmentation"
            ),
            "monitor": resolved_monitor(specification, loss),
            "workers": specification.workers.resolved,
            "parent_model_version": parent.name if parent else "",
            "distillation": resolved_distillation(specification.distillation, goal.task, taught_by),
        }
    )


def _inputs(
    specification: TrainingSpecification,
    schema: Schema,
    goal: Goal,
    forecast: Forecast | None,
    known: TrainedNetwork | None,
) -> tuple[tuple[str, ...], TextSettings | None, NetworkSpecification]:
    """Returns the features, how texts among them become tokens, and what network takes them."""
    features = _features(specification, schema, goal) if forecast is None else ()
    columns = [schema.column(name) for name in features]
    text = resolved_text(
        specification.text, columns, known.preprocessing if known else None, f"{FIELD}.text"
    )
    taken = _taken(columns, text) if forecast is None else forecast.network_input
    return features, text, _network(specification, taken, goal.outputs)


def _loss(
    specification: TrainingSpecification, goal: Goal, known: TrainedNetwork | None
) -> Loss | None:
    loss = resolved_loss(specification.loss, goal.task, f"{FIELD}.loss")
    # Of numbers that are classes only the data know all labels: workers look at those.
    classes = goal.classes if known is None else known.preprocessing.target.classes
    if loss is not None and classes:
        check_labels(loss, classes, f"{FIELD}.loss")
    return loss


def example_counts(resolved: TrainingSpecification, data: KnownDataset) -> SplitCounts:
    """Returns how many rows, or about how many windows, an epoch, validation and test have."""
    if resolved.forecast is None:
        return data.counts
    return window_counts(resolved.forecast, data)


def _column(schema: Schema, name: str, field: str) -> Column:
    return require_column(schema, name, f"{FIELD}.{field}")


def _check_weight_column(specification: TrainingSpecification, schema: Schema, goal: Goal) -> None:
    name = specification.weight_column
    if not name:
        return
    column = _column(schema, name, "weight_column")
    if column.type is not ColumnType.NUMERIC or column.numeric is None:
        raise refused("weight_column", f"`{name}` is not numeric; weights are numbers.")
    if name in goal.names:
        raise refused("weight_column", f"`{name}` is the target; choose another column.")
    if column.missing_count:
        raise refused(
            "weight_column", f"`{name}` has no value in {column.missing_count} rows; fill them in."
        )
    if column.numeric.min < 0 or column.numeric.max == 0:
        raise refused(
            "weight_column",
            f"Weights are at least 0 and not all 0, but `{name}` runs from {column.numeric.min:g} "
            f"to {column.numeric.max:g}.",
        )


def _features(specification: TrainingSpecification, schema: Schema, goal: Goal) -> tuple[str, ...]:
    taken = dict.fromkeys(goal.names, "the target") | {specification.weight_column: "the weight"}
    # Other targets are no more known than this one when the model is used.
    outcomes = {*taken, *schema.targets}
    names = specification.features or tuple(
        column.name for column in schema.columns if column.name not in outcomes
    )
    if not names:
        raise refused("features", "The data set has no column beside target and weight.")
    for index, name in enumerate(names):
        field = f"features[{index}]" if specification.features else "features"
        column = _column(schema, name, field)
        if name in taken:
            raise refused(field, f"`{name}` is {taken[name]} already; leave it out.")
        if name in names[:index]:
            raise refused(field, f"`{name}` is listed twice.")
        if column.type not in _JOINED_TYPES and column.type is not ColumnType.IMAGE:
            raise refused(
                field,
                f"`{name}` is a column of type {column.type}, which no network takes yet; list the "
                f"columns to use in `features`{_usable(schema, outcomes)}.",
                reason="COLUMN_TYPE_NOT_SUPPORTED",
            )
    return names


def _usable(schema: Schema, outcomes: set[str]) -> str:
    """Names the columns that a network can take together, for an error."""
    found = [
        column.name
        for column in schema.columns
        if column.type in _JOINED_TYPES and column.name not in outcomes
    ]
    more = f" and {len(found) - 20} more" if len(found) > 20 else ""
    return f"; it takes {', '.join(found[:20])}{more}" if found else ""


def _taken(columns: Sequence[Column], text: TextSettings | None) -> NetworkInput:
    """Returns what a network takes in of the feature columns."""
    images = [column for column in columns if column.type is ColumnType.IMAGE]
    if images and len(columns) > 1:
        raise refused(
            "features",
            f"A network takes one image column alone; list `{images[0].name}` only, or no image.",
        )
    return network_input(columns, text)


def _network(
    specification: TrainingSpecification, taken: NetworkInput, outputs: int
) -> NetworkSpecification:
    network = specification.network
    _check_code(specification)
    if specification.code is not None:
        network = NetworkSpecification(custom=CustomNetwork())
    if network is None:
        network = NetworkSpecification.model_validate({_DEFAULT_KINDS[taken.data]: {}})
    return networks.complete(network, taken, outputs, f"{FIELD}.network")


def _check_code(specification: TrainingSpecification) -> None:
    """Checks that a network comes from one place."""
    kind = specification.network.kind if specification.network is not None else ""
    if specification.code is not None and kind not in ("", "custom"):
        raise refused("network", "The network comes from `code`; leave out one of the two.")
    if specification.code is None and kind == "custom":
        raise refused("network.custom", "Needs code; give `code`, or a network of another kind.")


def network_input(columns: Sequence[Column], text: TextSettings | None = None) -> NetworkInput:
    """Returns what a network takes in for these feature columns.

    Args:
        columns: The columns.
        text: How texts among them become tokens, resolved.
    """
    labels = [column for column in columns if column.type in LABEL_TYPES]
    images = [column for column in columns if column.type is ColumnType.IMAGE]
    return NetworkInput(
        numeric_columns=sum(column.type is ColumnType.NUMERIC for column in columns),
        category_sizes=tuple(len(column.labels) + 1 for column in labels),
        image_shape=images[0].shape if images else (),
        text_length=(text.max_length or 0) if text else 0,
        vocabulary_size=(text.vocabulary_size or 0) if text else 0,
    )


def _check_training(specification: TrainingSpecification, task: Task) -> None:
    has_classes = task in ("classification", "multi_label")
    if specification.monitor == "accuracy" and not has_classes:
        raise refused("monitor", f"{task.capitalize()} has no accuracy; monitor LOSS.")
    if specification.monitor == "balanced_accuracy" and task != "classification":
        named = task.replace("_", "-").capitalize()
        raise refused("monitor", f"{named} has no balanced accuracy; monitor LOSS.")
    distillation = specification.distillation
    if distillation is not None and distillation.temperature and not has_classes:
        raise refused("distillation.temperature", "Only classes have a temperature; leave it out.")


def _check_warmup(specification: TrainingSpecification) -> None:
    warmup = specification.schedule.warmup
    if warmup is not None and warmup.epochs > specification.epochs:
        raise refused(
            "schedule.warmup.epochs",
            f"The warm-up of {warmup.epochs:g} epochs is longer than the training of "
            f"{specification.epochs}; shorten it or train longer.",
        )

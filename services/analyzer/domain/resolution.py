"""Checks a specification against models and data, and fills in what depends on them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from common.data.schema import ColumnType, KnownDataset, Schema, Task, require_column
from common.errors import InvalidFieldError
from services.analyzer.domain.metrics import METRICS, Metric
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.part import ROWLESS, PartName
from services.analyzer.domain.paths import Paths
from services.analyzer.domain.specification import (
    AnalysisSpecification,
    EvaluatedRows,
    PartRequest,
)

LEAST_ROWS = 10
"""Fewer rows say nothing of a model."""

_MOST_NAMED = 20
_SINGLE_ONLY = frozenset({PartName.RELATIONS, PartName.HEALTH})
_LABELLED = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
_TARGETS = {
    Task.CLASSIFICATION: _LABELLED | {ColumnType.NUMERIC, ColumnType.TEXT},
    Task.MULTI_LABEL: _LABELLED | {ColumnType.NUMERIC},
    Task.REGRESSION: frozenset({ColumnType.NUMERIC}),
}


@dataclass(frozen=True)
class CheckedModel:
    """A model version as far as a check needs it.

    Attributes:
        name: Its resource name.
        model: The model.
        targets: Columns that it predicts.
        layers: Returns the names of its layers.
    """

    name: str
    model: AnalysedModel
    targets: tuple[str, ...]
    layers: Callable[[], Sequence[str]]


def resolve_against(
    specification: AnalysisSpecification,
    models: Sequence[CheckedModel],
    data: KnownDataset,
    paths: Paths,
) -> AnalysisSpecification:
    """Fills in every default and checks that all fits together.

    Args:
        specification: What the caller asked for.
        models: The baseline, then the challengers.
        data: The rows to look at.
        paths: Names of fields, for errors.

    Returns:
        The specification with nothing left open that can be known before the work. Resolving it
        again changes nothing.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    for place, each in enumerate(models):
        if place:
            _check_comparable(models[0], each, paths.model(place))
        _check_fit(each, data.schema, paths)
    _check_features(specification.features, models[0], paths)
    _check_layers(specification.layers, models[0], paths)
    parts = _resolved_parts(specification, paths)
    evaluated, count = _resolved_rows(specification.evaluated_rows, data, paths)
    if needs_rows(parts) and count < LEAST_ROWS:
        raise paths.error(
            "evaluated_rows",
            f"{data.name} has {count:,} {evaluated} rows, and an analysis needs {LEAST_ROWS}; "
            "choose other rows or data, or ask for the parts STRUCTURE, WEIGHTS and CURVES alone.",
        )
    _check_what_if(specification.what_if_row, data, paths)
    changes = {
        "model_version": models[0].name,
        "challengers": tuple(each.name for each in models[1:]),
        "dataset_version": data.name,
        "parts": parts,
        "evaluated_rows": evaluated,
        "metric": _resolved_metric(specification.metric, models[0], data, paths),
        "rows": min(specification.rows, max(count, LEAST_ROWS)),
    }
    return specification.model_copy(update=changes)


def needs_rows(parts: Iterable[PartRequest]) -> bool:
    """Whether some of the parts say nothing without rows."""
    return bool({each.part for each in parts} - ROWLESS)


def _resolved_parts(specification: AnalysisSpecification, paths: Paths) -> tuple[PartRequest, ...]:
    for place, each in enumerate(specification.parts):
        if specification.challengers and each.part in _SINGLE_ONLY:
            raise paths.error(
                f"parts[{place}].part",
                f"{each.part.upper()} tells of one model alone; leave it out of a comparison.",
            )
    if specification.parts:
        return specification.parts
    left_out = _SINGLE_ONLY if specification.challengers else frozenset()
    return tuple(PartRequest(part=name) for name in PartName if name not in left_out)


def _resolved_rows(
    wanted: EvaluatedRows | None, data: KnownDataset, paths: Paths
) -> tuple[EvaluatedRows, int]:
    counts = {
        EvaluatedRows.TEST: data.counts.test,
        EvaluatedRows.VALIDATION: data.counts.validation,
        EvaluatedRows.TRAIN: data.counts.train,
        EvaluatedRows.ALL: data.counts.total,
    }
    if wanted is None:
        wanted = next(
            (each for each in (EvaluatedRows.TEST, EvaluatedRows.VALIDATION) if counts[each]),
            EvaluatedRows.ALL,
        )
    elif not counts[wanted] and data.counts.total:
        has = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        raise paths.error("evaluated_rows", f"{data.name} has no {wanted} rows; it has {has}.")
    return wanted, counts[wanted]


def _resolved_metric(
    wanted: Metric | None, checked: CheckedModel, data: KnownDataset, paths: Paths
) -> Metric | None:
    """Returns the metric; None where there is nothing to measure by."""
    fitting = METRICS[checked.model.task]
    if not checked.targets:
        if wanted is None:
            return None
        names = _listed(column.name for column in data.schema.columns)
        raise paths.error(
            "metric",
            f"{data.name} does not have the target of {checked.name}, only {names}; leave the "
            "metric out, or choose data with the target.",
            reason="NO_TARGET",
        )
    if wanted is None:
        return fitting[0]
    if wanted not in fitting:
        names = _listed(each.upper() for each in fitting)
        raise paths.error(
            "metric", f"{wanted.upper()} does not fit {checked.model.task}; use {names}."
        )
    if wanted is Metric.LOG_LOSS and not checked.model.gives_probabilities:
        raise paths.error("metric", "The model gives no probabilities; use ACCURACY.")
    return wanted


def _check_fit(checked: CheckedModel, schema: Schema, paths: Paths) -> None:
    field = paths.of("dataset_version")
    model = checked.model
    if isinstance(model, TorchPackage):
        _check_package(checked.name, model, schema, field)
    else:
        for name in model.features:
            require_column(schema, name, field)
    for name in checked.targets:
        _check_target(checked, name, schema, field)


def _check_package(name: str, model: TorchPackage, schema: Schema, field: str) -> None:
    preprocessing = model.preprocessing
    kinds: dict[str, frozenset[ColumnType]] = {
        **{each.name: frozenset({ColumnType.NUMERIC}) for each in preprocessing.numeric},
        **{each.name: _LABELLED for each in preprocessing.categorical},
    }
    if preprocessing.image is not None:
        kinds[preprocessing.image.name] = frozenset({ColumnType.IMAGE})
    if preprocessing.text is not None:
        kinds |= dict.fromkeys(preprocessing.text.names, frozenset({ColumnType.TEXT}))
    for column_name, taken in kinds.items():
        column = require_column(schema, column_name, field)
        if column.type not in taken:
            raise InvalidFieldError(
                field,
                f"The column `{column_name}` is {column.type}, and {name} takes "
                f"{' or '.join(sorted(taken))} there; choose data like those it was trained on.",
                reason="COLUMNS_DO_NOT_FIT",
            )
    image = preprocessing.image
    if image is not None and schema.column(image.name).shape != image.shape:
        shape = schema.column(image.name).shape
        raise InvalidFieldError(
            field,
            f"The images of `{image.name}` have the shape {shape} (channels, height, width), and "
            f"{name} takes {image.shape}; choose data like those it was trained on.",
            reason="COLUMNS_DO_NOT_FIT",
        )


def _check_target(checked: CheckedModel, name: str, schema: Schema, field: str) -> None:
    column = require_column(schema, name, field)
    taken = _TARGETS[checked.model.task]
    if column.type not in taken:
        raise InvalidFieldError(
            field,
            f"The target `{name}` is {column.type}, and for {checked.model.task} it must be "
            f"{' or '.join(sorted(taken))}; choose data like those that {checked.name} was "
            "trained on.",
            reason="COLUMNS_DO_NOT_FIT",
        )
    if checked.model.task is not Task.CLASSIFICATION or not column.categories:
        return
    known = {normal_label(each) for each in checked.model.outputs}
    if not known & {normal_label(each) for each in column.labels}:
        raise InvalidFieldError(
            field,
            f"None of the labels of `{name}` ({_listed(column.labels)}) is a class of "
            f"{checked.name} ({_listed(checked.model.outputs)}).",
            reason="CLASSES_DO_NOT_FIT",
        )


def _answers(model: AnalysedModel) -> list[str]:
    """Returns what outputs stand for as it compares; the values of a regression have no name."""
    if model.task is Task.REGRESSION:
        return []
    return [normal_label(each) for each in model.outputs]


def _check_comparable(baseline: CheckedModel, other: CheckedModel, field: str) -> None:
    if other.model.task is not baseline.model.task:
        raise InvalidFieldError(
            field,
            f"{other.name} is for {other.model.task}, and {baseline.name} for "
            f"{baseline.model.task}; compare models that predict the same.",
        )
    if _answers(other.model) != _answers(baseline.model):
        raise InvalidFieldError(
            field,
            f"{other.name} predicts {_listed(other.model.outputs)}, and {baseline.name} "
            f"{_listed(baseline.model.outputs)}; compare models with the same outputs in the same "
            "order.",
        )
    if other.targets != baseline.targets:
        raise InvalidFieldError(
            field,
            f"{other.name} predicts `{_listed(other.targets)}`, and {baseline.name} "
            f"`{_listed(baseline.targets)}`; compare models that predict the same.",
        )


def _check_features(names: Sequence[str], checked: CheckedModel, paths: Paths) -> None:
    own = checked.model.features
    for place, name in enumerate(names):
        if name not in own:
            raise paths.error(
                f"features[{place}]",
                f"`{name}` is no column that {checked.name} takes; it takes {_listed(own)}.",
                reason="UNKNOWN_COLUMN",
            )


def _check_layers(names: Sequence[str], checked: CheckedModel, paths: Paths) -> None:
    if not names:
        return
    own = checked.layers()
    if not own:
        raise paths.error("layers", f"{checked.name} has no layers by name; leave this empty.")
    for place, name in enumerate(names):
        if name not in own:
            raise paths.error(
                f"layers[{place}]",
                f"{checked.name} has no layer `{name}`; it has {_listed(own)}.",
                reason="UNKNOWN_LAYER",
            )


def _check_what_if(row: int | None, data: KnownDataset, paths: Paths) -> None:
    if row is not None and row >= data.counts.total:
        raise paths.error(
            "what_if_row", f"must be 0 to {data.counts.total - 1}, a row of {data.name}."
        )


def normal_label(label: str) -> str:
    """Returns a label as it compares: `True`, `1.0` and `1` differ between sources."""
    word = label.strip()
    try:
        return f"{float(word):.15g}"
    except ValueError:
        return word.lower() if word.lower() in ("true", "false") else word


def _listed(names: Iterable[str]) -> str:
    """Returns names for people, the first twenty."""
    all_names = list(names)
    left = len(all_names) - _MOST_NAMED
    return ", ".join(all_names[:_MOST_NAMED]) + (f" and {left} more" if left > 0 else "")

"""Checks a pruning against the model and the data it names, and fills in what depends on these."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.data.schema import LABEL_TYPES, ColumnType, KnownDataset, Schema, Task
from common.errors import InvalidFieldError
from common.scoring.kinds import ProblemKind
from common.scoring.names import DEFAULT_METRICS, METRIC_KINDS, metric_kinds, metrics_for, named
from services.pruner.domain.front import Gain
from services.pruner.domain.methods import (
    METHODS,
    SMALL_NETWORK,
    ModelFormat,
    following,
    methods_for,
)
from services.pruner.domain.specification import (
    FIELD,
    FineTuning,
    Importance,
    PruningSpecification,
    Runtime,
    Target,
)

LEAST_ROWS = 20
NETWORK_TYPES = frozenset({ColumnType.NUMERIC, *LABEL_TYPES})
"""Types of columns that a network over a table takes."""
_ONNX = "onnx"


@dataclass(frozen=True)
class KnownModel:
    """What is known of a model before it is opened.

    Attributes:
        name: Resource name with the version's number.
        format: How it is kept.
        task: What it predicts.
        classes: Labels of its classes; empty where it does not say.
        metrics: Names of the metrics that it was measured by, the parts of the split left out.
        roles: Of its files.
        learned_validation: Whether it has learned from validation rows, as those of searches have.
        layers: Names of a network's layers with widths of their own.
        has_batch_norm: Whether it is a network with batch normalisation.
    """

    name: str
    format: ModelFormat
    task: Task
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    roles: frozenset[str]
    learned_validation: bool
    layers: tuple[str, ...] = ()
    has_batch_norm: bool = False


@dataclass(frozen=True)
class Resolved:
    """A pruning that can begin.

    Attributes:
        specification: With every default filled in but `max_loss`, which needs the model's score.
        choosing: Rows that variants are chosen by.
        judging: Rows that quality is measured on.
    """

    specification: PruningSpecification
    choosing: int
    judging: int


def resolve_against(
    specification: PruningSpecification, model: KnownModel, data: KnownDataset
) -> Resolved:
    """Returns a pruning that can begin.

    Raises:
        InvalidFieldError: Names the field that is wrong, and the cure.
    """
    kind = kind_of(model, data.schema)
    if specification.gain is Gain.MULTIPLICATIONS and model.format is ModelFormat.SKOPS:
        raise refused(
            "gain",
            f"{model.name} is a scikit-learn model, whose multiplications say nothing of what it "
            "takes; take LATENCY, SIZE or MEMORY.",
        )
    choosing, judging = held_out_counts(model, data)
    if min(choosing, judging) < LEAST_ROWS:
        raise refused(
            "dataset_version",
            f"{data.name} has too few rows that {model.name} has not learned from: {choosing:,} to "
            f"choose by and {judging:,} to judge on, of {LEAST_ROWS} each at least; import it with "
            "a larger test part, or name another data set version.",
        )
    changes = {
        "model_version": model.name,
        "dataset_version": data.name,
        "model": specification.model or model.name.partition("/versions/")[0],
        "metric": _metric(specification.metric, kind, model),
        "methods": tuple(_methods(specification, model, data.schema)),
        "target": _target(specification.target, model),
        "fine_tuning": _fine_tuning(specification.fine_tuning, model),
        "importance": _importance(specification.importance, model),
    }
    _check_kept_layers(specification.kept_layers, model)
    return Resolved(specification.model_copy(update=changes), choosing, judging)


def kind_of(model: KnownModel, schema: Schema) -> ProblemKind:
    """Returns the kind of problem that a model was made for.

    Raises:
        InvalidFieldError: It is none whose quality can be told from single rows.
    """
    if model.task is Task.REGRESSION:
        return ProblemKind.REGRESSION
    if model.task is Task.MULTI_LABEL:
        return ProblemKind.MULTI_LABEL
    if model.task is not Task.CLASSIFICATION:
        raise refused(
            "model_version",
            f"{model.name} is for the task {model.task}; name a model for classification, labels "
            "or regression.",
            reason="TASK_NOT_SUPPORTED",
        )
    count = len(model.classes) or len(schema.column(schema.target).labels)
    return ProblemKind.BINARY if count <= 2 else ProblemKind.MULTICLASS


def held_out_counts(model: KnownModel, data: KnownDataset) -> tuple[int, int]:
    """Returns how many rows there are to choose by, and to judge on.

    Test rows judge and validation rows choose, where the model has not learned from these; where
    one of the two is missing, the other is halved.
    """
    validation = 0 if model.learned_validation else data.counts.validation
    if not validation or not data.counts.test:
        held_out = validation + data.counts.test
        return held_out // 2, held_out - held_out // 2
    return validation, data.counts.test


def refused(field: str, description: str, reason: str = "") -> InvalidFieldError:
    """Returns the error for a field of the specification."""
    return InvalidFieldError(f"{FIELD}.{field}", description, reason=reason)


def _metric(name: str, kind: ProblemKind, model: KnownModel) -> str:
    if not name:
        own = [each for each in model.metrics if kind in metric_kinds(each)]
        return own[0] if own else DEFAULT_METRICS[kind]
    kinds = metric_kinds(name)
    if not kinds:
        raise refused("metric", f"There is no metric `{name}`; there are {named([*METRIC_KINDS])}.")
    if kind not in kinds:
        words = kind.replace("_", " ")
        fitting = named(metrics_for(kind))
        raise refused("metric", f"`{name}` does not fit {words} problems; take {fitting}.")
    return name


def _methods(specification: PruningSpecification, model: KnownModel, schema: Schema) -> list[str]:
    wanted, own = specification.methods, methods_for(model.format)
    of_no_student = _of_no_student(specification, model, schema)
    if of_no_student:
        own = [each for each in own if each != SMALL_NETWORK]
    begun = [each for each in own if not wanted or each in wanted]
    fitting = [each for each in METHODS if each in own or each in following(begun)]
    for place, name in enumerate(wanted):
        if name not in METHODS:
            raise refused(
                f"methods[{place}]", f"There is no method `{name}`; there are {named([*METHODS])}."
            )
        if name not in fitting:
            raise refused(
                f"methods[{place}]",
                f"`{name}` does not fit {model.name}, a {model.format} model"
                f"{of_no_student if name == SMALL_NETWORK else ''}; take {named(fitting)}.",
            )
    return [each for each in fitting if not wanted or each in wanted]


def _of_no_student(specification: PruningSpecification, model: KnownModel, schema: Schema) -> str:
    """Returns what keeps a small network from learning of a model, as far as the data tell."""
    targets = {*schema.targets, schema.target}
    types = {each.type for each in schema.columns if each.name not in targets}
    if model.task is Task.MULTI_LABEL:
        return " of several labels"
    if types - NETWORK_TYPES - {ColumnType.TIMESTAMP}:
        return " of data with other columns than numbers, truth values and categories"
    return " of which layers are to stay" if specification.kept_layers else ""


def _target(target: Target, model: KnownModel) -> Target:
    is_estimator = model.format is ModelFormat.SKOPS
    runtime = target.runtime or (Runtime.NATIVE if is_estimator else Runtime.ONNX_RUNTIME)
    if runtime is Runtime.NATIVE and not is_estimator:
        raise refused(
            "target.runtime",
            f"{model.name} is a network or an ONNX file, which only ONNX_RUNTIME computes here.",
        )
    if runtime is Runtime.ONNX_RUNTIME and _ONNX not in model.roles:
        raise refused(
            "target.runtime",
            f"{model.name} has no ONNX twin; take NATIVE, or a model that has one.",
        )
    return target.model_copy(update={"runtime": runtime})


def _fine_tuning(wanted: FineTuning | None, model: KnownModel) -> FineTuning | None:
    if model.format is ModelFormat.TORCH_PACKAGE:
        return wanted or FineTuning()
    if wanted is not None:
        raise refused(
            "fine_tuning",
            f"Only networks of the trainer are trained again, and {model.name} is a "
            f"{model.format} model; leave it out.",
        )
    return None


def _importance(wanted: Importance | None, model: KnownModel) -> Importance | None:
    if model.format is ModelFormat.TORCH_PACKAGE:
        if wanted is Importance.NORM_SCALE and not model.has_batch_norm:
            raise refused(
                "importance",
                f"{model.name} has no batch normalisation whose scales could rank its units; take "
                "TAYLOR, FISHER, MAGNITUDE or ACTIVATION.",
            )
        return wanted or Importance.TAYLOR
    if wanted is not None:
        raise refused(
            "importance",
            f"Only units of the trainer's networks are ranked by it, and {model.name} is a "
            f"{model.format} model; leave it out.",
        )
    return None


def _check_kept_layers(wanted: Iterable[str], model: KnownModel) -> None:
    """Refuses layers that a network does not have; those of ONNX models are not known yet."""
    for place, name in enumerate(wanted):
        field = f"kept_layers[{place}]"
        if model.format is ModelFormat.SKOPS:
            raise refused(
                field,
                f"{model.name} is a scikit-learn model and has no layers; leave `kept_layers` out.",
            )
        if model.format is ModelFormat.TORCH_PACKAGE and name not in model.layers:
            there_are = f"there are {named(model.layers)}" if model.layers else "there is none"
            raise refused(field, f"{model.name} has no layer `{name}`; {there_are}.")

"""What a training run is told: ranges and defaults of `TrainingSpec`, field by field.

What depends on the data is checked and filled in by `resolution`.
"""

from itertools import chain
from typing import Literal

from pydantic import Field, model_validator

from aimass.trainer.v1 import trainer_pb2
from common.artifacts.reference import ArtifactReference
from common.errors import FieldViolation, InvalidFieldError, InvalidInputError
from common.models.preprocessing import Task
from common.networks.specification import NetworkSpecification, Specification
from common.protobuf import from_plain, resolve
from common.scoring.outlier_uses import Use
from services.trainer.domain.augmentation.specification import Augmentation, augmentation_problems
from services.trainer.domain.communication import Communication, communication_problems
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.loss import Loss, loss_problems
from services.trainer.domain.optimisation import (
    EarlyStopping,
    Optimizer,
    Schedule,
    optimizer_problems,
    schedule_problems,
)
from services.trainer.domain.own_code import OwnCode, code_violations
from services.trainer.domain.text import TextSettings

FIELD = "training_run.spec"
DEFAULT_TEMPERATURE = 4.0

Monitor = Literal["loss", "accuracy", "none", "objective", "balanced_accuracy", "mean_cost"]
LARGER_IS_BETTER: frozenset[Monitor | None] = frozenset({"accuracy", "balanced_accuracy"})
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Priority = Literal["low", "normal", "high"]


class WorkerRange(Specification):
    """How many workers a run uses."""

    min: int = Field(1, ge=1, le=1024)
    wanted: int | None = Field(None, ge=1, le=1024)
    max: int | None = Field(None, ge=1, le=1024)
    wait_timeout: float = Field(600.0, gt=0, le=7 * 86_400)

    @model_validator(mode="after")
    def _is_ordered(self) -> "WorkerRange":
        wanted = self.min if self.wanted is None else self.wanted
        maximum = wanted if self.max is None else self.max
        if not self.min <= wanted <= maximum:
            raise ValueError(
                f"min <= wanted <= max must hold, but min is {self.min}, wanted {wanted}, max "
                f"{maximum}; lower min or raise the others"
            )
        return self

    @property
    def resolved(self) -> "WorkerRange":
        """The same with every number filled in."""
        wanted = self.min if self.wanted is None else self.wanted
        maximum = wanted if self.max is None else self.max
        return self.model_copy(update={"wanted": wanted, "max": maximum})


class OutlierProof(Specification):
    """Cross-validation of what to do with outliers."""

    folds: int = Field(5, ge=3, le=20)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    epochs: int | None = Field(None, ge=1, le=100_000)


class OutlierTreatment(Specification):
    """What an outlier scan says of the rows, and what that changes."""

    scan: str = ""
    use: Use | None = None
    prove: OutlierProof | None = None
    scores: ArtifactReference | None = None


class Distillation(Specification):
    """A teacher, whose outputs a network learns from beside the truth."""

    teacher_model_version: str = ""
    weight: float = Field(0.7, ge=0, le=1)
    temperature: float | None = Field(None, gt=0, le=100)


class GrowingDecay(Specification):
    """Decay of chosen weights that grows over the run."""

    strengths: ArtifactReference = ArtifactReference()


class TrainingSpecification(Specification):
    """A `TrainingSpec`; None or empty where the default depends on the data."""

    dataset_version: str = ""
    model: str = ""
    target: str = ""
    features: tuple[str, ...] = ()
    task: Task | None = None
    network: NetworkSpecification | None = None
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    early_stopping: EarlyStopping | None = None
    epochs: int = Field(10, ge=1, le=100_000)
    batch_size: int = Field(128, ge=1, le=1_048_576)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    workers: WorkerRange = WorkerRange()
    weight_column: str = ""
    parent_model_version: str = ""
    monitor: Monitor | None = None
    commit_steps: int | None = Field(None, ge=1, le=1_000_000)
    checkpoint_interval: float | None = Field(None, ge=1, le=86_400)
    outliers: OutlierTreatment | None = None
    distillation: Distillation | None = None
    starting_weights: ArtifactReference | None = None
    growing_decay: GrowingDecay | None = None
    max_duration: float | None = Field(None, ge=1, le=30 * 86_400)
    loss: Loss | None = None
    augmentation: Augmentation | None = None
    precision: Precision = "auto"
    priority: Priority = "normal"
    communication: Communication = Communication()
    code: OwnCode | None = None
    targets: tuple[str, ...] = Field((), max_length=1_000)
    text: TextSettings | None = None
    forecast: Forecast | None = None

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Names of the columns to predict, once resolved."""
        return self.targets or (self.target,)

    @property
    def proof(self) -> OutlierProof | None:
        """How uses of the outlier scan are compared; None where they are not."""
        return self.outliers.prove if self.outliers is not None else None


def read_specification(spec: trainer_pb2.TrainingSpec) -> TrainingSpecification:
    """Checks everything that does not depend on the data.

    Args:
        spec: What the caller sent, or a resolved specification from a record.

    Returns:
        The specification with its independent defaults.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    specification = resolve(spec, TrainingSpecification, FIELD)
    violations = [
        FieldViolation(f"{FIELD}.{name}", f"Is required; give {example}.")
        for name, example in (
            ("dataset_version", "datasets/{dataset}/versions/{version}"),
            ("model", "models/{model}"),
        )
        if not getattr(specification, name)
    ]
    violations += [
        FieldViolation(f"{FIELD}.{name}", text)
        for name, text in chain(
            optimizer_problems(specification.optimizer),
            schedule_problems(specification.schedule),
            loss_problems(specification.loss),
            communication_problems(specification.communication),
            augmentation_problems(
                specification.augmentation,
                is_script=specification.code is not None and specification.code.is_script,
            ),
        )
    ]
    violations += _monitor_violations(specification)
    violations += _outlier_violations(specification.outliers)
    violations += _duration_violations(specification)
    violations += _origin_violations(specification)
    violations += code_violations(specification.code, FIELD)
    if violations:
        raise InvalidInputError.of(violations)
    return specification


def write_specification(specification: TrainingSpecification) -> trainer_pb2.TrainingSpec:
    """Returns the message that `read_specification` reads."""
    return from_plain(specification.model_dump(exclude_none=True), trainer_pb2.TrainingSpec)


def refused(field: str, description: str, reason: str = "") -> InvalidFieldError:
    """Returns the error for a field of the specification."""
    return InvalidFieldError(f"{FIELD}.{field}", description, reason=reason)


def resolved_monitor(specification: TrainingSpecification, loss: Loss | None) -> Monitor:
    """Returns what is monitored: by default what is made small, where it can be compared.

    Args:
        specification: What the caller asked for.
        loss: Resolved.

    Raises:
        InvalidFieldError: The objective is the plain loss, or there are no costs.
    """
    has_costs = loss is not None and loss.cost_matrix is not None
    if specification.monitor == "objective" and loss is None:
        text = "Without `loss` the objective is the plain loss; monitor LOSS."
        raise refused("monitor", text)
    if specification.monitor == "mean_cost" and not has_costs:
        text = "No costs are known; give `loss.cost_matrix`, or monitor LOSS."
        raise refused("monitor", text)
    if specification.monitor is not None:
        return specification.monitor
    return "loss" if loss is None or specification.proof is not None else "objective"


def resolved_distillation(
    distillation: Distillation | None, task: Task, teacher: str
) -> Distillation | None:
    """Fills in the teacher's number, and the temperature where there are probabilities."""
    if distillation is None:
        return None
    changes: dict[str, object] = {"teacher_model_version": teacher}
    if task in ("classification", "multi_label"):
        changes["temperature"] = distillation.temperature or DEFAULT_TEMPERATURE
    return distillation.model_copy(update=changes)


def _monitor_violations(specification: TrainingSpecification) -> list[FieldViolation]:
    """Returns what is wrong about the choice of the epoch that becomes the model."""
    if specification.monitor == "objective" and specification.proof is not None:
        text = "Its scale depends on the rows to train on, which `prove` compares; monitor LOSS."
        return [FieldViolation(f"{FIELD}.monitor", f"Not with `outliers.prove`: {text}")]
    if specification.monitor != "none":
        if specification.growing_decay is None:
            return []
        text = (
            "With `growing_decay` the weights of the last epoch count; set `monitor` to "
            "MONITORED_METRIC_NONE."
        )
        return [FieldViolation(f"{FIELD}.monitor", text)]
    looking = {
        "early_stopping": specification.early_stopping,
        "schedule.reduce_on_plateau": specification.schedule.reduce_on_plateau,
        "outliers.prove": specification.proof,
    }
    return [
        FieldViolation(
            f"{FIELD}.{name}", "Goes by the monitored metric; leave it out, or monitor LOSS."
        )
        for name, value in looking.items()
        if value is not None
    ]


def _origin_violations(specification: TrainingSpecification) -> list[FieldViolation]:
    """Returns what is missing of where the network comes from and whom it learns from."""
    found = []
    distillation, decay = specification.distillation, specification.growing_decay
    if distillation is not None and not distillation.teacher_model_version:
        text = "Is required; give models/{model}/versions/{version}, or leave `distillation` out."
        found.append(FieldViolation(f"{FIELD}.distillation.teacher_model_version", text))
    if specification.starting_weights is not None and not specification.parent_model_version:
        text = (
            "Weights mean something with the preprocessing they were trained with only; name the "
            "model version that has it in `parent_model_version`."
        )
        found.append(FieldViolation(f"{FIELD}.starting_weights", text))
    files = {"starting_weights": specification.starting_weights}
    if decay is not None:
        files["growing_decay.strengths"] = decay.strengths
    for name, file in files.items():
        if file is not None and not file.uri:
            text = "Is required; give `uri`, `sha256` and `size_bytes` of a file in the store."
            found.append(FieldViolation(f"{FIELD}.{name}.uri", text))
    return found


def _duration_violations(specification: TrainingSpecification) -> list[FieldViolation]:
    if specification.max_duration is None or specification.proof is None:
        return []
    text = "Trainings that are compared must be as long as each other; leave one of the two out."
    return [FieldViolation(f"{FIELD}.max_duration", f"Not with `outliers.prove`: {text}")]


def _outlier_violations(outliers: OutlierTreatment | None) -> list[FieldViolation]:
    if outliers is None:
        return []
    violations = []
    if not outliers.scan:
        example = "outlierScans/{outlier_scan}"
        violations.append(FieldViolation(f"{FIELD}.outliers.scan", f"Is required; give {example}."))
    if outliers.prove is not None and outliers.use is not None:
        text = "With `prove` the run finds out what to use; leave one of the two out."
        violations.append(FieldViolation(f"{FIELD}.outliers.use", text))
    return violations

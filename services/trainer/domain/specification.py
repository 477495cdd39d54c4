"""What a training run is told: ranges and defaults of `TrainingSpec`, field by field.

What depends on the data is checked and filled in by `resolution`.
"""

from typing import Literal

from pydantic import Field, model_validator

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import artifact_pb2
from common.errors import FieldViolation, InvalidInputError
from common.networks.specification import NetworkSpecification, Specification
from common.protobuf import from_plain, resolve

FIELD = "training_run.spec"
DEFAULT_LEARNING_RATES = {"adam": 0.001, "adamw": 0.001, "sgd": 0.01}
LINEAR_LEARNING_RATE = 0.01
ADAMW_WEIGHT_DECAY = 0.01
SGD_MOMENTUM = 0.9
DEFAULT_PLATEAU_PATIENCE = 10
DEFAULT_TEMPERATURE = 4.0

Task = Literal["classification", "regression"]
Monitor = Literal["loss", "accuracy", "none"]
Use = Literal["keep", "drop", "down_weight"]
USES: tuple[Use, ...] = ("keep", "drop", "down_weight")


class Optimizer(Specification):
    """How weights are updated."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float | None = Field(None, gt=0, le=100, allow_inf_nan=False)
    weight_decay: float | None = Field(None, ge=0, le=1)
    momentum: float | None = Field(None, ge=0, lt=1)
    clip_norm: float | None = Field(None, gt=0, allow_inf_nan=False)


class Warmup(Specification):
    """Linear rise of the learning rate in the first epochs."""

    epochs: float = Field(gt=0, le=100_000, allow_inf_nan=False)
    scale_with_workers: bool = True


class ReduceOnPlateau(Specification):
    """Fall of the learning rate when the monitored metric stops improving."""

    factor: float = Field(0.1, gt=0, lt=1)
    patience: int | None = Field(None, ge=0, le=10_000)
    min_learning_rate: float = Field(0.0, ge=0, allow_inf_nan=False)


class Schedule(Specification):
    """How the learning rate changes."""

    warmup: Warmup | None = None
    reduce_on_plateau: ReduceOnPlateau | None = None
    cosine_decay: bool = False


class EarlyStopping(Specification):
    """End of the run when the monitored metric stops improving."""

    patience: int = Field(5, ge=0, le=10_000)
    min_delta: float = Field(0.0, ge=0, allow_inf_nan=False)


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


class ArtifactReference(Specification):
    """Where a file of the suite's store lies; see `aimass.type.v1.ArtifactRef`."""

    uri: str = ""
    sha256: str = ""
    size_bytes: int = 0
    media_type: str = ""

    @property
    def artifact(self) -> artifact_pb2.ArtifactRef:
        """The message."""
        return artifact_pb2.ArtifactRef(**self.model_dump())


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
    monitor: Monitor = "loss"
    commit_steps: int | None = Field(None, ge=1, le=1_000_000)
    checkpoint_interval: float = Field(30.0, ge=1, le=86_400)
    outliers: OutlierTreatment | None = None
    distillation: Distillation | None = None
    starting_weights: ArtifactReference | None = None
    growing_decay: GrowingDecay | None = None
    max_duration: float | None = Field(None, ge=1, le=30 * 86_400)

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
    violations += _optimizer_violations(specification.optimizer)
    violations += _schedule_violations(specification.schedule)
    violations += _monitor_violations(specification)
    violations += _outlier_violations(specification.outliers)
    violations += _duration_violations(specification)
    violations += _origin_violations(specification)
    if violations:
        first = violations[0]
        raise InvalidInputError(
            f"{first.field}: {first.description}", reason="INVALID_FIELD", violations=violations
        )
    return specification


def write_specification(specification: TrainingSpecification) -> trainer_pb2.TrainingSpec:
    """Returns the message that `read_specification` reads."""
    return from_plain(specification.model_dump(exclude_none=True), trainer_pb2.TrainingSpec)


def resolved_optimizer(optimizer: Optimizer, network_kind: str) -> Optimizer:
    """Fills in the defaults that depend on the algorithm and the network.

    A linear network gets ten times the usual rate of Adam: its problem is convex and its inputs
    are standardised, so that short steps only take longer.
    """
    rate = DEFAULT_LEARNING_RATES[optimizer.kind]
    if network_kind == "linear":
        rate = LINEAR_LEARNING_RATE
    defaults: dict[str, float] = {
        "learning_rate": rate,
        "weight_decay": ADAMW_WEIGHT_DECAY if optimizer.kind == "adamw" else 0.0,
    }
    if optimizer.kind == "sgd":
        defaults["momentum"] = SGD_MOMENTUM
    missing = {name: value for name, value in defaults.items() if getattr(optimizer, name) is None}
    return optimizer.model_copy(update=missing)


def resolved_schedule(schedule: Schedule, early_stopping: EarlyStopping | None) -> Schedule:
    """Fills in the patience of reduce-on-plateau.

    With early stopping it is half of that patience: with its own default of 10 the run would
    have ended before the rate ever falls.
    """
    plateau = schedule.reduce_on_plateau
    if plateau is None or plateau.patience is not None:
        return schedule
    patience = DEFAULT_PLATEAU_PATIENCE
    if early_stopping is not None:
        patience = min(patience, early_stopping.patience // 2)
    filled = plateau.model_copy(update={"patience": patience})
    return schedule.model_copy(update={"reduce_on_plateau": filled})


def resolved_distillation(
    distillation: Distillation | None, task: Task, teacher: str
) -> Distillation | None:
    """Fills in the teacher's number, and the temperature where there are classes."""
    if distillation is None:
        return None
    changes: dict[str, object] = {"teacher_model_version": teacher}
    if task == "classification":
        changes["temperature"] = distillation.temperature or DEFAULT_TEMPERATURE
    return distillation.model_copy(update=changes)


def _optimizer_violations(optimizer: Optimizer) -> list[FieldViolation]:
    if optimizer.momentum is None or optimizer.kind == "sgd":
        return []
    return [
        FieldViolation(
            f"{FIELD}.optimizer.momentum",
            f"Only SGD has a momentum, not {optimizer.kind}; leave it out or use SGD.",
        )
    ]


def _schedule_violations(schedule: Schedule) -> list[FieldViolation]:
    if not schedule.cosine_decay or schedule.reduce_on_plateau is None:
        return []
    return [
        FieldViolation(
            f"{FIELD}.schedule.cosine_decay",
            "The rate falls either as a cosine or on a plateau; leave one of the two out.",
        )
    ]


def _monitor_violations(specification: TrainingSpecification) -> list[FieldViolation]:
    """Returns what is wrong about the choice of the epoch that becomes the model."""
    if specification.monitor != "none":
        if specification.growing_decay is None:
            return []
        text = "With `growing_decay` the weights of the last epoch count; set `monitor` to NONE."
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

"""What a pruning is told: ranges and defaults of `PruningSpec`, field by field.

What depends on the model and the data is checked and filled in by `resolution`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.pruner.domain.front import Gain

FIELD = "pruning_run.spec"
_DAY = 86_400.0
# Errors repeat names, and must fit into the head of an answer.
Name = Annotated[str, Field(max_length=1_000)]


class Runtime(StrEnum):
    """What computes a model, named as in `aimass.pruner.v1.PruningRuntime`."""

    NATIVE = "native"
    ONNX_RUNTIME = "onnx_runtime"


class Importance(StrEnum):
    """How units of a network are ranked, named as in `aimass.pruner.v1.Importance`."""

    TAYLOR = "taylor"
    FISHER = "fisher"
    MAGNITUDE = "magnitude"
    NORM_SCALE = "norm_scale"
    ACTIVATION = "activation"


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Specification):
    """A `PruningTarget`; None where the default depends on the model."""

    runtime: Runtime | None = None
    batch_size: int = Field(32, ge=1, le=65_536)
    threads: int = Field(1, ge=1, le=64)


class FineTuning(_Specification):
    """How networks are trained again."""

    epochs: int = Field(4, ge=1, le=1_000)
    workers: int = Field(4, ge=0, le=1_024)
    regularise: bool = True


class PruningSpecification(_Specification):
    """A `PruningSpec`; None or empty where the default depends on model or data."""

    model_version: Name = ""
    dataset_version: Name = ""
    model: Name = ""
    metric: Name = ""
    max_loss: float | None = Field(None, ge=0, allow_inf_nan=False)
    confidence: float = Field(0.95, ge=0.5, le=0.999, allow_inf_nan=False)
    gain: Gain = Gain.LATENCY
    target: Target = Target()
    methods: tuple[Name, ...] = Field((), max_length=100)
    budget: float = Field(600.0, ge=10, le=30 * _DAY, allow_inf_nan=False)
    seed: int = Field(0, ge=0, lt=2**32)
    fine_tuning: FineTuning | None = None
    kept_layers: tuple[Name, ...] = Field((), max_length=1_000)
    importance: Importance | None = None
    compare: bool = True

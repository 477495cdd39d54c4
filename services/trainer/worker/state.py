"""The whole state of training as tensors and a few words: what a commit holds."""

import io
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, BinaryIO, cast

import safetensors.torch
import torch
from torch import Tensor

from services.trainer.domain.optimizers import optimizer_tensors, restore_optimizer
from services.trainer.domain.precision import Kind
from services.trainer.domain.schedule import Progress
from services.trainer.worker.arithmetic import Arithmetic, LossScale
from services.trainer.worker.encoding import encoded
from services.trainer.worker.engine import Engine
from services.trainer.worker.performance import Performance

_OPTIMIZER = "optimizer."
_HEADER_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class StagePlace:
    """Which of a run's trainings is under way, see `course`.

    Attributes:
        number: Number of the stage, from 0.
        first_step: Steps before its first.
        scores: What the stages before it have scored.
    """

    number: int = 0
    first_step: int = 0
    scores: tuple[float, ...] = ()


@dataclass
class RunState:
    """Where a run stands, weights aside.

    Attributes:
        step: Optimizer steps done since the start of the stage.
        sums: The objective's sums over the rows of the current epoch so far.
        names: Names of the metrics in `history`.
        history: Metrics of each finished epoch, in the order of `names`.
        progress: What schedule and stopping remember.
        best_parameters: Flat parameters of the best epoch; None before the first.
        best_buffers: Buffers of the best epoch.
        stage: Where in the run's course it stands.
        performance: What the steps of all stages took so far.
    """

    step: int
    sums: list[float]
    names: list[str] = field(default_factory=list)
    history: list[list[float]] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    best_parameters: Tensor | None = None
    best_buffers: Tensor | None = None
    stage: StagePlace = StagePlace()
    performance: Performance = field(default_factory=Performance)

    @property
    def total_step(self) -> int:
        """Steps done since the start of the run; those that earlier stages had no need of count."""
        return self.stage.first_step + self.step

    @property
    def best_metrics(self) -> dict[str, float]:
        """Metrics of the best epoch by name, for example `validation/loss`."""
        if self.progress.best_epoch == 0:
            return {}
        values = zip(self.names, self.history[self.progress.best_epoch - 1], strict=True)
        return {name: value for name, value in values if "/" in name}

    def add_epoch(self, values: Mapping[str, float]) -> None:
        """Notes the metrics of an epoch; epochs before it may lack some, of an older version."""
        names = list(values)
        if names != self.names:
            rows = [dict(zip(self.names, row, strict=True)) for row in self.history]
            self.history = [[row.get(name, math.nan) for name in names] for row in rows]
            self.names = names
        self.history.append(list(values.values()))

    def with_sums(self, count: int) -> "RunState":
        """Returns the state with so many sums: those of an older version begin anew."""
        return self if len(self.sums) == count else replace(self, sums=[0.0] * count)


@dataclass(frozen=True)
class Snapshot:
    """The content of a commit.

    Attributes:
        tensors: By name; they may change with the next step.
        metadata: Texts by name; `step` and `epoch` are decimal numbers.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def step(self) -> int:
        """Steps done since the start of the run."""
        return int(self.metadata["step"])

    @property
    def epoch(self) -> int:
        """Epoch it lies in, from 1."""
        return int(self.metadata["epoch"])

    def encoded(self) -> list[memoryview]:
        """Returns the parts of the snapshot as a safetensors file; they change with its tensors."""
        return encoded(self.tensors, self.metadata)

    def to_bytes(self) -> bytes:
        """Returns the snapshot as a safetensors file."""
        return b"".join(self.encoded())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Snapshot":
        """Reads a safetensors file. Raises `ValueError` where it is damaged."""
        try:
            return cls(safetensors.torch.load(content), read_metadata(io.BytesIO(content)))
        except safetensors.SafetensorError as error:
            raise ValueError(f"no commit: {error}") from error


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """Returns the metadata of a safetensors file. Raises `ValueError` where there are none."""
    try:
        (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
        metadata: dict[str, str] = json.loads(file.read(length))["__metadata__"]
    except (struct.error, KeyError) as error:
        raise ValueError(f"no commit: {error}") from error
    return metadata


def take_snapshot(engine: Engine, state: RunState) -> Snapshot:
    """Returns the state of training; its tensors are those in use, not copies."""
    tensors = {
        "parameters": engine.flat.parameters.detach(),
        "buffers": engine.flat.buffers,
        "history": torch.tensor(state.history, dtype=torch.float64),
    }
    if state.best_parameters is not None and state.best_buffers is not None:
        tensors["best.parameters"] = state.best_parameters
        tensors["best.buffers"] = state.best_buffers
    if engine.average is not None:
        tensors["average.parameters"] = engine.average.parameters
        tensors["average.buffers"] = engine.average.buffers
    for name, tensor in optimizer_tensors(engine.optimizer).items():
        tensors[_OPTIMIZER + name] = tensor
    metadata = {
        "step": str(state.total_step),
        "epoch": str(max(1, -(-state.step // engine.steps_per_epoch))),
        "sums": json.dumps(state.sums),
        "names": json.dumps(state.names),
        "progress": json.dumps(asdict(state.progress)),
        "stage": json.dumps(asdict(state.stage)),
        "performance": json.dumps(asdict(state.performance)),
        "precision": engine.arithmetic.kind,
        "scale": json.dumps(asdict(engine.arithmetic.scale)),
    }
    return Snapshot(tensors, metadata)


def read_state(snapshot: Snapshot) -> RunState:
    """Returns the part of a snapshot that needs no engine."""
    tensors, words = snapshot.tensors, snapshot.metadata
    place: dict[str, Any] = json.loads(words.get("stage", "{}"))
    stage = StagePlace(**{**place, "scores": tuple(place.get("scores", ()))})
    return RunState(
        step=snapshot.step - stage.first_step,
        sums=json.loads(words["sums"]),
        names=json.loads(words["names"]),
        history=tensors["history"].tolist(),
        progress=Progress(**json.loads(words["progress"])),
        best_parameters=tensors.get("best.parameters"),
        best_buffers=tensors.get("best.buffers"),
        stage=stage,
        performance=Performance(**json.loads(words.get("performance", "{}"))),
    )


def restore(engine: Engine, snapshot: Snapshot) -> RunState:
    """Makes an engine go on where a snapshot was taken.

    Args:
        engine: A fresh engine of the same specification.
        snapshot: What `take_snapshot` gave, in this world or another.

    Returns:
        Where the run stands.
    """
    tensors = snapshot.tensors
    engine.flat.take(tensors["parameters"], tensors["buffers"])
    if engine.average is not None:
        engine.average.take(tensors["average.parameters"], tensors["average.buffers"])
    state = read_state(snapshot)
    _restore_arithmetic(engine.arithmetic, snapshot.metadata)
    done = state.step - engine.arithmetic.skipped_steps
    restore_optimizer(engine.optimizer, _with_prefix(tensors, _OPTIMIZER), done)
    return state


def _restore_arithmetic(arithmetic: Arithmetic, words: Mapping[str, str]) -> None:
    """Keeps to the precision that a run began in, whatever this worker would have chosen."""
    # Commits of before there was a choice are of single precision.
    arithmetic.kind = cast(Kind, words.get("precision", "fp32"))
    arithmetic.scale = LossScale(**json.loads(words.get("scale", "{}")))


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }

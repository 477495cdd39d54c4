"""Trials that ended, as bytes: numbers as safetensors, the rest as JSON within."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from aimass.type.v1 import artifact_pb2
from services.tuner.domain.trials.trial import (
    Candidate,
    Lesson,
    TrialFailure,
    TrialResult,
    TrialTask,
)

_TRIALS = "trials"

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class RecordedTrial:
    """A trial as it is kept.

    Attributes:
        result: What it gave; `model_path` is empty.
        origin: Where the candidate comes from.
        seconds: When it ended, since the run began.
        model: The estimator that it fitted, pickled; empty where it is kept elsewhere or not.
        artifact: Where a large one is kept; None for none.
    """

    result: TrialResult
    origin: str
    seconds: float
    model: bytes = b""
    artifact: artifact_pb2.ArtifactRef | None = None


def encoded(trials: Sequence[RecordedTrial]) -> bytes:
    """Returns trials as bytes. Outputs become float32, as blends take them."""
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    plain = []
    for place, each in enumerate(trials):
        plain.append(_plain(each))
        outputs = each.result.outputs
        if outputs is not None:
            tensors[f"outputs.{place}"] = np.ascontiguousarray(outputs, np.float32)
        if each.model:
            tensors[f"model.{place}"] = np.frombuffer(each.model, np.uint8)
    text = json.dumps(plain, default=lambda value: value.item()).encode()
    tensors[_TRIALS] = np.frombuffer(text, np.uint8)
    content: bytes = safetensors.numpy.save(tensors)
    return content


def decoded(content: bytes) -> list[RecordedTrial]:
    """Returns the trials in bytes.

    Raises:
        ValueError: They are of no trials, or those of another version of the suite.
    """
    try:
        tensors = safetensors.numpy.load(content)
        plain = json.loads(tensors[_TRIALS].tobytes())
        return [_trial(each, place, tensors) for place, each in enumerate(plain)]
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"they are no recorded trials: {error!r}") from error


def _plain(trial: RecordedTrial) -> Plain:
    artifact = trial.artifact
    return {
        "origin": trial.origin,
        "seconds": trial.seconds,
        "result": asdict(replace(trial.result, outputs=None, model_path="")),
        "artifact": None if artifact is None else artifact.SerializeToString().hex(),
    }


def _trial(plain: Plain, place: int, tensors: Mapping[str, Any]) -> RecordedTrial:
    model, artifact = tensors.get(f"model.{place}"), plain["artifact"]
    return RecordedTrial(
        result=_result(plain["result"], tensors.get(f"outputs.{place}")),
        origin=plain["origin"],
        seconds=plain["seconds"],
        model=b"" if model is None else model.tobytes(),
        artifact=artifact and artifact_pb2.ArtifactRef.FromString(bytes.fromhex(artifact)),
    )


def _result(plain: Plain, outputs: npt.NDArray[Any] | None) -> TrialResult:
    told = dict(plain)
    task, failure = dict(told.pop("task")), told.pop("failure")
    task["candidate"] = _candidate(task["candidate"])
    told["outputs"] = outputs
    told["block_losses"] = tuple(told.get("block_losses", ()))
    told["failure"] = failure and TrialFailure(failure)
    return TrialResult(task=TrialTask(**task), **told)


def _candidate(plain: Plain) -> Candidate:
    told = dict(plain)
    bases = tuple(_candidate(each) for each in told.pop("bases"))
    return Candidate(bases=bases, lesson=Lesson(told.pop("lesson")), **told)

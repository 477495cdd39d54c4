"""What a run trains, and what acts upon it beside the data: a teacher, a growing decay."""

from collections.abc import Mapping
from dataclasses import dataclass

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from common.artifacts.blobs import read_artifact
from common.artifacts.protocol import ObjectStore
from common.artifacts.reference import ArtifactReference
from common.errors import DataLossError, InvalidFieldError
from common.models.weights import load_weights
from common.networks.modules import build_network
from common.networks.specification import from_proto
from services.trainer.domain.distillation import Teacher
from services.trainer.domain.job import Job
from services.trainer.domain.specification import FIELD
from services.trainer.worker.own_code.network import make_network

_STARTING, _STRENGTHS = f"{FIELD}.starting_weights", f"{FIELD}.growing_decay.strengths"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pupil:
    """A network at the beginning of its training.

    Attributes:
        network: With the weights that it begins with.
        teacher: Whom it learns from beside the truth; None for nobody.
        strengths: Decay of its parameters at the end of the run, by their names.
    """

    network: nn.Module
    teacher: Teacher | None
    strengths: Tensors


def make_pupil(job: Job, store: ObjectStore, rank: int) -> Pupil:
    """Returns the run's network with all that acts upon it.

    Args:
        job: The run.
        store: Where weights are.
        rank: Only rank 0 loads the weights to begin with; the others get them from it.

    Raises:
        InvalidFieldError: A file has other tensors than the network.
        DataLossError: A file is damaged or gone.
    """
    network = make_network(job, store)
    if rank == 0:
        _begin_with(network, job, store)
    return Pupil(network, _teacher(job, store), _strengths(network, job, store))


def _begin_with(network: nn.Module, job: Job, store: ObjectStore) -> None:
    parent, starting = job.parent_model, job.specification.starting_weights
    if starting is not None:
        network.load_state_dict(_starting_weights(network, starting, store))
    elif parent is not None:
        load_weights(network, parent, store)


def _starting_weights(network: nn.Module, file: ArtifactReference, store: ObjectStore) -> Tensors:
    found, expected = _read(file, _STARTING, store), network.state_dict()
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise _misfit(_STARTING, f"it has no `{missing[0]}`")
    _check_shapes(found, expected, _STARTING)
    return found


def _teacher(job: Job, store: ObjectStore) -> Teacher | None:
    version, distillation = job.teacher_model, job.specification.distillation
    if version is None or distillation is None:
        return None
    network = build_network(from_proto(version.network))
    load_weights(network, version, store)
    network.eval().requires_grad_(requires_grad=False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Teacher(network, distillation.weight, distillation.temperature or 1.0)


def _strengths(network: nn.Module, job: Job, store: ObjectStore) -> Tensors:
    decay = job.specification.growing_decay
    if decay is None:
        return {}
    found = _read(decay.strengths, _STRENGTHS, store)
    _check_shapes(found, dict(network.named_parameters()), _STRENGTHS)
    for name, tensor in found.items():
        if not bool((torch.isfinite(tensor) & (tensor >= 0)).all()):
            raise _misfit(_STRENGTHS, f"`{name}` has numbers below 0, or none")
    return found


def _read(file: ArtifactReference, field: str, store: ObjectStore) -> Tensors:
    try:
        content = b"".join(read_artifact(store, file.artifact))
    except DataLossError as error:
        raise DataLossError(f"{field}: {error.message}") from error
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise _misfit(field, f"it is no safetensors file ({error})") from None


def _check_shapes(found: Tensors, expected: Tensors, field: str) -> None:
    for name, tensor in found.items():
        if name not in expected:
            raise _misfit(field, f"`{name}` is none of the network's")
        if tensor.shape != expected[name].shape:
            shapes = tuple(tensor.shape), tuple(expected[name].shape)
            raise _misfit(field, f"`{name}` is {shapes[0]} and the network's is {shapes[1]}")


def _misfit(field: str, why: str) -> InvalidFieldError:
    return InvalidFieldError(
        field,
        f"Does not fit `network`: {why}; give the file of this network, or its `network`.",
        reason="TENSORS_DO_NOT_FIT",
    )

"""Networks of the trainer: opened, made smaller, and kept as the trainer keeps them."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from aimass.catalog.v1 import model_pb2
from common.models.onnx_session import onnx_session
from common.models.preprocessing import Preprocessing, preprocessing_of
from common.models.sample_rows import SampleRows
from common.models.twin import Twin, export_twin, output_name
from common.models.vectors import Vectors, encode
from common.networks.modules import build_network
from common.networks.specification import from_proto, to_proto
from services.pruner.domain.foreign.graphs import read_model
from services.pruner.domain.foreign.work import multiplications
from services.pruner.domain.front import Gain
from services.pruner.domain.importance import SCORINGS
from services.pruner.domain.judging import HeldOut
from services.pruner.domain.latency.layer_times import LayerTimes
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.networks import (
    Pace,
    Place,
    SmallNetwork,
    Workplace,
    smaller_networks,
)
from services.pruner.domain.specification import FineTuning, Importance
from services.pruner.domain.tuning import Examples, OwnTutor, Tutor
from services.pruner.domain.variants import (
    ONNX,
    SAMPLES,
    SPECIFICATION,
    WEIGHTS,
    Built,
)

_OUTPUT = "output"
_VECTOR_ROWS = 16
_WARM, _ROUNDS = 3, 30
_RUNTIME_STEP = 16
"""Widths between multiples of it are no quicker in ONNX Runtime."""


@dataclass(frozen=True)
class Aim:
    """What is to become less.

    Attributes:
        gain: Of what.
        batch_size: Rows that are predicted at once where the network will run.
    """

    gain: Gain
    batch_size: int


@dataclass(frozen=True)
class Retraining:
    """How networks are trained again.

    Attributes:
        settings: What the user wants of it.
        tutor: Returns who trains, given who does in this process.
        importance: How units are ranked.
        kept_layers: Names of layers that stay as they are.
    """

    settings: FineTuning
    tutor: Callable[[OwnTutor], Tutor] = lambda own: own
    importance: Importance = Importance.TAYLOR
    kept_layers: tuple[str, ...] = ()


def network_variants(
    base: Built, learned: HeldOut, aim: Aim, retraining: Retraining, pace: Pace
) -> Iterator[tuple[SmallNetwork, Built]]:
    """Yields smaller networks with the packages that they are kept as.

    Args:
        base: The network's package.
        learned: Rows that it has learned from.
        aim: What is to become less.
        retraining: How networks are trained again.
        pace: In what time, and who is told.

    Raises:
        NotTraceableError: Its operations cannot be followed.
    """
    network, preprocessing = open_network(base)
    twin = Twin(network, preprocessing)
    raw = _raw(learned.rows, preprocessing)
    examples = _examples(twin, raw, learned, preprocessing)
    work = Workplace(
        examples=examples,
        place=_place(aim, raw, preprocessing),
        tutor=retraining.tutor(OwnTutor(network, examples, pace.check)),
        epochs=retraining.settings.epochs,
        regularises=retraining.settings.regularise,
        pace=pace,
        score=SCORINGS[retraining.importance],
        kept_layers=retraining.kept_layers,
    )
    for made in smaller_networks(network, from_proto(base.network), work):
        yield made, _package(base, made, preprocessing, learned.rows)


def _place(aim: Aim, raw: dict[str, Tensor], preprocessing: Preprocessing) -> Place:
    """Returns what a network costs: weights alone where size or memory counts."""
    if aim.gain in (Gain.SIZE, Gain.MEMORY):
        return Place(aim.batch_size, _weights, lambda shape: float(shape.weights), 1)
    batch = {name: each[torch.arange(aim.batch_size) % len(each)] for name, each in raw.items()}
    if aim.gain is Gain.MULTIPLICATIONS:
        inputs = {name: each.numpy() for name, each in batch.items()}

        def multiplied(network: nn.Module) -> float:
            twin = export_twin(Twin(network, preprocessing), batch, _OUTPUT)
            return multiplications(read_model(twin.content), inputs)

        return Place(aim.batch_size, multiplied, lambda shape: float(shape.multiplications), 1)

    def took(network: nn.Module) -> float:
        return _seconds(export_twin(Twin(network, preprocessing), batch, _OUTPUT).content, batch)

    return Place(aim.batch_size, took, LayerTimes().seconds, _RUNTIME_STEP)


def _weights(network: nn.Module) -> float:
    return float(sum(each.numel() for each in network.parameters()))


def open_network(built: Built) -> tuple[nn.Module, Preprocessing]:
    """Returns the network of a package, in evaluation, and its preprocessing."""
    network = build_network(built.network)
    network.load_state_dict(safetensors.torch.load(built.files[WEIGHTS]))
    return network.eval(), preprocessing_of(lambda role: built.files[role])


def _raw(rows: SampleRows, preprocessing: Preprocessing) -> dict[str, Tensor]:
    """Returns rows as the twin takes them, by name in the network's order."""
    found = {**rows.columns, **rows.images}
    names = preprocessing.network_input.names
    return {name: torch.from_numpy(np.ascontiguousarray(found[name])) for name in names}


def _examples(
    twin: Twin, raw: dict[str, Tensor], learned: HeldOut, preprocessing: Preprocessing
) -> Examples:
    target = preprocessing.target
    truth = torch.from_numpy(np.ascontiguousarray(learned.truth))
    if target.task == "classification":
        truth = truth.long()
    elif target.task == "multi_label":
        truth = truth.float()
    else:
        truth = ((truth - target.mean) / target.scale).float().reshape(-1, 1)
    inputs = tuple(twin.prepared(name, each) for name, each in raw.items())
    return Examples(inputs, truth, target.task)


def _seconds(content: bytes, batch: dict[str, Tensor]) -> float:
    session = onnx_session(content)
    inputs = {name: each.numpy() for name, each in batch.items()}
    taken = []
    for number in range(_WARM + _ROUNDS):
        begin = time.thread_time()  # one thread computes; its own time is right on a busy machine
        session.run(None, inputs)
        if number >= _WARM:
            taken.append(time.thread_time() - begin)
    return max(median(taken), 1e-9)


def _package(
    base: Built, made: SmallNetwork, preprocessing: Preprocessing, rows: SampleRows
) -> Built:
    network = build_network(made.specification)
    network.load_state_dict(made.state)
    name = output_name(preprocessing)
    few = _raw(rows.take(np.arange(_VECTOR_ROWS) % rows.count), preprocessing)
    twin = export_twin(Twin(network, preprocessing), few, name)
    inputs = {each: values.numpy() for each, values in few.items()}
    files = {
        **base.files,
        WEIGHTS: safetensors.torch.save(
            {each: values.contiguous() for each, values in network.state_dict().items()}
        ),
        SPECIFICATION: _specification(base, made),
        ONNX: twin.content,
        SAMPLES: encode(Vectors(inputs, {name: twin.outputs.numpy()})),
    }
    return Built(
        ModelFormat.TORCH_PACKAGE, files, base.signature, network=to_proto(made.specification)
    )


def _specification(base: Built, made: SmallNetwork) -> bytes:
    """Returns the specification of the training with the smaller network."""
    plain = json.loads(base.files.get(SPECIFICATION, b"{}"))
    plain["network"] = made.specification.model_dump(mode="json", exclude_none=True)
    return json.dumps(plain, indent=2).encode()


def parameter_count(network: model_pb2.ModelVersion) -> int:
    """Returns how many parameters the network of a record has."""
    with torch.device("meta"):
        return sum(each.numel() for each in build_network(network.network).parameters())

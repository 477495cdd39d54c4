"""What is asked of the process that measures, and what it says; in files of a folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from common.models.vectors import Tensors, Vectors, decode, encode

_ORDER, _ANSWER, _ERROR = "order.json", "answer.json", "error.txt"
_MODEL, _INPUTS = "model-{}", "inputs-{}.safetensors"


@dataclass(frozen=True)
class MeasuringOrder:
    """What is asked.

    Attributes:
        runtimes: What computes each model, `native` or `onnx_runtime`: the original comes first,
            the variant last; or the original is alone.
        threads: That may compute.
        seconds: That measuring may take, about.
    """

    runtimes: list[str]
    threads: int
    seconds: float


@dataclass(frozen=True)
class Costs:
    """What a model costs.

    Attributes:
        latency: Median seconds of a batch.
        latency_p99: 99 of 100 batches take less.
        memory_bytes: That it takes once it is loaded.
        original_latency: Median of the original, measured in turns.
        multiplications: Multiply-accumulates for a row; None where they say nothing, as of trees.
    """

    latency: float
    latency_p99: float
    memory_bytes: float
    original_latency: float
    multiplications: float | None = None


def write_order(folder: Path, order: MeasuringOrder) -> None:
    """Writes what is asked."""
    (folder / _ORDER).write_text(json.dumps(asdict(order)))


def read_order(folder: Path) -> MeasuringOrder:
    """Returns what is asked."""
    return MeasuringOrder(**json.loads((folder / _ORDER).read_text()))


def write_model(folder: Path, number: int, content: bytes, inputs: Tensors) -> None:
    """Writes a model and a batch of rows as it takes them.

    Args:
        folder: Exists.
        number: Its place among the models.
        content: Its file.
        inputs: The batch.
    """
    (folder / _MODEL.format(number)).write_bytes(content)
    (folder / _INPUTS.format(number)).write_bytes(encode(Vectors(dict(inputs), {})))


def read_model(folder: Path, number: int) -> tuple[bytes, Tensors]:
    """Returns a model's file, and a batch of rows."""
    batch = decode((folder / _INPUTS.format(number)).read_bytes(), "the batch")
    return (folder / _MODEL.format(number)).read_bytes(), batch.inputs


def write_answer(folder: Path, costs: Costs) -> None:
    """Writes what was measured."""
    (folder / _ANSWER).write_text(json.dumps(asdict(costs)))


def read_answer(folder: Path) -> Costs:
    """Returns what was measured.

    Raises:
        FileNotFoundError: The process has said nothing.
    """
    return Costs(**json.loads((folder / _ANSWER).read_text()))


def write_error(folder: Path, words: str) -> None:
    """Writes why nothing was measured."""
    (folder / _ERROR).write_text(words)


def read_error(folder: Path) -> str:
    """Returns why nothing was measured; empty where that is not known."""
    path = folder / _ERROR
    return path.read_text(errors="replace") if path.is_file() else ""

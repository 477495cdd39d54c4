"""The ONNX twin: preprocessing and network as one portable model."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aimass.catalog.v1 import model_pb2
from common.models.onnx_session import onnx_session
from common.models.preprocessing import Preprocessing
from common.models.scaling import column_scales, scaled, standardised

PROBABILITIES = "probabilities"
PREDICTION = "prediction"


class Twin(nn.Module):
    """A network with its standardisation in front and its units behind.

    It takes raw values: `numeric` float64 with NaN for missing, `categories` int64 codes as the
    preprocessing defines them, `image` uint8, `tokens` int64 as the preprocessing's tokenizer
    gives them. It gives probabilities of classes or labels, or values in the target's own units.
    """

    means: Tensor
    scales: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        """Wraps a network, which is put into evaluation mode."""
        super().__init__()
        self.network = network
        self._names = preprocessing.network_input.names
        self._target = preprocessing.target
        image = preprocessing.image
        if image is not None:
            means = 255 * torch.tensor(image.mean).view(-1, 1, 1)
            scales = 255 * torch.tensor(image.scale).view(-1, 1, 1)
        else:
            means, scales = column_scales(preprocessing.numeric)
        self.register_buffer("means", means)
        self.register_buffer("scales", scales)
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns float32 [rows, classes or labels] probabilities or [rows, 1] values."""
        named = zip(self._names, inputs, strict=True)
        output: Tensor = self.network(*[self.prepared(name, value) for name, value in named])
        if self._target.task == "classification":
            return torch.softmax(output, dim=1)
        if self._target.task == "multi_label":
            return torch.sigmoid(output)
        return (output.double() * self._target.scale + self._target.mean).float()

    def prepared(self, name: str, value: Tensor) -> Tensor:
        """Returns a raw input as the network takes it."""
        if name in ("categories", "tokens"):
            return value
        if name == "image":
            return (value.float() - self.means) / self.scales
        return standardised(value, self.means, self.scales)


class SeriesTwin(nn.Module):
    """A network of series with its scaling in front and the target's units behind.

    It takes `series`, raw values float64 [rows, window], oldest first, NaN for missing; where there
    are such columns, `past` float64 [rows, window, columns] and `known` float64 [rows, window +
    horizon, columns]. It gives the values that follow, float32 [rows, horizon].
    """

    means: Tensor
    scales: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        """Wraps a network, which is put into evaluation mode."""
        super().__init__()
        assert preprocessing.series is not None
        self.network = network
        self._series = preprocessing.series
        self._horizon = preprocessing.target.outputs
        past, known = self._series.past, self._series.known
        both = (slice(0, len(past)), slice(len(past), len(past) + len(known)))
        self._parts = [part for part in both if part.start < part.stop]
        means, scales = column_scales((*past, *known))
        self.register_buffer("means", means)
        self.register_buffer("scales", scales)
        self.eval()

    def forward(self, *raw: Tensor) -> Tensor:
        """Returns the forecasts."""
        series, *others = raw
        inputs, baseline, scale = scaled(series, self._series, self._horizon)
        beside = [
            standardised(values, self.means[part], self.scales[part])
            for values, part in zip(others, self._parts, strict=True)
        ]
        output: Tensor = self.network(inputs, *beside)
        return (output.double() * scale + baseline).float()


def make_twin(network: nn.Module, preprocessing: Preprocessing) -> nn.Module:
    """Returns a network that takes raw values and gives what the target means."""
    kind = Twin if preprocessing.series is None else SeriesTwin
    return kind(network, preprocessing)


@dataclass(frozen=True)
class ExportedTwin:
    """An exported and checked twin.

    Attributes:
        content: The ONNX file.
        outputs: What torch gave for the samples.
        max_error: Largest absolute difference between onnxruntime's and torch's outputs.
    """

    content: bytes
    outputs: Tensor
    max_error: float


def export_twin(twin: nn.Module, samples: Mapping[str, Tensor], output_name: str) -> ExportedTwin:
    """Exports a twin and compares it with torch on samples.

    Args:
        twin: The twin, or another module that takes tensors of rows.
        samples: Raw inputs by name, in order, at least two rows.
        output_name: Name of the output.

    Returns:
        The ONNX file with a dynamic number of rows, and how far it is off.
    """
    inputs = tuple(samples.values())
    with torch.no_grad():
        expected = twin(*inputs)
    rows = torch.export.Dim("rows")
    with _quiet():
        program = torch.onnx.export(
            twin,
            inputs,
            input_names=list(samples),
            output_names=[output_name],
            dynamic_shapes=(tuple({0: rows} for _ in inputs),),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    found = run_onnx(content, {name: value.numpy() for name, value in samples.items()})
    return ExportedTwin(content, expected, float(np.abs(found - expected.numpy()).max()))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what the exporter says about libraries that are not there and about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def run_onnx(
    model: bytes, inputs: Mapping[str, npt.NDArray[np.generic]]
) -> npt.NDArray[np.float32]:
    """Returns the first output of an ONNX model, computed on one thread."""
    output: npt.NDArray[np.float32] = onnx_session(model).run(None, dict(inputs))[0]
    return output


def output_name(preprocessing: Preprocessing) -> str:
    """Returns the name of the twin's output."""
    return PROBABILITIES if preprocessing.target.has_probabilities else PREDICTION


def _series_shapes(preprocessing: Preprocessing) -> dict[str, tuple[str, list[int]]]:
    """Returns types and shapes of a row's inputs where there is a series."""
    series = preprocessing.series
    if series is None:
        return {}
    horizon = preprocessing.target.outputs
    return {
        "series": ("float64", [series.window]),
        "past": ("float64", [series.window, len(series.past)]),
        "known": ("float64", [series.window + horizon, len(series.known)]),
    }


def signature(preprocessing: Preprocessing) -> model_pb2.Signature:
    """Returns inputs and outputs of the twin."""
    shapes: dict[str, tuple[str, list[int]]] = {
        "numeric": ("float64", [len(preprocessing.numeric)]),
        "categories": ("int64", [len(preprocessing.categorical)]),
        "image": ("uint8", list(preprocessing.image.shape) if preprocessing.image else []),
        "tokens": ("int64", [preprocessing.text.max_length] if preprocessing.text else []),
        **_series_shapes(preprocessing),
    }
    inputs = [
        model_pb2.TensorSpec(name=name, dtype=shapes[name][0], shape=[-1, *shapes[name][1]])
        for name in preprocessing.network_input.names
    ]
    target = preprocessing.target
    output = model_pb2.TensorSpec(
        name=output_name(preprocessing), dtype="float32", shape=[-1, target.outputs]
    )
    return model_pb2.Signature(inputs=inputs, outputs=[output], classes=target.classes)

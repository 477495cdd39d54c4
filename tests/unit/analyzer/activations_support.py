"""Models of formats that the trainer does not make, for what looks inside of them."""

from collections.abc import Mapping

import numpy as np
import torch

from common.data.rows import Values
from common.models.onnx_model import open_onnx
from common.models.twin import Twin, export_twin, output_name
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.sample import Sample


def onnx_twin(package: TorchPackage, sample: Sample) -> OnnxAnalysed:
    """Returns a package of the trainer as ONNX model of one matrix, or of images."""
    columns = sample.raw.take(slice(0, 4)).columns
    samples = {name: torch.from_numpy(each) for name, each in _inputs(columns).items()}
    twin = Twin(package.network, package.preprocessing)
    exported = export_twin(twin, samples, output_name(package.preprocessing))
    model = open_onnx(exported.content, "onnx")
    return OnnxAnalysed(model, package.task, package.outputs, [*sample.columns.values()])


def _inputs(columns: Mapping[str, Values]) -> dict[str, Values]:
    if "image" in columns:
        return {"image": columns["image"]}
    return {"numeric": np.column_stack([*columns.values()]).astype(np.float64)}

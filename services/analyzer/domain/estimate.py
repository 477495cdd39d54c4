"""What an analysis will need."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from common.data.schema import KnownDataset
from common.networks.cost import network_cost
from services.analyzer.domain.models.foreign import ForeignAnalysed, fake_row
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.resolution import CheckedModel
from services.analyzer.domain.sample import MOST_BYTES, row_bytes
from services.analyzer.domain.specification import AnalysisSpecification

# Measured on two cores: what a process takes before it works, and how fast networks compute.
_STARTING_SECONDS = 6.0
_BASE_BYTES = 600 * 1024 * 1024
_MULTIPLICATIONS_PER_SECOND = 4e10
# Predictions of a row over all parts, where the budget allows for them.
_PASSES = 200
_COPIES = 4


@dataclass(frozen=True)
class Estimate:
    """Time and memory."""

    seconds: float
    memory_bytes: int


def estimate(
    specification: AnalysisSpecification,
    models: Sequence[CheckedModel],
    data: KnownDataset,
    sizes: Sequence[int],
) -> Estimate:
    """Estimates the needs of a resolved specification.

    Args:
        specification: Resolved.
        models: The models.
        data: The data.
        sizes: Bytes of each model's files.
    """
    per_row = sum(_seconds_per_row(each.model) for each in models)
    work = min(specification.budget, _PASSES * specification.rows * per_row)
    rows = min(MOST_BYTES, specification.rows * row_bytes(data.schema))
    return Estimate(_STARTING_SECONDS + work, _BASE_BYTES + _COPIES * rows + 3 * sum(sizes))


def _seconds_per_row(model: AnalysedModel) -> float:
    if isinstance(model, TorchPackage):
        return network_cost(model.specification).multiplications / _MULTIPLICATIONS_PER_SECOND
    assert isinstance(model, ForeignAnalysed)
    row = fake_row({each.name: each for each in model.columns})
    start = time.perf_counter()
    model.predict(row)
    # One row costs as much as about a hundred of many together.
    return (time.perf_counter() - start) / 100

"""Packages of the trainer. Imports torch."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from common.data.rows import RawRows
from common.data.schema import Task
from common.models.preprocessing import Preprocessing
from common.models.transform import ColumnTransform
from common.networks.specification import NetworkSpecification
from services.analyzer.domain.models.model import Check, ModelFormat, Outputs

LARGE_BATCH = 250
"""Of pictures or texts."""
TABLE_BATCH = 65_536


class TorchPackage:
    """A network with its preprocessing; the network is loaded when it is first needed.

    Attributes:
        specification: The network, every width resolved.
        preprocessing: What turns raw columns into the network's inputs.
        weights: The safetensors file of its weights, on this machine's disk.
    """

    format = ModelFormat.TORCH
    gives_probabilities = True

    def __init__(
        self,
        specification: NetworkSpecification,
        preprocessing: Preprocessing,
        weights: Path,
        load: Callable[[], nn.Module],
        check: Check = lambda: None,
    ) -> None:
        """Loads nothing yet.

        Args:
            specification: See above.
            preprocessing: See above.
            weights: See above.
            load: Returns the network with its weights, checked.
            check: Called between batches; raises to stop.
        """
        self.specification = specification
        self.preprocessing = preprocessing
        self.weights = weights
        self._load = load
        self._check = check

    @cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode; takes standardised inputs, gives logits or values."""
        # Whoever asks first may be in inference mode, whose tensors can never have gradients.
        with torch.inference_mode(mode=False):
            return self._load().eval()

    @property
    def task(self) -> Task:
        """See `AnalysedModel`."""
        return Task(self.preprocessing.target.task)

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `AnalysedModel`."""
        target = self.preprocessing.target
        return target.classes or (target.name,)

    @property
    def features(self) -> tuple[str, ...]:
        """See `AnalysedModel`."""
        return self.preprocessing.features

    @property
    def takes_table(self) -> bool:
        """Whether a row is neither picture nor text, but some numbers only."""
        return self.preprocessing.image is None and self.preprocessing.text is None

    @property
    def batch_rows(self) -> int:
        """Rows that are computed together."""
        return TABLE_BATCH if self.takes_table else LARGE_BATCH

    def predict(self, raw: RawRows) -> Outputs:
        """See `AnalysedModel`."""
        with torch.inference_mode():
            pieces = [self.finished(self.network(*batch)).numpy() for batch in self.batches(raw)]
        return np.concatenate(pieces).astype(np.float64, copy=False)

    def batches(self, raw: RawRows) -> Iterator[tuple[Tensor, ...]]:
        """Yields the network's inputs for rows, `batch_rows` at a time."""
        for part in raw.parts(self.batch_rows):
            self._check()
            yield self.inputs(part)

    def inputs(self, raw: RawRows) -> tuple[Tensor, ...]:
        """Returns what the network's `forward` takes: standardised, in the order of its names."""
        transform = ColumnTransform(self.preprocessing, raw.columns, raw.labels)
        rows = slice(0, raw.count)
        names = self.preprocessing.network_input.names
        return tuple(torch.from_numpy(getattr(transform, name)(rows)) for name in names)

    def finished(self, found: Tensor) -> Tensor:
        """Returns probabilities, or values in the target's units, for what the network gave."""
        target = self.preprocessing.target
        if target.task == "classification":
            return torch.softmax(found.double(), dim=1)
        if target.task == "multi_label":
            return torch.sigmoid(found.double())
        return found.double() * target.scale + target.mean

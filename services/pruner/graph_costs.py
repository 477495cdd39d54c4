"""What ONNX graphs of variants take beside what is measured of every model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.models.inputs import inputs_of_rows
from services.pruner.domain.foreign.graphs import ForeignModelError, read_model
from services.pruner.domain.foreign.work import multiplications
from services.pruner.domain.latency.node_times import NodeTime, node_times
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.specification import Runtime, Target
from services.pruner.domain.variants import ONNX, Built
from services.pruner.loading import Loaded

COUNTED_ROWS = 64
"""On so many rows multiplications are counted: a model may take no more at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GraphCosts:
    """Counts and times.

    Attributes:
        loaded: What the pruning works with.
        target: Where models are to run.
        folder: For files that are removed again.
    """

    loaded: Loaded
    target: Target
    folder: Path

    def multiplications(self, built: Built) -> float | None:
        """Returns what a network or a graph multiplies for a row; None for others."""
        if built.format is ModelFormat.SKOPS:
            return None
        rows = self.loaded.choosing.rows
        few = rows.take(np.arange(min(rows.count, COUNTED_ROWS)))
        try:
            inputs = inputs_of_rows(built.open(), few)
            return multiplications(read_model(built.files[ONNX]), inputs)
        except ForeignModelError as error:
            _log.info("multiplications cannot be counted: %s", error)
            return None

    def node_times(self, built: Built) -> Sequence[NodeTime]:
        """Returns what nodes take where ONNX Runtime computes the model; the slowest first."""
        if self.target.runtime is not Runtime.ONNX_RUNTIME or ONNX not in built.files:
            return ()
        rows = self.loaded.judging.rows
        batch = rows.take(np.arange(self.target.batch_size) % rows.count)
        inputs = inputs_of_rows(built.open(ONNX), batch)
        return node_times(built.files[ONNX], inputs, self.folder)

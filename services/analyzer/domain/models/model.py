"""Models of all formats behind one shape: raw rows in, probabilities or values out."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from common.data.schema import Task

Outputs = npt.NDArray[np.float64]
"""Shape (rows, outputs)."""

Check = Callable[[], None]
"""Called between batches; raises to stop."""


class ModelFormat(StrEnum):
    """What kind of model it is."""

    TORCH = "torch"
    SKLEARN = "sklearn"
    ONNX = "onnx"


class AnalysedModel(Protocol):
    """A model version that is looked into. Parts that need more ask for the classes behind it."""

    @property
    def format(self) -> ModelFormat:
        """What kind of model it is."""
        ...

    @property
    def task(self) -> Task:
        """CLASSIFICATION, REGRESSION or MULTI_LABEL."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the outputs stand for: classes, labels, or the names of targets."""
        ...

    @property
    def gives_probabilities(self) -> bool:
        """False for classifiers that only name a class: it has the output 1, the others 0."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the raw columns that it takes."""
        ...

    def predict(self, raw: RawRows) -> Outputs:
        """Returns the outputs for rows, batch by batch.

        Returns:
            Float64 (rows, outputs). Classification: probabilities of the classes. Multi-label:
            probability of each label. Regression: values in the target's own units.
        """
        ...

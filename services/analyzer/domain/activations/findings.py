"""What is found in hidden layers. Summaries are as in `aimass.analyzer.v1.ActivationsResult`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.data.schema import Task
from common.reports.report import Gallery

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of one width."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class RowValue:
    """A unit's value for a row, the mean over positions."""

    row: int
    value: float


@dataclass(frozen=True)
class UnitActivations:
    """What a unit does."""

    unit: int
    mean: float
    stddev: float
    min: float
    max: float
    zero_share: float
    row_quantiles: tuple[float, ...]
    top_rows: tuple[RowValue, ...]
    answers_to: str
    answers_to_share: float | None


@dataclass(frozen=True)
class LayerActivations:
    """What a layer's units do."""

    layer: str
    function: str
    unit_count: int
    position_count: int
    mean: float
    stddev: float
    min: float
    max: float
    quantiles: tuple[float, ...]
    histogram: Histogram
    zero_share: float
    saturated_share: float | None
    saturated_unit_count: int
    dead_unit_count: int
    dead_units: tuple[int, ...]
    always_on_unit_count: int
    effective_dimensions: float | None
    neighbour_agreement: float | None
    units: tuple[UnitActivations, ...]


class MapMethod(StrEnum):
    """How rows became points, named as in `aimass.analyzer.v1.MapMethod`."""

    PCA = "pca"
    TSNE = "tsne"


@dataclass(frozen=True)
class RepresentationMap:
    """Rows as points: those that the layer gives like values are near each other."""

    layer: str
    method: MapMethod
    rows: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    neighbour_agreement: float | None
    chance_agreement: float | None


@dataclass(frozen=True)
class ActivationsSummary:
    """What hidden layers do on the rows."""

    row_count: int
    stands_in: str
    layers: tuple[LayerActivations, ...]
    representation: RepresentationMap | None


@dataclass(frozen=True)
class RowFacts:
    """What is known of the rows that were looked at.

    Attributes:
        task: What the model predicts.
        names: Of classes, or labels; of the target in a regression.
        numbers: Numbers of the rows.
        truth: See `Sample.truth`.
        outputs: Of the model.
    """

    task: Task
    names: Sequence[str]
    numbers: npt.NDArray[np.int64]
    truth: Values | None
    outputs: Numbers

    @property
    def has_classes(self) -> bool:
        """Whether each row is of one class."""
        return self.task is Task.CLASSIFICATION

    @property
    def predicted(self) -> npt.NDArray[Any]:
        """Position of the predicted class (of labels the most probable one), or the value."""
        if self.task is Task.REGRESSION:
            return self.outputs[:, 0]
        found: npt.NDArray[Any] = self.outputs.argmax(axis=1)
        return found

    @property
    def target(self) -> npt.NDArray[Any]:
        """What rows are coloured by: the true class or value; what is predicted without truth.

        Of several labels the most probable one.
        """
        if self.truth is None or self.task is Task.MULTI_LABEL:
            return self.predicted
        return self.truth

    @property
    def error(self) -> Numbers | None:
        """Classes: 1 where the prediction is wrong; labels: the share that is; else |error|."""
        if self.truth is None:
            return None
        if self.task is Task.REGRESSION:
            return np.asarray(np.abs(self.outputs[:, 0] - self.truth.astype(np.float64)))
        if self.task is Task.MULTI_LABEL:
            return np.asarray(((self.outputs >= 0.5) != self.truth).mean(axis=1))
        return np.asarray(self.predicted != self.truth, np.float64)

    def take(self, chosen: npt.NDArray[np.generic]) -> "RowFacts":
        """Returns the facts of some rows."""
        truth = None if self.truth is None else self.truth[chosen]
        return RowFacts(self.task, self.names, self.numbers[chosen], truth, self.outputs[chosen])

    def named(self, value: float) -> str:
        """Returns a class by its position, or a value, for people."""
        if self.task is Task.REGRESSION:
            return f"{value:.4g}"
        return self.names[int(value)] if 0 <= value < len(self.names) else "unknown"


@dataclass(frozen=True)
class ClassMeans:
    """Mean values of the units that differ most by class.

    Attributes:
        layer: The layer.
        units: Numbers of the units.
        classes: Names of the classes.
        means: In standard deviations from the unit's mean, (units, classes).
    """

    layer: str
    units: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    means: Numbers


@dataclass(frozen=True)
class ActivationsFindings:
    """What the part found.

    Attributes:
        summary: The message's numbers.
        notes: What stood in, and what was cut short.
        facts: Of the rows of the map, in its order.
        class_means: Of the last layer; None without classes.
        maps: Feature maps, a gallery for each layer.
        exciting: Pictures that units answer to most, a gallery for each layer.
    """

    summary: ActivationsSummary
    notes: tuple[str, ...]
    facts: RowFacts | None = None
    class_means: ClassMeans | None = None
    maps: tuple[Gallery, ...] = ()
    exciting: tuple[Gallery, ...] = ()

"""What was found of importance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.importance.agreement import CorrelatedColumns, MethodAgreement
from services.analyzer.domain.importance.images import ImageMethod, SeenImages
from services.analyzer.domain.importance.lags import SeriesImportance
from services.analyzer.domain.importance.shapley import Explainer, Shapley
from services.analyzer.domain.importance.texts import TextImportance as TextFindings
from services.analyzer.domain.importance.texts import TokenEffect
from services.analyzer.domain.metrics import Metric


@dataclass(frozen=True)
class PermutationEffect:
    """See `aimass.analyzer.v1.PermutationEffect`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class FeatureImportance:
    """See `aimass.analyzer.v1.FeatureImportance`."""

    column: str
    permutation: PermutationEffect | None
    shapley: float | None
    integrated_gradients: float | None


@dataclass(frozen=True)
class TextImportance:
    """See `aimass.analyzer.v1.TextImportance`."""

    column: str
    row_count: int
    tokens: tuple[TokenEffect, ...]


@dataclass(frozen=True)
class ImageImportance:
    """See `aimass.analyzer.v1.ImageImportance`."""

    method: ImageMethod
    rows: tuple[int, ...]


@dataclass(frozen=True)
class ImportanceSummary:
    """See `aimass.analyzer.v1.ImportanceResult`."""

    features: tuple[FeatureImportance, ...]
    metric: str
    permuted_row_count: int
    repeats: int
    shapley_explainer: Explainer | None
    shapley_unit: str
    shapley_row_count: int
    gradients_row_count: int
    completeness_error: float | None
    series: tuple[SeriesImportance, ...]
    texts: tuple[TextImportance, ...]
    images: ImageImportance | None
    agreements: tuple[MethodAgreement, ...]
    correlated_columns: tuple[CorrelatedColumns, ...]


@dataclass(frozen=True)
class SingleRow:
    """A row whose contributions are shown.

    Attributes:
        row: Number in the data set version.
        why: Why it is shown, for example "the model is least sure of it".
        output: Name of the explained output.
        start: What the model gives on average.
        contributions: By column; with `start` they add up to the output.
        shown: Values of the columns, for people.
    """

    row: int
    why: str
    output: str
    start: float
    contributions: Mapping[str, float]
    shown: Mapping[str, str]


@dataclass(frozen=True)
class Swarm:
    """Shapley values of rows, for a plot.

    Attributes:
        names: Of the columns, the most important first.
        values: Contributions, (rows, columns).
        levels: Where a row's value stands among the others of its column, 0 to 1; NaN where there
            is no order, (rows, columns).
        shown: Values for people, (rows, columns).
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    levels: npt.NDArray[np.float64]
    shown: npt.NDArray[np.str_]


@dataclass(frozen=True)
class ImportanceFindings:
    """What the model goes by.

    Attributes:
        summary: As numbers.
        notes: What stood in, or was cut short.
        metric: What permutation is measured by.
        outputs: Names of the model's outputs.
        is_second_class: Whether outputs are those of the second of two classes.
        features: Importance of all columns, the most important first.
        shapley: Contributions; None without.
        swarm: The same for a plot.
        singles: Some single rows.
        texts: What of texts it goes by.
        images: What of images.
    """

    summary: ImportanceSummary
    notes: tuple[str, ...]
    metric: Metric
    outputs: tuple[str, ...]
    is_second_class: bool
    features: tuple[FeatureImportance, ...]
    shapley: Shapley | None
    swarm: Swarm | None
    singles: tuple[SingleRow, ...]
    texts: tuple[TextFindings, ...]
    images: SeenImages | None

"""What an analysis is told, as its parts need it."""

from dataclasses import dataclass

from services.analyzer.domain.metrics import Metric


@dataclass(frozen=True)
class AnalysisSettings:
    """Choices that hold for all parts.

    Attributes:
        metric: What importance, robustness and comparisons are measured by.
        seed: Of everything that is random.
        layers: Layers whose activations are shown; empty to choose.
        features: Columns whose relation to the output is shown; empty to choose.
        what_if_row: Number of the row whose what-if is shown; None to choose.
    """

    metric: Metric
    seed: int = 0
    layers: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    what_if_row: int | None = None

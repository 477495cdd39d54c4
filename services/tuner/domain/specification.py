"""What a search is told: ranges and defaults of `TuningSpec`, field by field.

What depends on the data is checked and filled in by `resolution`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from common.artifacts.reference import ArtifactReference
from common.scoring.kinds import ProblemKind
from services.tuner.domain.portfolio.use import PortfolioUse

FIELD = "tuning_run.spec"
_DAY = 86_400.0
_MOST_COLUMNS = 10_000
_MOST_CLASSES = 1_000
_MOST_SERIES_COLUMNS = 8

Cost = Annotated[float, Field(allow_inf_nan=False)]
SeasonLength = Annotated[int, Field(ge=2, le=100_000)]
# Errors repeat names, and must fit into the head of an answer.
Name = Annotated[str, Field(max_length=1_000)]


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CostsOfTruth(_Specification):
    """What it costs to decide for each class where one is true."""

    truth: Name = ""
    costs: dict[Name, Cost] = {}


class Costs(_Specification):
    """What decisions cost."""

    rows: tuple[CostsOfTruth, ...] = Field((), max_length=_MOST_CLASSES)

    def matrix(self, classes: tuple[str, ...]) -> list[list[float]]:
        """Returns a row for each true class, in it a number for each decision.

        Args:
            classes: In the order of rows and columns; each is the truth of a row.

        Raises:
            KeyError: One is not.
        """
        by_truth = {each.truth: each.costs for each in self.rows}
        return [[by_truth[truth].get(each, 0.0) for each in classes] for truth in classes]


class ForecastSpecification(_Specification):
    """A `ForecastSpec`."""

    time_column: Name = ""
    series_columns: tuple[Name, ...] = Field((), max_length=_MOST_SERIES_COLUMNS)
    horizon: int | None = Field(None, ge=1, le=10_000)
    season_lengths: tuple[SeasonLength, ...] = Field((), max_length=3)
    known_columns: tuple[Name, ...] = Field((), max_length=_MOST_COLUMNS)


class OutlierMarks(_Specification):
    """An `OutlierMarks`."""

    scan: Name = ""
    scores: ArtifactReference | None = None


class TuningSpecification(_Specification):
    """A `TuningSpec`; None or empty where the default depends on the data."""

    dataset_version: str = ""
    model: str = ""
    targets: tuple[Name, ...] = Field((), max_length=_MOST_COLUMNS)
    kind: ProblemKind | None = None
    metric: Name = ""
    costs: Costs | None = None
    budget: float = Field(600.0, ge=5, le=30 * _DAY, allow_inf_nan=False)
    trial_memory_bytes: int | None = Field(None, ge=64 << 20)
    concurrency: int = Field(1, ge=1, le=64)
    families: tuple[Name, ...] = Field((), max_length=_MOST_CLASSES)
    row_latency: float | None = Field(None, gt=0, allow_inf_nan=False)
    model_bytes: int | None = Field(None, ge=1)
    left_out: tuple[Name, ...] = Field((), max_length=_MOST_COLUMNS)
    weight_column: Name = ""
    group_column: Name = ""
    seed: int = Field(0, ge=0, lt=2**32)
    champion: Name = ""
    continue_from: Name = ""
    forecast: ForecastSpecification | None = None
    portfolio: PortfolioUse = PortfolioUse.ALL
    outliers: OutlierMarks | None = None

    @field_validator("costs")
    @classmethod
    def _stands_alone(cls, costs: Costs | None, info: ValidationInfo) -> Costs | None:
        if costs is not None and info.data.get("metric"):
            raise ValueError("costs take the place of a metric; leave one of the two out")
        return costs

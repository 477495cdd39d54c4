"""What an analysis is told: ranges and defaults of `AnalysisSpec`."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from common.artifacts.reference import ArtifactReference
from services.analyzer.domain.metrics import Metric
from services.analyzer.domain.part import PartName
from services.analyzer.domain.paths import MOST_CHALLENGERS
from services.analyzer.domain.settings import AnalysisSettings

_DAY = 86_400.0


class EvaluatedRows(StrEnum):
    """Which rows are looked at, named as in `aimass.analyzer.v1.EvaluatedRows`."""

    TEST = "test"
    VALIDATION = "validation"
    TRAIN = "train"
    ALL = "all"


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartRequest(_Specification):
    """A part to work on."""

    part: PartName
    budget: float | None = Field(None, ge=1, le=_DAY, allow_inf_nan=False)


class AnalysisSpecification(_Specification):
    """What to look at, and how long; fields are named as in `AnalysisSpec`."""

    model_version: str = ""
    challengers: tuple[str, ...] = Field((), max_length=MOST_CHALLENGERS)
    dataset_version: str = ""
    parts: tuple[PartRequest, ...] = ()
    budget: float = Field(90.0, ge=5, le=_DAY, allow_inf_nan=False)
    rows: int = Field(5_000, ge=10, le=1_000_000)
    evaluated_rows: EvaluatedRows | None = None
    seed: int = Field(0, ge=0, lt=2**32)
    metric: Metric | None = None
    layers: tuple[str, ...] = Field((), max_length=32)
    features: tuple[str, ...] = Field((), max_length=32)
    what_if_row: int | None = Field(None, ge=0)
    outlier_scan: str = ""
    outlier_scores: ArtifactReference | None = None

    @field_validator("parts")
    @classmethod
    def _names_each_once(cls, parts: tuple[PartRequest, ...]) -> tuple[PartRequest, ...]:
        names = [each.part for each in parts]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"names {twice.upper()} twice; name each part once")
        return parts

    @property
    def settings(self) -> AnalysisSettings:
        """Choices for all parts, of a resolved specification."""
        return AnalysisSettings(
            # Without a target there is none, and nothing that would be measured by it.
            metric=self.metric or Metric.ACCURACY,
            seed=self.seed,
            layers=self.layers,
            features=self.features,
            what_if_row=self.what_if_row,
        )

    @property
    def budgets(self) -> dict[PartName, float | None]:
        """The wanted parts with their own budgets in seconds."""
        return {each.part: each.budget for each in self.parts}

    @property
    def is_comparison(self) -> bool:
        """Whether several versions are compared."""
        return bool(self.challengers)

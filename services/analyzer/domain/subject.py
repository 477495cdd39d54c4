"""A model version with the rows that it is looked at on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Schema
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.metrics import RowScores, Scorer
from services.analyzer.domain.models.model import AnalysedModel, Outputs
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.settings import AnalysisSettings

_FEW_ROWS, _TIMED_ROWS = 32, 256
_LONG_SECONDS = 0.05


@dataclass(frozen=True)
class History:
    """Metrics of every epoch of a training.

    Attributes:
        name: The model version that came of it.
        epochs: Numbers of the epochs, ascending.
        values: By name, for example `train/loss`, `validation/accuracy`, `learning_rate`,
            `rows_per_second`; NaN where an epoch has none. Shape (epochs,) each.
    """

    name: str
    epochs: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class OutlierMarks:
    """What a scan says of the sample's rows.

    Attributes:
        scan: Its name.
        marked: Whether a row is an outlier, (rows,).
        score: Larger is odder, (rows,).
    """

    scan: str
    marked: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]

    def take(self, chosen: npt.NDArray[np.int64]) -> "OutlierMarks":
        """Returns those of some rows, by position."""
        return OutlierMarks(self.scan, self.marked[chosen], self.score[chosen])


@dataclass(frozen=True)
class Subject:
    """What is analysed. What the parts share is computed once.

    Attributes:
        name: Of the model version.
        model: The model.
        size_bytes: Of its files.
        schema: Of the data set version.
        dataset_version: Its name.
        sample: The rows it is looked at on.
        training: Training rows, where they are others than those; None where there are none.
        settings: Choices for all parts.
        metrics: Of the version's record, by name.
        histories: Its own training first, then those of earlier versions; empty without.
        training_schema: Schema of the data set version that it was trained on, where that is
            another one than `dataset_version`; None where it is the same, or not known.
        outliers: What a scan says of the sample; None without.
        origins: Names of what the model was made from.
    """

    name: str
    model: AnalysedModel
    size_bytes: int
    schema: Schema
    dataset_version: str
    sample: Sample
    training: Sample | None
    settings: AnalysisSettings
    metrics: Mapping[str, float] = field(default_factory=dict)
    histories: Sequence[History] = ()
    training_schema: Schema | None = None
    outliers: OutlierMarks | None = None
    origins: Sequence[str] = ()

    @cached_property
    def outputs(self) -> Outputs:
        """The model's outputs for the sample.

        Raises:
            UnusableModelError: Some are no numbers.
        """
        return self.predict(self.sample.raw)

    @cached_property
    def truth(self) -> Values:
        """What is true of the sample.

        Raises:
            NotApplicableError: The data has no target.
        """
        if self.sample.truth is None:
            raise NotApplicableError(f"{self.dataset_version} has no target to compare with.")
        return self.sample.truth

    @cached_property
    def scorer(self) -> Scorer:
        """The metric on the sample. Raises what `truth` raises."""
        return Scorer(self.settings.metric, self.model.task, self.truth)

    @cached_property
    def row_scores(self) -> RowScores:
        """Row scores of the sample. Raises what `outputs` and `truth` raise."""
        return self.scorer.rows(self.outputs)

    @cached_property
    def seconds_per_row(self) -> float:
        """About how long the model takes for a row, of many together."""
        self._timed(_FEW_ROWS)  # the first time is slower
        few = self._timed(_FEW_ROWS)
        return few if few * _FEW_ROWS > _LONG_SECONDS else self._timed(_TIMED_ROWS)

    def _timed(self, rows: int) -> float:
        raw = self.sample.raw.take(slice(0, min(self.sample.count, rows)))
        start = time.perf_counter()
        self.model.predict(raw)
        return (time.perf_counter() - start) / raw.count

    def predict(self, raw: RawRows) -> Outputs:
        """Returns the model's outputs for rows.

        Raises:
            UnusableModelError: Some are no numbers, or the model cannot take the rows.
        """
        outputs = self.model.predict(raw)
        broken = int((~np.isfinite(outputs).all(axis=1)).sum())
        if broken:
            raise UnusableModelError(
                f"The model gives no number (NaN or infinite) for {broken:,} of {len(outputs):,} "
                "rows."
            )
        return outputs

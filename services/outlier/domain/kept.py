"""A fitted scan as it is kept: it scores later rows, and says why they are odd."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from services.outlier.domain.detector import Rows
from services.outlier.domain.ensemble import Ensemble, ScoredRows
from services.outlier.domain.explaining.breaches import Coded, describe_breaches
from services.outlier.domain.explaining.describing import describe, describe_value
from services.outlier.domain.explaining.explanation import Explanation, explain
from services.outlier.domain.explaining.reasons import ExplainedRow, Reason
from services.outlier.domain.preparation import Preparation

EXPLAINED_AT_ONCE = 64

_MOST_USUAL_ROWS = 1000
_MOST_USUAL_BYTES = 32 * 1024 * 1024
_LEAST_USUAL_ROWS = 50
_SHOWN_BYTES = 32
_MOST_REASONS = 10
_LEAST_REASON = 0.01  # of the strongest
_ROUNDING = 1e-9


@dataclass(frozen=True)
class UsualRows:
    """Usual rows of the scanned data, which others are compared with.

    Attributes:
        numbers: Of the rows in the data, shape (rows,).
        rows: The rows, prepared.
        shown: The values of each prepared column as people read them.
    """

    numbers: npt.NDArray[np.int64]
    rows: Rows
    shown: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, preparation: Preparation, raw: RawRows, numbers: npt.NDArray[np.int64]
    ) -> "UsualRows":
        """Keeps usual rows, as many as fit into 32 MB and at most 1,000.

        Args:
            preparation: How rows are prepared.
            raw: The rows, at least one.
            numbers: Of the rows in the data.
        """
        columns = preparation.columns
        size = 8 * preparation.width + (4 + _SHOWN_BYTES) * len(columns)
        count = min(_MOST_USUAL_ROWS, max(_LEAST_USUAL_ROWS, _MOST_USUAL_BYTES // size))
        kept = raw.take(slice(0, count))
        shown = tuple(describe(column, kept) for column in columns)
        return cls(numbers[:count], preparation.apply(kept), shown)


@dataclass(frozen=True)
class KeptDetector:
    """Everything that a scan learned; `keeping` takes it apart.

    Attributes:
        ensemble: Scores rows.
        usual: Rows to compare odd ones with.
    """

    ensemble: Ensemble
    usual: UsualRows

    def score(self, raw: RawRows) -> ScoredRows:
        """Returns what is to be said of raw rows; see `Ensemble.score`."""
        return self.ensemble.score(raw)

    def explain(self, raw: RawRows) -> list[ExplainedRow]:
        """Says why raw rows are odd, each for itself, whatever rows are beside it."""
        found: list[ExplainedRow] = []
        for part in raw.parts(EXPLAINED_AT_ONCE):
            found += self._explain(part)
        return found

    def _explain(self, raw: RawRows) -> list[ExplainedRow]:
        preparation = self.ensemble.preparation
        rows = preparation.apply(raw)
        explanations = explain(self.ensemble.score_prepared, preparation, rows, self.usual.rows)
        coded = Coded.of(preparation, raw, rows)
        numbers = self.usual.numbers.tolist()
        broken = describe_breaches(self.ensemble.members, coded, rows, self.usual.rows, numbers)
        return [
            ExplainedRow(
                self._reasons(raw, row, each),
                tuple(self.usual.numbers[each.nearest].tolist()),
                broken[row],
                each.contributions,
            )
            for row, each in enumerate(explanations)
        ]

    def _reasons(self, raw: RawRows, row: int, explanation: Explanation) -> tuple[Reason, ...]:
        """Returns the columns that make a row odd, the strongest first."""
        contributions = explanation.contributions
        order = np.argsort(-contributions, kind="stable")[:_MOST_REASONS]
        least = max(_LEAST_REASON * contributions[order[0]], _ROUNDING)
        return tuple(
            self._reason(int(place), raw, row, explanation)
            for place in order
            if contributions[place] > least
        )

    def _reason(self, place: int, raw: RawRows, row: int, explanation: Explanation) -> Reason:
        column = self.ensemble.preparation.columns[place]
        return Reason(
            column.name,
            float(explanation.contributions[place]),
            describe_value(column, raw, row),
            _joined([self.usual.shown[place][near] for near in explanation.nearest]),
        )


def _joined(values: Sequence[str]) -> str:
    """Returns different values, the first one first."""
    return ", ".join(dict.fromkeys(values))

"""How far methods agree on the order of columns, and which columns stand for each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from common.data.schema import ColumnType
from services.analyzer.domain.subject import Subject

STRONG = 0.9
_ROWS = 5000
_COLUMNS = 200
_PAIRS = 50
_FEWEST_ROWS = 10


@dataclass(frozen=True)
class MethodAgreement:
    """How alike two methods order the columns.

    Attributes:
        first: A method.
        second: Another one.
        rank_correlation: Spearman's, -1 to 1.
    """

    first: str
    second: str
    rank_correlation: float


@dataclass(frozen=True)
class CorrelatedColumns:
    """Two columns of which each tells nearly what the other does.

    Attributes:
        first: Name of one.
        second: Name of the other.
        rank_correlation: Spearman's, above 0.9 or below -0.9.
    """

    first: str
    second: str
    rank_correlation: float


def agreements(methods: Mapping[str, Mapping[str, float]]) -> tuple[MethodAgreement, ...]:
    """Returns the agreement of each two methods on the columns that both have.

    Args:
        methods: Importance by column, by method.
    """
    found = []
    for (first, one), (second, other) in combinations(methods.items(), 2):
        shared = [name for name in one if name in other]
        correlation = _correlation([one[name] for name in shared], [other[name] for name in shared])
        if correlation is not None:
            found.append(MethodAgreement(first, second, correlation))
    return tuple(found)


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(one) < 3 or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(stats.spearmanr(one, other).statistic)


def correlated_columns(subject: Subject) -> tuple[CorrelatedColumns, ...]:
    """Returns pairs of the model's numeric columns whose rank correlation is above 0.9."""
    known = subject.sample.columns
    names = [
        name
        for name in subject.model.features
        if name in known and known[name].type is ColumnType.NUMERIC
    ][:_COLUMNS]
    rows = subject.sample.drawn(_ROWS, subject.settings.seed).raw
    values = [np.asarray(rows.columns[name], np.float64) for name in names]
    usable = [place for place, each in enumerate(values) if _varies(each)]
    if len(usable) < 2 or rows.count < _FEWEST_ROWS:
        return ()
    ranks = np.stack([stats.rankdata(_filled(values[place])) for place in usable])
    correlations = np.corrcoef(ranks)
    pairs = np.argwhere(np.triu(np.abs(correlations) > STRONG, 1)).tolist()
    found = [
        CorrelatedColumns(names[usable[i]], names[usable[j]], float(correlations[i, j]))
        for i, j in pairs
    ]
    return tuple(sorted(found, key=lambda pair: -abs(pair.rank_correlation))[:_PAIRS])


def _varies(values: "np.typing.NDArray[np.float64]") -> bool:
    present = values[np.isfinite(values)]
    return len(present) > 0 and float(np.ptp(present)) > 0


def _filled(values: "np.typing.NDArray[np.float64]") -> "np.typing.NDArray[np.float64]":
    return np.where(np.isfinite(values), values, np.median(values[np.isfinite(values)]))

"""What rows break, in sentences: frequent patterns, relations between columns, clusters."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from common.data.rows import RawRows
from services.outlier.domain.detector import Codes, Rows
from services.outlier.domain.detectors.bayes import BayesianScorer, Surprise
from services.outlier.domain.detectors.clustering import FittedCblof, FittedKMeans
from services.outlier.domain.detectors.distances import bounded, squared_distances
from services.outlier.domain.detectors.patterns import Broken, PatternScorer
from services.outlier.domain.ensemble import Member
from services.outlier.domain.explaining.describing import describe_code, describe_value
from services.outlier.domain.preparation import Preparation
from services.outlier.domain.preparation.preparation import Prepared

_LEAST_CONFIDENCE = 0.9
_MOST_PROBABILITY = 0.01
_LEAST_FAR = 2.0
_MOST_SENTENCES = 3


@dataclass(frozen=True)
class Coded:
    """Rows by their codes, with what these stand for.

    Attributes:
        columns: The coded columns.
        codes: Shape (rows, columns).
        raw: The rows as they were read.
    """

    columns: tuple[Prepared, ...]
    codes: Codes
    raw: RawRows

    @classmethod
    def of(cls, preparation: Preparation, raw: RawRows, rows: Rows) -> "Coded":
        """Returns the codes of raw rows and of the same prepared."""
        columns = tuple(column for column in preparation.columns if column.has_codes)
        return cls(columns, rows.codes, raw)

    def named(self, column: int, code: int) -> str:
        """Returns what a code of a column says."""
        return describe_code(self.columns[column], code)

    def value(self, row: int, column: int) -> str:
        """Returns what a row has in a column: its value where its code says nothing."""
        code = int(self.codes[row, column])
        return self.named(column, code) if code else self.raw_value(row, column)

    def raw_value(self, row: int, column: int) -> str:
        """Returns a row's very value in a column."""
        prepared = self.columns[column]
        return f"{prepared.name}={describe_value(prepared, self.raw, row)}"


def describe_breaches(
    members: Sequence[Member],
    coded: Coded,
    rows: Rows,
    usual: Rows,
    numbers: Sequence[int],
) -> list[tuple[str, ...]]:
    """Returns for each row what it breaks, as far as the members know.

    Args:
        members: Detectors; those of patterns, networks and clusters have something to say.
        coded: The rows by their codes.
        rows: The rows, prepared.
        usual: Usual rows, prepared, at least one.
        numbers: Their numbers in the data.
    """
    by_member = [_of_member(member, coded, rows, usual, numbers) for member in members]
    by_row = zip(*[found for found in by_member if found], strict=True)
    return [tuple(chain.from_iterable(found)) for found in by_row] or [()] * rows.count


def _of_member(
    member: Member, coded: Coded, rows: Rows, usual: Rows, numbers: Sequence[int]
) -> list[list[str]]:
    fitted = member.fitted
    if isinstance(fitted, PatternScorer):
        return [_broken_patterns(fitted, coded, row) for row in range(rows.count)]
    if isinstance(fitted, BayesianScorer):
        return [_broken_relations(fitted, coded, row) for row in range(rows.count)]
    if isinstance(fitted, FittedKMeans | FittedCblof):
        return _left_clusters(fitted, rows, usual, numbers)
    return []


def _broken_patterns(scorer: PatternScorer, coded: Coded, row: int) -> list[str]:
    broken = scorer.broken(coded.codes[row], _MOST_SENTENCES)
    sure = [each for each in broken if each.confidence >= _LEAST_CONFIDENCE]
    return [_pattern(each, coded, row) for each in sure]


def _pattern(broken: Broken, coded: Coded, row: int) -> str:
    named = [coded.named(*one) for one in zip(broken.columns, broken.codes, strict=True)]
    *held, missed = named
    share = f"in {broken.confidence:.0%} of rows".replace("%", " %")
    here = f"here it is {coded.raw_value(row, broken.columns[-1])}"
    if not held:
        return f"{missed} {share}; {here}"
    verb = "goes" if len(held) == 1 else "go"
    return f"{' and '.join(held)} {verb} with {missed} {share}; {here}"


def _broken_relations(scorer: BayesianScorer, coded: Coded, row: int) -> list[str]:
    found = scorer.surprising(coded.codes[row], _MOST_PROBABILITY, _MOST_SENTENCES)
    return [_relation(each, coded, row) for each in found]


def _relation(surprise: Surprise, coded: Coded, row: int) -> str:
    given = " and ".join(coded.value(row, column) for column in surprise.given)
    rows = f"rows with {given}" if given else "rows"
    share = f"{100 * surprise.probability:.2g} %"
    return f"{coded.value(row, surprise.column)} is expected in {share} of {rows}"


def _left_clusters(
    fitted: FittedKMeans | FittedCblof, rows: Rows, usual: Rows, numbers: Sequence[int]
) -> list[list[str]]:
    common = float(np.median(fitted.score(usual)))
    if common <= 0:
        return []
    far = fitted.score(rows) / common
    centres = squared_distances(bounded(rows.values), fitted.centres).argmin(axis=1)
    middles = squared_distances(fitted.centres, bounded(usual.values)).argmin(axis=1)
    return [
        _cluster(float(times), numbers[middles[centre]])
        for times, centre in zip(far, centres, strict=True)
    ]


def _cluster(times: float, middle: int) -> list[str]:
    if times < _LEAST_FAR:
        return []
    return [
        f"it is {times:.2g} times as far from the centre of the nearest cluster, where row "
        f"{middle} is, as usual rows are from theirs"
    ]

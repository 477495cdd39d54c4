"""What a scan has to say of its anomalies, beyond their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.outlier.domain.detector import Matrix
from services.outlier.domain.explaining.grouping import Group, group_by_reasons
from services.outlier.domain.explaining.reasons import ExplainedRow, Reason
from services.outlier.domain.kept import EXPLAINED_AT_ONCE, KeptDetector
from services.outlier.domain.scan import Progress, ScanResult, Stage
from services.outlier.domain.table import RowNumbers, Table, read_blocks

__all__ = ["Anomaly", "AnomalyGroup", "Findings", "Reason", "find_anomalies"]

_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Anomaly:
    """A marked row.

    Attributes:
        row: Its number in the data, from 0.
        rank: 1 for the oddest.
        score: Larger is odder.
        probability: That it is an anomaly, 0 to 1.
        p_value: Share of usual rows that are as odd.
        reasons: Columns that make it odd, the strongest first; empty where it is not explained.
        nearest: Numbers of the nearest usual rows, the nearest first.
        broken: Patterns, relations and clusters that it breaks, one sentence each.
        group: Position of its group in the findings; None where it is in none.
    """

    row: int
    rank: int
    score: float
    probability: float
    p_value: float
    reasons: tuple[Reason, ...] = ()
    nearest: tuple[int, ...] = ()
    broken: tuple[str, ...] = ()
    group: int | None = None


@dataclass(frozen=True)
class AnomalyGroup:
    """Explained anomalies that are odd for like reasons.

    Attributes:
        rows: Numbers of the rows, the oddest first.
        shares: Share of the reasons that each column makes up, by name, the largest first.
    """

    rows: tuple[int, ...]
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Findings:
    """What a scan found out about its anomalies.

    Attributes:
        anomalies: Marked rows by rank, at most so many as were asked for.
        groups: Of those that are explained, the largest first.
    """

    anomalies: tuple[Anomaly, ...]
    groups: tuple[AnomalyGroup, ...]


def find_anomalies(
    table: Table, result: ScanResult, most_listed: int, most_explained: int, progress: Progress
) -> Findings:
    """Lists the marked rows of a scan and explains the oddest of them.

    Args:
        table: The rows that were scanned; read once more where there is something to explain.
        result: What the scan found.
        most_listed: Marked rows to list, at most.
        most_explained: Of these, rows to explain, at most.
        progress: Told how many of how many rows are explained; may raise to stop.
    """
    listed = _listed(result, most_listed)
    explained = _explain(table, result.detector, listed[:most_explained], progress)
    groups = _groups(explained)
    names = [column.name for column in result.ensemble.preparation.columns]
    return Findings(
        _anomalies(result, listed, explained, groups),
        tuple(_named(group, listed, names) for group in groups),
    )


def _listed(result: ScanResult, most: int) -> RowNumbers:
    """Returns numbers of marked rows, the oddest first."""
    count = min(int(result.marked.sum()), most)
    chosen = np.flatnonzero(result.ranks <= count)
    return chosen[np.argsort(result.ranks[chosen])]


def _explain(
    table: Table, detector: KeptDetector, numbers: RowNumbers, progress: Progress
) -> list[ExplainedRow]:
    """Explains rows, in their order."""
    total = len(numbers)
    found: dict[int, ExplainedRow] = {}

    def watch(read: int) -> None:
        progress(Stage.EXPLAINING, len(found), total)

    for some, raw in read_blocks(table, np.sort(numbers), EXPLAINED_AT_ONCE, watch):
        found |= zip(some.tolist(), detector.explain(raw), strict=True)
        progress(Stage.EXPLAINING, len(found), total)
    return [found[number] for number in numbers.tolist()]


def _groups(explained: Sequence[ExplainedRow]) -> list[Group]:
    if not explained:
        return []
    contributions: Matrix = np.stack([each.contributions for each in explained])
    return group_by_reasons(contributions)


def _anomalies(
    result: ScanResult,
    listed: RowNumbers,
    explained: Sequence[ExplainedRow],
    groups: Sequence[Group],
) -> tuple[Anomaly, ...]:
    scores, calibration = result.scores[listed], result.ensemble.calibration
    measures = zip(
        listed.tolist(),
        result.ranks[listed].tolist(),
        scores.tolist(),
        calibration.probabilities(scores).tolist(),
        calibration.p_values(scores).tolist(),
        strict=True,
    )
    group_of = {int(row): place for place, group in enumerate(groups) for row in group.members}
    anomalies = [Anomaly(*each) for each in measures]
    for place, why in enumerate(explained):
        anomalies[place] = replace(
            anomalies[place],
            reasons=why.reasons,
            nearest=why.nearest,
            broken=why.broken,
            group=group_of.get(place),
        )
    return tuple(anomalies)


def _named(group: Group, listed: RowNumbers, names: Sequence[str]) -> AnomalyGroup:
    """Returns a group by row numbers and column names."""
    order = np.argsort(-group.shares, kind="stable").tolist()
    shares = {names[at]: float(group.shares[at]) for at in order if group.shares[at] > _LEAST_SHARE}
    return AnomalyGroup(tuple(listed[group.members].tolist()), shares)

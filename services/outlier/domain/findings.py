"""What a scan has to say of its anomalies, beyond their scores."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A column that makes a row odd.

    Attributes:
        column: Its name.
        contribution: How much of the row's score it makes up; larger is odder.
        value: The row's value, for people.
        usual: What the nearest usual rows have there, for people.
    """

    column: str
    contribution: float
    value: str
    usual: str


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

"""What a disturbance is, and the scores that are left under it."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.metrics import RowScores
from services.analyzer.domain.robustness.findings import Curve, DisturbanceKind, Point
from services.analyzer.domain.robustness.scoring import Baseline
from services.analyzer.domain.subject import Subject

Apply = Callable[[RawRows, float, np.random.Generator], RawRows]
"""Rows, a severity and what draws at random in; disturbed rows out. Nothing is changed in place.

Each severity is given a generator in the same state: what is drawn without regard to the severity
is the same at all of them, so that what a milder one disturbs a stronger one does too.
"""

_IMAGE_ROWS = 250
_TABLE_ROWS = 65_536


@dataclass(frozen=True)
class Disturbance:
    """A kind of disturbance of some columns.

    Attributes:
        kind: What is done.
        unit: What severities are measured in, for people.
        severities: Ascending.
        apply: Does it.
        column: The one column that it is of; empty for all that it applies to.
    """

    kind: DisturbanceKind
    unit: str
    severities: tuple[float, ...]
    apply: Apply
    column: str = ""

    @property
    def middle(self) -> float:
        """The middle severity."""
        return self.severities[len(self.severities) // 2]


def disturbed(
    disturbance: Disturbance, raw: RawRows, severity: float, seed: int
) -> Iterator[RawRows]:
    """Yields disturbed rows, in pieces that are small enough to be copied."""
    is_image = any(each.ndim == 4 for each in raw.columns.values())
    key = zlib.crc32(f"{disturbance.kind} {disturbance.column}".encode())
    for place, part in enumerate(raw.parts(_IMAGE_ROWS if is_image else _TABLE_ROWS)):
        yield disturbance.apply(part, severity, np.random.default_rng([seed, key, place]))


def disturbed_scores(
    subject: Subject, baseline: Baseline, disturbance: Disturbance, severity: float
) -> RowScores:
    """Returns row scores of the disturbed rows."""
    seed = subject.settings.seed
    pieces = disturbed(disturbance, baseline.raw, severity, seed)
    return baseline.rows(np.concatenate([subject.predict(each) for each in pieces]))


def curve_of(
    subject: Subject,
    baseline: Baseline,
    disturbance: Disturbance,
    severities: Sequence[float],
    budget: Budget,
) -> Curve:
    """Returns the scores by severity: the first, and more until the budget is spent."""
    points = list[Point]()
    for severity in severities:
        if points and budget.is_spent:
            break
        budget.check()
        scores = disturbed_scores(subject, baseline, disturbance, severity)
        points.append(baseline.point(severity, scores))
    return Curve(disturbance.kind, disturbance.unit, tuple(points))

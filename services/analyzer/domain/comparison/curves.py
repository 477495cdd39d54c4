"""Training curves of versions together."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.summary import Curve, TrainingCurves
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.subject import History

_MOST_EPOCHS = 200
_MOST_METRICS = 20


@dataclass(frozen=True)
class CurveComparison:
    """Training curves.

    Attributes:
        curves: By metric; each version that has it.
        labels: Of the versions, by name.
        notes: Which versions have none.
    """

    curves: tuple[TrainingCurves, ...]
    labels: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "CurveComparison":
        """See `PartResult`."""
        return self


def compare_curves(versions: Versions, _budget: Budget) -> CurveComparison:
    """Returns the curves of the versions' own trainings.

    Raises:
        NotApplicableError: Fewer than two versions have curves.
    """
    histories = [(each, _own(each)) for each in versions.all]
    known = [(version, history) for version, history in histories if history]
    if len(known) < 2:
        raise NotApplicableError("Fewer than two of the versions have training curves.")
    missing = [each.label for each, history in histories if not history]
    names = list(dict.fromkeys(name for _, history in known for name in history.values))
    curves = [_curves(name, known) for name in names[:_MOST_METRICS]]
    return CurveComparison(
        tuple(each for each in curves if each.versions),
        {each.name: each.label for each in versions.all},
        tuple(f"{beginning(label)} has no training curves." for label in missing),
    )


def _own(version: Version) -> History | None:
    own = [each for each in version.subject.histories if each.name == version.name]
    return own[0] if own else None


def _curves(name: str, known: Iterable[tuple[Version, History]]) -> TrainingCurves:
    curves = [_curve(version, history, name) for version, history in known]
    return TrainingCurves(name, tuple(each for each in curves if each is not None))


def _curve(version: Version, history: History, name: str) -> Curve | None:
    if name not in history.values:
        return None
    values = history.values[name]
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        return None
    kept = there[np.linspace(0, len(there) - 1, min(len(there), _MOST_EPOCHS)).astype(int)]
    epochs = tuple(int(each) for each in history.epochs[kept])
    return Curve(version.name, tuple(float(each) for each in values[kept]), epochs)

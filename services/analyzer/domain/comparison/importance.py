"""How what versions go by has shifted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.differences import ALPHA
from services.analyzer.domain.comparison.statistics import adjusted
from services.analyzer.domain.comparison.summary import ImportanceShift
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.importance.permutation import permutation_importance
from services.analyzer.domain.importance.plan import Importance
from services.analyzer.domain.metrics import Z95

MOST_COLUMNS = 50


@dataclass(frozen=True)
class ImportanceComparison:
    """Importance of the columns for each version.

    Attributes:
        versions: The baseline first.
        importance: Of each version, by column; a column that it does not take is missing.
        shifts: Of each challenger, the largest first.
        notes: What is missing, or was cut short.
    """

    versions: tuple[Version, ...]
    importance: tuple[Mapping[str, Importance], ...]
    shifts: tuple[tuple[ImportanceShift, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "ImportanceComparison":
        """See `PartResult`."""
        return self


def compare_importance(versions: Versions, budget: Budget) -> ImportanceComparison:
    """Returns how far permutation importance differs from the baseline's, column by column.

    Intervals take the versions for independent; as they share rows, they are rather too wide.

    Raises:
        NotApplicableError: What `permutation_importance` raises.
    """
    usable, notes = versions.usable
    found = []
    for place, version in enumerate(usable.all):
        own = budget.share(1 / (len(usable.all) - place))
        found.append(permutation_importance(version.subject, own))
    cut = dict.fromkeys(
        f"{beginning(version.label)}: {note}"
        for version, own in zip(usable.all, found, strict=True)
        for note in own.notes
    )
    importance = tuple({each.name: each for each in own.items} for own in found)
    if not any(importance[0].keys() & own.keys() for own in importance[1:]):
        raise NotApplicableError("The versions take no columns in common.")
    shifts = tuple(_shifts(importance[0], own) for own in importance[1:])
    return ImportanceComparison(usable.all, importance, shifts, (*notes, *cut))


def _shifts(
    baseline: Mapping[str, Importance], own: Mapping[str, Importance]
) -> tuple[ImportanceShift, ...]:
    names = list(dict.fromkeys([*baseline, *own]))
    pairs = [(_of(baseline, name), _of(own, name)) for name in names]
    changes = np.array([after.mean - before.mean for before, after in pairs])
    errors = np.array([np.hypot(_error(before), _error(after)) for before, after in pairs])
    p_values = [_p_value(change, error) for change, error in zip(changes, errors, strict=True)]
    shifts = [
        ImportanceShift(
            name,
            before.mean,
            after.mean,
            float(change),
            float(change - Z95 * error),
            float(change + Z95 * error),
            p_value < ALPHA,
        )
        for name, (before, after), change, error, p_value in zip(
            names, pairs, changes, errors, adjusted(p_values), strict=True
        )
    ]
    return tuple(sorted(shifts, key=lambda each: -abs(each.difference))[:MOST_COLUMNS])


def _of(importance: Mapping[str, Importance], name: str) -> Importance:
    """Returns a column's importance: none where the version does not take it."""
    return importance.get(name) or Importance(name, 0.0, 0.0, 0.0)


def _error(importance: Importance) -> float:
    return (importance.high - importance.low) / (2 * Z95)


def _p_value(change: float, error: float) -> float:
    if error == 0:
        return 1.0 if change == 0 else 0.0
    return float(2 * stats.norm.sf(abs(change) / error))

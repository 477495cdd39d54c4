"""Permutation importance (Breiman, 2001; Fisher and others, 2019), with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.importance.additive import additive
from services.analyzer.domain.importance.fed import Fed, Item, fed, permutable_columns
from services.analyzer.domain.importance.plan import Importance, Job, Losses, Positions, planned
from services.analyzer.domain.importance.predicting import Predicting
from services.analyzer.domain.importance.threads import mapped
from services.analyzer.domain.importance.walked import walking
from services.analyzer.domain.metrics import RowScores
from services.analyzer.domain.subject import Subject

REPEATS = 5
_TOGETHER = 64


@dataclass(frozen=True)
class PermutationImportance:
    """Importance of each of several columns or lags.

    Attributes:
        items: In the order in which they were asked for; for columns, of the model's features.
        rows: Rows of the sample that were used.
        repeats: How often each was permuted.
        notes: What the budget cut short, one sentence each.
    """

    items: tuple[Importance, ...]
    rows: int
    repeats: int
    notes: tuple[str, ...] = ()


def permutation_importance(
    subject: Subject,
    budget: Budget,
    repeats: int = REPEATS,
    columns: Sequence[str] | None = None,
) -> PermutationImportance:
    """Returns how far the metric falls when each column is permuted.

    Rows that keep their value need no new prediction, and of trees only those are walked again
    whose tests can come out otherwise. The interval is of rows and repeats together; see `Losses`.

    Args:
        subject: What is analysed.
        budget: For all columns; few rows or repeats are used where it is small.
        repeats: How often each column is permuted.
        columns: Which. Default: the model's features but images.

    Raises:
        NotApplicableError: The data has no target, there are less than 2 rows, or no columns.
        UnusableModelError: The model gives no numbers.
    """
    names = permutable_columns(subject) if columns is None else tuple(columns)
    return importance_of(
        subject, budget, lambda rows: [Item(name, rows.places[name]) for name in names], repeats
    )


def importance_of(
    subject: Subject,
    budget: Budget,
    items_of: Callable[[Fed], Sequence[Item]],
    repeats: int = REPEATS,
) -> PermutationImportance:
    """Returns how far the metric falls when each item is permuted; see `permutation_importance`.

    Args:
        subject: What is analysed.
        budget: For all items.
        items_of: Returns the items, for rows as the model takes them.
        repeats: How often each is permuted.
    """
    base = subject.row_scores
    if subject.sample.count < 2:
        raise NotApplicableError("Permuting takes at least 2 rows.")
    rows = fed(subject, subject.sample.raw)
    items = items_of(rows)
    way = (
        walking(rows, items, subject.outputs)
        or additive(rows, items, subject, budget)
        or Predicting(rows, subject, budget)
    )
    plan = planned(subject, budget, len(items), repeats, way.seconds_each)

    def lost(job: Job) -> list[tuple[int, Positions, Positions, RowScores]]:
        found = []
        for each in job():
            scored = plan.rows[each.rows]
            falls = base[scored] - subject.scorer.rows(each.outputs, scored)
            found.append((each.item, each.rows, each.givers, falls))
        return found

    estimates: list[Importance] = []
    for start in range(0, len(items), _TOGETHER):
        some = items[start : start + _TOGETHER]
        losses = Losses([each.name for each in some], plan)
        for pieces in mapped(subject.model, lost, way.jobs(some, plan)):
            budget.check()
            for piece in pieces:
                losses.add(*piece)
        estimates += losses.estimates()
    return PermutationImportance(tuple(estimates), len(plan.rows), plan.repeats, plan.notes)

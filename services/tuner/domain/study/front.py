"""Which trials no other one is better than."""

from collections.abc import Sequence

from services.tuner.domain.study.objective import Objective, losses_of
from services.tuner.domain.study.records import TrialRecord

Losses = tuple[float, ...]


def pareto_front(
    records: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> list[TrialRecord]:
    """Returns the completed trials that no other one dominates, the best first objective first.

    A trial dominates another one that is nowhere better and somewhere worse; equal ones are all
    there. With one objective these are the best trials.
    """
    counting = [(losses_of(objectives, each.values), each) for each in records if each.counts]
    counting.sort(key=lambda each: (each[0], each[1].number))
    found: list[tuple[Losses, TrialRecord]] = []
    # What dominates a trial comes before it, and is on the front or dominated by what is.
    for losses, record in counting:
        if not any(_dominates(other, losses) for other, _ in found):
            found.append((losses, record))
    return [record for _, record in found]


def _dominates(one: Losses, other: Losses) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))

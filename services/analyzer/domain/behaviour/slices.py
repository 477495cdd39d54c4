"""Where the model errs most: slices of the rows, by their columns and by what is predicted."""

from collections.abc import Sequence

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.behaviour.observed import Observed
from services.analyzer.domain.behaviour.summary import ErrorSlice
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.slices import Slice, find_slices, least_rows
from services.analyzer.domain.traits import Trait, label_trait, number_trait

_MOST_SLICES = 20
_PREDICTION = "prediction"


def error_slices(
    seen: Observed, budget: Budget, seed: int
) -> tuple[tuple[ErrorSlice, ...], Sequence[str]]:
    """Returns the slices with the clearest errors, and notes."""
    trait = _prediction(seen)
    others = [trait] if trait is not None else []
    search = find_slices(
        seen.errors, seen.sample, budget, seed=seed, others=others, most=_MOST_SLICES
    )
    return tuple(_told(each) for each in search.slices), search.notes


def _told(found: Slice) -> ErrorSlice:
    return ErrorSlice(
        found.condition,
        found.columns,
        found.rows,
        found.mean,
        found.elsewhere,
        found.effect,
        found.p_value,
    )


def _prediction(seen: Observed) -> Trait | None:
    """Returns what is predicted as something that conditions can be on."""
    least = least_rows(seen.count)
    if seen.task is Task.MULTI_LABEL:
        counts = seen.found.astype(bool).sum(axis=1)
        return number_trait("number of predicted labels", _PREDICTION, counts, least)
    if seen.task is Task.REGRESSION:
        return number_trait(_PREDICTION, _PREDICTION, seen.found, least)
    found = seen.found.astype(np.int64)
    return label_trait(_PREDICTION, _PREDICTION, found, tuple(seen.names), least)

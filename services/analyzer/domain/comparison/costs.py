"""What versions cost: size, parameters, time, memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.summary import Costs, Ratios
from services.analyzer.domain.comparison.versions import Version, Versions

_BATCH = 64
_ROUNDS = 100
_LEAST_ROUNDS = 5
_CLEAR_RATIO = 1.1
_QUARTILES = (25, 75)

Seconds = npt.NDArray[np.float64]
"""Shape (versions, rounds)."""


@dataclass(frozen=True)
class CostComparison:
    """What versions cost.

    Attributes:
        versions: All of them.
        costs: Of each.
        ratios: Of each challenger to the baseline.
        single: Times of one row.
        batch: Times of a batch.
        notes: What is missing, or was cut short.
    """

    versions: tuple[Version, ...]
    costs: tuple[Costs, ...]
    ratios: tuple[Ratios, ...]
    single: Seconds
    batch: Seconds
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> "CostComparison":
        """See `PartResult`."""
        return self

    def is_clearly_other(self, place: int) -> bool:
        """Whether a challenger takes clearly more or less time for a row than the baseline.

        In three of four rounds it must be so, and by a tenth.

        Args:
            place: Of the challenger among the challengers, from 0.
        """
        shares = self.single[place + 1] / self.single[0]
        low, high = np.percentile(shares, _QUARTILES)
        middle = float(np.median(shares))
        return bool((low > 1 or high < 1) and max(middle, 1 / middle) >= _CLEAR_RATIO)


def compare_costs(versions: Versions, budget: Budget) -> CostComparison:
    """Returns what versions cost; times are measured in turns, so that all meet the same machine.

    Args:
        versions: All of them.
        budget: For measuring.
    """
    usable, notes = versions.usable
    single, batch, rows = _timed(usable, budget)
    costs = tuple(
        _costs(version, float(np.median(alone)), float(np.median(together)) / rows, rows)
        for version, alone, together in zip(usable.all, single, batch, strict=True)
    )
    ratios = tuple(
        _ratios(costs[0], costs[place], single[[0, place]], batch[[0, place]])
        for place in range(1, len(costs))
    )
    rounds = single.shape[1]
    if rounds < _ROUNDS:
        cut = f"For the budget, times come of {rounds} rounds, not {_ROUNDS}."
        notes = (*notes, cut)
    return CostComparison(usable.all, costs, ratios, single, batch, notes)


def _timed(versions: Versions, budget: Budget) -> tuple[Seconds, Seconds, int]:
    """Returns times of one row and of a batch, and the rows of a batch."""
    raw = versions.sample.raw
    one, many = raw.take(slice(0, 1)), raw.take(slice(0, _BATCH))
    _round(versions.all, one), _round(versions.all, many)  # the first time is slower
    start = time.perf_counter()
    pairs = [(_round(versions.all, one), _round(versions.all, many))]
    each = time.perf_counter() - start
    wanted = budget.affords(_ROUNDS - 1, each, _LEAST_ROUNDS - 1)
    for turn in range(wanted):
        budget.check()
        order = [
            *versions.all[turn % len(versions.all) :],
            *versions.all[: turn % len(versions.all)],
        ]
        pairs.append((_round(order, one), _round(order, many)))
    single, batch = (
        np.array([[times[version] for times in turns] for version in versions.all])
        for turns in zip(*pairs, strict=True)
    )
    return single, batch, many.count


def _round(versions: Sequence[Version], raw: RawRows) -> dict[Version, float]:
    """Returns how long each takes for rows, one after another."""
    taken = {}
    for version in versions:
        start = time.perf_counter()
        version.subject.model.predict(raw)
        taken[version] = time.perf_counter() - start
    return taken


def _costs(version: Version, alone: float, together: float, rows: int) -> Costs:
    return Costs(
        version.subject.size_bytes,
        latency_seconds=alone,
        batch_seconds_per_row=together,
        batch_rows=rows,
    )


def _ratios(baseline: Costs, own: Costs, single: Seconds, batch: Seconds) -> Ratios:
    return Ratios(
        _ratio(own.size_bytes, baseline.size_bytes),
        _ratio(own.parameters, baseline.parameters),
        _ratio(own.multiply_accumulates, baseline.multiply_accumulates),
        float(np.median(single[1] / single[0])),
        float(np.median(batch[1] / batch[0])),
        _ratio(own.memory_bytes, baseline.memory_bytes),
    )


def _ratio(own: int | None, baseline: int | None) -> float | None:
    return own / baseline if own is not None and baseline else None

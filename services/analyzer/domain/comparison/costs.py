"""What versions cost: size, parameters, time, memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.data.rows import RawRows
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.summary import Costs, Ratios
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.structure.analysis import analyse_structure

_BATCH = 64
_ROUNDS = 100
_SIZING = 0.4
_LEAST_ROUNDS = 5
_CLEAR_RATIO = 1.1
_CHANCE = 0.01
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

        It must be so in three of four rounds, by a tenth in the middle one, and in enough rounds
        that it is no chance (Wilcoxon's test).

        Args:
            place: Of the challenger among the challengers, from 0.
        """
        shares = self.single[place + 1] / self.single[0]
        low, high = np.percentile(shares, _QUARTILES)
        middle = float(np.median(shares))
        if low <= 1 <= high or max(middle, 1 / middle) < _CLEAR_RATIO:
            return False
        return bool(stats.wilcoxon(np.log(shares)).pvalue < _CHANCE)


def compare_costs(versions: Versions, budget: Budget) -> CostComparison:
    """Returns what versions cost; times are measured in turns, so that all meet the same machine.

    Args:
        versions: All of them.
        budget: For measuring.
    """
    usable, notes = versions.running()
    own, untold = _all_sizes(usable, budget.share(_SIZING))
    single, batch, rows = _timed(usable, budget)
    costs = tuple(
        replace(
            sizes,
            latency_seconds=float(np.median(alone)),
            batch_seconds_per_row=float(np.median(together)) / rows,
            batch_rows=rows,
        )
        for sizes, alone, together in zip(own, single, batch, strict=True)
    )
    ratios = tuple(
        _ratios(costs[0], costs[place], single[[0, place]], batch[[0, place]])
        for place in range(1, len(costs))
    )
    rounds = single.shape[1]
    if rounds < _ROUNDS:
        cut = f"For the budget, times come of {rounds} rounds, not {_ROUNDS}."
        notes = (*notes, cut)
    return CostComparison(usable.all, costs, ratios, single, batch, (*notes, *untold))


def _timed(versions: Versions, budget: Budget) -> tuple[Seconds, Seconds, int]:
    """Returns times of one row and of a batch, and the rows of a batch."""
    raw = versions.sample.raw
    rows = (raw.take(slice(0, 1)), raw.take(slice(0, _BATCH)))
    _turn(versions.all, *rows)  # the first time is slower
    start = time.perf_counter()
    turns = [_turn(versions.all, *rows)]
    each = time.perf_counter() - start
    generator = np.random.default_rng(versions.baseline.subject.settings.seed)
    for _ in range(budget.affords(_ROUNDS - 1, each, _LEAST_ROUNDS - 1)):
        budget.check()
        # In an order by chance: what ran before has its effect on what runs next.
        order = generator.permutation(len(versions.all))
        turns.append(_turn([versions.all[place] for place in order], *rows))
    times = np.array([[turn[version] for turn in turns] for version in versions.all])
    return times[:, :, 0], times[:, :, 1], rows[1].count


def _turn(
    versions: Sequence[Version], one: RawRows, many: RawRows
) -> dict[Version, tuple[float, float]]:
    """Returns how long each takes for one row and for many, one version after another."""
    taken = {}
    for version in versions:
        predict = version.subject.model.predict
        predict(one)  # wakes its threads, and brings it into the caches
        times = [time.perf_counter()]
        for rows in (one, many):
            predict(rows)
            times.append(time.perf_counter())
        taken[version] = (times[1] - times[0], times[2] - times[1])
    return taken


def _all_sizes(versions: Versions, budget: Budget) -> tuple[list[Costs], tuple[str, ...]]:
    found, notes = list[Costs](), list[str]()
    for place, each in enumerate(versions.all):
        try:
            found.append(_sizes(each, budget.share(1 / (len(versions.all) - place))))
        except Exception as error:  # Some models cannot be taken apart; they can be timed.
            budget.check()  # but where the work as a whole was stopped, this raises
            found.append(Costs(each.subject.size_bytes))
            notes.append(f"{beginning(each.label)} could not be taken apart: {error}"[:300])
    return found, tuple(notes)


def _sizes(version: Version, budget: Budget) -> Costs:
    """Returns what does not depend on the machine."""
    found = analyse_structure(version.subject, budget).summary
    inside = found.peak_activation_bytes
    return Costs(
        version.subject.size_bytes,
        found.parameter_count,
        found.multiply_accumulates,
        memory_bytes=None if inside is None else found.parameter_bytes + inside,
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

"""Slices: rows with something in common that a model does clearly worse on than on others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.slice_search import (
    LEAST_EFFECT,
    Condition,
    Search,
    p_value_of,
    strongest,
    telling,
)
from services.analyzer.domain.traits import Codes, Trait, traits_of

_LEAST_ROWS = 20
_MOST_ROWS = 200_000
_PAIRED_TRAITS = 60
_COMPARED = 200
_TESTED = 25
_ALIKE = 1e-12


@dataclass(frozen=True)
class Slice:
    """Rows that meet a condition, and whose losses are larger than elsewhere.

    Attributes:
        condition: In words, for example `age below 23.5 and sex = f`.
        columns: What the condition is on, one or two names.
        mask: Which rows of the sample meet it, bool (rows,).
        mean: Mean loss of these rows.
        elsewhere: Mean loss of the others.
        effect: Difference of the two in standard deviations of the losses.
        p_value: Of a test on rows that it was not found on, adjusted for all slices that were
            tested (Benjamini-Hochberg).
    """

    condition: str
    columns: tuple[str, ...]
    mask: npt.NDArray[np.bool_]
    mean: float
    elsewhere: float
    effect: float
    p_value: float

    @property
    def rows(self) -> int:
        """How many rows meet the condition."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class SliceSearch:
    """What a search found.

    Attributes:
        slices: The clearest first; none says no more than one before it.
        notes: What was cut short, one sentence each.
    """

    slices: tuple[Slice, ...]
    notes: tuple[str, ...] = ()


def least_rows(rows: int) -> int:
    """Returns how many of so many rows a slice has at least."""
    return max(_LEAST_ROWS, round(math.sqrt(rows)))


def are_enough(rows: int) -> bool:
    """Whether so many rows are enough to look for slices."""
    return rows >= 2 * least_rows(rows)


def find_slices(
    losses: npt.NDArray[np.float64],
    sample: Sample,
    budget: Budget,
    *,
    seed: int,
    others: Sequence[Trait] = (),
    most: int = 20,
    rate: float = 0.05,
) -> SliceSearch:
    """Returns the slices whose mean loss is clearly larger than elsewhere.

    Args:
        losses: One finite number for each row of the sample, larger is worse: errors, or
            differences of the losses of two models.
        sample: The rows; conditions are on its columns.
        budget: Pairs of columns are left out where it ends.
        seed: Of the halves.
        others: What conditions may be on besides the columns, for example the predicted class
            (`traits.label_trait`, `traits.number_trait`).
        most: At most so many slices.
        rate: False discovery rate.
    """
    least = least_rows(sample.count)
    if not are_enough(sample.count):
        return SliceSearch((), (f"{sample.count:,} rows are too few to look for slices.",))
    traits = [*traits_of(sample, least), *others]
    scaled = _scaled(losses)
    if not traits or not scaled.any():
        return SliceSearch(())
    order = np.random.default_rng(seed).permutation(sample.count)[:_MOST_ROWS]
    halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    tested, notes = _tested(traits, scaled, halves, least, budget)
    if len(order) < sample.count:
        notes.append(f"Slices were looked for among {len(order):,} of {sample.count:,} rows.")
    return SliceSearch(_chosen(tested, traits, losses, scaled, most, rate), tuple(notes))


def _scaled(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns losses around 0, at most 1 in size, so that no square is infinite; 0 if all alike."""
    largest = float(np.abs(losses).max()) or 1.0
    around = losses / largest - (losses / largest).mean()
    width = float(np.abs(around).max())
    return around / width if width > _ALIKE else np.zeros(len(losses))


def _tested(
    traits: Sequence[Trait],
    losses: npt.NDArray[np.float64],
    halves: tuple[Codes, Codes],
    least: int,
    budget: Budget,
) -> tuple[list[tuple[Condition, float]], list[str]]:
    """Returns what was found on each half with its p-value on the other, and notes."""
    tested, shares = [], []
    for number, (found_on, tested_on) in enumerate((halves, halves[::-1])):
        if np.ptp(losses[found_on]) == 0:
            continue
        codes = [trait.codes[found_on] for trait in traits]
        search = Search(losses[found_on], codes, traits, least / 2)
        found, pairs, all_pairs = strongest(search, _PAIRED_TRAITS, budget.share(1 / (2 - number)))
        shares.append((pairs, all_pairs))
        masks = [each.mask(traits, found_on) for each in found[:_COMPARED]]
        for place in telling(masks, search.losses, range(len(masks)), _TESTED):
            value = p_value_of(found[place], traits, tested_on, losses[tested_on])
            tested.append((found[place], value))
    pairs, all_pairs = min(shares, default=(0, 0))
    cut = f"Conditions on {pairs:,} of {all_pairs:,} pairs of columns were tried."
    return tested, [cut] if pairs < all_pairs else []


def _chosen(
    tested: Sequence[tuple[Condition, float]],
    traits: Sequence[Trait],
    losses: npt.NDArray[np.float64],
    scaled: npt.NDArray[np.float64],
    most: int,
    rate: float,
) -> tuple[Slice, ...]:
    """Returns those that are significant and tell something, the clearest first."""
    if not tested:
        return ()
    values = stats.false_discovery_control([value for _, value in tested])
    slices = [
        _slice(condition, traits, losses, scaled, float(value))
        for (condition, _), value in zip(tested, values, strict=True)
        if value <= rate
    ]
    slices = [each for each in slices if each.effect >= LEAST_EFFECT]
    slices.sort(key=lambda each: -each.effect * np.sqrt(each.rows * (1 - each.rows / len(losses))))
    masks = [each.mask for each in slices]
    return tuple(slices[place] for place in telling(masks, scaled, range(len(slices)), most))


def _slice(
    condition: Condition,
    traits: Sequence[Trait],
    losses: npt.NDArray[np.float64],
    scaled: npt.NDArray[np.float64],
    p_value: float,
) -> Slice:
    mask = condition.mask(traits)
    return Slice(
        condition.words(traits),
        tuple(dict.fromkeys(traits[trait].column for trait in condition.traits)),
        mask,
        float(losses[mask].mean()),
        float(losses[~mask].mean()),
        float((scaled[mask].mean() - scaled[~mask].mean()) / scaled.std()),
        p_value,
    )

"""Looks for conditions that rows with large losses meet, and tests them on other rows.

Every stretch of bins of each trait, and every rectangle of two traits, is looked at by way of sums
in a table, in the spirit of Slice Finder (Chung et al., 2019) and SliceLine (Sagadeeva and Boehm,
2021).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.traits import Codes, Runs, Trait

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_EFFECT = 0.2
"""In standard deviations of the losses: what Cohen calls small; less is not worth a word."""

LEAST_CONTRAST = 2.0
"""In standard errors: what tells more than another condition that is met by the same rows."""

_LEAST_STRENGTH = 3.0
_MOST_SHARE = 0.5
_MOST_COMMON = 0.6
_LEAST_PAIRS = 50
_LEAST_SKEW = 1e-3


@dataclass(frozen=True)
class Sums:
    """Numbers of rows and sums of their losses, of one or many sets of rows."""

    counts: Numbers
    totals: Numbers

    def __sub__(self, other: "Sums") -> "Sums":
        """Returns the sums of the rows that are not in the other sets."""
        return Sums(self.counts - other.counts, self.totals - other.totals)

    def __getitem__(self, place: int | tuple[int, ...] | Codes) -> "Sums":
        """Returns some of the sets."""
        return Sums(self.counts[place], self.totals[place])

    @property
    def means(self) -> Numbers:
        """Mean losses; 0 of empty sets."""
        return np.asarray(self.totals / np.maximum(self.counts, 1))

    def along(self, axis: int) -> "Sums":
        """Returns the sets with one more axis, to set them against many others."""
        return Sums(np.expand_dims(self.counts, axis), np.expand_dims(self.totals, axis))


def contrast(inside: Sums, outside: Sums, deviation: float) -> Numbers:
    """Returns by how many standard errors mean losses differ; 0 where a set is empty."""
    filled = (inside.counts > 0) & (outside.counts > 0)
    errors = np.sqrt(1 / np.maximum(inside.counts, 1) + 1 / np.maximum(outside.counts, 1))
    return np.where(filled, (inside.means - outside.means) / (deviation * errors), 0.0)


def _sums(losses: Numbers) -> Sums:
    return Sums(np.asarray(float(len(losses))), np.asarray(losses.sum()))


@dataclass(frozen=True)
class Condition:
    """A run of codes of one trait, or of each of two.

    Attributes:
        traits: Places of the traits.
        runs: First and last code of each.
        strength: How clear it is on the rows that it was found on, in standard errors.
    """

    traits: tuple[int, ...]
    runs: tuple[tuple[int, int], ...]
    strength: float

    def mask(self, traits: Sequence[Trait], rows: Codes | slice = slice(None)) -> Mask:
        """Returns which of the rows meet it."""
        return _all(self.masks(traits, rows))

    def masks(self, traits: Sequence[Trait], rows: Codes | slice = slice(None)) -> list[Mask]:
        """Returns which of the rows meet its run of each trait."""
        return [
            traits[trait].meets(run, traits[trait].codes[rows])
            for trait, run in zip(self.traits, self.runs, strict=True)
        ]

    def words(self, traits: Sequence[Trait]) -> str:
        """Returns it in words."""
        return " and ".join(
            traits[trait].condition(run) for trait, run in zip(self.traits, self.runs, strict=True)
        )


@dataclass(frozen=True)
class Search:
    """A search among some rows.

    Attributes:
        losses: Of these rows.
        codes: Of each trait, for these rows.
        traits: What conditions are on.
        least: Conditions that fewer of these rows meet are passed over.
    """

    losses: Numbers
    codes: Sequence[Codes]
    traits: Sequence[Trait]
    least: float

    @cached_property
    def whole(self) -> Sums:
        """Of all rows."""
        return _sums(self.losses)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the losses."""
        return float(self.losses.std())

    def singles(self) -> list[Condition]:
        """Returns the best condition on each trait, the strongest first; weak ones too."""
        found = [self._single(place) for place in range(len(self.traits))]
        return sorted(found, key=lambda each: -each.strength)

    def pairs(self, traits: Sequence[int], budget: Budget) -> Iterator[Condition]:
        """Yields the best condition on each pair of traits, while there is time; on some always."""
        for place, (first, second) in enumerate(combinations(traits, 2)):
            budget.check()
            if budget.is_spent and place >= _LEAST_PAIRS:
                return
            yield self._pair(first, second)

    def refined(self, condition: Condition) -> Condition:
        """Returns a condition on two traits with its edges moved to where it is strongest."""
        for place in (0, 1):
            condition = self._moved(condition, place)
        return condition

    def _sums(self, codes: Codes, width: int, rows: Mask | None = None) -> Sums:
        chosen, losses = (codes, self.losses) if rows is None else (codes[rows], self.losses[rows])
        counts = np.bincount(chosen, minlength=width).astype(np.float64)
        return Sums(counts, np.bincount(chosen, losses, minlength=width).astype(np.float64))

    def _single(self, place: int) -> Condition:
        trait = self.traits[place]
        own = _run_sums(self._sums(self.codes[place], trait.width), trait.runs)
        strength = self._strength(own, [])
        best = int(strength.argmax())
        return Condition((place,), (_run(trait.runs, best),), float(strength[best]))

    def _pair(self, first: int, second: int) -> Condition:
        one, other = self.traits[first], self.traits[second]
        codes = self.codes[first] * other.width + self.codes[second]
        cells = self._sums(codes, one.width * other.width)
        shape = (one.width, other.width)
        table = Sums(cells.counts.reshape(shape), cells.totals.reshape(shape))
        rows = _run_sums(table, one.coarse_runs)
        both = _run_sums(Sums(rows.counts.T, rows.totals.T), other.coarse_runs)
        across = Sums(table.counts.sum(axis=0), table.totals.sum(axis=0))
        parents = (
            Sums(rows.counts.sum(axis=1), rows.totals.sum(axis=1)).along(0),
            _run_sums(across, other.coarse_runs).along(1),
        )
        strength = self._strength(both, parents)
        of_other, of_one = np.unravel_index(int(strength.argmax()), strength.shape)
        runs = _run(one.coarse_runs, int(of_one)), _run(other.coarse_runs, int(of_other))
        return Condition((first, second), runs, float(strength.max()))

    def _moved(self, condition: Condition, place: int) -> Condition:
        """Returns a condition on two traits with the best run of one of them."""
        moved, fixed = condition.traits[place], condition.traits[1 - place]
        trait = self.traits[moved]
        inside = self.traits[fixed].meets(condition.runs[1 - place], self.codes[fixed])
        both = _run_sums(self._sums(self.codes[moved], trait.width, inside), trait.runs)
        alone = _run_sums(self._sums(self.codes[moved], trait.width), trait.runs)
        kept = _sums(self.losses[inside])
        strength = self._strength(both, [alone, kept])
        best = int(strength.argmax())
        if strength[best] <= condition.strength:
            return condition
        runs = list(condition.runs)
        runs[place] = _run(trait.runs, best)
        return Condition(condition.traits, tuple(runs), float(strength[best]))

    def _strength(self, sets: Sums, parents: Sequence[Sums]) -> Numbers:
        """Returns how clearly sets differ from all other rows, and from the rest of their parents.

        It is the least of these contrasts; what is too small, too large or too alike has none.
        """
        others = self.whole - sets
        fits = (sets.counts >= self.least) & (sets.counts <= _MOST_SHARE * self.whole.counts)
        fits &= sets.means - others.means >= LEAST_EFFECT * self.deviation
        if not fits.any():
            return np.zeros(sets.counts.shape)
        strength = contrast(sets, others, self.deviation)
        for parent in parents:
            strength = np.minimum(strength, contrast(sets, parent - sets, self.deviation))
        return np.where(fits, strength, 0.0)


def _run_sums(sums: Sums, runs: Runs) -> Sums:
    """Returns the sums of runs of codes, along the first axis."""
    return Sums(_run_totals(sums.counts, runs), _run_totals(sums.totals, runs))


def _run_totals(values: Numbers, runs: Runs) -> Numbers:
    up_to = np.zeros((len(values) + 1, *values.shape[1:]))
    values.cumsum(axis=0, out=up_to[1:])
    return np.asarray(up_to[runs[:, 1] + 1] - up_to[runs[:, 0]])


def _all(masks: Sequence[Mask]) -> Mask:
    return np.asarray(np.logical_and.reduce(masks), np.bool_)


def _run(runs: Runs, place: int) -> tuple[int, int]:
    return int(runs[place, 0]), int(runs[place, 1])


def strongest(search: Search, most_traits: int, budget: Budget) -> tuple[list[Condition], int, int]:
    """Returns strong conditions, the strongest first, and how many pairs were and could be tried.

    Args:
        search: Where to look.
        most_traits: Pairs are made of so many traits, those that alone are the strongest.
        budget: Pairs of weaker traits are left out where it ends, and edges stay coarse.
    """
    singles = search.singles()
    promising = [single.traits[0] for single in singles[:most_traits]]
    pairs = list(search.pairs(promising, budget))
    strong = [each for each in pairs if each.strength >= _LEAST_STRENGTH]
    found = [each for each in singles if each.strength >= _LEAST_STRENGTH]
    for each in sorted(strong, key=lambda each: -each.strength):
        budget.check()
        found.append(each if budget.is_spent else search.refined(each))
    found.sort(key=lambda each: -each.strength)
    return found, len(pairs), len(search.traits) * (len(search.traits) - 1) // 2


def telling(masks: Sequence[Mask], losses: Numbers, order: Sequence[int], most: int) -> list[int]:
    """Returns places of sets of rows that each tell something that those before do not.

    A set tells nothing beyond another that is mostly the same rows. Nor does it if its rows outside
    of that one are not worse than the rows in neither, and its rows inside are not worse than the
    rest of that one.

    Args:
        masks: Sets of rows, each of these (rows,).
        losses: Of the rows.
        order: Places of the sets, the most important first.
        most: At most so many are returned.
    """
    if not masks:
        return []
    chosen = np.array(masks, np.float32)
    counts = (chosen @ chosen.T).astype(np.float64)
    # Around their mean, losses lose no digits that matter.
    shifted = losses - losses.mean()
    common = Sums(counts, (chosen * shifted.astype(np.float32)) @ chosen.T)
    whole = _sums(shifted)
    deviation = float(losses.std())
    kept: list[int] = []
    for place in order:
        if all(_tells_more(common, place, other, whole, deviation) for other in kept):
            kept.append(place)
        if len(kept) == most:
            break
    return kept


def _tells_more(common: Sums, place: int, other: int, whole: Sums, deviation: float) -> bool:
    own, before, both = common[place, place], common[other, other], common[place, other]
    if both.counts > _MOST_COMMON * (own.counts + before.counts - both.counts):
        return False
    beyond = own - both
    neither = whole - before - beyond
    further = contrast(beyond, neither, deviation)
    deeper = contrast(both, before - both, deviation)
    return bool(max(further, deeper) >= LEAST_CONTRAST)


def p_value_of(
    condition: Condition, traits: Sequence[Trait], rows: Codes, losses: Numbers
) -> float:
    """Returns the p-value of a condition on rows that it was not found on.

    With two traits it must be worse than all other rows and than the rest of either run, so the
    largest of the three p-values counts (an intersection-union test).

    Args:
        condition: What to test.
        traits: What it is on.
        rows: Which rows to test it on.
        losses: Of these rows.
    """
    masks = condition.masks(traits, rows)
    inside = _all(masks)
    values = [permutation_p_value(losses, inside)]
    if len(masks) > 1:
        values += [permutation_p_value(losses[mask], inside[mask]) for mask in masks]
    return max(values)


def permutation_p_value(losses: Numbers, inside: Mask) -> float:
    """Returns how likely so large a mean loss is among as many rows drawn at random.

    Exact (hypergeometric) where there are two different losses; else the distribution over all
    draws is taken as the Pearson type III with its first three moments (Mielke and Berry,
    Permutation Methods, 2007), or as the normal where it leans to the left.
    """
    count, rows = int(inside.sum()), len(losses)
    low, high = losses.min(initial=np.inf), losses.max(initial=-np.inf)
    if count == 0 or count == rows or low >= high:
        return 1.0
    is_high = losses == high
    if bool(np.all(is_high | (losses == low))):
        found = int(is_high[inside].sum())
        return float(stats.hypergeom.sf(found - 1, rows, int(is_high.sum()), count))
    return _pearson_p_value(losses, float(losses[inside].mean()), count)


def _pearson_p_value(losses: Numbers, found: float, count: int) -> float:
    rows = len(losses)
    centred = losses - losses.mean()
    variance = float((centred**2).mean())
    error = np.sqrt(variance / count * (rows - count) / (rows - 1))
    score = (found - float(losses.mean())) / error
    if rows <= 2:
        return float(special.ndtr(-score))
    lean = float((centred**3).mean()) / variance**1.5
    skew = lean * (rows - 2 * count) / np.sqrt(count * (rows - count))
    skew *= np.sqrt(rows - 1) / (rows - 2)
    if skew < _LEAST_SKEW:
        return float(special.ndtr(-score))
    shape = 4 / skew**2
    return float(special.gammaincc(shape, max(0.0, shape + score * np.sqrt(shape))))

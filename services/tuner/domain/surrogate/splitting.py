"""Where a node of a regression tree is split, compiled. Imports numba."""

from typing import NamedTuple

from common.host.compiling import compiled_freely
from services.tuner.domain.surrogate.chance import State, chance
from services.tuner.domain.surrogate.nodes import (
    LEAF,
    MOST_CHOICES,
    Matrix,
    Numbers,
    Row,
    choice_of,
    goes_left,
)

_SCANNED = 256
"""Small nodes try more places for a split: about so many rows are looked at for each column."""
_MOST_PLACES, _SPLITS = 8, 32
"""Of each column; and of all of them for each node."""
_SMALLEST_GAIN = 1e-12


class Lesson(NamedTuple):
    """What trees learn.

    Attributes:
        columns: Of the rows, (columns, rows).
        losses: Of the rows.
        choices: See `Encoding.choices`.
        tried: Columns that are tried for each split.
        least: Rows in each leaf.
    """

    columns: Matrix
    losses: Row
    choices: Numbers
    tried: int
    least: float


class Bench(NamedTuple):
    """Room to work in, so that none is made for each node.

    Attributes:
        order: Of the columns.
        values: Of one column in the rows of a node.
        losses: Of the rows of a node.
        kept: Rows that go right.
        sums: Of the losses of each choice.
        masses: Rows of each choice.
        ranked: Choices by their means.
        state: Of all chance.
    """

    order: Numbers
    values: Row
    losses: Row
    kept: Numbers
    sums: Row
    masses: Row
    ranked: Numbers
    state: State


class Split(NamedTuple):
    """What a node asks; see `Nodes`. Its feature is `LEAF` where nothing is gained."""

    feature: int
    threshold: float
    bits: int


@compiled_freely
def best_split(lesson: Lesson, bench: Bench, rows: Numbers, total: float) -> Split:
    """Returns the best of some splits at random.

    Args:
        lesson: What is learned.
        bench: Whose losses are those of the rows.
        rows: Of the node.
        total: Of their losses.
    """
    best, feature, threshold, bits, seen = _SMALLEST_GAIN, LEAF, 0.0, 0, 0
    order, mass = bench.order, len(rows)
    tried = min(lesson.tried, mass - 1)
    places = min(max(_SPLITS // lesson.tried, 1), _MOST_PLACES, max(_SCANNED // mass, 1), mass - 1)
    for place in range(len(order)):
        other = place + int(chance(bench.state) * (len(order) - place))
        order[place], order[other] = order[other], order[place]
        column = order[place]
        if not _gathered(lesson.columns[column], rows, bench.values):
            continue
        count = lesson.choices[column]
        if 0 < count <= MOST_CHOICES:
            gain, found = _choices_split(bench, mass, total, lesson.least, count)
            middle = 0.0
        else:
            gain, middle = _numbers_split(bench, mass, total, lesson.least, places)
            found = 0
        if gain > best:
            best, feature, threshold, bits = gain, column, middle, found
        seen += 1
        if seen >= tried and feature >= 0:
            break
    return Split(feature, threshold, bits)


@compiled_freely
def parted(lesson: Lesson, bench: Bench, rows: Numbers, split: Split) -> int:
    """Puts the rows that go left first; returns how many they are."""
    column, count = lesson.columns[split.feature], lesson.choices[split.feature]
    middle, spare = 0, 0
    for row in rows:
        if goes_left(column[row], split.threshold, split.bits, count):
            rows[middle] = row
            middle += 1
        else:
            bench.kept[spare] = row
            spare += 1
    for place in range(spare):
        rows[middle + place] = bench.kept[place]
    return middle


@compiled_freely
def _gathered(column: Row, rows: Numbers, values: Row) -> bool:
    """Puts the values of rows side by side; returns whether they differ."""
    first, differs = column[rows[0]], False
    for place in range(len(rows)):
        value = column[rows[place]]
        values[place] = value
        differs |= value != first
    return differs


@compiled_freely
def _gain(left: float, left_mass: float, total: float, mass: float, least: float) -> float:
    """Returns what a split gains; negative where a side is too small."""
    right_mass = mass - left_mass
    if left_mass < least or right_mass < least:
        return -1.0
    right = total - left
    return left * left / left_mass + right * right / right_mass - total * total / mass


@compiled_freely
def _place_between(values: Row, mass: int, state: State) -> float:
    """Returns a place between the values of two rows drawn at random; both may be the same."""
    one = values[int(chance(state) * mass)]
    other = values[int(chance(state) * mass)]
    if min(one, other) < 0:
        # Between what does not count and the rest there is nothing.
        return -0.5
    return float(one + chance(state) * (other - one))


@compiled_freely
def _numbers_split(
    bench: Bench, mass: int, total: float, least: float, places: int
) -> tuple[float, float]:
    """Returns the gain and the place of the best of some splits at random."""
    best, threshold = -1.0, 0.0
    for _ in range(places):
        place = _place_between(bench.values, mass, bench.state)
        left, left_mass = _left(bench.values, bench.losses, mass, place)
        gain = _gain(left, left_mass, total, mass, least)
        if gain > best:
            best, threshold = gain, place
    return best, threshold


@compiled_freely
def _left(values: Row, losses: Row, mass: int, place: float) -> tuple[float, float]:
    """Returns the losses and the number of rows up to a place."""
    left, left_mass = 0.0, 0.0
    for row in range(mass):
        is_left = 1.0 if values[row] <= place else 0.0
        left += is_left * losses[row]
        left_mass += is_left
    return left, left_mass


@compiled_freely
def _choices_split(
    bench: Bench, mass: int, total: float, least: float, count: int
) -> tuple[float, int]:
    """Returns the gain of the best set of choices that goes left, and the set as bits."""
    known = _ranked_choices(bench, mass, count)
    best, chosen, bits = -1.0, 0, 0
    left, left_mass = 0.0, 0.0
    for place in range(known):
        choice = bench.ranked[place]
        left += bench.sums[choice]
        left_mass += bench.masses[choice]
        bits |= 1 << choice
        gain = _gain(left, left_mass, total, mass, least)
        if gain > best:
            best, chosen = gain, bits
    for choice in range(count + 1):
        if bench.masses[choice] == 0 and chance(bench.state) < 0.5:
            chosen |= 1 << choice
    return best, chosen


@compiled_freely
def _ranked_choices(bench: Bench, mass: int, count: int) -> int:
    """Sorts the choices that rows have by their mean losses; returns how many they are."""
    sums, masses, ranked = bench.sums, bench.masses, bench.ranked
    for choice in range(count + 1):
        sums[choice], masses[choice] = 0.0, 0.0
    for row in range(mass):
        choice = choice_of(bench.values[row], count)
        sums[choice] += bench.losses[row]
        masses[choice] += 1.0
    known = 0
    for choice in range(count + 1):
        if masses[choice] == 0:
            continue
        place = known
        mean = sums[choice] / masses[choice]
        while place > 0 and sums[ranked[place - 1]] / masses[ranked[place - 1]] > mean:
            ranked[place] = ranked[place - 1]
            place -= 1
        ranked[place] = choice
        known += 1
    return known

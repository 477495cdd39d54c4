"""Grows regression trees and asks them, compiled. Imports numba."""

import numpy as np
import numpy.typing as npt

from common.compiling import compiled

Matrix = npt.NDArray[np.float64]
Row = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Nodes = tuple[Numbers, Row, Numbers, Numbers, Row, Row, Numbers]

State = npt.NDArray[np.uint64]

LEAF = -1
MOST_CHOICES = 62
"""More values than that are split like numbers: a set of them must fit 64 bits."""
_SCANNED = 256
"""Small nodes try more places for a split: about so many rows are looked at for each column."""
_MOST_PLACES = 8


@compiled
def _chance(state: State) -> float:
    """Returns a number from 0 to below 1; numpy's generators are slow where few are drawn."""
    bits = state[0]
    bits ^= bits >> np.uint64(12)
    bits ^= bits << np.uint64(25)
    bits ^= bits >> np.uint64(27)
    state[0] = bits
    return float((bits * np.uint64(2685821657736338717)) >> np.uint64(11)) * 2.0**-53


@compiled
def _gain(left: float, left_mass: float, total: float, mass: float, least: float) -> float:
    """Returns what a split gains; negative where a side is too small."""
    right_mass = mass - left_mass
    if left_mass < least or right_mass < least:
        return -1.0
    right = total - left
    return left * left / left_mass + right * right / right_mass - total * total / mass


@compiled
def _place_between(values: Row, state: State) -> float:
    """Returns a place between the values of two rows drawn at random; both may be the same."""
    one = values[int(_chance(state) * len(values))]
    other = values[int(_chance(state) * len(values))]
    if min(one, other) < 0:
        # Between what does not count and the rest there is nothing.
        return -0.5
    return float(one + _chance(state) * (other - one))


@compiled
def _numbers_split(
    values: Row, loss: Row, total: float, least: float, state: State
) -> tuple[float, float]:
    """Returns the gain and the place of the best of some splits at random."""
    best, threshold = -1.0, 0.0
    mass = len(values)
    for _ in range(min(max(_SCANNED // mass, 1), _MOST_PLACES, mass - 1)):
        place = _place_between(values, state)
        left, left_mass = 0.0, 0.0
        for row in range(mass):
            is_left = 1.0 if values[row] <= place else 0.0
            left += is_left * loss[row]
            left_mass += is_left
        gain = _gain(left, left_mass, total, mass, least)
        if gain > best:
            best, threshold = gain, place
    return best, threshold


@compiled
def _choices_split(
    values: Row, loss: Row, total: float, least: float, count: int, state: State
) -> tuple[float, int]:
    """Returns the gain of the best set of choices that goes left, and the set as bits.

    The first bit stands for what does not count.
    """
    sums, masses = np.zeros(count + 1), np.zeros(count + 1)
    for row in range(len(values)):
        choice = int(values[row] * count) + 1 if values[row] >= 0 else 0
        sums[choice] += loss[row]
        masses[choice] += 1.0
    means = np.where(masses > 0, sums / np.maximum(masses, 1.0), np.inf)
    best, chosen, bits = -1.0, 0, 0
    left, left_mass = 0.0, 0.0
    for choice in np.argsort(means):
        if masses[choice] == 0:
            break
        left += sums[choice]
        left_mass += masses[choice]
        bits |= 1 << choice
        gain = _gain(left, left_mass, total, len(values), least)
        if gain > best:
            best, chosen = gain, bits
    for choice in range(count + 1):
        if masses[choice] == 0 and _chance(state) < 0.5:
            chosen |= 1 << choice
    return best, chosen


@compiled
def _best_split(
    columns: Matrix,
    rows: Numbers,
    loss: Row,
    total: float,
    choices: Numbers,
    order: Numbers,
    tried: int,
    least: float,
    values: Row,
    state: State,
) -> tuple[int, float, int]:
    """Returns the column, threshold and set of choices of the best split; column -1 for none."""
    best, feature, threshold, bits, seen = 1e-12, LEAF, 0.0, 0, 0
    own = values[: len(rows)]
    for place in range(len(order)):
        other = place + int(_chance(state) * (len(order) - place))
        order[place], order[other] = order[other], order[place]
        candidate = order[place]
        column = columns[candidate]
        first, differs = column[rows[0]], False
        for row in range(len(rows)):
            own[row] = column[rows[row]]
            differs |= own[row] != first
        if not differs:
            continue
        count = choices[candidate]
        if 0 < count <= MOST_CHOICES:
            gain, found = _choices_split(own, loss, total, least, count, state)
            if gain > best:
                best, feature, bits = gain, candidate, found
        else:
            gain, middle = _numbers_split(own, loss, total, least, state)
            if gain > best:
                best, feature, threshold, bits = gain, candidate, middle, 0
        seen += 1
        if (seen >= tried or len(rows) == 2) and feature >= 0:
            break
    return feature, threshold, bits


@compiled
def _goes_left(value: float, threshold: float, bits: int, count: int) -> bool:
    if bits == 0:
        return value <= threshold
    choice = min(int(value * count), count - 1) + 1 if value >= 0 else 0
    return (bits >> choice) & 1 == 1


@compiled
def _parted(
    column: Row, rows: Numbers, threshold: float, bits: int, count: int, kept: Numbers
) -> int:
    """Puts the rows that go left first; returns how many they are."""
    middle, spare = 0, 0
    for row in rows:
        is_left = _goes_left(column[row], threshold, bits, count)
        if is_left:
            rows[middle] = row
            middle += 1
        else:
            kept[spare] = row
            spare += 1
    rows[middle:] = kept[:spare]
    return middle


@compiled
def grow(
    columns: Matrix,
    losses: Row,
    choices: Numbers,
    trees: int,
    tried: int,
    least: float,
    is_bootstrapped: bool,
    seed: int,
) -> Nodes:
    """Grows trees on rows drawn with replacement, or on all of them.

    Args:
        columns: Of the rows, (columns, rows).
        losses: What is learned.
        choices: See `Encoding.choices`.
        trees: How many.
        tried: Columns that are tried for each split.
        least: Rows in each leaf.
        is_bootstrapped: Whether rows are drawn.
        seed: Of all chance.

    Returns:
        Of the nodes of all trees the column that is asked (-1 in leaves), the threshold, the bits
        of the choices that go left, the left child (the right one follows it), the mean and the
        variance of the rows; and the first node of each tree.
    """
    np.random.seed(seed)
    state = np.array([seed * 2 + 1], np.uint64)
    count = len(losses)
    most = trees * 2 * count
    feature, threshold = np.full(most, LEAF, np.int64), np.zeros(most)
    bits, child = np.zeros(most, np.int64), np.zeros(most, np.int64)
    mean, variance = np.zeros(most), np.zeros(most)
    starts, ends = np.zeros(most, np.int64), np.zeros(most, np.int64)
    roots = np.zeros(trees, np.int64)
    kept, order = np.empty(count, np.int64), np.arange(len(columns))
    values, loss = np.empty(count), np.empty(count)
    used = 0
    for tree in range(trees):
        drawn = np.random.randint(0, count, count) if is_bootstrapped else np.arange(count)
        node, roots[tree] = used, used
        starts[used], ends[used] = 0, count
        used += 1
        while node < used:
            rows = drawn[starts[node] : ends[node]]
            own = loss[: len(rows)]
            total, squares = 0.0, 0.0
            for place in range(len(rows)):
                own[place] = losses[rows[place]]
                total += own[place]
            mean[node] = total / len(rows)
            for place in range(len(rows)):
                squares += (own[place] - mean[node]) ** 2
            variance[node] = squares / len(rows)
            if len(rows) >= 2 * least and squares > 1e-12:
                found, limit, chosen = _best_split(
                    columns, rows, own, total, choices, order, tried, least, values, state
                )
                if found >= 0:
                    feature[node], threshold[node], bits[node] = found, limit, chosen
                    middle = starts[node] + _parted(
                        columns[found], rows, limit, chosen, choices[found], kept
                    )
                    child[node] = used
                    starts[used], ends[used] = starts[node], middle
                    starts[used + 1], ends[used + 1] = middle, ends[node]
                    used += 2
            node += 1
    return (
        feature[:used],
        threshold[:used],
        bits[:used],
        child[:used],
        mean[:used],
        variance[:used],
        roots,
    )


@compiled
def ask(
    feature: Numbers,
    threshold: Row,
    bits: Numbers,
    child: Numbers,
    mean: Row,
    variance: Row,
    roots: Numbers,
    choices: Numbers,
    rows: Matrix,
) -> tuple[Row, Row]:
    """Returns mean and variance of each row, by the law of total variance."""
    sums, squares, inner = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for root in roots:
        for row in range(len(rows)):
            node = root
            asked = feature[node]
            while asked >= 0:
                is_left = _goes_left(rows[row, asked], threshold[node], bits[node], choices[asked])
                node = child[node] + (0 if is_left else 1)
                asked = feature[node]
            sums[row] += mean[node]
            squares[row] += mean[node] ** 2
            inner[row] += variance[node]
    means = sums / len(roots)
    return means, np.maximum(squares / len(roots) - means**2, 0.0) + inner / len(roots)

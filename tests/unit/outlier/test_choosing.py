"""Which detectors are combined where none are named."""

import numpy as np
import pytest

from services.outlier.domain.choosing import Traits, choose_detectors
from services.outlier.domain.detectors.neighbours import SubsampledNeighbours
from services.outlier.domain.detectors.registry import DETECTORS
from tests.unit.outlier.support import rows_of

NUMBERS = Traits(rows=1000, features=8, label_columns=0, other_columns=8)
LABELS = Traits(rows=1000, features=12, label_columns=3, other_columns=4)
WIDE = Traits(rows=1000, features=90, label_columns=3, other_columns=60)


@pytest.mark.parametrize("traits", [NUMBERS, LABELS, WIDE])
def test_different_families_are_combined(traits: Traits) -> None:
    """No family is alone, whatever the data: what one is blind to another sees."""
    chosen = choose_detectors(traits)
    assert {type(detector) for detector in chosen.values()} <= set(DETECTORS.values())
    assert len({type(detector) for detector in chosen.values()}) >= 4


def test_labels_are_looked_at_by_their_own() -> None:
    """Detectors of labels take part where there are some; the network where it is quick."""
    of_labels = {"frequent_patterns", "bayesian_network"}
    assert not of_labels & set(choose_detectors(NUMBERS))
    assert of_labels <= set(choose_detectors(LABELS))
    assert of_labels & set(choose_detectors(WIDE)) == {"frequent_patterns"}


def test_distances_have_their_say() -> None:
    """Two measure how far off a row is, so that a gross error in one column is found."""
    measuring = [
        each
        for each in choose_detectors(NUMBERS).values()
        if isinstance(each, SubsampledNeighbours)
    ]
    assert len(measuring) == 2


def test_none_compares_with_all_rows() -> None:
    """A row is scored without the rows that were fitted: a million take seconds, not minutes."""
    generator = np.random.default_rng(0)
    few, many = (rows_of(generator.normal(size=(count, 4))) for count in (2_000, 20_000))
    chosen = choose_detectors(NUMBERS)
    assert chosen
    for detector in chosen.values():
        sizes = [_numbers(detector.fit(rows, np.random.default_rng(0))) for rows in (few, many)]
        assert sizes[1] < 2 * sizes[0]


def _numbers(learned: object) -> int:
    """Returns how many numbers a fitted detector holds."""
    if isinstance(learned, np.ndarray):
        return learned.size
    return sum(map(_numbers, vars(learned).values())) if hasattr(learned, "__dict__") else 1

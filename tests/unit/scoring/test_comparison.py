"""Two models on the same rows: by how much one is better, and how sure that is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from common.scoring.comparison import gain_over
from common.scoring.registry import METRICS

ROWS = 400


@dataclass
class Judged:
    """Rows that models are judged on."""

    truth: npt.NDArray[np.generic]
    weights: npt.NDArray[np.float64] | None = None
    groups: npt.NDArray[np.int64] | None = None


def outputs(error: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Returns classes and probabilities that are wrong for a share of the rows."""
    generator = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(0, 2, ROWS)
    said = np.where(generator.random(ROWS) < error, 1 - truth, truth)
    return truth, np.column_stack([1 - said, said]).astype(np.float64)


def test_the_interval_holds_the_difference_and_grows_with_confidence() -> None:
    truth, better = outputs(0.1, 1)
    _, worse = outputs(0.3, 2)
    found = [
        gain_over(METRICS["accuracy"], Judged(truth), better, worse, confidence=confidence)
        for confidence in (0.5, 0.9, 0.99)
    ]
    assert len({each.value for each in found}) == 1
    assert found[0].value == pytest.approx(0.2, abs=0.06)
    widths = [each.high - each.low for each in found]
    assert widths == sorted(widths)
    assert all(each.low < each.value < each.high for each in found)
    assert found[-1].low > 0


def test_models_that_say_the_same_differ_by_nothing_for_sure() -> None:
    """Rows are drawn for both alike: chance of the rows is none of the difference."""
    truth, said = outputs(0.2, 1)
    found = gain_over(METRICS["roc_auc"], Judged(truth), said, said)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_groups_are_drawn_whole() -> None:
    """Rows that repeat each other tell no more than one of them."""
    truth, better = outputs(0.1, 1)
    _, worse = outputs(0.3, 2)
    plain = gain_over(METRICS["accuracy"], Judged(truth), better, worse)
    repeated = Judged(np.tile(truth, 4), groups=np.tile(np.arange(ROWS), 4))
    better, worse = (np.tile(each, (4, 1)) for each in (better, worse))
    grouped = gain_over(METRICS["accuracy"], repeated, better, worse)
    alone = gain_over(METRICS["accuracy"], Judged(repeated.truth), better, worse)
    assert grouped.high - grouped.low == pytest.approx(plain.high - plain.low, rel=0.25)
    assert alone.high - alone.low < 0.75 * (grouped.high - grouped.low)

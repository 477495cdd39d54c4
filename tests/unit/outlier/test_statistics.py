"""Detectors that ask how far out in its distribution each number lies."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD

from services.outlier.domain.detector import Detector
from services.outlier.domain.detectors import statistics
from services.outlier.domain.detectors.statistics import Copod, Ecod
from tests.unit.outlier.support import (
    CHECKS,
    cancer,
    check_finds,
    rank_agreement,
    rows_of,
    scores_of,
)

PAIRS = ((Ecod(), ECOD), (Copod(), COPOD))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("detector", [Ecod(), Copod()], ids=lambda each: type(each).__name__)
def test_contract(detector: Detector, check: Callable[[Detector], None]) -> None:
    """Finite, independent of other rows, finds planted rows, kept without pickle."""
    # Seen feature by feature, few of the planted rows are as far out as they are.
    if check is check_finds:
        check_finds(detector, least=0.9)
    else:
        check(detector)


@pytest.mark.parametrize(("detector", "reference"), PAIRS, ids=["ecod", "copod"])
def test_as_pyod(detector: Detector, reference: type) -> None:
    """On the rows it was fitted on, scores are PyOD's."""
    rows, _ = cancer()
    expected = reference().fit(rows.values).decision_scores_
    np.testing.assert_allclose(scores_of(detector, rows), expected, rtol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.integers(1, 5))
def test_ties_as_pyod(seed: int, count: int, values: int) -> None:
    """Equal numbers share their frequency, as in PyOD, constants among them."""
    rows = rows_of(np.random.default_rng(seed).integers(0, values, (count, 3)))
    for detector, reference in PAIRS:
        expected = reference().fit(rows.values).decision_scores_
        got = scores_of(detector, rows)
        # The sign of a skewness that is 0 but for rounding is arbitrary.
        thirds = np.mean((rows.values - rows.values.mean(axis=0)) ** 3, axis=0)
        if (np.abs(thirds) > 1e-9).all():
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("detector", "reference"), PAIRS, ids=["ecod", "copod"])
def test_short_tables_rank_alike(detector: Detector, reference: type) -> None:
    """A table much shorter than the data hardly changes the ranks, and not the tails."""
    generator = np.random.default_rng(0)
    rows = rows_of(generator.lognormal(size=(20_000, 3)))
    expected = reference().fit(rows.values).decision_scores_
    scores = scores_of(detector.model_copy(update={"points": 256}), rows)
    assert rank_agreement(scores, expected) > 0.999
    top = np.argsort(expected)[-50:]
    np.testing.assert_allclose(scores[top], expected[top], rtol=0.1)


@pytest.mark.parametrize("detector", [Ecod(), Copod()], ids=["ecod", "copod"])
def test_numbers_beyond_are_rarest(detector: Detector) -> None:
    """A new number beyond all fitted ones scores above each of these."""
    rows, _ = cancer()
    beyond = rows_of([rows.values.max(axis=0) + 1, rows.values.min(axis=0) - 1])
    assert scores_of(detector, rows, beyond).max() > scores_of(detector, rows).max()


def test_wide_tables_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many features share one budget of points."""
    monkeypatch.setattr(statistics, "_TABLE_CELLS", 4000)
    rows = rows_of(np.random.default_rng(0).normal(size=(1000, 20)))
    fitted = Ecod().fit(rows, np.random.default_rng(0))
    assert 2000 <= len(fitted.points) <= 4000

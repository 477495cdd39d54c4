import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mlxtend.frequent_patterns import fpgrowth

from services.outlier.domain.detector import Codes, UnfitError
from services.outlier.domain.detectors.patterns import Broken, FrequentPatterns, PatternScorer
from tests.unit.outlier.support import code_rows


def linked(count: int, seed: int = 0) -> Codes:
    """The second column follows the first, the third is drawn by itself."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(1, 4, (count, 3))
    codes[:, 1] = codes[:, 0]
    return codes.astype(np.int32)


def fitted(codes: npt.ArrayLike, detector: FrequentPatterns | None = None) -> PatternScorer:
    return (detector or FrequentPatterns()).fit(code_rows(codes), np.random.default_rng(0))


def test_score_is_the_factor_of_he_et_al() -> None:
    """Protects the formula, against patterns of another miner summed one by one."""
    codes = np.random.default_rng(0).integers(0, 4, (200, 5)).astype(np.int32)
    table = pd.get_dummies(pd.DataFrame(codes).astype(str))
    table = table[[name for name in table if not name.endswith("_0")]]
    patterns = fpgrowth(table, 0.05, use_colnames=True, max_len=3)
    expected = np.ones(200)
    for support, items in zip(patterns["support"], patterns["itemsets"], strict=True):
        expected -= support * table[list(items)].all(axis=1).to_numpy() / len(patterns)
    detector = fitted(codes, FrequentPatterns(min_support=0.05, most_patterns=1000))
    assert detector.score(code_rows(codes)) == pytest.approx(expected, abs=1e-12)


def test_a_row_that_breaks_a_pattern_is_odd() -> None:
    """Protects finding rows whose values are usual one by one, not together."""
    scores = fitted(linked(1000)).score(code_rows([[1, 1, 1], [1, 2, 1]]))
    assert scores[1] > scores[0]


def test_names_what_a_row_breaks() -> None:
    """Protects the explanation: the pair that should hold, and nothing that follows from it."""
    codes = np.array([[1, 1, 1 + at % 5] for at in range(100)], np.int32)
    assert fitted(codes).broken(np.array([1, 2, 1], np.int32))[0] == Broken((1,), (1,), 1.0, 1.0)
    broken = fitted(linked(900)).broken(np.array([1, 2, 1], np.int32), most=2)
    assert {(one.columns, one.codes) for one in broken} == {((0, 1), (1, 1)), ((1, 0), (2, 2))}
    assert all(one.confidence == 1 for one in broken)
    assert all(one.support == pytest.approx(1 / 3, abs=0.05) for one in broken)


def test_a_usual_row_breaks_nothing_that_all_hold() -> None:
    """Protects against explanations of rows that need none."""
    assert fitted(np.ones((10, 3))).broken(np.ones(3, np.int32)) == []


def test_patterns_are_few_however_many_there_are() -> None:
    """Protects time and memory: 200 columns that are nearly constant."""
    codes = 1 + (np.random.default_rng(0).random((5000, 200)) < 0.05)
    detector = fitted(codes, FrequentPatterns(most_patterns=300))
    assert len(detector.supports) <= 300
    assert (np.diff(detector.supports) <= 0).all()


def test_missing_and_new_codes_are_in_no_pattern() -> None:
    """Protects codes of 0: that most rows lack a value makes none of them usual."""
    detector = fitted([[0, 1]] * 9 + [[0, 2]])
    assert detector.columns.tolist() == [1, 1]
    scores = detector.score(code_rows([[0, 1], [5, 1], [0, 9]]))
    assert scores[0] == scores[1] < scores[2]


def test_says_that_nothing_is_frequent() -> None:
    """Protects the sentence for columns of names or keys."""
    with pytest.raises(UnfitError, match="Lower min_support"):
        fitted(np.arange(1, 101)[:, None])


def test_rows_are_scored_alone() -> None:
    """Protects chunks, and that the same seed gives the same."""
    codes = linked(20_000)
    detector = fitted(codes)
    together = detector.score(code_rows(codes))
    assert np.array_equal(together[16_383:16_385], detector.score(code_rows(codes[16_383:16_385])))
    assert np.array_equal(together, fitted(codes).score(code_rows(codes)))


@settings(max_examples=30)
@given(
    codes=arrays(
        np.int32, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=st.integers(0, 3)
    )
)
def test_any_codes_are_scored(codes: Codes) -> None:
    """Protects the range of scores, and explanations, for whatever codes there are."""
    if not codes.any():
        codes[0, 0] = 1
    detector = fitted(codes, FrequentPatterns(min_support=0.05))
    scores = detector.score(code_rows(codes))
    assert ((scores >= 0) & (scores <= 1)).all()
    for broken in detector.broken(codes[0]):
        held = codes[0, list(broken.columns)] == broken.codes
        assert held[:-1].all()
        assert not held[-1]

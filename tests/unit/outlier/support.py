"""Rows to try detectors on, and what every detector of numbers keeps to."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Detector, Matrix, Rows, Scores, UnfitError

Truth = npt.NDArray[np.bool_]


def rows_of(values: npt.ArrayLike) -> Rows:
    """Returns numbers as rows without codes."""
    matrix = np.asarray(values, dtype=np.float64)
    return Rows(matrix, np.zeros((len(matrix), 0), dtype=np.int32))


def code_rows(codes: npt.ArrayLike) -> Rows:
    """Returns codes as rows without numbers."""
    matrix = np.asarray(codes, np.int32)
    return Rows(np.zeros((len(matrix), 0)), matrix)


def planted(count: int = 300, features: int = 4, anomalies: int = 8) -> tuple[Rows, Truth]:
    """Returns a correlated cloud with some rows far from it, and which these are."""
    generator = np.random.default_rng(3)
    mixing = np.eye(features) + 0.3 * generator.normal(size=(features, features))
    usual = generator.normal(size=(count, features)) @ mixing
    directions = generator.normal(size=(anomalies, features))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    far = directions * generator.uniform(12, 20, size=(anomalies, 1))
    return rows_of(np.concatenate((usual, far))), np.arange(count + anomalies) >= count


def cancer(anomalies: int = 20) -> tuple[Rows, Truth]:
    """Returns real rows of benign tumours and of some malign, standardised."""
    values, target = load_breast_cancer(return_X_y=True)
    malign = np.flatnonzero(target == 0)[:anomalies]
    chosen = np.concatenate((np.flatnonzero(target == 1), malign))
    values = values[chosen]
    return rows_of((values - values.mean(axis=0)) / values.std(axis=0)), target[chosen] == 0


def scores_of(
    detector: Detector, fitted: Rows, scored: Rows | None = None, seed: int = 0
) -> Scores:
    """Fits a detector and scores rows, by default those it was fitted on."""
    return detector.fit(fitted, np.random.default_rng(seed)).score(scored or fitted)


def auroc(truth: Truth, scores: Scores) -> float:
    """Returns the chance that an anomaly scores above a usual row."""
    return float(roc_auc_score(truth, scores))


def rank_agreement(left: Scores, right: Scores) -> float:
    """Returns Spearman's rank correlation."""
    return float(spearmanr(left, right).statistic)


def awkward() -> dict[str, Matrix]:
    """Returns numbers that break careless detectors, by what is odd about them."""
    generator = np.random.default_rng(5)
    normal = generator.normal(size=(60, 3))
    return {
        "one feature": normal[:, :1],
        "constant feature": np.column_stack((normal, np.full(60, 7.0))),
        "same feature twice": np.column_stack((normal[:, 0], normal[:, 0])),
        "all rows equal": np.ones((20, 3)),
        "two rows": np.array([[0.0, 1.0], [2.0, 3.0]]),
        "two different rows, repeated": np.repeat([[0.0, 1.0], [2.0, 3.0]], 30, axis=0),
        "whole numbers": generator.integers(0, 3, (80, 4)).astype(np.float64),
        "more features than rows": generator.normal(size=(15, 700)),
        "huge": normal * 1e150,
        "one huge row": np.concatenate((normal, np.full((1, 3), 1e300))),
        "tiny": normal * 1e-200,
    }


def check_finite(detector: Detector) -> None:
    """Asserts finite scores, also of rows far off, or an error for users where data is unfit."""
    for name, values in awkward().items():
        scored = np.concatenate((values, values[:1] + 1e3, values[:1] - 1e300, values[:1] * 0))
        try:
            scores = scores_of(detector, rows_of(values), rows_of(scored))
        except UnfitError as error:
            # Only rows that are equal, or as good as equal, may be refused.
            assert name in {"all rows equal", "tiny"}
            assert ";" in str(error), "says no cure"
            continue
        assert scores.shape == (len(scored),), name
        assert np.isfinite(scores).all(), name


def check_independence(detector: Detector) -> None:
    """Asserts that a score does not depend on the rows beside it, and is the same again."""
    rows, _ = planted()
    fitted = detector.fit(rows, np.random.default_rng(1))
    scores = fitted.score(rows)
    alone = np.concatenate([fitted.score(rows.take(np.array([each]))) for each in range(20)])
    np.testing.assert_allclose(alone, scores[:20], rtol=1e-9, atol=1e-9)
    turned = fitted.score(rows.take(slice(None, None, -1)))[::-1]
    np.testing.assert_allclose(turned, scores, rtol=1e-9, atol=1e-9)
    assert len(fitted.score(rows.take(slice(0, 0)))) == 0
    np.testing.assert_array_equal(scores_of(detector, rows, seed=1), scores)


def check_finds(detector: Detector, least: float = 0.99) -> None:
    """Asserts that planted rows score above the others, fitted or new."""
    rows, truth = planted()
    assert auroc(truth, scores_of(detector, rows)) >= least
    fitted = rows.take(np.arange(0, rows.count, 2))
    new = rows.take(np.arange(1, rows.count, 2))
    assert auroc(truth[1::2], scores_of(detector, fitted, new)) >= least


def check_kept(detector: Detector) -> None:
    """Asserts that what was fitted holds only what can be kept without pickle."""
    rows, _ = planted()
    _check_part(detector.fit(rows, np.random.default_rng(0)))


def _check_part(part: object) -> None:
    assert dataclasses.is_dataclass(part)
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            _check_part(value)
            continue
        assert isinstance(value, np.ndarray | int | float | str | bool), field.name
        assert not isinstance(value, np.ndarray) or value.dtype != object, field.name


CHECKS: tuple[Callable[[Detector], None], ...] = (
    check_finite,
    check_independence,
    check_finds,
    check_kept,
)

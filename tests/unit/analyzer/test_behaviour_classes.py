"""Classifiers: metrics with intervals, confusion, calibration, thresholds against references."""

import numpy as np
import pytest
from sklearn import metrics as reference

from common.data.schema import Task
from services.analyzer.domain.behaviour.calibration import calibration
from services.analyzer.domain.behaviour.confusion import confusion
from services.analyzer.domain.behaviour.estimates import class_summaries, estimates
from services.analyzer.domain.behaviour.observed import Observed
from services.analyzer.domain.behaviour.thresholds import threshold_curves
from services.analyzer.domain.metrics import standard_metrics
from tests.unit.analyzer.behaviour_support import (
    drawn_classes,
    drawn_probabilities,
    observed_of,
)

ROWS = 500
REPEATS = 150


def classified(classes: int, rows: int = ROWS) -> Observed:
    """Returns rows whose classes come as often as the model says."""
    outputs = drawn_probabilities(rows, classes)
    return observed_of(outputs, drawn_classes(outputs, 1))


def labelled(rows: int = ROWS) -> Observed:
    """Returns rows of three labels that come as often as the model says."""
    generator = np.random.default_rng(0)
    outputs = generator.random((rows, 3))
    return observed_of(outputs, generator.random((rows, 3)) < outputs, Task.MULTI_LABEL)


def valued(rows: int = ROWS) -> Observed:
    """Returns rows of a regression with skewed errors."""
    generator = np.random.default_rng(0)
    found = generator.normal(size=(rows, 1))
    truth = found[:, 0] - generator.exponential(size=rows)
    return observed_of(found, truth, Task.REGRESSION, ["pay"], False)


@pytest.mark.parametrize("seen", [classified(2), classified(3), labelled(), valued()])
def test_intervals_are_those_of_a_bootstrap(seen: Observed) -> None:
    """Each interval is about as wide, and where it is, as one of resampled rows."""
    generator = np.random.default_rng(0)
    draws = generator.integers(0, seen.count, (REPEATS, seen.count))
    drawn = [standard_metrics(seen.task, seen.truth[rows], seen.outputs[rows]) for rows in draws]
    bounded = [each for each in estimates(seen) if each.low is not None and each.high is not None]
    assert len(bounded) >= 3
    for each in bounded:
        low, high = np.quantile([metrics[each.name] for metrics in drawn], [0.025, 0.975])
        assert each.low is not None
        assert each.high is not None
        assert each.high - each.low == pytest.approx(high - low, rel=0.25), each.name
        assert each.low == pytest.approx(low, abs=0.25 * (high - low)), each.name


def test_without_probabilities_there_is_no_log_loss() -> None:
    """Metrics of probabilities are left out for a model that only names classes."""
    outputs = np.eye(3)[np.arange(60) % 3]
    seen = observed_of(outputs, np.arange(60) % 3, gives_probabilities=False)
    assert {each.name for each in estimates(seen)} == {"accuracy", "balanced_accuracy", "macro_f1"}


def test_interval_of_a_perfect_model_is_not_empty() -> None:
    """Of 20 rows that are all right nobody knows that all rows are (Wilson)."""
    outputs = np.eye(2)[np.arange(20) % 2]
    accuracy = estimates(observed_of(outputs, np.arange(20) % 2))[0]
    assert accuracy.value == accuracy.high == 1
    assert accuracy.low == pytest.approx(0.839, abs=0.001)


def test_classes_are_as_scikit_learn_has_them() -> None:
    """Precision, recall, F1 and support of each class, the most frequent first."""
    seen = classified(4)
    found = class_summaries(seen)
    expected = reference.precision_recall_fscore_support(seen.truth, seen.found)
    assert [each.support for each in found] == sorted(expected[3], reverse=True)
    for each in found:
        place = seen.names.index(each.name)
        ours = (each.precision, each.recall, each.f1, each.support)
        assert ours == pytest.approx([column[place] for column in expected])


def test_class_that_is_never_predicted_has_no_precision() -> None:
    """What cannot be said is left unset rather than 0."""
    seen = observed_of(np.tile([0.9, 0.1, 0.0], (30, 1)), np.arange(30) % 2)
    first, second, third = class_summaries(seen)
    assert (first.recall, second.precision, second.recall) == (1, None, 0)
    assert (third.support, third.recall, third.f1) == (0, None, None)


def test_confusion_is_as_scikit_learn_has_it() -> None:
    """Counts of all cells, and the most frequent confusion first."""
    seen = classified(5)
    found = confusion(seen)
    expected = reference.confusion_matrix(seen.truth, seen.found)
    assert np.array_equal(found.counts, expected)
    assert found.summary.counts == tuple(expected.reshape(-1))
    wrong = expected - np.diag(np.diag(expected))
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    pair = found.summary.pairs[0]
    assert (pair.truth, pair.predicted) == (f"class {true}", f"class {predicted}")
    assert pair.rows == wrong.max()
    assert pair.share == pytest.approx(wrong.max() / expected[true].sum())


def test_of_many_classes_the_most_confused_are_shown() -> None:
    """Of 100 classes 30 are shown, those that are confused; pairs are of all."""
    truth = np.arange(3000) % 100
    guess = np.where((truth < 8) & (np.arange(3000) % 200 < 100), truth + 1, truth)
    seen = observed_of(np.eye(100)[guess], truth)
    found = confusion(seen)
    assert found.counts.shape == (30, 30)
    assert set(found.summary.classes) >= {f"class {place}" for place in range(9)}
    assert len(found.summary.pairs) == 8


def test_unknown_classes_are_wrong_and_not_confused() -> None:
    """Rows of classes that the model does not know count for accuracy alone."""
    truth = np.array([0, 1, -1, -1] * 10)
    outputs = np.tile(np.eye(2)[[0, 1, 0, 1]], (10, 1))
    seen = observed_of(outputs, truth)
    assert estimates(seen)[0].value == 0.5
    assert confusion(seen).counts.sum() == 20
    assert class_summaries(seen)[0].support == 10


def test_exact_probabilities_are_calibrated() -> None:
    """If things come true as often as said, the error is what chance makes it."""
    for classes in (2, 4):
        found = calibration(classified(classes, 6000), 0)
        assert found is not None
        assert found.expected_error < 2 * found.chance_error
        assert abs(found.overconfidence) < 0.02
        assert len(found.bins) == 15
        inside = [each.low <= each.probability <= each.high for each in found.bins]
        assert sum(inside) >= 12


def test_too_sure_and_not_sure_enough() -> None:
    """The sign says which; the error is many times what chance makes it."""
    seen = classified(3, 6000)
    for power, sign in ((3.0, 1), (0.4, -1)):
        outputs = seen.outputs**power
        changed = observed_of(outputs / outputs.sum(axis=1, keepdims=True), seen.truth)
        found = calibration(changed, 0)
        assert found is not None
        assert sign * found.overconfidence > 0.05
        assert found.expected_error > 3 * found.chance_error


def test_brier_scores() -> None:
    """They are scikit-learn's: of two classes, and the sum over more."""
    two, three = classified(2), classified(3)
    found = [calibration(seen, 0) for seen in (two, three)]
    assert found[0] is not None
    assert found[0].brier_score == pytest.approx(
        reference.brier_score_loss(two.truth, two.outputs[:, 1])
    )
    assert found[1] is not None
    squares = (three.outputs - np.eye(3)[three.truth.astype(int)]) ** 2
    assert found[1].brier_score == pytest.approx(squares.sum(axis=1).mean())


def test_expected_error_by_hand() -> None:
    """Two bins: off by 0.1 in one half of the rows, by 0.3 in the other."""
    second = np.repeat([0.2, 0.8], 50)
    truth = np.concatenate([np.arange(50) < 15, np.arange(50) < 25]).astype(int)
    found = calibration(observed_of(np.column_stack([1 - second, second]), truth), 0)
    assert found is not None
    assert [each.rows for each in found.bins] == [50, 50]
    assert found.expected_error == pytest.approx((0.1 + 0.3) / 2)


def test_thresholds_are_as_scikit_learn_has_them() -> None:
    """Areas, and the best thresholds by F1 and by Youden's J, over all thresholds."""
    seen = classified(2)
    scores, truth = seen.outputs[:, 1], seen.truth.astype(int)
    (curve,) = threshold_curves(seen)
    found = curve.summary
    assert found.positive == "class 1"
    assert found.roc_auc == pytest.approx(reference.roc_auc_score(truth, scores))
    assert found.average_precision == pytest.approx(
        reference.average_precision_score(truth, scores)
    )
    f1 = {
        each: reference.f1_score(truth, scores >= each) for each in np.quantile(scores, QUANTILES)
    }
    assert found.best_f1.f1 >= max(f1.values())
    at_best = reference.f1_score(truth, scores >= found.best_f1.threshold)
    assert found.best_f1.f1 == pytest.approx(at_best)
    false, true, _ = reference.roc_curve(truth, scores)
    best = found.best_youden
    assert best.recall - best.false_positive_rate == pytest.approx((true - false).max())


QUANTILES = np.linspace(0.05, 0.95, 19)


def test_points_are_few_and_true() -> None:
    """The message has at most 41 points; each is what its threshold gives."""
    seen = classified(2)
    (curve,) = threshold_curves(seen)
    points = curve.summary.points
    assert len(points) <= 41
    truth = seen.truth.astype(bool)
    for point in points[1:]:
        positive = seen.outputs[:, 1] >= point.threshold
        assert point.recall == pytest.approx(positive[truth].mean())
        assert point.false_positive_rate == pytest.approx(positive[~truth].mean())
        assert point.precision == pytest.approx(truth[positive].mean())


def test_each_class_against_the_rest() -> None:
    """More classes have a curve each, at most 10, the most frequent first; so do labels."""
    curves = threshold_curves(classified(12, 3000))
    supports = [curve.summary.support for curve in curves]
    assert len(curves) == 10
    assert supports == sorted(supports, reverse=True)
    assert {curve.summary.positive for curve in threshold_curves(labelled())} == {
        "class 0",
        "class 1",
        "class 2",
    }


def test_one_class_alone_has_no_thresholds() -> None:
    """Where all rows are of one class, there is nothing to tell apart."""
    seen = observed_of(drawn_probabilities(40, 2), np.ones(40, np.int64))
    assert threshold_curves(seen) == ()

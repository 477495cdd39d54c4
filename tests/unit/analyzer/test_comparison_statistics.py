"""Intervals and tests for versions on the same rows, against references and by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.resampling import (
    CALIBRATION_ERROR,
    draws_of,
    statistics,
)
from services.analyzer.domain.comparison.statistics import (
    adjusted,
    mean_difference,
    means_test,
    share_difference,
    share_interval,
    shares_test,
)
from services.analyzer.domain.metrics import standard_metrics
from tests.unit.analyzer.behaviour_support import drawn_classes, drawn_probabilities


@given(rows=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_of_a_share_is_scipy_s(rows: int, share: float) -> None:
    right = round(share * rows)
    reference = stats.binomtest(right, rows).proportion_ci(method="wilson")
    found = share_interval(right, rows)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert found.value == right / rows


def test_a_million_rows_of_many_classes_do_not_fill_the_memory() -> None:
    """Sums over each class are left out; those over all rows have their intervals."""
    truth = np.arange(300_000) % 10
    found = statistics(Task.CLASSIFICATION, truth, np.full((len(truth), 10), 0.1))
    assert {"accuracy", "log_loss"} <= found.keys()
    assert sum(each.terms.nbytes for each in found.values()) < 100_000_000


@given(gained=st.integers(0, 300), lost=st.integers(0, 300))
def test_mcnemar_with_mid_p_lies_between_the_exact_test_and_half_a_step_less(
    gained: int, lost: int
) -> None:
    found = shares_test(gained, lost).p_value
    assert found == shares_test(lost, gained).p_value
    if gained + lost == 0:
        assert found == 1
        return
    exact = stats.binomtest(gained, gained + lost).pvalue
    step = stats.binom.pmf(gained, gained + lost, 0.5)
    assert found == pytest.approx(min(1.0, exact - step) if gained != lost else 1.0, abs=1e-9)


def test_a_difference_without_any_changed_row_still_has_an_interval() -> None:
    """That 50 rows are alike does not show that all rows are."""
    found = share_difference(0, 0, 50)
    assert found.value == 0
    assert -0.08 < found.low < -0.02
    assert found.high == pytest.approx(-found.low)


@pytest.mark.parametrize(("up", "down", "rows"), [(0.04, 0.02, 400), (0.1, 0.1, 60)])
def test_intervals_of_differences_cover_the_truth(up: float, down: float, rows: int) -> None:
    generator = np.random.default_rng(0)
    counts = generator.multinomial(rows, [up, down, 1 - up - down], 2000)
    hits = [
        interval.low <= up - down <= interval.high
        for gained, lost, _ in counts
        for interval in [share_difference(int(gained), int(lost), rows)]
    ]
    assert 0.935 < np.mean(hits) < 0.985


def test_tests_are_wrong_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    of_gained = np.array([shares_test(gained, 40 - gained).p_value for gained in range(41)])
    shares = of_gained[generator.binomial(40, 0.5, 5000)]
    means = [means_test(each).p_value for each in generator.normal(size=(500, 50))]
    few = [means_test(each).p_value for each in generator.normal(size=(500, 12))]
    for p_values in (shares, means, few):
        assert 0.025 < np.mean(np.array(p_values) < 0.05) < 0.075


def test_means_are_compared_as_scipy_does() -> None:
    changes = np.random.default_rng(2).normal(0.2, 1, 80)
    found, reference = means_test(changes), stats.ttest_1samp(changes, 0)
    interval = reference.confidence_interval()
    assert found.p_value == pytest.approx(reference.pvalue)
    own = mean_difference(changes)
    assert (own.low, own.high) == pytest.approx((interval.low, interval.high))
    assert means_test(changes[:20]).p_value == stats.wilcoxon(changes[:20]).pvalue


@pytest.mark.parametrize(
    ("changes", "p_value"), [([0.0] * 40, 1.0), ([0.5] * 40, 0.0), ([0.5], 1.0), ([], 1.0)]
)
def test_hard_cases_of_means(changes: list[float], p_value: float) -> None:
    assert means_test(np.array(changes)).p_value == p_value


def test_one_row_has_no_interval_of_a_mean() -> None:
    found = mean_difference(np.array([0.3]))
    assert (found.low, found.value, found.high) == (0.3, 0.3, 0.3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_s_correction(p_values: list[float]) -> None:
    found = adjusted(p_values)
    order = np.argsort(p_values, kind="stable")
    assert all(own >= before for own, before in zip(found, p_values, strict=True))
    assert found[order[0]] == min(1.0, p_values[order[0]] * len(p_values))
    assert [found[place] for place in order] == sorted(found)


def test_holm_s_correction_by_hand() -> None:
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 60),
    classes=st.integers(2, 5),
    unknown=st.booleans(),
)
def test_statistics_are_the_usual_metrics(
    seed: int, rows: int, classes: int, unknown: bool
) -> None:
    """What intervals are of is what the other parts show."""
    outputs = drawn_probabilities(rows, classes, seed)
    truth = drawn_classes(outputs, seed)
    if unknown:
        truth[0] = -1
    usual = standard_metrics(Task.CLASSIFICATION, truth, outputs)
    found = statistics(Task.CLASSIFICATION, truth, outputs)
    assert found.keys() - {CALIBRATION_ERROR} == usual.keys()
    for name, value in usual.items():
        assert found[name].value == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("seed", range(5))
def test_statistics_of_values_and_labels_are_the_usual_metrics(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, outputs = generator.normal(size=30), generator.normal(size=(30, 1))
    usual = standard_metrics(Task.REGRESSION, truth, outputs)
    found = statistics(Task.REGRESSION, truth, outputs)
    for name, each in found.items():
        assert each.value == pytest.approx(usual[name])
    labels, likely = generator.random((30, 4)) < 0.3, generator.random((30, 4))
    labels[:, 3] = False
    likely[:, 3] = 0.1  # a label that is never there, and never said to be
    usual = standard_metrics(Task.MULTI_LABEL, labels, likely)
    found = statistics(Task.MULTI_LABEL, labels, likely)
    for name, value in usual.items():
        assert found[name].value == pytest.approx(value), name


def test_a_constant_target_has_no_explained_variance() -> None:
    assert "r2" not in statistics(Task.REGRESSION, np.ones(5), np.zeros((5, 1)))


def test_draws_spread_like_those_of_the_usual_metrics() -> None:
    outputs = drawn_probabilities(200, 3)
    truth = drawn_classes(outputs)
    own = statistics(Task.CLASSIFICATION, truth, outputs)
    found = draws_of([own], 500, 0, Budget(60))[0]
    generator = np.random.default_rng(5)
    chosen = [generator.integers(200, size=200) for _ in range(120)]
    usual = [standard_metrics(Task.CLASSIFICATION, truth[each], outputs[each]) for each in chosen]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "roc_auc"):
        reference = np.std([each[name] for each in usual])
        assert np.std(found[name]) == pytest.approx(reference, rel=0.25), name


def test_versions_are_drawn_on_the_same_rows() -> None:
    outputs = drawn_probabilities(100, 2)
    own = statistics(Task.CLASSIFICATION, drawn_classes(outputs), outputs)
    first, second = draws_of([own, own], 50, 0, Budget(60))
    assert "log_loss" in own
    assert all(np.allclose(first[name], second[name], atol=1e-12) for name in own)
    assert np.ptp(first["log_loss"]) > 0


def test_draws_of_the_area_are_near_those_that_sort_again() -> None:
    """Its draws are linear in the rows; that must not show."""
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 2, 400)
    second = 1 / (1 + np.exp(-generator.normal(truth, 1)))
    outputs = np.column_stack([1 - second, second])
    own = statistics(Task.CLASSIFICATION, truth, outputs)
    found = draws_of([own], 500, 0, Budget(60))[0]["roc_auc"]
    exact = []
    for _ in range(150):
        rows = generator.integers(400, size=400)
        exact.append(roc_auc_score(truth[rows], second[rows]))
    low, high = np.percentile(exact, [2.5, 97.5])
    assert np.percentile(found, [2.5, 97.5]) == pytest.approx([low, high], abs=0.015)


def test_few_draws_where_the_budget_is_short() -> None:
    outputs = drawn_probabilities(3000, 2)
    own = statistics(Task.CLASSIFICATION, drawn_classes(outputs), outputs)
    found = draws_of([own], 100_000, 0, Budget(0))[0]["accuracy"]
    assert 1 <= len(found) < 100_000


@pytest.mark.parametrize("rows", [7, 300, 1001])
def test_none_and_all_are_exact_bounds(rows: int) -> None:
    """Not 8.67e-17 %, which readers would see."""
    assert share_interval(0, rows).low == 0
    assert share_interval(rows, rows).high == 1

"""Metrics: what scikit-learn says, defined where it is silent, comparable by row."""

import pickle
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.preprocessing import label_binarize

from common.errors import InvalidFieldError
from common.scoring.costs import (
    CostColumn,
    CostMatrix,
)
from common.scoring.decisions import decisions, decisions_at
from common.scoring.forms import RowLosses
from common.scoring.kinds import TABLE_KINDS
from common.scoring.metric import Metric, Needs
from common.scoring.ranking import curve_of
from common.scoring.registry import (
    METRICS,
    check_fits,
    default_metric,
    metric_for,
    metric_named,
    metrics_for,
)
from common.scoring.rows import RowValues, mean_of
from common.scoring.thresholds import best_threshold, has_threshold
from common.scoring.values import pinball
from services.tuner.domain.problem import Outputs, ProblemKind, Truth

Reference = Callable[[Truth, Outputs, RowValues | None], float]
Sample = tuple[Truth, Outputs, RowValues | None]

MANY = settings(max_examples=10)
SEEDS = st.integers(0, 2**32 - 1)
HAVE_ROW_LOSSES = [name for name, metric in METRICS.items() if isinstance(metric, RowLosses)]
OF_ALL_ROWS = {"roc_auc", "average_precision", "f1", "f1_macro", "f1_micro", "mcc"}


def sample_of(kind: ProblemKind, seed: int, rows: int = 60, is_weighted: bool = True) -> Sample:
    """Draws outputs of few different values, so that there are ties; each class occurs."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 3, rows) if is_weighted else None
    if kind is ProblemKind.REGRESSION:
        truth = rng.normal(0, 3, rows) + 0.01
        return truth, (truth + rng.normal(0, 1, rows))[:, None], weights
    if kind is ProblemKind.MULTI_LABEL:
        labels = rng.integers(0, 2, (rows, 4)).astype(np.int8)
        labels[0], labels[1] = 0, 1
        return labels, rng.integers(0, 11, (rows, 4)) / 10, weights
    classes = 2 if kind is ProblemKind.BINARY else 4
    truth = np.append(np.arange(classes), rng.integers(0, classes, rows - classes))
    parts = rng.integers(0, 8, (rows, classes)) + 0.01 * (np.arange(classes) == truth[:, None])
    return truth, parts / parts.sum(axis=1, keepdims=True), weights


def class_decisions(outputs: Outputs) -> npt.NDArray[np.int64]:
    return np.asarray(outputs.argmax(axis=1), np.int64)


def decided(measure: Callable[..., float], **options: object) -> Reference:
    return lambda truth, outputs, weights: measure(
        truth, class_decisions(outputs), sample_weight=weights, **options
    )


def labelled(measure: Callable[..., float], **options: object) -> Reference:
    return lambda truth, outputs, weights: measure(
        truth, outputs >= 0.5, sample_weight=weights, **options
    )


def valued(measure: Callable[..., float], **options: object) -> Reference:
    return lambda truth, outputs, weights: measure(
        truth, outputs[:, 0], sample_weight=weights, **options
    )


def scored(measure: Callable[..., float], **options: object) -> Reference:
    """Of binary problems the second column, else all."""
    return lambda truth, outputs, weights: measure(
        truth, outputs[:, 1] if outputs.shape[1] == 2 else outputs, sample_weight=weights, **options
    )


def one_hot_precision(truth: Truth, outputs: Outputs, weights: RowValues | None) -> float:
    own = label_binarize(truth, classes=range(outputs.shape[1]))
    return float(reference.average_precision_score(own, outputs, sample_weight=weights))


def by_label(measure: Callable[..., float]) -> Reference:
    return lambda truth, outputs, weights: float(
        np.mean(
            [
                measure(truth[:, label], outputs[:, label], sample_weight=weights)
                for label in range(truth.shape[1])
            ]
        )
    )


CLASS_REFERENCES: Mapping[str, Reference] = {
    "accuracy": decided(reference.accuracy_score),
    "balanced_accuracy": decided(reference.balanced_accuracy_score),
    "roc_auc": scored(reference.roc_auc_score, multi_class="ovr"),
    "f1_macro": decided(reference.f1_score, average="macro"),
    "f1_micro": decided(reference.f1_score, average="micro"),
    "log_loss": scored(reference.log_loss),
    "brier": scored(reference.brier_score_loss),
    "mcc": decided(reference.matthews_corrcoef),
}
REFERENCES: Mapping[ProblemKind, Mapping[str, Reference]] = {
    ProblemKind.BINARY: {
        **CLASS_REFERENCES,
        "f1": decided(reference.f1_score),
        "average_precision": scored(reference.average_precision_score),
    },
    ProblemKind.MULTICLASS: {**CLASS_REFERENCES, "average_precision": one_hot_precision},
    ProblemKind.MULTI_LABEL: {
        "roc_auc": scored(reference.roc_auc_score),
        "average_precision": scored(reference.average_precision_score),
        "log_loss": by_label(reference.log_loss),
        "brier": by_label(reference.brier_score_loss),
        "f1_macro": labelled(reference.f1_score, average="macro"),
        "f1_micro": labelled(reference.f1_score, average="micro"),
        "hamming": labelled(reference.hamming_loss),
        "subset_accuracy": labelled(reference.accuracy_score),
    },
    ProblemKind.REGRESSION: {
        "rmse": valued(reference.root_mean_squared_error),
        "mae": valued(reference.mean_absolute_error),
        "r2": valued(reference.r2_score),
        "mape": valued(reference.mean_absolute_percentage_error),
        "pinball": valued(reference.mean_pinball_loss),
    },
}
PAIRS = [(kind, metric.name) for kind in TABLE_KINDS for metric in metrics_for(kind)]


def pairs_with_rows() -> list[tuple[ProblemKind, str]]:
    return [(kind, name) for kind, name in PAIRS if name in HAVE_ROW_LOSSES]


@pytest.mark.parametrize(("kind", "name"), PAIRS)
@MANY
@given(SEEDS, st.integers(5, 60), st.booleans())
def test_as_scikit_learn(
    kind: ProblemKind, name: str, seed: int, rows: int, is_weighted: bool
) -> None:
    """What people are shown is what scikit-learn says, with weights and without."""
    truth, outputs, weights = sample_of(kind, seed, rows, is_weighted)
    metric = METRICS[name]
    shown = metric.shown(metric.loss(truth, outputs, weights))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = REFERENCES[kind][name](truth, outputs, weights)
    assert shown == pytest.approx(expected, rel=1e-9, abs=1e-12)


@MANY
@given(SEEDS, st.floats(0.01, 0.99))
def test_pinball_as_scikit_learn(seed: int, level: float) -> None:
    """Any quantile has its metric, also by name."""
    truth, outputs, weights = sample_of(ProblemKind.REGRESSION, seed)
    expected = reference.mean_pinball_loss(truth, outputs[:, 0], sample_weight=weights, alpha=level)
    assert pinball(level).loss(truth, outputs, weights) == pytest.approx(expected)
    named = metric_named(pinball(level).name)
    assert named.loss(truth, outputs, weights) == pytest.approx(expected)


@MANY
@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(allow_nan=False, width=64)), min_size=2, max_size=30
    ),
    st.booleans(),
)
def test_order_of_any_scores(rows: list[tuple[bool, float]], is_small: bool) -> None:
    """Neighbouring, equal, negative, huge and infinite scores are ordered as they compare."""
    is_positive = np.array([True, False, *(each[0] for each in rows)])
    scores = np.array([0.5, np.nextafter(0.5, 1), *(each[1] for each in rows)])
    if is_small:
        scores = np.abs(scores) / np.finfo(np.float64).max
        scores[~np.isfinite(scores)] = -0.0
    for weights in (None, np.ones(len(scores))):
        curve = curve_of(is_positive, scores, weights)
        expected = np.unique(scores)[::-1]
        np.testing.assert_array_equal(curve.scores, expected)
        above = scores[None, :] >= expected[:, None]
        np.testing.assert_array_equal(curve.positives, (above & is_positive).sum(axis=1))
        np.testing.assert_array_equal(curve.negatives, (above & ~is_positive).sum(axis=1))


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_weights_are_repetitions(kind: ProblemKind, name: str) -> None:
    """A weight of 2 is a row that occurs twice, a weight of 0 one that does not occur."""
    truth, outputs, _ = sample_of(kind, 3)
    repeated = np.random.default_rng(0).integers(0, 3, len(truth))
    metric = METRICS[name]
    weighted = metric.loss(truth, outputs, repeated.astype(np.float64))
    plain = metric.loss(np.repeat(truth, repeated, axis=0), np.repeat(outputs, repeated, axis=0))
    assert weighted == pytest.approx(plain)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_no_weights_at_all(kind: ProblemKind, name: str) -> None:
    """Where no row has any weight, all count alike."""
    truth, outputs, _ = sample_of(kind, 5)
    metric = METRICS[name]
    assert metric.loss(truth, outputs, np.zeros(len(truth))) == metric.loss(truth, outputs)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.filterwarnings("error")
def test_one_class_only(kind: ProblemKind, name: str, rows: int, own: int) -> None:
    """A truth of one value has a finite loss, whatever is said, and no warning."""
    labels = 3 if kind is ProblemKind.MULTI_LABEL else 0
    shape = (rows, labels) if labels else (rows,)
    truth = np.full(shape, own, np.float64 if kind is ProblemKind.REGRESSION else np.int64)
    columns = labels or {ProblemKind.REGRESSION: 1, ProblemKind.BINARY: 2}.get(kind, 4)
    metric = METRICS[name]
    for output in (0.0, 1.0, 1 / 3):
        outputs = np.full((rows, columns), output)
        for weights in (None, np.arange(rows, dtype=np.float64)):
            loss = metric.loss(truth, outputs, weights)
            assert np.isfinite(loss)
            assert loss >= 0


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_perfect_outputs(kind: ProblemKind, name: str) -> None:
    """Perfect outputs have no loss, so that gaps can be compared."""
    truth, outputs, weights = sample_of(kind, 7)
    if kind is ProblemKind.REGRESSION:
        perfect = truth[:, None].astype(np.float64)
    elif kind is ProblemKind.MULTI_LABEL:
        perfect = truth.astype(np.float64)
    else:
        perfect = np.eye(outputs.shape[1])[truth.astype(np.int64)]
    assert METRICS[name].loss(truth, perfect, weights) == pytest.approx(0, abs=1e-12)


def test_defined_where_others_are_not() -> None:
    """The values of degenerate cases are those that are documented."""
    one_class, outputs = np.ones(3, np.int64), np.array([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    assert METRICS["roc_auc"].loss(one_class, outputs) == 0.5
    assert METRICS["mcc"].loss(one_class, outputs) == 1
    constant, values = np.full(3, 0.1), np.array([[0.1], [0.3], [7.0]])
    assert METRICS["r2"].loss(constant, values) == pytest.approx(2 / 3)
    with_zero = np.array([0.0, 0.0, 2.0])
    assert METRICS["mape"].loss(with_zero, np.array([[0.0], [1e9], [1.0]])) == 0.5
    impossible = np.array([[1.0, 0.0]])
    assert 36 < METRICS["log_loss"].loss(np.array([1]), impossible) < 37


def test_absent_classes_say_nothing_of_the_order() -> None:
    """Classes without rows, which folds may have, leave the AUC to the others."""
    truth, outputs, _ = sample_of(ProblemKind.MULTICLASS, 11)
    rows = truth != 3
    per_class = [reference.roc_auc_score(truth[rows] == k, outputs[rows, k]) for k in range(3)]
    assert METRICS["roc_auc"].loss(truth[rows], outputs[rows]) == pytest.approx(
        1 - np.mean(per_class)
    )


@pytest.mark.parametrize(("kind", "name"), pairs_with_rows())
@pytest.mark.parametrize("is_weighted", [False, True])
def test_row_losses_make_the_loss(kind: ProblemKind, name: str, is_weighted: bool) -> None:
    """The mean over rows leads to the loss, so that two models can be compared by row."""
    truth, outputs, weights = sample_of(kind, 13, is_weighted=is_weighted)
    metric = METRICS[name]
    assert isinstance(metric, RowLosses)
    rows = metric.row_losses(truth, outputs, weights)
    assert rows.shape == (len(truth),)
    loss = metric.of_mean(mean_of(rows, weights))
    assert loss == pytest.approx(metric.loss(truth, outputs, weights))


def test_which_have_row_losses() -> None:
    """Metrics of all rows together say that they have none."""
    assert set(METRICS) - set(HAVE_ROW_LOSSES) == OF_ALL_ROWS
    assert isinstance(CostMatrix(np.eye(2)), RowLosses)
    assert isinstance(CostColumn(np.ones(2)), RowLosses)


@pytest.mark.parametrize("metric", [*METRICS.values(), pinball(0.9), CostMatrix(np.eye(2))])
def test_goes_to_other_processes(metric: Metric) -> None:
    """Metrics are sent along with trials."""
    assert pickle.loads(pickle.dumps(metric)).name == metric.name


def test_decisions() -> None:
    """Of equals the first class, as estimators predict; labels from one half on."""
    binary = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])
    assert decisions(binary, ProblemKind.BINARY).tolist() == [0, 1, 0]
    assert decisions_at(binary, 0.5).tolist() == [0, 1, 0]
    assert decisions_at(binary, 0.45).tolist() == [1, 1, 0]
    several = np.array([[0.2, 0.4, 0.4], [0.1, 0.2, 0.7]])
    assert decisions(several, ProblemKind.MULTICLASS).tolist() == [1, 2]
    assert decisions(several, ProblemKind.MULTI_LABEL).tolist() == [[0, 0, 0], [0, 0, 1]]
    assert decisions(several[:, :1], ProblemKind.REGRESSION).tolist() == [0.2, 0.1]


@pytest.mark.parametrize("name", [name for name in METRICS if has_threshold(METRICS[name])])
@MANY
@given(SEEDS, st.booleans())
def test_best_threshold(name: str, seed: int, is_weighted: bool) -> None:
    """No other threshold has a smaller loss, and it has the loss that it says."""
    truth, outputs, weights = sample_of(ProblemKind.BINARY, seed, 30, is_weighted)
    metric = METRICS[name]

    def loss_at(threshold: float) -> float:
        return metric.loss(truth, np.eye(2)[decisions_at(outputs, threshold)], weights)

    found = best_threshold(truth, outputs, metric, weights)
    assert loss_at(found.value) == pytest.approx(found.loss, abs=1e-9)
    others = [loss_at(each) for each in (-1.0, 0.5, *outputs[:, 1])]
    assert found.loss <= min(others) + 1e-9


@pytest.mark.parametrize("score", [0.0, np.nextafter(0.5, 0), 0.5, np.nextafter(0.5, 1), 1.0])
def test_threshold_between_neighbours(score: float) -> None:
    """A threshold parts numbers between which there is no other, at the ends of the range too."""
    higher = np.nextafter(score, 2)
    scores = np.array([score, higher])
    outputs = np.column_stack([1 - scores, scores])
    found = best_threshold(np.array([0, 1]), outputs, METRICS["f1"])
    assert found.loss == 0
    assert decisions_at(outputs, found.value).tolist() == [0, 1]


def test_threshold_stays_usual() -> None:
    """Where others are no better, it is 0.5; metrics of probabilities have none."""
    outputs = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    assert best_threshold(np.array([0, 0, 1]), outputs, METRICS["mcc"]).value == 0.5
    assert best_threshold(np.array([0, 0, 0]), outputs, METRICS["f1"]).value == 0.5
    with pytest.raises(ValueError, match="roc_auc"):
        best_threshold(np.array([0, 0, 1]), outputs, METRICS["roc_auc"])


def test_defaults() -> None:
    """Each kind of problem has its default, which comes first of those that fit."""
    names = {kind: default_metric(kind).name for kind in TABLE_KINDS}
    assert list(names.values()) == ["roc_auc", "log_loss", "f1_micro", "rmse"]
    for kind in TABLE_KINDS:
        fitting = metrics_for(kind)
        assert fitting[0] is default_metric(kind) is metric_for(kind)
        assert len({each.name for each in fitting}) == len(fitting)
        assert all(kind in each.kinds for each in fitting)
    assert {each.needs for each in metrics_for(ProblemKind.REGRESSION)} == {Needs.VALUES}


def test_metrics_that_do_not_fit() -> None:
    """The message names the metrics that do."""
    with pytest.raises(InvalidFieldError) as raised:
        metric_for(ProblemKind.MULTI_LABEL, "f1", "spec.metric")
    assert raised.value.violations[0].field == "spec.metric"
    assert raised.value.message == (
        "spec.metric: f1 does not fit multi-label problems; take one of f1_micro, roc_auc, "
        "average_precision, log_loss, brier, f1_macro, hamming, subset_accuracy."
    )
    with pytest.raises(InvalidFieldError, match="cost_matrix does not fit multiclass"):
        check_fits(CostMatrix(np.eye(2)), ProblemKind.MULTICLASS)


@pytest.mark.parametrize("name", ["auc", "0.9", "pinball_", "pinball_1", "pinball_nan", "RMSE"])
def test_unknown_metrics(name: str) -> None:
    """Names that do not exist are refused with those that do."""
    with pytest.raises(InvalidFieldError, match="take one of roc_auc, "):
        metric_named(name)

"""Training curves: verdicts against curves of a known kind, stand-ins against scikit-learn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aimass.analyzer.v1 import curves_pb2
from common.protobuf import from_plain
from common.reports.report import Notice, Plot, Section
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.curves.analysis import analyse_curves
from services.analyzer.domain.curves.findings import (
    CurvesFindings,
    CurveVerdictKind,
    RunCurves,
    direction,
    thinned,
)
from services.analyzer.domain.curves.page import show_curves
from services.analyzer.domain.curves.verdicts import verdicts
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.subject import History, Subject
from tests.support.analysis import breast_cancer, diabetes, iris, sklearn_model, trained_mlp
from tests.unit.analyzer.activations_support import images, onnx_convolution

Kind = CurveVerdictKind
EPOCHS = np.arange(1, 41)
FALLING = np.exp(-EPOCHS / 5) + 0.1


def analysed(subject: Subject, seconds: float = 20.0) -> CurvesFindings:
    """Returns findings that make a message and a section."""
    findings = analyse_curves(subject, Budget(seconds))
    message = from_plain(asdict(findings.summary), curves_pb2.CurvesResult)
    assert len(message.runs) == len(findings.summary.runs)
    assert message.verdicts
    assert show_curves(findings).parts
    return findings


def kinds(
    train: Sequence[float] | np.ndarray | None = None,
    validation: Sequence[float] | np.ndarray | None = None,
    guess: float | None = None,
) -> list[CurveVerdictKind]:
    return [each.kind for each in verdicts(_history(train, validation), guess, "epoch")]


def _history(train: object, validation: object, name: str = "models/m/versions/2") -> History:
    given = {"train/loss": train, "validation/loss": validation}
    values = {key: np.asarray(each, float) for key, each in given.items() if each is not None}
    return History(name, np.arange(1, len(next(iter(values.values()))) + 1), values)


def plots_of(section: Section) -> list[Plot]:
    return [part for part in section.parts if isinstance(part, Plot)]


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=1)


def test_curves_that_settle_are_fine() -> None:
    assert kinds(FALLING, FALLING + 0.01) == [Kind.FINE]
    assert kinds(FALLING) == [Kind.FINE]
    assert kinds([0.3]) == kinds([0.3, 0.3], [0.4, 0.4]) == [Kind.FINE]


def test_validation_that_rises_while_training_falls_is_overfitting() -> None:
    validation = FALLING + 0.02 * np.maximum(0, EPOCHS - 15)
    (found, *_) = verdicts(_history(FALLING, validation), None, "epoch")
    assert found.kind is Kind.OVERFITTED
    best = int(validation.argmin()) + 1
    assert f"best in epoch {best} ({validation.min():.4g})" in found.text
    assert f"Stop at about epoch {best}" in found.cure
    fall = validation[0] - validation.min()
    expected = (np.median(validation[-3:]) - validation.min()) / fall
    assert found.value == pytest.approx(expected)


def test_validation_that_rises_with_training_is_no_overfitting() -> None:
    both = FALLING + 0.02 * np.maximum(0, EPOCHS - 30)
    assert Kind.OVERFITTED not in kinds(both, both)


def test_validation_that_never_got_better_is_overfitting() -> None:
    assert kinds(FALLING, 1 + 0.1 * EPOCHS)[0] is Kind.OVERFITTED


def test_a_gap_at_the_best_epoch_is_told() -> None:
    assert kinds(FALLING, FALLING + 0.3) == [Kind.GAP]
    assert kinds(FALLING, FALLING + 0.3, guess=100.0) == [Kind.FINE]  # small against a guess


def test_training_loss_near_a_guess_is_underfitting() -> None:
    assert kinds(0.66 + 0.03 * FALLING, None, np.log(2)) == [Kind.UNDERFITTED]
    assert kinds(0.5 + 0.03 * FALLING, None, np.log(2)) == [Kind.FINE]


def test_a_steady_fall_could_go_on() -> None:
    line = 1 - EPOCHS / 50
    assert kinds(line, line) == [Kind.STILL_FALLING]
    (found,) = verdicts(_history(line, None), None, "epoch")
    assert found.value == pytest.approx(2.5 / 39, rel=0.01)  # 4 of 40 epochs, by their middle


def test_a_jump_is_a_spike() -> None:
    jumped = FALLING.copy()
    jumped[[10, 20]] += 0.5
    (found,) = verdicts(_history(jumped, None), None, "epoch")
    assert found.kind is Kind.SPIKES
    assert found.value == 2
    assert "epoch 11, 21" in found.text


def test_losses_that_explode_or_are_no_numbers_diverged() -> None:
    assert kinds(np.r_[FALLING, 3, 4, 5])[0] is Kind.DIVERGED
    for bad in (np.nan, np.inf):
        (found, *_) = verdicts(_history(np.r_[FALLING, bad, bad], None), None, "epoch")
        assert found.kind is Kind.DIVERGED
        assert "from epoch 41 on" in found.text


def test_a_loss_without_a_single_number_diverged() -> None:
    assert kinds([np.nan] * 6, [np.nan] * 6) == [Kind.DIVERGED]


def test_a_loss_that_stays_where_it_is_did_not_diverge() -> None:
    """Rounding alone is no rise, even where the first loss is the least."""
    assert Kind.DIVERGED not in kinds(0.6931471 + 1e-7 * np.arange(10))
    (found, *_) = verdicts(_history(np.linspace(1, 2, 10), None), None, "epoch")
    assert found.kind is Kind.DIVERGED
    assert "fall is lost" not in found.text, "it never fell"


def test_a_fall_is_told_in_epochs_where_some_were_measured() -> None:
    history = History("m", np.arange(3, 301, 3), {"train/loss": np.linspace(2, 1, 100)})
    (found,) = verdicts(history, None, "iteration")
    assert "the last 30 of 298 iterations" in found.text


def test_metrics_without_loss_are_judged_as_well() -> None:
    """Accuracy that falls is what loss is that rises."""
    accuracy = 1 - FALLING / 2
    falling = accuracy - 0.01 * np.maximum(0, EPOCHS - 15)
    values = {"train/accuracy": accuracy, "validation/accuracy": falling}
    found = verdicts(History("m", EPOCHS, values), None, "epoch")
    assert found[0].kind is Kind.OVERFITTED
    assert f"({falling.max():.4g})" in found[0].text


@example(values=np.array([1.0]), held_out=False, guess=2.225073858507e-311)
@given(
    hypothesis_numpy.arrays(float, st.integers(1, 30), elements=st.floats(allow_subnormal=False)),
    st.booleans(),
    st.one_of(st.none(), st.floats(0, 10)),
)
@settings(max_examples=60)
def test_any_numbers_get_a_verdict(values: np.ndarray, held_out: bool, guess: float | None) -> None:
    with np.errstate(all="ignore"):
        found = verdicts(_history(values, values[::-1] if held_out else None), guess, "epoch")
    assert found
    assert all(each.value is None or np.isfinite(each.value) for each in found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("train/loss", 1), ("validation/mean_absolute_error", 1), ("train/accuracy", -1)),
        *(("validation/r2", -1), ("learning_rate", 0), ("rows_per_second", 0)),
    ],
)
def test_it_is_known_what_is_better(name: str, expected: int) -> None:
    assert direction(name) == expected


@given(st.integers(1, 400), st.integers(5, 50))
def test_thinning_keeps_the_ends_and_what_must_be_there(count: int, most: int) -> None:
    places = thinned(np.arange(count, dtype=float), most, [count // 3])
    assert len(places) <= most
    assert {0, count - 1, count // 3} <= {*places.tolist()}


def _with(subject: Subject, *histories: History) -> Subject:
    return replace(subject, histories=histories)


def test_histories_of_several_runs_lie_over_each_other(mlp: Subject) -> None:
    own = History(
        "models/m/versions/3",
        EPOCHS,
        {
            "train/loss": FALLING,
            "validation/loss": FALLING + 0.01,
            "learning_rate": 0.1 / EPOCHS,
            "rows_per_second": np.full(40, np.nan),
        },
    )
    earlier = _history(FALLING + 0.2, FALLING + 0.25, "models/m/versions/2")
    findings = analysed(_with(mlp, own, earlier))
    assert [run.best_epoch for run in findings.summary.runs] == [40, 40]
    assert findings.summary.runs[0].best_by == "validation/loss"
    section = show_curves(findings)
    assert "1 earlier version" in str(section.parts[0])
    loss, rate = plots_of(section)
    names = [trace.name for trace in loss.figure.data]
    assert names == ["version 2, validation", "training", "validation"]
    assert [trace.name for trace in rate.figure.data] == ["learning rate"]
    (notice,) = [part for part in section.parts if isinstance(part, Notice)]
    assert notice.text == findings.summary.verdicts[0].text
    assert "Overfitted" in str(analysed(_with(mlp, _history(FALLING, EPOCHS))).summary.verdicts)


def test_long_histories_are_thinned(mlp: Subject) -> None:
    generator = np.random.default_rng(0)
    losses = generator.random(5000) + 1
    losses[1234] = 0.5
    findings = analysed(
        _with(mlp, History("models/m/versions/1", np.arange(5000), {"train/loss": losses}))
    )
    (run,) = findings.summary.runs
    (curve,) = run.curves
    assert len(curve.values) == 100
    assert (run.epoch_count, run.best_epoch, curve.best) == (5000, 1234, 0.5)
    assert 1234 in curve.epochs
    assert curve.last == losses[-1]
    (trace,) = plots_of(show_curves(findings))[0].figure.data
    assert len(trace.x) == 500


def test_underfitting_is_measured_against_the_training_rows(mlp: Subject) -> None:
    assert mlp.training is not None
    shares = np.bincount(np.asarray(mlp.training.truth, np.int64)) / mlp.training.count
    guess = float(-(shares * np.log(shares)).sum())
    found = analysed(_with(mlp, _history(np.full(5, 0.95 * guess), None))).summary.verdicts
    assert [each.kind for each in found] == [Kind.UNDERFITTED]
    assert found[0].value == pytest.approx(0.95)


def test_models_without_a_record_say_so(mlp: Subject) -> None:
    with pytest.raises(NotApplicableError, match="no history"):
        analyse_curves(mlp, Budget(1))
    forest = _fitted(iris(), RandomForestClassifier(3))
    with pytest.raises(NotApplicableError, match="RandomForestClassifier"):
        analyse_curves(forest, Budget(1))
    pictures = images(10)
    onnx = replace(mlp, model=onnx_convolution(pictures, 2, 10), sample=pictures)
    with pytest.raises(NotApplicableError, match="ONNX"):
        analyse_curves(onnx, Budget(1))


def _fitted(subject: Subject, estimator: object) -> Subject:
    assert subject.training is not None
    table = np.column_stack([*subject.training.raw.columns.values()])
    estimator.fit(table, subject.training.truth)  # type: ignore[attr-defined]
    model = sklearn_model(estimator, subject.sample.columns, subject.model.task)
    return replace(subject, model=model)


def _values(run: RunCurves) -> Mapping[str, np.ndarray]:
    return {curve.name: np.array(curve.values) for curve in run.curves}


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=12),
        make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=12)),
        AdaBoostClassifier(n_estimators=12),
    ],
)
def test_boosting_is_measured_step_by_step(estimator: object) -> None:
    """The last step is the model itself: its errors are those that scikit-learn measures."""
    subject = _fitted(breast_cancer(), estimator)
    findings = analysed(subject)
    (run,) = findings.summary.runs
    found = _values(run)
    assert run.curves[0].epochs == tuple(range(1, 13))
    assert found["validation/loss"][-1] == pytest.approx(log_loss(subject.truth, subject.outputs))
    right = accuracy_score(subject.truth, subject.outputs.argmax(axis=1))
    assert found["validation/accuracy"][-1] == pytest.approx(right)
    assert found["train/loss"][-1] < found["train/loss"][0]
    assert "after each iteration" in findings.summary.stands_in


def test_boosted_regression_without_learning_is_underfitted() -> None:
    lazy = _fitted(diabetes(), GradientBoostingRegressor(n_estimators=5, learning_rate=1e-3))
    findings = analysed(lazy)
    assert findings.summary.verdicts[0].kind is Kind.UNDERFITTED
    assert {"train/r2", "validation/r2"} <= set(_values(findings.summary.runs[0]))


def test_boosting_that_goes_on_for_too_long_is_overfitted() -> None:
    eager = _fitted(diabetes(), GradientBoostingRegressor(n_estimators=300, max_depth=5))
    found = analysed(eager).summary
    assert Kind.OVERFITTED in [each.kind for each in found.verdicts]
    assert found.runs[0].epoch_count == 300, "not the number of steps that were measured"


def test_a_changed_target_is_not_taken_for_the_models() -> None:
    """Steps within predict logarithms: what boosting kept itself stands in."""
    inner = GradientBoostingRegressor(n_estimators=10, subsample=0.5)
    outer = TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp)
    findings = analysed(_fitted(diabetes(), outer))
    assert "train_score_" in findings.summary.stands_in
    found = _values(findings.summary.runs[0])
    assert np.allclose(found["train/loss"], outer.regressor_.train_score_)
    assert np.allclose(found["out_of_bag/loss"], outer.regressor_.oob_scores_)
    assert "train_score_" in analysed(_fitted(diabetes(), outer), 0.0).summary.stands_in


def test_boosting_without_training_rows_shows_what_it_kept() -> None:
    estimator = HistGradientBoostingClassifier(max_iter=10, early_stopping=True)
    subject = replace(_fitted(breast_cancer(), estimator), training=None)
    found = _values(analysed(subject).summary.runs[0])
    assert np.allclose(found["train/score"], estimator.train_score_)
    assert np.allclose(found["validation/score"], estimator.validation_score_)


def test_perceptrons_of_scikit_learn_kept_their_curves() -> None:
    network = MLPClassifier((8,), early_stopping=True, max_iter=30, tol=0, random_state=0)
    findings = analysed(_fitted(breast_cancer(), make_pipeline(StandardScaler(), network)))
    found = _values(findings.summary.runs[0])
    assert np.allclose(found["train/loss"], network.loss_curve_)
    assert np.allclose(found["validation/accuracy"], network.validation_scores_)
    assert findings.summary.runs[0].best_by == "validation/accuracy"


def test_a_short_budget_takes_fewer_steps_and_says_so() -> None:
    subject = _fitted(iris(), HistGradientBoostingClassifier(max_iter=30))
    findings = analysed(subject, 0.0)
    assert len(_values(findings.summary.runs[0])["train/loss"]) == 2
    assert any("first 2" in note for note in findings.notes)


def test_rows_without_truth_do_not_matter(mlp: Subject) -> None:
    subject = replace(mlp, sample=replace(mlp.sample, truth=None), training=None)
    assert analysed(_with(subject, _history(FALLING, FALLING))).summary.verdicts

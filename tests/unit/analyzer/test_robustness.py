"""How the metric falls under disturbances: against what is known of simple models."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression

from aimass.analyzer.v1.robustness_pb2 import RobustnessResult
from common.data.rows import Values
from common.data.schema import Task
from common.protobuf import from_plain
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.metrics import Metric
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.robustness.analysis import analyse_robustness
from services.analyzer.domain.robustness.findings import (
    AttackKind,
    DisturbanceKind,
    RobustnessFindings,
)
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    numeric_columns,
    sample_of,
    sklearn_model,
    subject_of,
)
from tests.unit.analyzer.robustness_support import (
    ROWS,
    curve,
    found_for,
    normal,
    scores,
    small_mlp,
    subject_with,
    two_classes,
    without_truth,
)

Kind = DisturbanceKind


@pytest.fixture(scope="module")
def identity() -> RobustnessFindings:
    """A regression whose output and truth is one column of standard normal numbers."""
    values = normal(1)
    return found_for(subject_with(lambda raw: raw["a"], values, values["a"]))


def test_noise_costs_the_share_of_its_variance(identity: RobustnessFindings) -> None:
    """R² is 1 - s² where noise has s times the deviation of the only column."""
    found = curve(identity, Kind.NOISE)
    assert found.points[0].severity == 0.1
    for point in found.points:
        assert point.fall.value == pytest.approx(point.severity**2, rel=0.1)
        assert point.score.low < point.score.value < point.score.high


def test_shifts_cost_their_square(identity: RobustnessFindings) -> None:
    points = curve(identity, Kind.SHIFT).points
    assert points
    for point in points:
        assert point.score.value == pytest.approx(1 - point.severity**2, abs=1e-6)


def test_swapped_values_cost_twice_their_share(identity: RobustnessFindings) -> None:
    """Another row's value is off by a difference of two, with twice the variance."""
    for point in curve(identity, Kind.SWAPPED).points:
        assert point.score.value == pytest.approx(1 - 2 * point.severity, abs=0.15)


def test_missing_values_become_the_mean_where_models_cannot_take_them(
    identity: RobustnessFindings,
) -> None:
    """R² falls by the share of cells that hold the mean."""
    for point in curve(identity, Kind.MISSING).points:
        assert point.score.value == pytest.approx(1 - point.severity, abs=0.05)
    assert any("cannot take missing numbers" in note for note in identity.notes)


def test_half_is_lost_where_the_curve_says(identity: RobustnessFindings) -> None:
    """1 - s² between the severities 0.5 and 1, where a straight line takes its place."""
    found = curve(identity, Kind.SHIFT)
    assert found.half_severity == pytest.approx(0.5 + 0.25 / 0.75 * 0.5, abs=1e-3)
    assert found.robustness == pytest.approx((15 / 16 + 3 / 4) / 5, abs=1e-3)


def test_what_hurts_most_comes_first(identity: RobustnessFindings) -> None:
    robustness = [each.robustness or 0.0 for each in identity.curves]
    assert robustness == sorted(robustness)


def test_a_column_that_the_model_ignores_does_not_hurt() -> None:
    values = normal(3)
    truth = (values["a"] + 0.5 * values["b"] > 0).astype(np.int64)
    subject = subject_with(
        lambda raw: two_classes(8 * (raw["a"] + 0.5 * raw["b"])),
        values,
        truth,
        Task.CLASSIFICATION,
        ("no", "yes"),
    )
    found = found_for(subject).columns
    assert [each.column for each in found] == ["a", "b", "c"]
    assert {curve.points[0].fall.value for curve in found[2].curves} == {0.0}
    assert not found[2].worst.points[0].is_worse
    assert found[0].worst.points[0].is_worse


def test_wrong_labels_hurt_by_their_share() -> None:
    """A model that reads the answer off one column of three labels."""
    codes = np.random.default_rng(0).integers(0, 3, ROWS)
    subject = subject_with(
        lambda raw: np.eye(3)[raw["a"]],
        {"a": codes, "b": codes * 0},
        codes,
        Task.CLASSIFICATION,
        tuple("xyz"),
        {"a": tuple("xyz"), "b": ("only",)},
    )
    found = curve(found_for(subject), Kind.ANOTHER_LABEL)
    assert found.points
    for point in found.points:
        assert point.score.value == pytest.approx(1 - point.severity, abs=0.03)


def test_missing_labels_and_texts_are_tried_before_something_stands_in() -> None:
    """A model that knows what to do with them is given them."""
    seen = []

    def model(raw: Mapping[str, Any]) -> Any:
        seen.append((int((raw["a"] < 0).sum()), sum(each is None for each in raw["t"])))
        return np.where(raw["a"] < 0, 0.5, raw["a"] * 1.0)

    codes = np.random.default_rng(0).integers(0, 2, 400)
    texts = np.array(["some words here"] * 400, dtype=object)
    subject = subject_with(model, {"a": codes, "t": texts}, codes * 1.0, labels={"a": ("0", "1")})
    found = found_for(subject)
    assert not any("missing" in note for note in found.notes)
    assert any(0 < missing < 400 for missing, _ in seen)
    assert {each.kind for each in found.curves} >= {Kind.DROPPED_WORDS, Kind.TYPOS}


def test_texts_hurt_by_the_words_that_are_gone() -> None:
    """A model that counts the words of texts of ten words."""
    generator = np.random.default_rng(0)
    counts = generator.integers(5, 15, 1000)
    texts = np.array([" ".join(["word"] * count) for count in counts], dtype=object)
    subject = subject_with(
        lambda raw: np.array([len(each.split()) for each in raw["t"]], float),
        {"t": texts},
        counts.astype(float),
        metric=Metric.MEAN_ABSOLUTE_ERROR,
    )
    found = found_for(subject)
    for point in curve(found, Kind.DROPPED_WORDS).points:
        assert -point.score.value == pytest.approx(point.severity * counts.mean(), rel=0.15)
    assert as_message(found).curves[0].points[0].metric.value > 0


def test_losses_keep_their_sign() -> None:
    """Log-loss grows under disturbance, and what it grows by is above 0."""
    values = normal(2)
    truth = (values["a"] > 0).astype(np.int64)
    subject = subject_with(
        lambda raw: two_classes(3 * raw["a"]),
        values,
        truth,
        Task.CLASSIFICATION,
        ("no", "yes"),
        metric=Metric.LOG_LOSS,
    )
    summary = as_message(found_for(subject))
    last = summary.curves[0].points[-1]
    assert summary.metric == "log_loss"
    assert last.metric.value > summary.undisturbed.value > 0
    assert last.metric.low < last.metric.value < last.metric.high
    assert last.fall.value == pytest.approx(last.metric.value - summary.undisturbed.value)
    assert summary.guess == pytest.approx(np.log(2), abs=0.01)


def test_without_a_target_agreement_is_measured() -> None:
    """Undisturbed, a model agrees with itself; what disturbs it shows."""
    values = normal(2)
    subject = subject_with(lambda raw: raw["a"] * 3 + 1, values, None)
    found = found_for(subject)
    assert found.is_agreement
    assert found.score.value == 1
    assert curve(found, Kind.NOISE).points[-1].score.value < 0
    assert any("no target" in note for note in found.notes)


def test_several_labels_are_disturbed_as_well() -> None:
    values = normal(2)
    truth = np.column_stack([values["a"] > 0, values["b"] > 0])
    subject = subject_with(
        lambda raw: np.column_stack([raw["a"] > 0, raw["b"] > 0]).astype(float),
        values,
        truth,
        Task.MULTI_LABEL,
        ("x", "y"),
    )
    found = found_for(subject)
    assert found.score.value == 1
    assert found.guess == pytest.approx(0.5, abs=0.05)
    assert found_for(without_truth(subject)).score.value == 1


def test_series_hurt_by_what_breaks_their_order() -> None:
    """A model that reads the last lag of vectors of eight."""
    lags = np.random.default_rng(0).standard_normal((ROWS, 8))
    subject = subject_with(lambda raw: raw["s"][:, -1], {"s": lags}, lags[:, -1])
    found = found_for(subject)
    assert {each.kind for each in found.curves} == {
        Kind.MISSING_LAGS,
        Kind.SHUFFLED_LAGS,
        Kind.SERIES_NOISE,
        Kind.TIME_SHIFT,
    }
    assert scores(curve(found, Kind.TIME_SHIFT))[0] == pytest.approx(-1, abs=0.2)
    gone = curve(found, Kind.MISSING_LAGS).points[0]
    assert gone.score.value == pytest.approx(1 - gone.severity, abs=0.06)


@pytest.mark.parametrize(
    "values",
    [
        {"a": np.arange(2.0)},
        {"a": np.full(50, 3.0), "b": np.arange(50.0)},
        {"a": np.full(50, np.nan), "b": np.arange(50.0)},
        {"a": np.where(np.arange(50) % 2, np.nan, 1e300), "b": np.arange(50.0)},
    ],
    ids=["two rows", "a constant column", "an empty column", "huge numbers"],
)
def test_awkward_columns_do_no_harm(values: dict[str, Values]) -> None:
    truth = np.arange(len(values["a"]), dtype=float)
    subject = subject_with(lambda raw: np.nan_to_num(raw["a"]) * 1e-300 + 1, values, truth)
    assert as_message(found_for(subject)).curves


def test_a_model_that_is_no_better_than_a_guess_has_nothing_to_lose() -> None:
    """With one class only, or a constant output, no share is told."""
    values = normal(2, 200)
    subject = subject_with(
        lambda raw: np.tile([0.9, 0.1], (len(raw["a"]), 1)),
        values,
        np.zeros(200, np.int64),
        Task.CLASSIFICATION,
        ("no", "yes"),
    )
    found = found_for(subject)
    assert {each.robustness for each in found.curves} == {None}
    message = as_message(found)
    assert not message.curves[0].HasField("robustness")
    assert not message.curves[0].points[0].HasField("retained")


def test_what_the_model_cannot_take_is_left_out() -> None:
    """The other disturbances are whole."""

    def model(raw: Mapping[str, Any]) -> Any:
        if (np.abs(raw["a"] - 15) > 1).any():
            raise ValueError("Out of range.")
        return raw["a"]

    values = {"a": np.full(300, 15.0), "b": normal(1, 300)["a"]}
    found = found_for(subject_with(model, values, values["b"]))
    assert "No result for scaled values: Out of range." in found.notes
    assert Kind.NOISE in {each.kind for each in found.curves}


def test_nothing_to_disturb_is_said() -> None:
    subject = subject_with(lambda raw: raw["a"], normal(1, 20), None)
    object.__setattr__(subject.model, "features", ())
    with pytest.raises(NotApplicableError, match="no columns"):
        found_for(subject)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    subject = subject_with(lambda raw: raw["a"] * np.nan, normal(1, 20), None)
    with pytest.raises(UnusableModelError):
        found_for(subject)


def test_stopping_is_not_taken_for_a_failure() -> None:
    """What the check raises goes through, wherever it is."""
    subject = subject_with(lambda raw: raw["a"], normal(2, 200), None)

    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        analyse_robustness(subject, Budget(10, check))


@pytest.mark.parametrize("estimator", [LinearRegression(), LogisticRegression()])
def test_estimators_that_refuse_missing_values(estimator: object) -> None:
    subject = _fitted(estimator)
    before = {name: each.copy() for name, each in subject.sample.raw.columns.items()}
    found = found_for(subject)
    assert any("the column's mean" in note for note in found.notes)
    assert any("no gradients" in note for note in found.notes)
    assert [each.curve.kind for each in found.attacks] == [AttackKind.RANDOM_SEARCH]
    for name, each in before.items():
        np.testing.assert_array_equal(each, subject.sample.raw.columns[name])


def _fitted(estimator: object) -> Subject:
    values, target = load_diabetes(return_X_y=True)
    task = Task.REGRESSION
    if isinstance(estimator, LogisticRegression):
        target, task = (target > 140).astype(np.int64), Task.CLASSIFICATION
    names = list("abcdefghij")
    estimator.fit(values, target)  # type: ignore[attr-defined]
    columns = numeric_columns(values, names)
    sample = sample_of(columns, dict(zip(names, values.T, strict=True)), target)
    return subject_of(sklearn_model(estimator, columns, task), sample)


def test_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    """And leaves rows and parameters as they were."""
    subject = small_mlp(tmp_path)
    assert isinstance(subject.model, TorchPackage)
    rows = {name: each.copy() for name, each in subject.sample.raw.columns.items()}
    weights = {name: each.clone() for name, each in subject.model.network.state_dict().items()}
    first, second = found_for(subject), found_for(subject)
    assert first.summary == second.summary
    other = dataclasses.replace(subject, settings=dataclasses.replace(subject.settings, seed=1))
    assert found_for(other).summary != first.summary
    for name, values in rows.items():
        np.testing.assert_array_equal(values, subject.sample.raw.columns[name])
    for name, tensor in subject.model.network.state_dict().items():
        assert tensor.equal(weights[name])
    assert all(each.grad is None for each in subject.model.network.parameters())
    message = as_message(first)
    assert len(message.columns) == 4
    assert len(message.attacks) == 3
    assert message.ByteSize() < 50_000


def as_message(found: RobustnessFindings) -> RobustnessResult:
    """Returns what is found as the message that holds it."""
    return from_plain(dataclasses.asdict(found.summary), RobustnessResult)

"""Health rules name what was made wrong, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Schema, ValueCount
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.health.checking import RULES, HealthFindings, check_health
from services.analyzer.domain.health.page import show_health
from services.analyzer.domain.health.rules import Grade
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.part import PartName, PartOutcome, PartState
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject
from tests.support.analysis import breast_cancer, diabetes, iris, numeric_columns


def checked(subject: Subject) -> HealthFindings:
    return check_health(subject, {}, (), Budget(60.0))


def rules_of(subject: Subject) -> set[str]:
    return {each.rule for each in checked(subject).summary.findings}


class Fixed:
    """A model that gives fixed outputs, whatever the rows."""

    def __init__(self, subject: Subject, outputs: Outputs) -> None:
        self._subject = subject
        self._outputs = outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject.model, name)

    def predict(self, raw: RawRows) -> Outputs:
        return np.resize(self._outputs, (raw.count, self._outputs.shape[1]))


def with_outputs(subject: Subject, outputs: Outputs) -> Subject:
    return replace(subject, model=Fixed(subject, outputs), training=None)


@pytest.mark.parametrize("make", [breast_cancer, iris, diabetes])
def test_sound_models_pass(make: object) -> None:
    """No rule cries wolf."""
    found = checked(make())  # type: ignore[operator]
    assert found.summary.findings == ()
    told = {*found.summary.passed, *(each.rule for each in found.summary.unchecked)}
    assert told == set(RULES)


def test_constant_output_is_a_problem() -> None:
    subject = iris()
    found = checked(with_outputs(subject, np.array([[0.2, 0.3, 0.5]]))).summary.findings
    assert {"constant_output", "class_never_predicted", "no_better_than_a_guess"} <= {
        each.rule for each in found
    }
    assert found[0].severity is Grade.PROBLEM


def test_a_class_never_predicted_is_named() -> None:
    subject = iris()
    outputs = subject.outputs.copy()
    outputs[:, 1] = 0
    found = checked(with_outputs(subject, outputs)).summary.findings
    assert [each.subject for each in found if each.rule == "class_never_predicted"] == ["1"]


def test_rows_of_unknown_classes_are_told() -> None:
    subject = iris()
    truth = np.where(np.arange(subject.sample.count) < 3, -1, subject.truth)
    assert "unknown_class" in rules_of(
        replace(subject, sample=replace(subject.sample, truth=truth))
    )


def test_overconfidence_is_told() -> None:
    subject = breast_cancer()
    generator = np.random.default_rng(0)
    sure = np.eye(2)[np.where(generator.random(subject.sample.count) < 0.7, subject.truth, 0)]
    assert "poor_calibration" in rules_of(with_outputs(subject, sure * 0.98 + 0.01))


def test_a_model_that_learned_by_heart_is_told() -> None:
    """A deep tree on noise is right on training rows alone."""
    subject = breast_cancer()
    assert subject.training is not None
    generator = np.random.default_rng(0)
    memory = {
        row.tobytes(): label
        for row, label in zip(
            np.column_stack(list(subject.training.raw.columns.values())),
            np.asarray(subject.training.truth),
            strict=True,
        )
    }

    class Memory(Fixed):
        def predict(self, raw: RawRows) -> Outputs:
            rows = np.column_stack(list(raw.columns.values()))
            labels = [memory.get(row.tobytes(), generator.integers(2)) for row in rows]
            return np.eye(2)[labels]

    memorised = replace(subject, model=Memory(subject, subject.outputs))
    grades = {each.rule: each.severity for each in checked(memorised).summary.findings}
    assert grades["train_gap"] is Grade.PROBLEM


def test_a_column_that_tells_the_target_is_a_leak() -> None:
    subject = breast_cancer()
    assert subject.training is not None
    leaking = [
        replace(each, raw=with_column(each.raw, "mean_radius", np.asarray(each.truth) * 3.0 + 1))
        for each in (subject.sample, subject.training)
    ]
    found = checked(replace(subject, sample=leaking[0], training=leaking[1])).summary.findings
    assert [each.subject for each in found if each.rule == "leakage"] == ["mean_radius"]


def test_training_rows_among_the_rows_are_told() -> None:
    subject = breast_cancer()
    assert subject.training is not None
    same = replace(subject, training=subject.sample)
    assert "overlap" in rules_of(same)


def test_columns_that_moved_are_told() -> None:
    """Between data versions by their statistics alone, categories included."""
    subject = iris()
    values = np.column_stack(list(subject.sample.raw.columns.values()))
    moved = numeric_columns(values + np.array([0.0, 3.0, 0.0, 0.0]), list(subject.sample.columns))
    before = replace(subject, training_schema=Schema(tuple(moved.values())))
    found = checked(before).summary.findings
    assert [each.subject for each in found if each.rule == "drift"] == ["sepal_width"]


def test_same_statistics_are_no_drift() -> None:
    subject = iris()
    assert "drift" not in rules_of(replace(subject, training_schema=subject.schema))


def test_categories_that_moved_are_told() -> None:
    subject = iris()

    def schema_of(red: int, blue: int) -> Schema:
        tops = (ValueCount("red", red), ValueCount("blue", blue))
        column = Column("sepal_width", ColumnType.CATEGORICAL, top_values=tops)
        return Schema((column,))

    moved = replace(subject, schema=schema_of(90, 10), training_schema=schema_of(20, 80))
    assert "drift" in rules_of(moved)


@pytest.mark.parametrize("recorded", [0.97, 1.0])
def test_metrics_near_those_of_the_record_are_not_told(recorded: float) -> None:
    subject = replace(iris(), metrics={"validation/accuracy": recorded})
    assert "worse_than_recorded" not in rules_of(subject)


def test_metrics_far_below_the_record_are_told() -> None:
    subject = iris()
    wrong = np.eye(3)[(subject.truth.astype(int) + np.arange(subject.sample.count) % 2) % 3]
    recorded = replace(with_outputs(subject, wrong), metrics={"test/accuracy": 0.96})
    assert "worse_than_recorded" in rules_of(recorded)


def test_no_target_leaves_rules_unchecked() -> None:
    subject = iris()
    bare = replace(subject, sample=replace(subject.sample, truth=None), training=None)
    unchecked = {each.rule for each in checked(bare).summary.unchecked}
    assert {"no_better_than_a_guess", "train_gap", "poor_calibration", "leakage"} <= unchecked


def test_outputs_that_are_no_numbers_leave_rules_unchecked() -> None:
    subject = iris()
    broken = with_outputs(subject, np.full((1, 3), np.nan))
    reasons = {each.rule: each.reason for each in checked(broken).summary.unchecked}
    assert "NaN" in reasons["constant_output"]


def test_why_a_part_is_missing_is_the_reason() -> None:
    outcome = PartOutcome(PartName.WEIGHTS, PartState.FAILED, 0.1, ("The disk is full.",))
    found = check_health(iris(), {}, (outcome,), Budget(60.0))
    reasons = {each.rule: each.reason for each in found.summary.unchecked}
    assert reasons["exploding_weights"] == "The disk is full."


def test_the_section_names_every_rule() -> None:
    found = checked(with_outputs(iris(), np.array([[0.2, 0.3, 0.5]])))
    section = show_health(found)
    assert len(section.parts) >= 3


def leaking(subject: Subject) -> Subject:
    """Returns a subject of which a column tells the target."""
    sample = subject.sample
    raw = with_column(sample.raw, next(iter(sample.columns)), np.asarray(sample.truth) * 3.0 + 1)
    return replace(subject, sample=replace(sample, raw=raw), training=None)


def test_a_rare_class_does_not_hide_a_leak() -> None:
    """A class of two rows cannot be in each of three folds."""
    subject = iris()
    truth = np.asarray(subject.truth).copy()
    truth[:2] = -1
    rare = leaking(replace(subject, sample=replace(subject.sample, truth=truth)))
    assert "leakage" in rules_of(rare)


def test_sorted_data_do_not_hide_a_leak() -> None:
    subject = diabetes()
    sample = subject.sample.take(np.argsort(np.asarray(subject.truth)))
    assert "leakage" in rules_of(leaking(replace(subject, sample=sample)))


def test_infinite_values_are_looked_at_for_leaks() -> None:
    subject = iris()
    raw = subject.sample.raw
    values = raw.columns["sepal_width"].astype(np.float64)
    values[:2] = [np.inf, np.nan]
    sample = replace(subject.sample, raw=with_column(raw, "sepal_width", values))
    assert "leakage" in checked(replace(subject, sample=sample, training=None)).summary.passed


def test_many_findings_of_a_rule_are_bounded() -> None:
    """The record of an analysis holds them all, whatever the data's columns."""
    subject = breast_cancer()
    names = [f"{'long' * 100}{place}" for place in range(3_000)]
    values = np.random.default_rng(0).normal(size=(50, 1))
    [one] = numeric_columns(values, ["x"]).values()
    [other] = numeric_columns(values + 9, ["x"]).values()
    before, now = (
        Schema(tuple(replace(column, name=name) for name in names)) for column in (one, other)
    )

    class Wide(Fixed):
        features = tuple(names)

    sample = replace(subject.sample, columns={each.name: each for each in now.columns})
    wide = replace(
        subject,
        model=Wide(subject, subject.outputs),
        schema=now,
        training_schema=before,
        training=None,
        sample=sample,
    )
    found = [each for each in checked(wide).summary.findings if each.rule == "drift"]
    assert len(found) == 20
    assert "2,981 more" in found[-1].problem
    assert sum(len(each.problem) + len(each.subject) for each in found) < 20_000


def test_values_that_are_mostly_rare_are_not_told_to_have_moved() -> None:
    """The twenty most frequent of a thousand rare values are others by chance alone."""
    subject = iris()

    def schema_of(first: int) -> Schema:
        tops = tuple(ValueCount(f"v{first + place}", 3) for place in range(20))
        column = Column(
            "sepal_width", ColumnType.CATEGORICAL, distinct_count=1_000, top_values=tops
        )
        return Schema((column,))

    assert "drift" not in rules_of(
        replace(subject, schema=schema_of(0), training_schema=schema_of(500))
    )


def test_small_units_are_no_constant_output() -> None:
    subject = diabetes()
    small = with_outputs(subject, subject.outputs * 1e-12)
    assert "constant_output" in checked(small).summary.passed


def test_no_columns_of_numbers_are_not_checked_for_a_split_that_drifts() -> None:
    subject = iris()
    columns = {
        name: Column(name, ColumnType.CATEGORICAL, categories=("a", "b"))
        for name in subject.sample.columns
    }
    bare = replace(subject, sample=replace(subject.sample, columns=columns))
    assert "split_drift" in {each.rule for each in checked(bare).summary.unchecked}

"""How versions do on the same rows: what is planted is found, and the verdict says so."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from aimass.analyzer.v1 import comparison_pb2
from common.data.rows import Values
from common.data.schema import Task
from common.protobuf import from_plain
from services.analyzer.domain.comparison.comparison import ComparisonFindings
from services.analyzer.domain.comparison.summary import ChallengerSummary, Outcome
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.metrics import Metric
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.part import PartName, PartState
from services.analyzer.domain.subject import Subject
from tests.support.analysis import subject_of
from tests.unit.analyzer.behaviour_support import noise_sample, numbers_sample
from tests.unit.analyzer.comparison_support import compared, giving, numbered, shown, sure
from tests.unit.analyzer.relations_support import FunctionModel

ROWS = 1000


def with_errors(truth: Values, wrong: Values, classes: int = 3) -> Values:
    """Returns classes that are wrong in some rows."""
    own = truth.astype(np.int64)
    return np.asarray(np.where(wrong, (own + 1) % classes, own))


@pytest.fixture
def truth() -> Values:
    return np.random.default_rng(0).integers(0, 3, ROWS)


def places(*spans: tuple[int, int]) -> Values:
    """Returns which rows are within some spans."""
    rows = np.arange(ROWS)
    return np.asarray(np.any([(rows >= first) & (rows < last) for first, last in spans], axis=0))


def challenger(found: ComparisonFindings, place: int = 0) -> ChallengerSummary:
    return found.summary.challengers[place]


def outputs_of(truth: Values, *spans: tuple[int, int]) -> Outputs:
    return sure(with_errors(truth, places(*spans)), 3)


def test_rows_that_changed_are_counted_and_told(truth: Values) -> None:
    """60 rows are gained, 10 are lost, 5 are wrong otherwise."""
    before = with_errors(truth, places((0, 65)))
    after = with_errors(truth, places((60, 65), (100, 110)))
    after[60:65] = (truth[60:65] + 2) % 3
    found = compared(giving([sure(before, 3), sure(after, 3)], truth))
    rows = challenger(found).rows
    assert rows is not None
    assert (rows.gained, rows.lost, rows.wrong_otherwise, rows.row_count) == (60, 10, 5, ROWS)
    assert len(rows.gained_rows) == 20
    assert {each.row for each in rows.lost_rows} == set(range(100, 110))
    first = rows.lost_rows[0]
    assert first.truth == first.baseline == f"class {truth[first.row]}"
    assert first.challenger == f"class {after[first.row]}"


def test_a_better_version_is_called_better_with_its_numbers(truth: Values) -> None:
    found = compared(giving([outputs_of(truth, (0, 90)), outputs_of(truth, (60, 70))], truth))
    assert challenger(found).outcome is Outcome.BETTER
    assert found.summary.verdict.best == "models/tried/versions/2"
    assert found.verdict.startswith(
        "Version 2 is better than version 1: accuracy 0.99 against 0.91 (difference 0.08, 95 % "
        "interval 0.0"
    )
    assert "p < 0.0001), 80 rows got right and 0 got wrong" in found.verdict


def test_a_worse_version_is_called_worse_and_the_baseline_is_best(truth: Values) -> None:
    found = compared(giving([outputs_of(truth, (0, 10)), outputs_of(truth, (0, 90))], truth))
    assert challenger(found).outcome is Outcome.WORSE
    assert found.summary.verdict.best == "models/tried/versions/1"
    assert found.verdict.startswith("Version 2 is worse than version 1: accuracy 0.91 against")


def test_worse_by_less_than_the_margin_is_said() -> None:
    rows = 15_000
    truth = np.random.default_rng(0).integers(0, 3, rows)
    wrong = np.arange(rows) < 50
    found = compared(giving([sure(truth, 3), sure(with_errors(truth, wrong), 3)], truth))
    assert challenger(found).outcome is Outcome.WORSE
    assert challenger(found).is_within_margin
    assert "is worse than version 1, but by less than 1 point" in found.verdict


def test_as_good_takes_enough_rows() -> None:
    """The same few changes are as good among many rows, and undecided among few."""
    outcomes = {}
    for rows in (200, 4000):
        truth = np.random.default_rng(0).integers(0, 3, rows)
        order = np.arange(rows)
        pair = [sure(with_errors(truth, order < 4), 3)]
        pair.append(sure(with_errors(truth, (order >= 4) & (order < 8)), 3))
        found = compared(giving(pair, truth))
        outcomes[rows] = (challenger(found).outcome, found.verdict)
    assert outcomes[200][0] is Outcome.UNDECIDED
    assert "too few to say that it is as good within 1 point" in outcomes[200][1]
    assert outcomes[4000][0] is Outcome.AS_GOOD
    assert "is as good as version 1 within 1 point" in outcomes[4000][1]


def test_a_version_against_itself_differs_in_nothing(truth: Values) -> None:
    outputs = outputs_of(truth, (0, 90))
    found = compared(giving([outputs, outputs], truth))
    own = challenger(found)
    assert all(each.difference == 0 for each in own.differences)
    assert all((each.low or 0) <= 0 <= (each.high or 0) for each in own.differences)
    assert own.differences[0].p_value == 1
    assert own.outcome is not Outcome.BETTER
    assert not own.worse_slices
    assert not own.better_slices
    assert found.summary.agreements[0].agreement == 1


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.REGRESSION])
def test_rounding_makes_no_version_better(truth: Values, task: Task) -> None:
    """The same network in another format differs in the last digits, always the same way."""
    outputs = (
        sure(truth, 3)
        if task is Task.CLASSIFICATION
        else (truth.astype(np.float64) * 1.1 + 1.0)[:, None]
    )
    metric = Metric.LOG_LOSS if task is Task.CLASSIFICATION else Metric.MEAN_ABSOLUTE_ERROR
    better = outputs * (1 + 1e-8) if task is Task.CLASSIFICATION else outputs * (1 - 1e-8)
    found = compared(giving([outputs, better], truth, task, metric)).summary
    challenger = found.challengers[0]
    assert challenger.outcome is Outcome.AS_GOOD
    assert not challenger.worse_slices + challenger.better_slices


def test_the_best_of_several_challengers_is_named(truth: Values) -> None:
    spans = [(0, 90), (0, 60), (0, 20), (0, 150)]
    found = compared(giving([outputs_of(truth, each) for each in spans], truth))
    assert found.summary.verdict.best == "models/tried/versions/3"
    assert found.verdict.startswith(
        "The best of 3 challengers is version 3: it is better than version 1: accuracy 0.98"
    )
    assert "corrected for 3 challengers" in found.verdict
    assert "Version 2 is better, too (accuracy 0.94); version 4 is worse (accuracy 0.85)." in (
        found.verdict
    )


def test_p_values_are_corrected_for_the_number_of_challengers(truth: Values) -> None:
    same = [outputs_of(truth, (0, 30))] + 3 * [outputs_of(truth, (0, 20))]
    challengers = compared(giving(same, truth)).summary.challengers
    assert len(challengers) == 3
    for own in challengers:
        accuracy = own.differences[0]
        assert accuracy.p_value is not None
        assert accuracy.adjusted_p_value == pytest.approx(min(1, 3 * accuracy.p_value))


def test_a_class_that_got_worse_is_found_and_named(truth: Values) -> None:
    better = places((0, 400)) & (truth != 1)
    worse = places((400, 500)) & (truth == 1)
    before, after = with_errors(truth, better), with_errors(truth, worse)
    found = compared(giving([sure(before, 3), sure(after, 3)], truth))
    own = {each.label: each for each in challenger(found).classes}
    assert own["class 1"].gained == 0
    assert own["class 1"].lost == int(worse.sum())
    assert own["class 1"].adjusted_p_value < 0.001
    assert own["class 1"].challenger < own["class 1"].baseline == 1
    assert own["class 0"].challenger == 1
    assert "it got worse for class `class 1`" in found.verdict


def test_slices_that_got_worse_and_better_are_found() -> None:
    generator = np.random.default_rng(4)
    rows = 3000
    values = {"age": generator.uniform(0, 100, rows), "pay": generator.normal(size=rows)}
    truth = generator.integers(0, 3, rows)
    lost, gained = values["age"] > 80, values["age"] < 20
    wrong = generator.random(rows) < 0.6
    before, after = with_errors(truth, gained & wrong), with_errors(truth, lost & wrong)
    sample = numbers_sample(values)
    found = compared(giving([sure(before, 3), sure(after, 3)], truth, sample=sample))
    own = challenger(found)
    assert own.worse_slices[0].condition.startswith("age ")
    assert 500 < own.worse_slices[0].row_count < 700
    assert own.worse_slices[0].difference < -0.5 < 0 < own.worse_slices[0].elsewhere
    assert own.better_slices[0].condition.startswith("age ")
    assert own.better_slices[0].difference > 0.5
    assert f"it got worse where {own.worse_slices[0].condition}" in found.verdict


def test_better_calibration_is_said(truth: Values) -> None:
    said = with_errors(truth, np.random.default_rng(1).random(ROWS) < 0.2)
    found = compared(giving([sure(said, 3, 0.999), sure(said, 3, 0.8)], truth))
    assert "its confidence is more trustworthy (calibration error -0.1" in found.verdict
    names = [each.metric for each in challenger(found).differences]
    assert "expected_calibration_error" in names


def test_losses_are_better_where_they_are_smaller(truth: Values) -> None:
    said = with_errors(truth, np.random.default_rng(1).random(ROWS) < 0.2)
    pair = [sure(said, 3, 0.99), sure(said, 3, 0.8)]
    found = compared(giving(pair, truth, metric=Metric.LOG_LOSS))
    own = challenger(found)
    loss = next(each for each in own.differences if each.metric == "log_loss")
    assert own.outcome is Outcome.BETTER
    assert loss.difference < 0
    assert loss.high is not None
    assert loss.high < 0
    assert found.verdict.startswith("Version 2 is better than version 1: log loss 0.")
    assert shown(found)


@pytest.mark.parametrize("metric", [Metric.R2, Metric.MEAN_ABSOLUTE_ERROR])
def test_regression(metric: Metric) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=600)
    before, after = (truth + generator.normal(0, each, 600) for each in (0.6, 0.3))
    pair = [before[:, None], after[:, None]]
    found = compared(giving(pair, truth, Task.REGRESSION, metric))
    own = challenger(found)
    assert own.outcome is Outcome.BETTER
    assert own.rows is not None
    assert own.rows.gained > 2 * own.rows.lost > 0
    assert own.classes == ()
    assert "rows got clearly nearer to the truth" in found.verdict
    assert 0.7 < (found.summary.agreements[0].agreement or 0) < 0.99
    assert shown(found)


def test_several_labels() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((500, 3)) < 0.4
    flips = generator.random((500, 3)) < 0.2
    before, after = (np.where(each, 0.9, 0.1) for each in (truth ^ flips, truth))
    found = compared(giving([before, after], truth, Task.MULTI_LABEL))
    own = challenger(found)
    assert own.outcome is Outcome.BETTER
    assert own.rows is not None
    assert own.rows.gained == int(flips.any(axis=1).sum())
    assert own.differences[0].test == "paired t-test"
    assert found.summary.agreements[0].agreement == pytest.approx(1 - flips.mean())
    assert shown(found)


def test_without_a_target_agreement_is_told(truth: Values) -> None:
    pair = [outputs_of(truth), outputs_of(truth, (0, 100))]
    found = compared(giving(pair, None))
    assert found.outcomes[0].state is PartState.DONE
    assert "no target" in found.outcomes[0].notes[0]
    assert challenger(found).outcome is None
    assert found.summary.verdict.best == ""
    assert "Version 2 agrees with version 1 on 90.0 % of the rows." in found.verdict
    assert shown(found)


def test_models_that_only_name_a_class_have_no_log_loss(truth: Values) -> None:
    pair = [outputs_of(truth, (0, 50)), outputs_of(truth)]
    found = compared(giving(pair, truth, gives_probabilities=False))
    names = {each.metric for each in challenger(found).differences}
    assert "accuracy" in names
    assert not names & {"log_loss", "roc_auc", "expected_calibration_error"}


def test_a_challenger_without_numbers_leaves_the_others_whole(truth: Values) -> None:
    broken = np.full((ROWS, 3), np.nan)
    trio = [outputs_of(truth, (0, 90)), broken, outputs_of(truth)]
    found = compared(giving(trio, truth), [PartName.BEHAVIOUR, PartName.STRUCTURE])
    assert [each.outcome for each in found.summary.challengers] == [None, Outcome.BETTER]
    assert found.outcomes[0].notes[0].startswith("Version 2 is left out: The model gives no number")
    assert shown(found)


def test_a_baseline_without_numbers_fails_and_is_named(truth: Values) -> None:
    pair = [np.full((ROWS, 3), np.nan), outputs_of(truth)]
    found = compared(giving(pair, truth))
    assert found.outcomes[0].state is PartState.FAILED
    assert found.outcomes[0].notes[0].startswith("version 1: The model gives no number")
    assert found.verdict == "The versions were not compared by what they get right."


@pytest.mark.parametrize("rows", [1, 2, 15])
def test_few_rows(rows: int) -> None:
    truth = np.zeros(rows, np.int64)
    pair = [sure(truth, 2), sure(1 - truth, 2)]
    found = compared(giving(pair, truth))
    assert found.outcomes[0].state is PartState.DONE
    from_plain(dataclasses.asdict(found.summary), comparison_pb2.ComparisonResult)
    assert shown(found)


def test_classes_that_no_version_knows(truth: Values) -> None:
    unknown = np.where(places((0, 20)), -1, truth)
    found = compared(giving([outputs_of(truth), outputs_of(truth, (500, 600))], unknown))
    rows = challenger(found).rows
    assert rows is not None
    assert rows.lost == 100
    assert challenger(found).outcome is Outcome.WORSE


def test_constant_predictions_correlate_with_nothing() -> None:
    truth = np.random.default_rng(0).normal(size=50)
    found = compared(giving([np.zeros((50, 1)), truth[:, None]], truth, Task.REGRESSION))
    assert found.summary.agreements[0].agreement is None
    assert shown(found)


def test_other_predictions_cannot_be_compared(truth: Values) -> None:
    values = FunctionModel(lambda _: np.zeros((ROWS, 1)), ["c0"], Task.REGRESSION, ["pay"])
    other: Subject = subject_of(values, noise_sample(ROWS, 2))
    baseline = giving([outputs_of(truth), outputs_of(truth)], truth)[0]
    with pytest.raises(UnusableModelError, match="predicts other things than"):
        compared(numbered([baseline, other]))


@pytest.mark.parametrize("count", [1, 9])
def test_two_to_eight_versions(truth: Values, count: int) -> None:
    with pytest.raises(ValueError, match="2 to 8 versions"):
        compared(giving([outputs_of(truth)] * count, truth))


def test_versions_of_several_models_are_told_apart(truth: Values) -> None:
    pair = giving([outputs_of(truth, (0, 90)), outputs_of(truth)], truth)
    pair[1] = replace(pair[1], name="models/other/versions/1")
    assert compared(pair).verdict.startswith("other version 1 is better than tried version 1")


def test_seven_challengers_fit_into_the_message(truth: Values) -> None:
    generator = np.random.default_rng(0)
    eight = [
        sure(with_errors(truth, generator.random(ROWS) < 0.1 + 0.05 * place), 3)
        for place in range(8)
    ]
    found = compared(giving(eight, truth))
    message = from_plain(dataclasses.asdict(found.summary), comparison_pb2.ComparisonResult)
    assert len(message.challengers) == 7
    assert len(message.agreements) == 28
    assert message.ByteSize() < 200_000
    assert message.challengers[0].outcome in (
        comparison_pb2.COMPARISON_OUTCOME_WORSE,
        comparison_pb2.COMPARISON_OUTCOME_UNDECIDED,
    )
    assert shown(found)

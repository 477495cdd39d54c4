"""What-if: the smallest changes are found, and rows that are shown are what they are said to be."""

import numpy as np
import pytest

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.relations.examples import Example, examples, what_if_example
from services.analyzer.domain.relations.what_if import ColumnValue, WhatIf, what_if
from services.analyzer.domain.subject import Subject
from tests.unit.analyzer.relations_support import (
    classifier,
    prober_of,
    ranked,
    subject_with,
    three_classes,
)

GENERATOR = np.random.default_rng(1)
A, B = GENERATOR.normal(size=(2, 200))


def asked(subject: Subject, place: int) -> WhatIf:
    columns = ranked(subject)
    return what_if(
        Example(place, "asked"), columns, len(columns), subject, prober_of(subject), Budget(60)
    )


def test_the_smallest_change_of_a_number_is_the_nearest_value_beyond_the_threshold() -> None:
    values = np.arange(50, dtype=np.float64)
    subject = classifier(lambda c: 10 * (c["a"] - 30.5), {"a": values, "b": B[:50]})
    found = asked(subject, 20)
    change = found.row.responses[0].change
    assert change is not None
    assert change.values == (ColumnValue(31.0),)
    assert change.prediction == "yes"
    assert change.size == pytest.approx(11 / values.std())
    assert found.row.prediction == "no"
    assert found.row.responses[1].change is None
    assert found.pair is None  # one column is enough


def test_of_labels_the_one_that_moves_most_is_named() -> None:
    push = np.array([-1.0, 0.5, 2.0, -3.0, 0.0])
    codes = np.arange(40, dtype=np.int32) % 4
    subject = classifier(lambda c: push[c["kind"]], {"kind": codes}, {"kind": list("wxyz")})
    found = asked(subject, 0)
    change = found.row.responses[0].change
    assert found.row.responses[0].value == ColumnValue(label="w")
    assert change is not None
    assert (change.values, change.size) == ((ColumnValue(label="y"),), 1.0)


def test_two_columns_together_where_one_is_not_enough() -> None:
    values = np.arange(30, dtype=np.float64)
    other = GENERATOR.permutation(values)
    subject = classifier(
        lambda c: np.where((c["a"] > 20) & (c["b"] > 10), 3.0, -3.0),
        {"a": values, "b": other, "idle": B[:30]},
    )
    place = int(np.flatnonzero((values < 20) & (other < 10))[0])
    found = asked(subject, place)
    assert all(each.change is None for each in found.row.responses)
    assert found.pair is not None
    assert found.pair.columns == ("a", "b")
    first, second = (each.number for each in found.pair.values)
    assert first is not None
    assert second is not None
    assert first > 20
    assert second > 10
    assert found.pair.prediction == "yes"


def test_a_value_moves_by_a_standard_deviation_of_the_target() -> None:
    truth = 3 * A
    subject = subject_with(lambda c: 3 * c["a"], {"a": A, "b": B}, truth=truth)
    place = int(np.abs(A).argmin())
    found = asked(subject, place)
    assert found.step == pytest.approx(truth.std())
    change = found.row.responses[0].change
    assert change is not None
    new = change.values[0].number
    assert new is not None
    assert truth.std() <= abs(3 * (new - A[place])) < 1.3 * truth.std()


def test_a_row_with_a_missing_value_has_a_change_without_size() -> None:
    values = A.copy()
    values[0] = np.nan
    subject = classifier(
        lambda c: np.where(np.isnan(c["a"]), -2.0, c["a"]),
        {"a": values, "b": B},
    )
    (first, _) = asked(subject, 0).row.responses
    assert first.value == ColumnValue()
    assert first.change is not None
    assert first.change.size is None
    # The nearest to the median that does it.
    assert first.change.values[0].number == pytest.approx(0, abs=0.2)


def test_the_row_lies_on_its_curves() -> None:
    subject = subject_with(lambda c: c["a"] ** 2 + c["b"], {"a": A, "b": B})
    row = asked(subject, 77).row
    for response in row.responses:
        at = np.flatnonzero(response.grid.values == response.value.number)
        np.testing.assert_allclose(response.outputs[at[0]], row.now)


def test_labels_change_one_by_one() -> None:
    subject = subject_with(
        lambda c: np.column_stack([c["a"] > 0, c["b"] > 0]) * 0.8 + 0.1,
        {"a": A, "b": B},
        task=Task.MULTI_LABEL,
        outputs=("left", "right"),
    )
    place = int(np.flatnonzero((A > 0) & (B > 0))[0])
    row = asked(subject, place).row
    assert row.prediction == "left, right"
    assert [each.change.prediction for each in row.responses if each.change] == ["right", "left"]


def test_a_constant_model_cannot_be_changed() -> None:
    subject = subject_with(lambda c: np.full(len(c["a"]), 2.0), {"a": A, "b": B}, truth=A)
    found = asked(subject, 3)
    assert found.pair is None
    assert all(each.change is None for each in found.row.responses)


def test_the_least_sure_row_is_shown() -> None:
    subject = classifier(lambda c: c["a"], {"a": A, "b": B})
    example = what_if_example(subject)
    assert example is not None
    assert example.place == np.abs(A).argmin()


def test_of_values_the_worst_or_without_truth_a_typical_row_is_shown() -> None:
    truth = A.copy()
    truth[5] += 100
    worst = what_if_example(subject_with(lambda c: c["a"], {"a": A}, truth=truth))
    typical = what_if_example(subject_with(lambda c: c["a"], {"a": A}))
    assert worst is not None
    assert typical is not None
    assert worst.place == 5
    assert A[typical.place] == np.sort(A)[100]


def test_examples_are_other_rows_and_differ() -> None:
    shares = three_classes({"a": A, "b": B}).outputs
    truth = shares.argmax(axis=1)
    truth[9] = (truth[9] + 1) % 3
    subject = three_classes({"a": A, "b": B}, truth)
    found = examples(subject, but=0)
    assert found[0] == Example(9, "worst")
    assert found[1].why == "surest"
    assert [each.why for each in found[2:]] == [
        f"typical {'xyz'[place]}"
        for place in np.argsort(-np.bincount(shares.argmax(axis=1)), kind="stable")
    ]
    assert len({each.place for each in found} | {0}) == len(found) + 1


def test_pairs_that_there_was_no_time_for_are_not_spoken_of() -> None:
    subject = classifier(lambda c: 0 * c["a"] - 3, {"a": A[:30], "b": B[:30]})
    columns, prober = ranked(subject), prober_of(subject)
    for seconds, pairs in ((60.0, 1), (0.0, 0)):
        found = what_if(Example(0, "asked"), columns, 2, subject, prober, Budget(seconds))
        assert (found.pair, found.pairs) == (None, pairs)


def test_a_row_with_an_infinite_value_has_a_change_without_size() -> None:
    values = np.arange(30, dtype=np.float64)
    values[4] = np.inf
    subject = classifier(lambda c: np.where(np.isfinite(c["a"]), 3.0, -3.0), {"a": values})
    change = asked(subject, 4).row.responses[0].change
    assert change is not None
    assert change.size is None
    assert change.values == (ColumnValue(15.0),)

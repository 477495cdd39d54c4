"""Importance as a part of an analysis: its message, notes and section; texts, series, agreement."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from aimass.analyzer.v1.importance_pb2 import ImportanceResult
from common.data.schema import Task
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Gallery, Plot, Report, Section, Table
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.importance import PART
from services.analyzer.domain.importance.agreement import agreements, correlated_columns
from services.analyzer.domain.importance.findings import ImportanceFindings
from services.analyzer.domain.importance.texts import text_importance
from services.analyzer.domain.series import series_of
from services.analyzer.domain.subject import Subject
from tests.support.analysis import breast_cancer, diabetes, iris, trained_cnn, trained_mlp
from tests.unit.analyzer.importance_support import reviews
from tests.unit.analyzer.robustness_support import subject_with, two_classes, without_truth

_AMPLE = 600.0


def _found(subject: Subject) -> ImportanceFindings:
    found = PART.analyse(subject, Budget(_AMPLE))
    assert isinstance(found, ImportanceFindings)
    return found


def _series(rows: int = 150, lags: int = 12, peak: int = 3) -> Subject:
    """A model of numbered columns, in no order, that goes by one lag."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(rows, lags))
    order = generator.permutation(lags)
    columns = {f"lag_{place + 1}": values[:, place] for place in order.tolist()}
    return subject_with(
        lambda given: given[f"lag_{peak + 1}"] + 0.01 * given["lag_1"],
        columns,
        values[:, peak].copy(),
    )


_SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "trees of two classes": lambda folder: breast_cancer(),
    "trees of three classes": lambda folder: iris(),
    "linear": lambda folder: diabetes(),
    "network": lambda folder: trained_mlp(folder, epochs=5),
    "images": lambda folder: trained_cnn(folder, epochs=1),
    "texts": lambda folder: reviews(),
    "series": lambda folder: _series(),
    "without truth": lambda folder: without_truth(breast_cancer()),
}


@pytest.mark.parametrize("name", _SUBJECTS)
def test_each_kind_has_a_message_and_a_section_that_draws(name: str, tmp_path: Path) -> None:
    found = _found(_SUBJECTS[name](tmp_path))
    message = from_plain(asdict(found.summary), ImportanceResult)
    assert 0 < message.ByteSize() < 100_000
    section = PART.show(found)
    assert isinstance(section.parts[0], str) and section.subsections
    page = render(Report("importance", {}, [section]))
    assert len(page) < 3_000_000
    for below in section.subsections:
        for part in below.parts:
            if isinstance(part, Plot):
                assert part.caption and part.description and part.numbers is not None


def test_the_first_sentence_names_what_the_model_goes_by() -> None:
    found = _found(iris())
    (first,) = PART.show(found).parts
    assert str(first).startswith("The model goes by petal_length above all")
    assert found.summary.features[0].column == "petal_length"


def test_columns_that_stand_for_each_other_are_named() -> None:
    found = _found(breast_cancer())
    (note,) = [each for each in found.notes if each.startswith("Permuting understates")]
    assert "mean_radius and mean_perimeter" in note
    values = np.random.default_rng(0).normal(size=(2, 50))
    subject = subject_with(
        lambda columns: columns["a"],
        {"a": values[0], "b": -np.exp(values[0]), "c": values[1], "d": np.full(50, np.nan)},
        values[0],
    )
    (pair,) = correlated_columns(subject)
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.rank_correlation == pytest.approx(-1)


def test_agreement_is_the_rank_correlation_of_the_methods() -> None:
    one, other = {"a": 3.0, "b": 1.0, "c": 2.0}, {"a": 9.0, "b": 2.0, "c": 1.0, "d": 5.0}
    (found,) = agreements({"permutation": one, "shapley": other})
    assert found.rank_correlation == pytest.approx(stats.spearmanr([3, 1, 2], [9, 2, 1]).statistic)
    assert agreements({"permutation": {"a": 1.0}, "shapley": {"a": 2.0}}) == ()


def test_without_truth_nothing_is_permuted_and_the_rest_is_there() -> None:
    found = _found(without_truth(breast_cancer()))
    assert any(each.startswith("Nothing was permuted") for each in found.notes)
    assert found.summary.features[0].permutation is None
    assert found.summary.features[0].shapley is not None
    assert found.summary.metric == ""


def test_words_that_decide_are_found() -> None:
    subject = reviews()
    found = text_importance(subject, Budget(_AMPLE), "text")
    effects = {each.token: each for each in found.tokens}
    assert found.tokens[0].token in ("good", "bad")
    assert effects["good"].mean > 0.05 > -0.05 > effects["bad"].mean
    assert abs(effects["film"].mean) < 0.05
    text = next(each for each in found.texts if "Good" in each.tokens)
    assert max(zip(text.weights, text.tokens, strict=True))[1] == "Good"


def test_long_missing_and_empty_texts() -> None:
    """Of long texts the first 60 tokens are left out in turn; empty ones are passed over."""
    texts = np.array(["word " * 500, None, "", "!?", "x"], dtype=object)
    subject = subject_with(
        lambda columns: np.array([len(each or "") for each in columns["text"]], np.float64),
        {"text": texts},
        np.zeros(5),
    )
    found = text_importance(subject, Budget(_AMPLE), "text")
    assert found.row_count == 3
    assert max(len(each.tokens) for each in found.texts) == 60


def test_numbered_columns_are_series_in_the_order_of_their_numbers() -> None:
    subject = _series()
    (series,) = series_of(subject)
    assert (series.name, series.lags) == ("lag", 12)
    assert series.columns == tuple(f"lag_{number}" for number in range(1, 13))
    values = series.read(subject.sample.raw)
    changed = series.replaced(subject.sample.raw, values[:, ::-1])
    np.testing.assert_array_equal(changed.columns["lag_12"], values[:, 0])
    np.testing.assert_array_equal(series.read(subject.sample.raw), values)


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        ([f"t{n}" for n in range(96)], [96]),
        ([f"t{n:02}" for n in range(5)], [5]),
        (["a1", "a2", "a3", "a4"], []),
        (["a1", "a2", "a3", "b4", "a5", "a6"], []),
        ([f"a{n}" for n in (1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14)], [5, 6]),
        ([f"feature_{n}" for n in range(20)], []),
        ([str(n) for n in range(20)], []),
        (["1_2_3", "age"], []),
    ],
)
def test_what_is_a_series(names: list[str], runs: list[int]) -> None:
    subject = subject_with(
        lambda columns: columns[names[0]], dict.fromkeys(names, np.zeros(3)), np.zeros(3)
    )
    assert [each.lags for each in series_of(subject)] == runs


def test_the_lag_that_counts_is_the_peak() -> None:
    (found,) = _found(_series()).summary.series
    means = [each.mean for each in found.lags]
    assert int(np.argmax(means)) == 3 and found.lags[3].label == "lag_4"
    assert means[3] > 1 > 0.1 > sorted(means)[-2]


@pytest.mark.parametrize(("lags", "blocks"), [(10, 10), (130, 44)])
def test_vectors_are_series_whose_lags_are_permuted_together_where_there_are_many(
    lags: int, blocks: int
) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, lags))
    subject = subject_with(
        lambda columns: two_classes(4 * columns["signal"][:, 7]),
        {"signal": vectors},
        (vectors[:, 7] > 0).astype(np.int64),
        Task.CLASSIFICATION,
        ("0", "1"),
    )
    (found,) = _found(subject).summary.series
    assert len(found.lags) == blocks and found.lags[-1].last_lag == lags - 1
    (largest,) = [each for each in found.lags if each.low > 0]
    assert largest.first_lag <= 7 <= largest.last_lag


@pytest.mark.parametrize(
    "values",
    [
        {"x": np.arange(2.0)},
        {"x": np.ones(40), "y": np.full(40, np.nan)},
        {"x": np.arange(30.0), "y": np.arange(30.0)},
    ],
    ids=["one column, two rows", "constant and empty columns", "twins"],
)
def test_hard_data(values: dict[str, Any]) -> None:
    """A model that says the same whatever it is given, and a truth of one value."""
    count = len(values["x"])
    subject = subject_with(
        lambda columns: two_classes(np.zeros(len(columns["x"]))),
        values,
        np.zeros(count, np.int64),
        Task.CLASSIFICATION,
        ("0", "1"),
    )
    found = _found(subject)
    assert all(each.permutation and each.permutation.mean == 0 for each in found.features)
    first = str(PART.show(found).parts[0])
    assert first.startswith("No single column matters clearly")


def test_a_model_that_gives_no_numbers_fails_and_one_without_columns_has_none() -> None:
    broken = subject_with(lambda columns: columns["x"] * np.nan, {"x": np.ones(5)}, np.ones(5))
    with pytest.raises(UnusableModelError):
        PART.analyse(broken, Budget(1))
    empty = subject_with(lambda columns: columns["x"], {"x": np.ones(5)}, np.ones(5))
    empty = replace(empty, sample=replace(empty.sample, columns={}))
    with pytest.raises(NotApplicableError):
        PART.analyse(empty, Budget(1))


def test_text_of_data_is_shown_as_it_is() -> None:
    """Names and values that look like tags, and very long ones, end no element."""
    name = "<b>x</b></script>" + "y" * 300
    values = np.random.default_rng(0).normal(size=40)
    subject = subject_with(lambda columns: columns[name], {name: values}, values)
    section = PART.show(_found(subject))
    page = render(Report("importance", {}, [section]))
    assert "<b>x</b>" not in page
    assert _plots(section)


def _plots(section: Section) -> list[Plot | Gallery | Table]:
    parts = [part for below in section.subsections for part in below.parts]
    return [part for part in parts if isinstance(part, Plot | Gallery | Table)]

"""The part as a whole: columns, outputs, formats, hard cases, message and page."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from aimass.analyzer.v1 import relations_pb2
from aimass.catalog.v1 import model_pb2
from common.data.rows import Values
from common.data.schema import Column, ColumnType, Task
from common.models.frames import columns_of
from common.models.skops_model import SkopsModel
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Plot, Report, Section
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations import PART
from services.analyzer.domain.relations.analysis import RelationsFindings
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    diabetes,
    sample_of,
    subject_of,
    trained_cnn,
    trained_mlp,
)
from tests.unit.analyzer.activations_support import onnx_twin
from tests.unit.analyzer.relations_support import (
    FunctionModel,
    classifier,
    subject_with,
    three_classes,
)

GENERATOR = np.random.default_rng(2)
A, B = GENERATOR.normal(size=(2, 120))


def analysed(subject: Subject, seconds: float = 60) -> RelationsFindings:
    """Analyses, and checks what holds of all: there is a message, and a section."""
    found: RelationsFindings = PART.analyse(subject, Budget(seconds))  # type: ignore[assignment]
    message = from_plain(dataclasses.asdict(found.summary), relations_pb2.RelationsResult)
    assert message.ByteSize() < 200_000
    assert PART.show(found).parts
    return found


def with_settings(subject: Subject, **changed: object) -> Subject:
    settings = dataclasses.replace(subject.settings, **changed)  # type: ignore[arg-type]
    return dataclasses.replace(subject, settings=settings)


def plots_of(section: Section) -> list[Plot]:
    parts = [part for each in (section, *section.subsections) for part in each.parts]
    return [part for part in parts if isinstance(part, Plot)]


def told_of_row(subject: Subject) -> str:
    """Returns what the page says of the row that is changed."""
    section = PART.show(analysed(subject)).subsections[-1]
    assert isinstance(section.parts[0], str)
    return section.parts[0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=5)


def test_a_torch_package_shows_its_eight_most_important_columns(package: Subject) -> None:
    found = analysed(package)
    assert len(found.relations) == 8
    importance = [each.importance for each in found.relations]
    assert importance == sorted(importance, reverse=True)
    assert "The 8 most important of 30 columns are shown." in found.notes
    assert found.outputs == ("probability of benign",)
    assert len(found.interactions) == 28
    assert sum(each.surface is not None for each in found.interactions) == 3
    assert found.what_if is not None
    assert len(found.what_if.row.responses) == 20
    page = render(Report("Relations", {}, [PART.show(found)]))
    assert page.count('class="plot"') == 1 + 8 + 4 + 2
    assert len(page) < 3_000_000


def test_onnx_gives_what_torch_gives(package: Subject) -> None:
    model = package.model
    twin = onnx_twin(model, package.sample)  # type: ignore[arg-type]
    few = with_settings(package, features=("worst_area", "mean_texture"))
    other = analysed(dataclasses.replace(few, model=twin))
    own = analysed(few)
    assert own.relations
    for each, same in zip(own.relations, other.relations, strict=True):
        assert each.name == same.name
        np.testing.assert_allclose(each.dependence.mean, same.dependence.mean, atol=1e-4)
        assert each.effect is not None
        assert same.effect is not None
        np.testing.assert_allclose(each.effect.effect, same.effect.effect, atol=1e-4)


def test_values_of_a_linear_model_rise_and_fall_as_its_coefficients_say() -> None:
    subject = diabetes()
    found = analysed(subject)
    slopes = dict(
        zip(subject.model.features, subject.model.model.estimator.coef_, strict=True)  # type: ignore[attr-defined]
    )
    for each in found.relations:
        curve = each.best_curve(0)
        expected = slopes[each.name] * (each.grid.places[-1] - each.grid.places[0])
        assert curve[-1] - curve[0] == pytest.approx(expected)
    assert found.is_value
    assert all(each.strength == 0 for each in found.interactions)


def test_of_many_classes_that_with_most_rows_is_the_main_one() -> None:
    found = analysed(three_classes({"a": A + 1, "b": B}))
    assert len(found.outputs) == 3
    assert found.outputs[0] == "probability of x"
    truth = np.array([2] * 100 + [1] * 20)
    found = analysed(three_classes({"a": A + 1, "b": B}, truth))
    assert found.outputs == tuple(f"probability of {each}" for each in "zyx")


def test_labels_with_missing_ones_in_a_pipeline() -> None:
    """Labels, truth values and numbers, all with missing values, and texts beside them."""
    rows = 150
    color = GENERATOR.integers(-1, 3, rows).astype(np.int32)
    flag = GENERATOR.integers(-1, 2, rows).astype(np.int8)
    size = np.where(GENERATOR.random(rows) < 0.1, np.nan, GENERATOR.normal(size=rows))
    labels = ["blue", "green", "red"]
    frame = pd.DataFrame(
        {
            "color": np.array([*labels, np.nan], dtype=object)[color],
            "flag": np.where(flag < 0, np.nan, flag),
            "size": size,
        }
    )
    truth = ((color == 2) ^ (np.nan_to_num(size) > 0)).astype(np.int64)
    coded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["color"]), remainder="passthrough"
    )
    fitted = make_pipeline(coded, RandomForestClassifier(8, random_state=0)).fit(frame, truth)
    columns = {
        "color": Column("color", ColumnType.CATEGORICAL, categories=tuple(labels)),
        "flag": Column("flag", ColumnType.BOOLEAN),
        "size": Column("size", ColumnType.NUMERIC),
        "said": Column("said", ColumnType.TEXT),
    }
    known = columns_of(fitted, list(frame))
    inputs = [model_pb2.TensorSpec(name=name, shape=[-1]) for name in frame]
    signature = model_pb2.Signature(inputs=inputs, classes=["no", "yes"])
    model = SklearnAnalysed(
        SkopsModel(fitted, known, True, signature),
        Task.CLASSIFICATION,
        ("no", "yes"),
        list(columns.values()),
    )
    said = np.array(["words"] * rows, dtype=object)
    values: dict[str, Values] = {"color": color, "flag": flag, "size": size, "said": said}
    found = analysed(subject_of(model, sample_of(columns, values, truth)))
    by_name = {each.name: each for each in found.relations}
    assert set(by_name) == {"color", "flag", "size"}
    assert by_name["color"].grid.labels == tuple(labels)
    assert by_name["flag"].grid.labels == ("false", "true")
    assert all(each.dependence.missing is not None for each in by_name.values())
    assert set(found.interactions[0].names) == {"color", "size"}


def test_columns_are_those_that_were_asked_for() -> None:
    found = analysed(with_settings(diabetes(), features=("s5", "age")))
    assert [each.name for each in found.relations] == ["s5", "age"]
    assert found.what_if is not None
    assert [each.column for each in found.what_if.row.responses[:2]] == ["s5", "age"]


def test_a_column_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(UnusableModelError, match="no column `weight`; it has age, sex, bmi"):
        analysed(with_settings(diabetes(), features=("weight",)))


def test_a_constant_column_is_left_out() -> None:
    values = {"a": A, "same": np.ones(120), "empty": np.full(120, np.nan)}
    subject = subject_with(lambda c: c["a"] + c["same"], values)
    assert [each.name for each in analysed(subject).relations] == ["a"]
    asked = analysed(with_settings(subject, features=("same", "a")))
    assert "The column `same` has one value in the rows that were looked at: left out." in (
        asked.notes
    )
    with pytest.raises(NotApplicableError, match="`same` has one value"):
        analysed(with_settings(subject, features=("same",)))


def test_one_row_has_nothing_to_show() -> None:
    with pytest.raises(NotApplicableError, match="has one value"):
        analysed(subject_with(lambda c: c["a"], {"a": A[:1]}))


def test_two_rows_of_one_column_are_enough() -> None:
    found = analysed(subject_with(lambda c: 2 * c["a"], {"a": np.array([1.0, 3.0])}))
    np.testing.assert_allclose(found.relations[0].best_curve(0), [-2, 2])
    assert found.interactions == ()


def test_a_constant_model_is_told() -> None:
    found = analysed(subject_with(lambda c: np.full(len(c["a"]), 0.5), {"a": A, "b": B}))
    first = PART.show(found).parts[0]
    assert first == "No column by itself moves the target."


def test_images_have_no_columns_to_relate(tmp_path: Path) -> None:
    with pytest.raises(NotApplicableError, match="only image"):
        analysed(trained_cnn(tmp_path, epochs=0))


def test_truth_is_not_needed() -> None:
    found = analysed(three_classes({"a": A, "b": B}))
    assert found.what_if is not None
    assert "worst" not in {each.why for each in found.what_if.examples}


def test_a_row_that_is_not_there_is_told_with_one_that_is() -> None:
    whole = three_classes({"a": A, "b": B})
    third = whole.sample.take(np.arange(120) % 3 == 0)
    whole = dataclasses.replace(whole, sample=third)
    found = analysed(with_settings(whole, what_if_row=1))
    assert found.what_if is None
    assert found.summary.what_if is None
    assert any("Row 1 is not among" in note and "row 0 is" in note for note in found.notes)
    there = analysed(with_settings(whole, what_if_row=3)).what_if
    assert there is not None
    assert there.row.number == 3


def test_names_of_classes_without_probabilities_are_told() -> None:
    subject = subject_with(
        lambda c: np.column_stack([c["a"] <= 0, c["a"] > 0]),
        {"a": A, "b": B},
        task=Task.CLASSIFICATION,
        outputs=("no", "yes"),
    )
    subject.model.gives_probabilities = False  # type: ignore[misc]
    found = analysed(subject)
    assert any("without a probability" in note for note in found.notes)
    assert found.outputs == ("prediction of yes",)


def test_several_labels_are_shown_by_menu() -> None:
    names = tuple(f"label {place}" for place in range(7))
    subject = subject_with(
        lambda c: 1 / (1 + np.exp(-np.outer(c["a"], np.arange(7)))),
        {"a": A, "b": B},
        task=Task.MULTI_LABEL,
        outputs=names,
        truth=np.outer(A, np.arange(7)) > 0,
    )
    assert len(analysed(subject).outputs) == 5


def test_without_time_the_least_is_done_and_told() -> None:
    values = {f"c{place}": GENERATOR.normal(size=3000) for place in range(12)}
    subject = subject_with(lambda c: c["c3"] + 2 * c["c7"], values)
    found = analysed(subject, seconds=0)
    assert len(found.relations) == 1
    assert found.relations[0].dependence.rows == 50
    assert any("over 50 rows: there was no time for 1,000" in note for note in found.notes)
    assert any("1 of 8 columns" in note for note in found.notes)


def test_a_cancel_ends_the_part() -> None:
    class StopError(Exception):
        pass

    def check() -> None:
        raise StopError

    with pytest.raises(StopError):
        PART.analyse(three_classes({"a": A, "b": B}), Budget(60, check))


def test_calls_stay_bounded_and_rows_in_order() -> None:
    """However many points: rows are made in blocks, and come back where they belong."""
    subject = subject_with(lambda c: 1000 * c["a"] + c["b"], {"a": A, "b": np.arange(120.0)})
    points = np.arange(5000.0)
    prober = Prober(subject, (0,), Budget(60))
    both = {"a": points[:7], "b": points[7:14]}
    first, second = prober.grids(subject.sample.raw, [{"a": points}, both])
    np.testing.assert_allclose(first[:, :, 0], 1000 * points[:, None] + np.arange(120.0))
    np.testing.assert_allclose(second[:, :, 0].T, np.tile(1000 * both["a"] + both["b"], (120, 1)))
    assert isinstance(subject.model, FunctionModel)
    assert 100_000 < subject.model.most_rows <= 200_000


@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_sentence_says_which_column_matters_how(sign: int) -> None:
    found = analysed(subject_with(lambda c: sign * 10 * c["a"] + c["b"], {"a": A, "b": B}))
    first = PART.show(found).parts[0]
    verb = "rises" if sign > 0 else "falls"
    assert isinstance(first, str)
    assert first.startswith(f"The target {verb} by ")
    assert "as a goes from" in first


def test_text_of_others_is_shown_as_it_is() -> None:
    name, label = "<b>a</b> & more", "<i>red</i>"
    codes = (A > 0).astype(np.int32)
    subject = classifier(
        lambda c: c[name] * (1.0 + c["kind"]),
        {name: A, "kind": codes},
        {"kind": ("blue", label)},
        ("no", "<u>yes</u>"),
    )
    plots = plots_of(PART.show(analysed(subject)))
    assert len(plots) == 1 + 2 + 2 + 2
    figures = "".join(plot.figure.to_json() for plot in plots)
    for raw in ("<b>", "<i>", "<u>"):
        assert raw not in figures.replace("\\u003c", "<")


def test_many_columns_and_classes_make_no_large_page() -> None:
    values = {f"c{place}": GENERATOR.normal(size=100) for place in range(32)}
    weights = GENERATOR.normal(size=(32, 6))

    def shares(columns: Mapping[str, Any]) -> Outputs:
        scores = np.exp(np.column_stack([*columns.values()]) @ weights)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    subject = subject_with(
        shares,
        values,
        task=Task.CLASSIFICATION,
        outputs=tuple("abcdef"),
        features=tuple(values),
    )
    found = analysed(subject)
    assert len(found.summary.columns) == 32
    assert len(found.summary.columns[0].outputs) == 5
    section = PART.show(found)
    assert section.subsections[0].note == "Of so many columns 4 more outputs are left out here."
    assert sum(len(plot.figure.to_json()) for plot in plots_of(section)) < 1_500_000


def test_whole_numbers_are_counted_in_bins_of_equally_many() -> None:
    values = np.repeat(np.arange(100.0), 3)
    found = analysed(subject_with(lambda c: c["a"], {"a": values}))
    distribution = found.relations[0].distribution
    assert set(distribution.counts[:-1].tolist()) == {12}
    labels = np.repeat(np.arange(3, dtype=np.int32), [5, 2, 1])
    found = analysed(subject_with(lambda c: c["a"], {"a": labels}, {"a": list("xyz")}))
    assert found.relations[0].distribution.counts.tolist() == [5, 2, 1]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"a": B, "b": A}, "No change of one or two columns that was tried alters that"),
        ({"a": B}, "No change of one column that was tried alters that"),
    ],
)
def test_only_what_was_tried_is_said_to_change_nothing(values: dict[str, Any], told: str) -> None:
    subject = subject_with(lambda c: 1e-3 * c["a"], values, truth=10 * B)
    assert told in told_of_row(subject)


def test_equal_targets_have_no_other_prediction() -> None:
    subject = subject_with(lambda c: c["a"], {"a": B}, truth=np.full(len(B), 0.3))
    assert "All targets are equal" in told_of_row(subject)

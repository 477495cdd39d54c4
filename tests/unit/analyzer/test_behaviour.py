"""The part as a whole: formats, tasks, hard cases, message and page."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.analyzer.v1 import behaviour_pb2
from common.data.schema import Column, ColumnType, Task
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Gallery, Plot, Report, Section
from services.analyzer.domain.behaviour import PART
from services.analyzer.domain.behaviour.analysis import BehaviourFindings
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    diabetes,
    iris,
    sample_of,
    subject_of,
    trained_cnn,
    trained_mlp,
)
from tests.unit.analyzer.behaviour_support import (
    drawn_classes,
    drawn_probabilities,
    linear_onnx,
    noise_sample,
    subject_giving,
)

Message = behaviour_pb2.BehaviourResult


def analysed(subject: Subject) -> tuple[BehaviourFindings, Message, Section]:
    """Returns findings, message and section; everything in them is fit to be sent and shown."""
    findings = PART.analyse(subject, Budget(30))
    assert isinstance(findings, BehaviourFindings)
    message = from_plain(dataclasses.asdict(findings.summary), behaviour_pb2.BehaviourResult)
    section = PART.show(findings)
    page = render(Report("Tried", {}, [section]))
    assert "NaN" not in str(message)
    assert " inf" not in str(message)
    assert message.ByteSize() < 100_000
    assert section.title in page
    return findings, message, section


def titles(section: Section) -> list[str]:
    return [each.title for each in section.subsections]


def test_two_classes() -> None:
    """A tree model of scikit-learn: the first sentence, and all that two classes have."""
    _, message, section = analysed(breast_cancer())
    assert isinstance(section.parts[0], str)
    assert section.parts[0].startswith(
        "The model is right for 96.3 % of 190 rows (92.6 % to 98.2 %"
    )
    assert "most often it takes 0 for 1: 4 rows" in section.parts[0]
    assert titles(section) == [
        "What is taken for what",
        "Each class by itself",
        "Do probabilities mean what they say",
        "What other thresholds would give",
        "Where it errs most",
        "The rows it gets most wrong",
        "What it predicts",
    ]
    assert message.row_error == "wrong"
    assert len(message.worst_rows) == 7
    assert sum(message.confusion.counts) == 190


def test_more_classes() -> None:
    """Three classes: a curve for each, chosen by a menu."""
    findings, message, section = analysed(iris())
    assert [curve.positive for curve in message.thresholds] == ["0", "1", "2"]
    assert message.calibration.of == "predicted_class"
    (thresholds,) = (each for each in section.subsections if "thresholds" in each.title)
    roc = thresholds.parts[1]
    assert isinstance(roc, Plot)
    shown = [trace.visible is not False for trace in roc.figure.data]
    buttons = roc.figure.layout.updatemenus[0].buttons
    assert shown == list(buttons[0].args[1])
    assert all(sum(button.args[1]) == 3 for button in buttons)
    assert len(findings.curves) == 3


def test_regression() -> None:
    """A linear regression: residuals instead of classes."""
    _, message, section = analysed(diabetes())
    assert isinstance(section.parts[0], str)
    assert section.parts[0].startswith("Predictions of target are off by 43.93 on average over 148")
    assert "How far off, and where" in titles(section)
    assert not message.HasField("confusion")
    assert len(message.residuals.by_truth) == 10
    assert len(message.output_quantiles) == 21


def test_network(tmp_path: Path) -> None:
    """A torch package of the trainer, whose classes have names."""
    _, message, _ = analysed(trained_mlp(tmp_path, 5))
    assert list(message.confusion.classes) == ["malignant", "benign"]
    assert message.HasField("calibration")


def test_onnx_model() -> None:
    """An ONNX model behaves as the same numbers from elsewhere."""
    sample = noise_sample(300, 3)
    weights = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]], np.float32)
    values = np.column_stack([*sample.raw.columns.values()]).astype(np.float32)
    exponents = np.exp(values @ weights)
    outputs = exponents / exponents.sum(axis=1, keepdims=True)
    truth = drawn_classes(outputs)
    names = ("class 0", "class 1")
    model = OnnxAnalysed(
        linear_onnx(weights), Task.CLASSIFICATION, names, [*sample.columns.values()]
    )
    subject = subject_of(model, replace(sample, truth=truth))
    expected = analysed(subject_giving(outputs, truth, sample=sample))[1]
    found = analysed(subject)[1]
    assert [each.value for each in found.metrics] == pytest.approx(
        [each.value for each in expected.metrics], abs=1e-4
    )
    assert found.confusion == expected.confusion


def test_images(tmp_path: Path) -> None:
    """The most wrong images are shown as pictures."""
    _, message, section = analysed(trained_cnn(tmp_path, 1))
    (worst,) = (each for each in section.subsections if "most wrong" in each.title)
    gallery = worst.parts[0]
    assert isinstance(gallery, Gallery)
    assert len(gallery.pictures) == len(message.worst_rows) == 20
    assert f"row {message.worst_rows[0].row}:" in gallery.pictures[0].caption


def test_several_labels() -> None:
    """Labels have metrics, calibration and thresholds each, and no confusion."""
    generator = np.random.default_rng(0)
    outputs = generator.random((400, 3))
    truth = generator.random((400, 3)) < outputs
    _, message, section = analysed(
        subject_giving(outputs, truth, Task.MULTI_LABEL, ["rain", "snow <b>", "wind"])
    )
    assert "Each label by itself" in titles(section)
    assert not message.HasField("confusion")
    assert len(message.classes) == len(message.thresholds) == 3
    assert message.row_error == "wrong_labels"


def test_planted_slice_is_in_the_first_sentence() -> None:
    """Where the model errs most stands at the top, with its numbers."""
    sample = noise_sample(3000, 3)
    worse = sample.raw.columns["c1"].astype(np.float64) > 1
    wrong = np.random.default_rng(0).random(3000) < np.where(worse, 0.6, 0.1)
    subject = subject_giving(np.eye(2)[wrong.astype(int)], np.zeros(3000, np.int64), sample=sample)
    _, message, section = analysed(subject)
    # What is predicted tells all here, as all rows are of one class.
    conditions = [each.condition for each in message.slices]
    assert any(each.startswith("c1 at least") or "prediction" in each for each in conditions)
    assert isinstance(section.parts[0], str)
    assert f"It errs most where {conditions[0]}" in section.parts[0]


def test_outliers_have_a_section() -> None:
    """Where a scan marked rows, their errors are set against those of the others."""
    outputs = drawn_probabilities(500, 2)
    subject = subject_giving(outputs, drawn_classes(outputs), marked=np.arange(500) < 50)
    _, message, section = analysed(subject)
    assert "Outliers and errors" in titles(section)
    assert message.outliers.marked_rows == 50
    assert message.outliers.outlier_scan == "outlierScans/seen"


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.REGRESSION, Task.MULTI_LABEL])
def test_without_a_target_predictions_are_shown(task: Task) -> None:
    """Nothing is compared, but what the model predicts is still worth a look."""
    outputs = drawn_probabilities(100, 2)
    findings, message, section = analysed(subject_giving(outputs, None, task))
    assert titles(section) == ["What it predicts"]
    assert not message.metrics
    assert message.outputs or message.output_quantiles
    assert "no target" in findings.notes[0]


def test_missing_targets_are_left_out() -> None:
    """Rows of a regression without a target are left out, and it says so."""
    truth = np.where(np.arange(100) < 20, np.nan, np.arange(100.0))
    found = np.arange(100.0)[:, None]
    findings, message, _ = analysed(
        subject_giving(found, truth, Task.REGRESSION, ["pay"], marked=np.arange(100) % 2)
    )
    assert message.row_count == 80
    assert message.outliers.marked_rows == 40
    assert "20 rows" in findings.notes[0]
    with pytest.raises(NotApplicableError):
        PART.analyse(
            subject_giving(found, np.full(100, np.nan), Task.REGRESSION, ["pay"]), Budget(5)
        )


def test_names_without_probabilities() -> None:
    """A model that only names classes has no calibration and no thresholds, and it says so."""
    outputs = np.eye(3)[np.arange(90) % 3]
    truth = (np.arange(90) + (np.arange(90) % 5 == 0)) % 3
    findings, message, section = analysed(subject_giving(outputs, truth, gives_probabilities=False))
    assert not message.HasField("calibration")
    assert "What other thresholds would give" not in titles(section)
    assert any("without probabilities" in each for each in findings.notes)
    assert not message.worst_rows[0].HasField("probability")


def test_unknown_classes_are_told_of() -> None:
    """Rows of classes that the model does not know are counted, noted, and named so."""
    outputs = drawn_probabilities(60, 2)
    findings, message, _ = analysed(subject_giving(outputs, np.arange(60) % 3 - 1))
    assert message.unknown_row_count == 20
    assert any("does not know" in each for each in findings.notes)


def _constant(task: Task) -> Subject:
    outputs = np.tile([0.7, 0.3], (50, 1))
    if task is Task.MULTI_LABEL:
        return subject_giving(outputs, np.zeros((50, 2), np.bool_), task)
    truth = np.arange(50) % 2 if task is Task.CLASSIFICATION else np.ones(50)
    return subject_giving(outputs, truth, task)


HARD: dict[str, Callable[[], Subject]] = {
    "constant classifier": lambda: _constant(Task.CLASSIFICATION),
    "constant regression": lambda: _constant(Task.REGRESSION),
    "constant labels": lambda: _constant(Task.MULTI_LABEL),
    "one row": lambda: subject_giving(np.array([[0.3, 0.7]]), np.array([0])),
    "two rows": lambda: subject_giving(np.array([[0.3, 0.7]] * 2), np.array([0, 1])),
    "one value": lambda: subject_giving(np.ones((1, 1)), np.zeros(1), Task.REGRESSION, ["pay"]),
    "two values": lambda: subject_giving(np.ones((2, 1)), np.arange(2.0), Task.REGRESSION, ["pay"]),
    "all of one class": lambda: subject_giving(drawn_probabilities(60, 3), np.ones(60, np.int64)),
    "all unknown": lambda: subject_giving(drawn_probabilities(60, 3), np.full(60, -1)),
    "all right": lambda: subject_giving(np.eye(2)[np.arange(60) % 2], np.arange(60) % 2),
    "many classes": lambda: subject_giving(
        drawn_probabilities(300, 80), drawn_classes(drawn_probabilities(300, 80))
    ),
    "no useful column": lambda: subject_giving(
        drawn_probabilities(60, 2),
        np.arange(60) % 2,
        sample=sample_of(
            {"v": Column("v", ColumnType.EMBEDDING, shape=(3,))}, {"v": np.zeros((60, 3))}, None
        ),
    ),
    "huge values": lambda: subject_giving(
        np.linspace(-1e100, 1e100, 60)[:, None], np.zeros(60), Task.REGRESSION, ["pay"]
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_cases(name: str) -> None:
    """Whatever the rows lack is left out; what is left can be sent and shown."""
    analysed(HARD[name]())


def test_model_without_numbers() -> None:
    """Outputs that are no numbers are told as such."""
    with pytest.raises(UnusableModelError, match="no number"):
        PART.analyse(subject_giving(np.full((9, 2), np.nan), np.zeros(9, np.int64)), Budget(5))


def test_cancelling_stops() -> None:
    """A cancelled analysis ends here too."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PART.analyse(iris(), Budget(5, stop))


@settings(max_examples=12)
@given(rows=st.integers(1, 80), classes=st.integers(2, 6), seed=st.integers(0, 100))
def test_any_classification(rows: int, classes: int, seed: int) -> None:
    """Counts add up and every interval holds its metric, whatever the rows."""
    outputs = drawn_probabilities(rows, classes, seed)
    subject = subject_giving(outputs, np.random.default_rng(seed).integers(-1, classes, rows))
    summary = PART.analyse(subject, Budget(5)).summary
    assert summary.confusion is not None
    assert sum(summary.confusion.counts) == rows - summary.unknown_row_count
    assert sum(each.predicted for each in summary.classes) == rows
    for each in summary.metrics:
        assert each.low is None or each.low <= each.value + 1e-12
        assert each.high is None or each.high >= each.value - 1e-12


def test_names_without_probabilities_are_not_said_to_be_sure() -> None:
    """Outputs of 0 and 1 that are no probabilities say nothing of how sure the model is."""
    outputs = np.eye(3)[np.arange(90) % 3]
    for truth in (None, np.arange(90) % 3):
        _, _, section = analysed(subject_giving(outputs, truth, gives_probabilities=False))
        assert section.subsections[-1].title == "What it predicts"
        (plot,) = section.subsections[-1].parts
        assert isinstance(plot, Plot)
        assert plot.caption.startswith("How often each is predicted")


def test_few_rows_are_not_said_to_have_been_searched() -> None:
    outputs = drawn_probabilities(30, 2)
    _, _, section = analysed(subject_giving(outputs, drawn_classes(outputs)))
    (part,) = next(each for each in section.subsections if each.title == "Where it errs most").parts
    assert part == "There are too few rows to tell whether some of them are worse than the rest."

"""Models that are plain functions of columns, so that what they do is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.metrics import METRICS
from services.analyzer.domain.models.model import ModelFormat, Outputs
from services.analyzer.domain.relations.columns import RankedColumn
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.support.analysis import sample_of, subject_of

Function = Callable[[Mapping[str, Any]], Any]
"""Arrays of columns by name to outputs, (rows,) or (rows, outputs)."""


class FunctionModel:
    """A function of columns as a model; counts its calls."""

    format = ModelFormat.SKLEARN

    def __init__(
        self,
        function: Function,
        features: Sequence[str],
        task: Task = Task.REGRESSION,
        outputs: Sequence[str] = ("target",),
        gives_probabilities: bool = True,
    ) -> None:
        self.features = tuple(features)
        self.task = task
        self.outputs = tuple(outputs)
        self.gives_probabilities = gives_probabilities
        self.most_rows = 0
        self._function = function

    def predict(self, raw: RawRows) -> Outputs:
        self.most_rows = max(self.most_rows, raw.count)
        found = np.asarray(self._function(raw.columns), np.float64)
        return found.reshape(len(found), -1)


def column(name: str, labels: Sequence[str] = ()) -> Column:
    """Returns a column of numbers, or of labels."""
    kind = ColumnType.CATEGORICAL if labels else ColumnType.NUMERIC
    return Column(name, kind, categories=tuple(labels))


def subject_with(
    function: Function,
    values: Mapping[str, Values],
    labels: Mapping[str, Sequence[str]] | None = None,
    task: Task = Task.REGRESSION,
    outputs: Sequence[str] = ("target",),
    truth: Values | None = None,
    **settings: object,
) -> Subject:
    """Returns a subject whose model is a function."""
    own = labels or {}
    columns = {name: column(name, own.get(name, ())) for name in values}
    model = FunctionModel(function, list(values), task, outputs)
    chosen = AnalysisSettings(METRICS[task][0], **settings)  # type: ignore[arg-type]
    return subject_of(model, sample_of(columns, values, truth), settings=chosen)


def prober_of(subject: Subject, outputs: Sequence[int] = (0,)) -> Prober:
    """Returns what asks the subject's model, without haste."""
    return Prober(subject, outputs, Budget(60))


def ranked(subject: Subject) -> list[RankedColumn]:
    """Returns all columns of a subject as they come."""
    return [RankedColumn(each, 1.0) for each in subject.sample.columns.values()]


def classifier(
    scores: Function,
    values: Mapping[str, Values],
    labels: Mapping[str, Sequence[str]] | None = None,
    classes: Sequence[str] = ("no", "yes"),
) -> Subject:
    """Returns a subject of two classes; scores are logits of the second."""

    def outputs(columns: Mapping[str, Any]) -> Outputs:
        second = 1 / (1 + np.exp(-scores(columns)))
        return np.column_stack([1 - second, second])

    return subject_with(outputs, values, labels, Task.CLASSIFICATION, classes)


def three_classes(values: Mapping[str, Values], truth: Values | None = None) -> Subject:
    """Returns a subject of the classes `x`, `y`, `z` by the columns a, b and -a."""

    def outputs(columns: Mapping[str, Any]) -> Outputs:
        scores = np.exp(np.column_stack([columns["a"], columns["b"], -columns["a"]]))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    return subject_with(
        outputs, values, task=Task.CLASSIFICATION, outputs=("x", "y", "z"), truth=truth
    )

"""Models that are plain functions of columns, to be disturbed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_iris
from torch import nn

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Task
from common.models.preprocessing import NumericColumn, Preprocessing, Target
from common.networks.modules import build_network
from common.networks.specification import NetworkSpecification, complete
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.metrics import METRICS, Metric
from services.analyzer.domain.models.model import ModelFormat, Outputs
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.robustness.analysis import analyse_robustness
from services.analyzer.domain.robustness.findings import (
    Curve,
    DisturbanceKind,
    RobustnessFindings,
)
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    numeric_columns,
    sample_of,
    subject_of,
    trained_package,
)

Function = Callable[[Mapping[str, Any]], Any]

ROWS = 4000
SECONDS = 60.0


class FunctionModel:
    """A function of columns as a model."""

    format = ModelFormat.SKLEARN

    def __init__(
        self, function: Function, features: Sequence[str], task: Task, outputs: Sequence[str]
    ) -> None:
        self.features = tuple(features)
        self.task = task
        self.outputs = tuple(outputs)
        self.gives_probabilities = task is not Task.REGRESSION
        self._function = function

    def predict(self, raw: RawRows) -> Outputs:
        found = np.asarray(self._function(raw.columns), np.float64)
        return found.reshape(len(found), -1)


def columns_for(
    values: Mapping[str, Values], labels: Mapping[str, Sequence[str]]
) -> dict[str, Column]:
    """Returns what columns are, as their values tell."""
    columns = {}
    for name, each in values.items():
        if name in labels:
            columns[name] = Column(name, ColumnType.CATEGORICAL, categories=tuple(labels[name]))
        elif each.dtype.kind == "O":
            columns[name] = Column(name, ColumnType.TEXT)
        else:
            kinds = {4: ColumnType.IMAGE, 2: ColumnType.EMBEDDING}
            kind = kinds.get(each.ndim, ColumnType.NUMERIC)
            columns[name] = Column(name, kind, shape=each.shape[1:])
    return columns


def subject_with(
    function: Function,
    values: Mapping[str, Values],
    truth: Values | None,
    task: Task = Task.REGRESSION,
    outputs: Sequence[str] = ("target",),
    labels: Mapping[str, Sequence[str]] | None = None,
    metric: Metric | None = None,
) -> Subject:
    """Returns a subject whose model is a function."""
    model = FunctionModel(function, list(values), task, outputs)
    settings = AnalysisSettings(metric or METRICS[task][0])
    sample = sample_of(columns_for(values, labels or {}), values, truth)
    return subject_of(model, sample, settings=settings)


def two_classes(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns probabilities of two classes."""
    second = 1 / (1 + np.exp(-scores))
    return np.column_stack([1 - second, second])


def found_for(subject: Subject, seconds: float = SECONDS) -> RobustnessFindings:
    """Returns what disturbances do to a subject's model."""
    return analyse_robustness(subject, Budget(seconds))


def curve(findings: RobustnessFindings, kind: DisturbanceKind) -> Curve:
    """Returns the curve of a kind."""
    (found,) = [each for each in findings.curves if each.kind is kind]
    return found


def scores(found: Curve) -> list[float]:
    """Returns the scores of a curve."""
    return [point.score.value for point in found.points]


def without_truth(subject: Subject) -> Subject:
    """Returns a subject whose data has no target."""
    return replace(subject, sample=replace(subject.sample, truth=None))


def normal(columns: int, rows: int = ROWS) -> dict[str, Any]:
    """Returns columns `a`, `b` and so on of standard normal numbers."""
    values = np.random.default_rng(0).standard_normal((columns, rows))
    return dict(zip("abcdef", values, strict=False))


def small_mlp(folder: Path) -> Subject:
    """Returns a network that tells three flowers apart by four numbers, one often missing."""
    bunch = load_iris()
    values = dict(zip("abcd", bunch.data.T.copy(), strict=True))
    values["d"][::5] = np.nan
    sample = sample_of(numeric_columns(bunch.data, "abcd"), values, bunch.target)
    target = Target(name="target", task="classification", classes=tuple("xyz"))
    network = NetworkSpecification.model_validate({"mlp": {"hidden_widths": (8,)}})
    package = trained_package(folder, network, preprocessing(values, target), sample, 20)
    return subject_of(package, sample)


def linear_subject(
    weights: npt.NDArray[np.float64], values: Mapping[str, Any], truth: Values, classes: str = ""
) -> Subject:
    """Returns a linear network with such weights, (outputs, columns), of standardised columns.

    Args:
        weights: The weights; there is no bias.
        values: Columns of numbers.
        truth: What is true of the rows.
        classes: Names of classes; empty for a regression.
    """
    task = "classification" if classes else "regression"
    target = Target(name="target", task=task, classes=tuple(classes), mean=2.0, scale=3.0)
    prepared = preprocessing(values, target)
    plain = NetworkSpecification.model_validate({"linear": {"bias": False}})
    specification = complete(plain, prepared.network_input, target.outputs, "network")

    def load() -> nn.Module:
        network = build_network(specification)
        network.load_state_dict({"weight": torch.tensor(weights, dtype=torch.float32)})
        return network

    package = TorchPackage(specification, prepared, Path("weights"), load)
    matrix = np.column_stack([*values.values()])
    sample = sample_of(numeric_columns(matrix, list(values)), values, truth)
    return subject_of(package, sample)


def preprocessing(values: Mapping[str, Any], target: Target) -> Preprocessing:
    """Returns what standardises columns of numbers."""
    numeric = tuple(
        NumericColumn(name=name, mean=float(np.nanmean(each)), scale=float(np.nanstd(each)) or 1.0)
        for name, each in values.items()
    )
    return Preprocessing(numeric=numeric, target=target)

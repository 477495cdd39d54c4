"""Small models with data, ready to be analysed, without a store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from torch import nn

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, NumericStatistics, Schema, Task
from common.models.frames import columns_of
from common.models.preprocessing import ImageColumn, NumericColumn, Preprocessing, Target
from common.models.skops_model import SkopsModel
from common.networks.modules import build_network
from common.networks.specification import NetworkSpecification, complete
from services.analyzer.domain.metrics import METRICS
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject

Numbers = npt.NDArray[np.float64]


def numeric_columns(values: Numbers, names: Sequence[str]) -> dict[str, Column]:
    """Returns what numeric columns are, with their statistics."""
    return {
        name: Column(
            name,
            ColumnType.NUMERIC,
            numeric=NumericStatistics(
                float(each.min()),
                float(each.max()),
                float(each.mean()),
                float(each.std()),
                percentiles=tuple(np.percentile(each, np.arange(0, 101, 5)).tolist()),
            ),
        )
        for name, each in zip(names, values.T, strict=True)
    }


def sample_of(
    columns: Mapping[str, Column], values: Mapping[str, Values], truth: Values | None
) -> Sample:
    """Returns a sample of all rows."""
    labels = {name: each.labels for name, each in columns.items() if each.labels}
    rows = RawRows(values, labels)
    return Sample(rows, columns, np.arange(rows.count), truth)


def subject_of(
    model: AnalysedModel,
    sample: Sample,
    training: Sample | None = None,
    settings: AnalysisSettings | None = None,
    target: Column | None = None,
) -> Subject:
    """Returns a subject of a model and rows."""
    columns = (*sample.columns.values(), *([target] if target else []))
    name = target.name if target else ""
    return Subject(
        name="models/tried/versions/1",
        model=model,
        size_bytes=1000,
        schema=Schema(columns, model.task, name, targets=(name,) if name else ()),
        dataset_version="datasets/tried/versions/1",
        sample=sample,
        training=training,
        settings=settings or AnalysisSettings(METRICS[model.task][0]),
    )


def sklearn_model(estimator: object, columns: Mapping[str, Column], task: Task) -> SklearnAnalysed:
    """Returns a fitted estimator over a matrix of all columns, as the catalog would load it."""
    names = list(columns)
    classes = [str(each) for each in getattr(estimator, "classes_", ())]
    signature = model_pb2.Signature(
        inputs=[model_pb2.TensorSpec(name="features", dtype="float64", shape=[-1, len(names)])],
        classes=classes,
    )
    model = SkopsModel(estimator, columns_of(estimator, names), False, signature)
    return SklearnAnalysed(model, task, tuple(classes) or ("target",), list(columns.values()))


def breast_cancer() -> Subject:
    """A boosted classifier of 30 numeric columns, two classes."""
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    return _fitted(HistGradientBoostingClassifier(max_iter=30), bunch, names, Task.CLASSIFICATION)


def iris() -> Subject:
    """A boosted classifier of 4 numeric columns, three classes."""
    bunch = load_iris()
    names = [name.replace(" (cm)", "").replace(" ", "_") for name in bunch.feature_names]
    return _fitted(HistGradientBoostingClassifier(max_iter=10), bunch, names, Task.CLASSIFICATION)


def diabetes() -> Subject:
    """A linear regression of 10 numeric columns."""
    bunch = load_diabetes()
    return _fitted(LinearRegression(), bunch, list(bunch.feature_names), Task.REGRESSION)


def _fitted(estimator: object, bunch: object, names: Sequence[str], task: Task) -> Subject:
    values, truth = bunch.data, bunch.target  # type: ignore[attr-defined]
    is_test = np.arange(len(values)) % 3 == 0
    estimator.fit(values[~is_test], truth[~is_test])  # type: ignore[attr-defined]
    columns = numeric_columns(values, names)
    whole = sample_of(columns, dict(zip(names, values.T, strict=True)), truth)
    model = sklearn_model(estimator, columns, task)
    return subject_of(model, whole.take(is_test), whole.take(~is_test), target=_target(task))


def _target(task: Task) -> Column:
    if task is Task.REGRESSION:
        return Column("target", ColumnType.NUMERIC)
    return Column("target", ColumnType.CATEGORICAL)


def trained_mlp(folder: Path, epochs: int = 30, **options: object) -> Subject:
    """A small multi-layer perceptron of the trainer's kind on breast cancer."""
    whole = breast_cancer()
    assert whole.training is not None
    raw = whole.training.raw
    numeric = tuple(
        NumericColumn(name=name, mean=float(each.mean()), scale=float(each.std()) or 1.0)
        for name, each in raw.columns.items()
    )
    target = Target(name="target", task="classification", classes=("malignant", "benign"))
    preprocessing = Preprocessing(numeric=numeric, target=target)
    plain = NetworkSpecification.model_validate({"mlp": {"hidden_widths": (16, 8), **options}})
    model = trained_package(folder, plain, preprocessing, whole.training, epochs)
    return subject_of(model, whole.sample, whole.training, target=_target(Task.CLASSIFICATION))


def trained_cnn(folder: Path, epochs: int = 3, network: object = None) -> Subject:
    """A small convolutional network of the trainer's kind on 8 x 8 digits of 10 classes."""
    bunch = load_digits()
    images = (bunch.images * 255 / 16).astype(np.uint8)[:, None]
    columns = {"image": Column("image", ColumnType.IMAGE, shape=images.shape[1:])}
    whole = sample_of(columns, {"image": images}, bunch.target.astype(np.int64))
    is_test = np.arange(len(images)) % 3 == 0
    image = ImageColumn(name="image", shape=images.shape[1:], mean=(0.3,), scale=(0.37,))
    classes = tuple(str(digit) for digit in range(10))
    target = Target(name="target", task="classification", classes=classes)
    preprocessing = Preprocessing(image=image, target=target)
    blocks = ({"channels": 8}, {"channels": 16})
    plain = NetworkSpecification.model_validate(
        network or {"cnn": {"blocks": blocks, "head_widths": (16,)}}
    )
    training = whole.take(~is_test)
    model = trained_package(folder, plain, preprocessing, training, epochs)
    return subject_of(model, whole.take(is_test), training, target=_target(Task.CLASSIFICATION))


def trained_package(
    folder: Path,
    plain: NetworkSpecification,
    preprocessing: Preprocessing,
    training: Sample,
    epochs: int,
) -> TorchPackage:
    """Trains a network and returns it with its weights in a file."""
    outputs = preprocessing.target.outputs
    specification = complete(plain, preprocessing.network_input, outputs, "network")
    torch.manual_seed(0)
    network = build_network(specification)
    path = folder / "weights.safetensors"

    def load() -> nn.Module:
        fresh = build_network(specification)
        fresh.load_state_dict(safetensors.torch.load_file(path))
        return fresh

    package = TorchPackage(specification, preprocessing, path, load)
    _train(network, package, training, epochs)
    safetensors.torch.save_file(network.state_dict(), path)
    return package


def _train(network: nn.Module, package: TorchPackage, training: Sample, epochs: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    truth = torch.from_numpy(np.asarray(training.truth).astype(np.int64))
    inputs = package.inputs(training.raw)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(training.count)
        for rows in torch.split(order, 64):
            optimizer.zero_grad()
            found = network(*(each[rows] for each in inputs))
            nn.functional.cross_entropy(found, truth[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    network.eval()

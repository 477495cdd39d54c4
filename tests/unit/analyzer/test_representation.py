from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Task
from common.networks.torch_kinds.resnet import ResidualBlock
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.representation import (
    averaged,
    hidden_activations,
    hidden_source,
    some_units,
    usual_layers,
)
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    iris,
    numeric_columns,
    sklearn_model,
    trained_cnn,
    trained_mlp,
)
from tests.unit.analyzer.activations_support import onnx_analysed, onnx_twin


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=3)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_cnn(tmp_path_factory.mktemp("cnn"), epochs=1)


def test_values_of_a_perceptron_lead_to_its_outputs(mlp: Subject) -> None:
    """The last hidden layer, through the last layer's weights, gives the model's outputs."""
    assert isinstance(mlp.model, TorchPackage)
    found = hidden_activations(mlp, mlp.sample.raw)
    assert {name: each.shape[1] for name, each in found.items()} == {"layers.1": 16, "layers.3": 8}
    last = mlp.model.network.get_submodule("layers.4")
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        logits = last(torch.from_numpy(found["layers.3"])).numpy()
    assert np.allclose(softmax(logits, axis=1), mlp.outputs, atol=1e-5)


def test_what_comes_before_a_function_in_place_is_not_changed_by_it(mlp: Subject) -> None:
    found = hidden_activations(mlp, mlp.sample.raw, ["layers.1", "layers.0"])
    assert list(found) == ["layers.0", "layers.1"]
    assert found["layers.0"].min() < 0
    assert np.array_equal(np.maximum(found["layers.0"], 0), found["layers.1"])


def test_maps_are_averaged_and_batches_change_nothing(cnn: Subject) -> None:
    """597 images need several batches; each gives what it gives alone."""
    found = hidden_activations(cnn, cnn.sample.raw)
    alone = hidden_activations(cnn, cnn.sample.raw.take(slice(400, 401)))
    assert {name: each.shape[1] for name, each in found.items()} == {
        "blocks.1.1": 8,
        "blocks.3.1": 16,
        "head.1": 16,
    }
    for name, values in alone.items():
        assert np.allclose(values[0], found[name][400], atol=1e-5)


def test_nothing_stays_in_the_network(cnn: Subject) -> None:
    assert isinstance(cnn.model, TorchPackage)
    hidden_activations(cnn, cnn.sample.raw.take(slice(0, 2)))
    assert not any(each._forward_hooks for each in cnn.model.network.modules())


def test_blocks_stand_for_what_is_within(tmp_path: Path) -> None:
    """Of a residual network the stem and the blocks are shown, not the functions within."""
    stages = [{"blocks": 2, "channels": 4}, {"blocks": 1, "channels": 8}]
    subject = trained_cnn(tmp_path, 1, {"resnet": {"stages": stages}})
    source = hidden_source(subject.model)
    assert source.usual == ("stem.relu", "stages.0.0", "stages.0.1", "stages.1.0")
    assert isinstance(subject.model, TorchPackage)
    assert isinstance(subject.model.network.get_submodule("stages.1.0"), ResidualBlock)
    functions = {layer.name: layer.function for layer in source.layers}
    assert functions["stages.1.0"] == functions["stem.relu"] == "relu"
    found = hidden_activations(subject, subject.sample.raw.take(slice(0, 5)))
    assert found["stages.1.0"].shape == (5, 8)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_onnx_gives_what_torch_gives(kind: str, request: pytest.FixtureRequest) -> None:
    subject = request.getfixturevalue(kind)
    model = onnx_twin(subject.model, subject.sample)
    raw = subject.sample.raw.take(slice(0, 150))
    ours = [*hidden_activations(subject, raw).values()]
    theirs = [*hidden_activations(model, raw).values()]
    assert ours
    for own, other in zip(ours, theirs, strict=True):
        assert np.allclose(own, other, atol=1e-4)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_functions_of_onnx_are_known(tmp_path: Path, activation: str) -> None:
    """A SiLU is written as a sigmoid times its input, and is no sigmoid."""
    subject = trained_mlp(tmp_path, 1, activation=activation)
    assert isinstance(subject.model, TorchPackage)
    model = onnx_twin(subject.model, subject.sample)
    source = hidden_source(model)
    functions = {layer.name: layer.function for layer in source.layers}
    assert [functions[name] for name in source.usual] == [activation, activation]
    raw = subject.sample.raw
    for own, other in zip(
        hidden_activations(subject, raw).values(),
        hidden_activations(model, raw).values(),
        strict=True,
    ):
        assert np.allclose(own, other, atol=1e-4)


def _linear_onnx(nodes: list[NodeProto], width: int) -> OnnxAnalysed:
    columns = numeric_columns(np.eye(width), [f"c{place}" for place in range(width)])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])
    return onnx_analysed(nodes, {"w": np.ones((width, 1), np.float32)}, x, 1, columns)


def test_a_linear_onnx_model_has_no_hidden_layers() -> None:
    model = _linear_onnx([helper.make_node("MatMul", ["x", "w"], ["y"])], 2)
    raw = RawRows({"c0": np.array([0.0, 2.0]), "c1": np.array([np.nan, 7.0])})
    assert "stand in" in hidden_source(model).note
    found = hidden_activations(model, raw)
    assert found["columns"].tolist() == [[-1, 0], [1, 0]]
    assert hidden_activations(model, raw, [*found])["columns"].shape == (2, 2)


def test_positions_of_a_transformer_come_last() -> None:
    """Three axes without convolutions are rows, positions, units; the mean is over positions."""
    shape = numpy_helper.from_array(np.array([0, 3, 2]), "shape")
    flat = numpy_helper.from_array(np.array([0, -1]), "flat")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["tokens"]),
        helper.make_node("Relu", ["tokens"], ["active"], name="act"),
        helper.make_node("Reshape", ["active", "flat"], ["back"]),
        helper.make_node("MatMul", ["back", "w"], ["y"]),
    ]
    constants = [
        helper.make_node("Constant", [], [each.name], value=each) for each in (shape, flat)
    ]
    model = _linear_onnx([*constants, *nodes], 6)
    raw = RawRows({f"c{place}": np.array([float(place)]) for place in range(6)})
    assert hidden_activations(model, raw)["act"].tolist() == [[2, 3]]


def test_layers_of_a_scikit_learn_perceptron_lead_to_its_outputs() -> None:
    subject = iris()
    assert subject.training is not None
    table = np.column_stack([*subject.training.raw.columns.values()])
    for activation in ("relu", "logistic", "tanh"):
        network = MLPClassifier((6, 5), activation=activation, max_iter=20, tol=1.0)
        estimator = make_pipeline(StandardScaler(), network).fit(table, subject.training.truth)
        model = sklearn_model(estimator, subject.sample.columns, Task.CLASSIFICATION)
        last = hidden_activations(model, subject.sample.raw)["hidden_2"]
        found = softmax(last @ network.coefs_[-1] + network.intercepts_[-1], axis=1)
        assert np.allclose(found, model.predict(subject.sample.raw), atol=1e-5)


def test_steps_and_leaves_stand_in() -> None:
    """Rows in the same leaves of all trees have the same representation."""
    subject = breast_cancer()
    table = np.column_stack([*subject.sample.raw.columns.values()])
    forest = RandomForestClassifier(10, max_depth=2, random_state=0)
    estimator = make_pipeline(StandardScaler(), forest).fit(table, subject.truth)
    model = sklearn_model(estimator, subject.sample.columns, Task.CLASSIFICATION)
    found = hidden_activations(model, subject.sample.raw)
    scaled = estimator[0].transform(table)
    assert np.allclose(found["standardscaler"], scaled, atol=1e-5)
    leaves = forest.apply(scaled)
    same = (leaves == leaves[0]).all(axis=1)
    assert np.allclose(found["leaves"][same], found["leaves"][0], atol=1e-4)
    assert "RandomForestClassifier" in hidden_source(model).note


def test_sparse_steps_are_cut_to_large_columns() -> None:
    texts = np.array([f"word{n % 7} other{n}" for n in range(3000)], object)
    column = Column("text", ColumnType.TEXT)
    estimator = make_pipeline(
        FunctionTransformer(np.ravel), TfidfVectorizer(), LogisticRegression()
    ).fit(texts[:, None], np.arange(3000) % 2)
    step = estimator[1].transform(texts)
    assert step.shape[1] > 2048
    model = sklearn_model(estimator, {"text": column}, Task.CLASSIFICATION)
    model.model.signature.inputs[0].dtype = "object"
    found = hidden_activations(model, RawRows({"text": texts}))["tfidfvectorizer"]
    assert found.shape == (3000, 2048)
    assert np.square(found).sum() > 0.7 * step.multiply(step).sum()


def test_columns_of_all_types_stand_in() -> None:
    columns = {
        "number": Column("number", ColumnType.NUMERIC),
        "kind": Column("kind", ColumnType.CATEGORICAL, categories=("a", "b")),
        "seen": Column("seen", ColumnType.TIMESTAMP),
        "vector": Column("vector", ColumnType.EMBEDDING, shape=(2,)),
        "text": Column("text", ColumnType.TEXT),
    }
    raw = RawRows(
        {
            "number": np.array([np.nan, 1.0, 3.0], np.float32),
            "kind": np.array([-1, 1, 1], np.int32),
            "seen": np.array([np.iinfo(np.int64).min, 5, 5]),
            "vector": np.array([[1.0, 2.0], [1.0, np.nan], [1.0, 4.0]]),
            "text": np.array([None, "a", "b"], object),
        },
        {"kind": ("a", "b")},
    )

    class Boosted:
        features = tuple(columns)

    found = hidden_activations(Boosted(), raw)["columns"]  # type: ignore[arg-type]
    expected = [[0, 0, 0, 0, -1], [-1, 1, 0, 0, 0], [1, 1, 0, 0, 1]]
    assert np.allclose(found, expected)


def test_boosting_has_columns_alone() -> None:
    subject = iris()
    assert hidden_activations(subject, subject.sample.raw)["columns"].shape == (50, 4)


@pytest.mark.parametrize("make", [iris, "mlp"])
def test_a_layer_that_does_not_exist_is_refused(
    make: object, request: pytest.FixtureRequest
) -> None:
    subject = request.getfixturevalue(make) if isinstance(make, str) else iris()
    with pytest.raises(UnusableModelError, match=r"no layer `layers\.9`; it has "):
        hidden_activations(subject, subject.sample.raw, ["layers.9"])


def test_usual_layers_lie_evenly_along_the_depth() -> None:
    class Deep:
        usual = tuple(f"block{place}" for place in range(50))

    names = usual_layers(Deep(), 6)  # type: ignore[arg-type]
    assert names == ("block0", "block10", "block20", "block29", "block39", "block49")


_MAPS = [np.arange(24, dtype=np.float32).reshape(2, 3, *sides) for sides in ((4,), (2, 2))]


@pytest.mark.parametrize("values", _MAPS)
def test_positions_are_averaged(values: np.ndarray) -> None:
    assert averaged(values).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]
    assert some_units(values, 2).shape[1] == 2

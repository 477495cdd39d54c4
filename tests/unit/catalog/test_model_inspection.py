"""Models from elsewhere: what is found in them, and what is refused."""

import io
import json
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
from onnx import TensorProto, helper
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from aimass.catalog.v1 import model_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.schema import Task
from common.errors import DataLossError, InvalidFieldError
from common.models.estimators.frame_values import text_of
from common.models.onnx_model import load_onnx
from common.models.sample_rows import SampleRows
from common.models.skops_model import load_skops
from common.models.vectors import encode
from services.catalog.domain.model_inputs import VECTOR_ROWS
from services.catalog.domain.model_inspection import Inspection, inspect_model
from services.catalog.domain.model_spec import ModelFormat
from tests.support.foreign_models import linear_onnx, onnx_model, skops_file

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")
ROWS = SampleRows({name: IRIS[:, index] for index, name in enumerate(COLUMNS)}, {}, NAMES)


def inspect(
    content: bytes,
    kind: ModelFormat = ModelFormat.SKOPS,
    rows: SampleRows | None = None,
    task: Task | None = None,
    classes: tuple[str, ...] = (),
) -> Inspection:
    if kind is ModelFormat.ONNX and task is None:
        task = Task.CLASSIFICATION
    return inspect_model(content, kind, task, classes, rows)


def version_of(
    found: Inspection, role: str, content: bytes, store: MemoryStore
) -> model_pb2.ModelVersion:
    """Returns a registered version of an inspected model."""
    version = model_pb2.ModelVersion(name="models/m/versions/1", signature=found.signature)
    for name, data in ((role, content), ("samples", encode(found.vectors))):
        version.artifacts[name].CopyFrom(put_artifact(store, f"runs/{name}", data, "a/b"))
    return version


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(),
    ],
)
def test_a_classifier_of_scikit_learn(estimator: LogisticRegression) -> None:
    """Signature, classes and accuracy come from the file and the rows; it loads again later."""
    content = skops_file(estimator.fit(IRIS, NAMES))
    found = inspect(content, rows=ROWS)
    assert found.task is Task.CLASSIFICATION
    assert list(found.signature.classes) == ["setosa", "versicolor", "virginica"]
    assert [list(each.shape) for each in found.signature.inputs] == [[-1, 4]]
    assert found.metrics["validation/accuracy"] > 0.9
    assert len(found.vectors.outputs["probabilities"]) == VECTOR_ROWS
    store = MemoryStore()
    model = load_skops(store, version_of(found, "skops", content, store))
    assert model.predict({"features": IRIS[:3]})["probabilities"].shape == (3, 3)


def test_a_classifier_without_probabilities() -> None:
    """Its output are positions in the classes."""
    found = inspect(skops_file(RidgeClassifier().fit(IRIS, NAMES)), rows=ROWS)
    assert found.signature.outputs[0].dtype == "int64"
    assert found.metrics["validation/accuracy"] > 0.8


def test_a_regressor_on_random_rows() -> None:
    """Without a data set there are vectors and no metrics; with one, the error is measured."""
    features, target = load_diabetes(return_X_y=True)
    content = skops_file(RandomForestRegressor(3, max_depth=3).fit(features, target))
    found = inspect(content)
    assert found.task is Task.REGRESSION and not found.metrics and not found.signature.classes
    rows = SampleRows({str(i): features[:, i] for i in range(10)}, {}, target)
    assert 0 < inspect(content, rows=rows).metrics["validation/mean_absolute_error"] < 60


def test_columns_are_found_by_name() -> None:
    """Protects from columns in another order: names of the fitted frame count."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(IRIS, columns=COLUMNS)[list(COLUMNS[::-1])]
    content = skops_file(LogisticRegression(max_iter=500).fit(frame, NAMES))
    assert inspect(content, rows=ROWS).metrics["validation/accuracy"] > 0.9


def test_an_onnx_model() -> None:
    """It is run on the rows; classes come from the request; loading replays the vectors."""
    content = linear_onnx().SerializeToString()
    classes = ("setosa", "versicolor", "virginica")
    found = inspect(content, ModelFormat.ONNX, ROWS, classes=classes)
    assert list(found.signature.classes) == list(classes)
    assert found.parameter_count == 12
    assert found.metrics["validation/accuracy"] == pytest.approx(1 / 3)
    assert inspect(content, ModelFormat.ONNX).vectors.inputs["x"].shape == (VECTOR_ROWS, 4)
    store = MemoryStore()
    version = version_of(found, "onnx", content, store)
    assert load_onnx(store, version).predict({"x": np.ones((2, 4), np.float32)})["scores"].shape
    found.vectors.outputs["scores"][:] = 0
    changed = version_of(found, "onnx", content, store)
    with pytest.raises(DataLossError, match="`scores` of its test vectors differs"):
        load_onnx(store, changed)


def with_labels(heads: int) -> bytes:
    """Returns a classifier that gives labels besides the scores of one target, or of several."""
    model = linear_onnx()
    model.graph.node.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"])
    model.graph.output.insert(0, label)
    for head in range(1, heads):
        model.graph.node.append(helper.make_node("Identity", ["scores"], [f"scores{head}"]))
        more = helper.make_tensor_value_info(f"scores{head}", TensorProto.FLOAT, ["rows", 3])
        model.graph.output.append(more)
    return model.SerializeToString()


def test_a_classifier_that_gives_labels_besides() -> None:
    """Its accuracy is measured; where several outputs may be meant, it is not."""
    classes = ("setosa", "versicolor", "virginica")
    found = inspect(with_labels(1), ModelFormat.ONNX, ROWS, classes=classes)
    assert found.metrics["validation/accuracy"] == pytest.approx(1 / 3)
    assert not inspect(with_labels(2), ModelFormat.ONNX, ROWS, classes=classes).metrics


def external_onnx() -> bytes:
    model = linear_onnx()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return model.SerializeToString()


def foreign_onnx(domain: str) -> bytes:
    nodes = [helper.make_node("Secret", ["x", "w"], ["scores"], domain=domain)]
    return onnx_model(nodes, np.ones((4, 3), np.float32), 3, domain).SerializeToString()


def random_onnx() -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("RandomNormalLike", ["y"], ["scores"]),
    ]
    return onnx_model(nodes, np.ones((4, 3), np.float32), 3).SerializeToString()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no ONNX model|no valid ONNX"),
        (b"nonsense", "no ONNX model|no valid ONNX"),
        (linear_onnx().SerializeToString()[:-9], "no ONNX model|no valid ONNX"),
        (external_onnx(), "keeps the tensor `w` in another file"),
        (foreign_onnx("com.evil"), "domain `com.evil`"),
        (foreign_onnx(""), "no valid ONNX model"),
        (random_onnx(), "same outputs for the same inputs"),
    ],
)
def test_what_onnx_is_refused(content: bytes, complaint: str) -> None:
    """Protects the suite from files that are damaged, read other files or need foreign code."""
    with pytest.raises(InvalidFieldError, match=complaint) as raised:
        inspect(content, ModelFormat.ONNX)
    assert raised.value.violations[0].field == "model_import.spec.upload"


def renamed_type(old: str, new: str) -> bytes:
    """Returns a skops file that names another type than the one it was saved from."""
    source = zipfile.ZipFile(io.BytesIO(skops_file(LogisticRegression().fit(IRIS, NAMES))))
    schema = json.loads(source.read("schema.json"))
    schema["__class__"], schema["__module__"] = new, old
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            file.writestr(name, source.read(name) if name != "schema.json" else json.dumps(schema))
    return target.getvalue()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: b"", "no skops file"),
        (lambda: pickle.dumps(LinearRegression()), "no skops file"),
        (partial(renamed_type, "subprocess", "Popen"), "holds the type subprocess.Popen"),
        (
            lambda: skops_file(make_pipeline(FunctionTransformer(inspect), LinearRegression())),
            "holds the type .*inspect",
        ),
        (
            lambda: skops_file(make_pipeline(FunctionTransformer(text_of), LinearRegression())),
            "holds the type common.models.estimators.frame_values.text_of",
        ),
        (
            partial(renamed_type, "common.models.estimators.frame_values", "Sequence"),
            "holds the type common.models.estimators.frame_values.Sequence",
        ),
        (
            partial(renamed_type, "common.models.estimators.unknown", "Model"),
            "holds the type common.models.estimators.unknown.Model",
        ),
        (lambda: skops_file(LinearRegression()), "not fitted"),
        (lambda: skops_file(StandardScaler().fit(IRIS)), "import a classifier or a regressor"),
        (lambda: skops_file(np.ones(3)), "no estimator"),
    ],
)
def test_what_skops_is_refused(make: "partial[bytes]", complaint: str) -> None:
    """Protects the suite from files that would run code or are no model."""
    with pytest.raises(InvalidFieldError, match=complaint) as raised:
        inspect(make())
    assert raised.value.violations[0].field == "model_import.spec.upload"


def test_what_does_not_fit_is_named() -> None:
    """Protects callers: the field that does not go with the file is named, with the cure."""
    content = skops_file(LogisticRegression(max_iter=500).fit(IRIS, NAMES))
    onnx_file = linear_onnx(features=7).SerializeToString()
    narrow = SampleRows({"a": IRIS[:, 0]})
    cases = [
        (partial(inspect, content, task=Task.REGRESSION), "task", "leave it out"),
        (partial(inspect, content, classes=("a", "b")), "classes", "leave them out"),
        (partial(inspect, content, rows=narrow), "dataset_version", "the model takes 4"),
        (partial(inspect, onnx_file, ModelFormat.ONNX, ROWS), "dataset_version", "takes 7"),
        (partial(inspect, onnx_file, ModelFormat.ONNX, classes=("a",)), "classes", "columns"),
    ]
    for call, field, complaint in cases:
        with pytest.raises(InvalidFieldError, match=complaint) as raised:
            call()
        assert raised.value.violations[0].field == f"model_import.spec.{field}"

"""A search is compared with another model on rows that neither has learned from."""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import tuner_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.data.messages import schema_to_proto
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Schema, SplitCounts, Task
from common.errors import FailedPreconditionError, InvalidFieldError
from common.models.packaging import packaged, store_package
from common.models.preprocessing import NumericColumn, Preprocessing, Target
from common.models.sample_rows import SampleRows
from common.models.store import read_part
from common.models.vectors import Vectors, encode
from common.records import RecordStore
from common.reports.report import Notice, Table
from common.scoring.kinds import ProblemKind
from common.scoring.registry import METRICS
from services.tuner.champion import contest
from services.tuner.champion.answering import outputs_of
from services.tuner.champion.checking import Champions
from services.tuner.champion.contest import Contest, Known, Place, open_contest
from services.tuner.champion.learned import row_digests
from services.tuner.champion.order import Order
from services.tuner.champion.prediction import Predicted
from services.tuner.champion.words import comparison_words
from services.tuner.domain.page.beside import beside
from services.tuner.domain.problem import Outputs
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.specification import TuningSpecification
from services.tuner.loading import load_problem

ROWS = 400
NAME = "models/m/versions/1"
# A process starts slowly where others compute.
PATIENCE_SECONDS = 300.0
pytestmark = pytest.mark.timeout(330)
SCHEMA = Schema(
    (
        Column("a", ColumnType.NUMERIC, distinct_count=ROWS),
        Column("b", ColumnType.NUMERIC, distinct_count=ROWS),
        Column("y", ColumnType.CATEGORICAL, categories=("no", "yes"), distinct_count=2),
    ),
    Task.CLASSIFICATION,
    "y",
    targets=("y",),
)
SPECIFICATION = TuningSpecification(
    targets=("y",), kind=ProblemKind.BINARY, metric="roc_auc", trial_memory_bytes=1 << 30
)
Numbers = npt.NDArray[Any]


def table(seed: int = 0) -> dict[str, Numbers]:
    """Two numbers, the first of which tells the class."""
    a, b, noise = np.random.default_rng(seed).normal(size=(3, ROWS))
    return {"a": a, "b": b, "y": np.where(a + 0.3 * noise > 0, "yes", "no")}


def parts(test: slice) -> Numbers:
    """Returns where rows belong: those of a slice are tested on."""
    split = np.zeros(ROWS, np.int8)
    split[test] = 2
    return split


def shard(store: MemoryStore, data: dict[str, Numbers], split: Numbers) -> dataset_pb2.Shard:
    """Stores rows."""
    made = dataset_pb2.Shard(row_count=len(split))
    for part, columns in ((made.data, data), (made.split, {"split": split})):
        buffer = io.BytesIO()
        pq.write_table(pa.table({name: pa.array(each) for name, each in columns.items()}), buffer)
        key = f"shards/{len(list(store.list('shards/')))}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "x"))
    return made


def version(number: int, *shards: dataset_pb2.Shard) -> dataset_pb2.DatasetVersion:
    """Returns a version of some shards."""
    rows = sum(each.row_count for each in shards)
    return dataset_pb2.DatasetVersion(
        name=f"datasets/d/versions/{number}",
        row_count=rows,
        schema=schema_to_proto(SCHEMA),
        shards=shards,
    )


@dataclass
class Bench:
    """A store with rows of which the last hundred are tested on."""

    store: MemoryStore
    folder: Path

    def __post_init__(self) -> None:
        self.first = shard(self.store, table(), parts(slice(300, None)))

    def model(self, estimator: Any) -> model_pb2.ModelVersion:
        """Stores a scikit-learn model fitted on the rows that are learned from."""
        problem = load_problem(SPECIFICATION, version(1, self.first), self.store, lambda: None)
        fitted = estimator.fit(
            problem.problem.features, np.where(problem.problem.truth, "yes", "no")
        )
        package = packaged(fitted, problem.problem.features)
        made = store_package(self.store, "m/", package, ProblemKind.BINARY)
        made.name = NAME
        return made

    def contest(
        self,
        model: model_pb2.ModelVersion,
        data: dataset_pb2.DatasetVersion,
        *learned: dataset_pb2.DatasetVersion,
    ) -> Contest:
        """Has a model predict the test rows of a version."""
        place = Place(self.store, self.folder, 1 << 30, 60.0, lambda: None)
        loaded = load_problem(SPECIFICATION, data, self.store, place.check)
        known = Known(model, learned)
        return open_contest(SPECIFICATION, data, loaded, known, METRICS["roc_auc"], place)


@pytest.fixture
def whole(tmp_path: Path) -> Bench:
    """See `Bench`."""
    return Bench(MemoryStore(), tmp_path)


@pytest.fixture
def bench(whole: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose models are asked in this process, which takes less time."""

    def here(
        model: model_pb2.ModelVersion,
        rows: SampleRows,
        order: Order,
        store: MemoryStore,
        folder: Path,
    ) -> Any:
        role = "skops" if "skops" in model.artifacts else "onnx"
        content, vectors = (read_part(model, each, store) for each in (role, "samples"))
        said = Predicted(*outputs_of(model, content, vectors, rows, order))
        return SimpleNamespace(result=lambda seconds: said)

    monkeypatch.setattr(contest, "begin_prediction", here)
    return whole


def said_by(opened: Contest) -> Outputs:
    """Returns what the champion says of the test rows."""
    return opened.prediction.result(PATIENCE_SECONDS).outputs


def test_a_good_model_is_clearly_better_than_a_bad_one(bench: Bench) -> None:
    """Scores of both on the same rows, with an interval that leaves no doubt."""
    data = version(1, bench.first)
    opened = bench.contest(bench.model(DummyClassifier()), data, data)
    truth = opened.rows.truth.astype(np.float64)
    found = np.column_stack([1 - truth, truth])
    comparison = opened.against(METRICS["roc_auc"], found, 0, 1.0)
    assert (comparison.row_count, comparison.left_out_count) == (100, 0)
    assert comparison.score.value == pytest.approx(0.5)
    assert comparison.found_score.value == pytest.approx(1.0)
    assert comparison.gain_low == comparison.gain_high == comparison.gain == pytest.approx(0.5)
    assert "clearly better than models/m/versions/1" in comparison_words(comparison, "roc_auc")


def test_equal_models_are_not_told_apart(whole: Bench) -> None:
    """The champion is asked in a process of its own."""
    data = version(1, whole.first)
    opened = whole.contest(whole.model(LogisticRegression()), data, data)
    comparison = opened.against(METRICS["roc_auc"], said_by(opened), 0, 1.0)
    assert comparison.gain == comparison.gain_low == comparison.gain_high == 0
    assert comparison.score.value > 0.9
    assert "cannot be told apart" in comparison_words(comparison, "roc_auc")


def test_rows_of_data_that_grew_are_new_to_the_champion(bench: Bench) -> None:
    """Parts are kept: its test rows and those that came later count, also where some are alike."""
    later = shard(bench.store, table(), parts(slice(0, 50)))
    grown = version(2, bench.first, later)
    opened = bench.contest(bench.model(LogisticRegression()), grown, version(1, bench.first))
    assert (len(opened.kept), opened.left_out) == (150, 0)


def test_rows_that_the_champion_learned_from_are_left_out(bench: Bench) -> None:
    """An import anew may test on what it has learned: such rows are known by what they hold."""
    anew = shard(bench.store, table(), parts(slice(250, 350)))
    opened = bench.contest(
        bench.model(LogisticRegression()), version(2, anew), version(1, bench.first)
    )
    assert opened.kept.tolist() == list(range(50, 100)) and opened.left_out == 50
    assert not opened.notes


def test_a_champion_that_knows_all_rows_is_no_measure(bench: Bench) -> None:
    """The run ends at once, and says what would help."""
    anew = shard(bench.store, table(), parts(slice(0, 100)))
    model = bench.model(LogisticRegression())
    with pytest.raises(FailedPreconditionError, match="append new rows"):
        bench.contest(model, version(2, anew), version(1, bench.first))


def test_what_is_not_known_of_a_champion_is_said(bench: Bench) -> None:
    """A model from elsewhere may have learned from anything."""
    opened = bench.contest(bench.model(LogisticRegression()), version(1, bench.first))
    [note] = opened.notes
    assert "not known which rows" in note


def logistic_onnx(fitted: LogisticRegression, name: str) -> onnx.ModelProto:
    """Returns a regression of two classes as others export it: labels and probabilities."""
    constants = {
        "slopes": np.hstack([np.zeros((2, 1)), fitted.coef_.T]),
        "levels": np.array([[0.0, fitted.intercept_[0]]]),
        "classes": fitted.classes_.astype(object),
    }
    make, double = onnx.helper.make_node, onnx.TensorProto.DOUBLE
    nodes = [
        make("MatMul", [name, "slopes"], ["sloped"]),
        make("Add", ["sloped", "levels"], ["logits"]),
        make("Softmax", ["logits"], ["probabilities"], axis=1),
        make("ArgMax", ["probabilities"], ["place"], axis=1, keepdims=0),
        make("Gather", ["classes", "place"], ["label"], axis=0),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "regression",
        [value(name, double, [None, 2])],
        [
            value("label", onnx.TensorProto.STRING, [None]),
            value("probabilities", double, [None, 2]),
        ],
        [onnx.numpy_helper.from_array(each, key) for key, each in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)


@pytest.mark.parametrize("is_package", [False, True])
def test_onnx_models_can_be_champions(bench: Bench, is_package: bool) -> None:
    """One input takes the columns of numbers; a package's twin what its preprocessing says."""
    data, name = table(), "numeric" if is_package else "x"
    columns = np.column_stack([data["b"], data["a"]] if is_package else [data["a"], data["b"]])
    fitted = LogisticRegression().fit(columns, data["y"])
    file = logistic_onnx(fitted, name)
    given = np.zeros((2, 2))
    found = (fitted.predict(given).astype(object), fitted.predict_proba(given))
    outputs = dict(zip([each.name for each in file.graph.output], found, strict=True))
    files = {"onnx": file.SerializeToString(), "samples": encode(Vectors({name: given}, outputs))}
    model = model_pb2.ModelVersion(name=NAME, format=model_pb2.MODEL_FORMAT_ONNX)
    model.signature.classes.extend(["no", "yes"])
    if is_package:
        model.format = model_pb2.MODEL_FORMAT_TORCH_PACKAGE
        numbers = tuple(NumericColumn(name=each, mean=0, scale=1) for each in ("b", "a"))
        target = Target(name="y", task="classification", classes=("no", "yes"))
        preprocessing = Preprocessing(numeric=numbers, target=target)
        files["preprocessing"] = preprocessing.model_dump_json().encode()
    for role, content in files.items():
        model.artifacts[role].CopyFrom(put_artifact(bench.store, role, content, "x"))
    opened = bench.contest(model, version(1, bench.first))
    comparison = opened.against(METRICS["roc_auc"], said_by(opened), 0, 1.0)
    assert comparison.score.value > 0.9


def test_a_damaged_model_is_named_with_a_sentence(whole: Bench) -> None:
    """It is opened in a process of its own, whose end costs nothing else."""
    model = whole.model(LogisticRegression())
    model.artifacts["skops"].CopyFrom(put_artifact(whole.store, "bad", b"no zip", "x"))
    opened = whole.contest(model, version(1, whole.first))
    with pytest.raises(FailedPreconditionError, match=f"{NAME} cannot predict.*is no skops file"):
        opened.prediction.result(PATIENCE_SECONDS)


class Models:
    """Has one model version."""

    def __init__(self, **changes: Any) -> None:
        self.version = model_pb2.ModelVersion(
            name=NAME,
            format=model_pb2.MODEL_FORMAT_SKOPS,
            task=dataset_pb2.TASK_CLASSIFICATION,
        )
        self.version.artifacts["skops"].uri = "s3://b/k"
        self.version.lineage.inputs.append("tuningRuns/t")
        self.version.MergeFrom(model_pb2.ModelVersion(**changes))

    async def GetModelVersion(  # noqa: N802
        self, request: model_pb2.GetModelVersionRequest
    ) -> model_pb2.ModelVersion:
        if request.name in (NAME, "models/m/versions/champion"):
            return self.version
        nothing = grpc.aio.Metadata()
        told = "models/m has no alias `best`; it has `champion`."
        raise grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, nothing, nothing, told, None)


def resolved(
    models: Models, champion: str, targets: tuple[str, ...] = ("y",), test: int = 50
) -> str:
    """Returns a champion as a search of `y` names it."""
    store = MemoryStore()
    records = RecordStore(store)
    run = tuner_pb2.TuningRun(name="tuningRuns/t", spec=tuner_pb2.TuningSpec(targets=targets))
    records.create(run)
    stub: Any = models
    specification = SPECIFICATION.model_copy(update={"champion": champion})
    data = TuningData("datasets/d/versions/1", SCHEMA, SplitCounts(300, 0, test))
    return asyncio.run(Champions(stub, store, records).resolved(specification, data))


@pytest.mark.parametrize("name", [NAME, "models/m@champion", "models/m/versions/champion"])
def test_aliases_become_numbers(name: str) -> None:
    """What is stored names the version, wherever the alias points later."""
    assert resolved(Models(), name) == NAME


@pytest.mark.parametrize(
    ("changes", "champion", "more", "told"),
    [
        ({}, "models/m@best", {}, "name a version that exists"),
        ({}, "models/m", {}, "@{alias}"),
        ({}, NAME, {"targets": ("z",)}, "name a model of the same target"),
        ({}, NAME, {"test": 0}, "no test rows"),
        ({"task": dataset_pb2.TASK_REGRESSION}, NAME, {}, "name a model for the same task"),
        ({"format": model_pb2.MODEL_FORMAT_DETECTOR}, NAME, {}, "is a detector"),
        ({"signature": {"classes": ["x", "z"]}}, NAME, {}, "knows the classes `x`, `z`"),
        ({"signature": {"inputs": [{"name": "a"}, {"name": "c"}]}}, NAME, {}, "takes `c`"),
    ],
)
def test_what_cannot_be_compared_with_is_refused_before_the_search(
    changes: dict[str, Any], champion: str, more: dict[str, Any], told: str
) -> None:
    """By field, and with the cure."""
    with pytest.raises(InvalidFieldError, match=told) as refused:
        resolved(Models(**changes), champion, **more)
    assert refused.value.violations[0].field == "tuning_run.spec.champion"


def test_digests_do_not_depend_on_how_labels_are_coded() -> None:
    """Versions have codes of their own for the same labels."""
    columns = [Column("c", ColumnType.CATEGORICAL, categories=("a", "b"))]
    other = [Column("c", ColumnType.CATEGORICAL, categories=("0", "a", "b"))]
    digests = row_digests(RawRows({"c": np.array([0, 1, -1])}), columns)
    assert digests.tolist() == row_digests(RawRows({"c": np.array([1, 2, -1])}), other).tolist()
    assert len(set(digests.tolist())) == 3
    assert isinstance(digests, np.ndarray) and pd.api.types.is_unsigned_integer_dtype(digests)


def test_the_page_shows_both_scores_and_the_gain() -> None:
    """With what to know before trusting them."""
    comparison = tuner_pb2.Comparison(
        model_version=NAME, gain=0.1, gain_low=0.05, gain_high=0.2, row_count=90, left_out_count=10
    )
    comparison.score.value, comparison.found_score.value = 0.8, 0.9
    comparison.notes.append("It is not known what it has learned from.")
    evidence: Any = SimpleNamespace(tuned=SimpleNamespace(metric=METRICS["roc_auc"]))
    section = beside(evidence, comparison)
    scores, gain, note = section.parts
    assert isinstance(scores, Table) and [row[1] for row in scores.rows] == [0.9, 0.8]
    assert isinstance(gain, Table) and list(gain.rows) == [(0.1, 0.05, 0.2)]
    assert (
        isinstance(note, Notice) and "90 test rows" in section.note and "10 others" in section.note
    )

"""Traces through the graph of resources."""

import pytest
from google.protobuf.message import Message

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2, transfer_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import NotFoundError
from common.records import RecordStore
from services.catalog.domain.lineage import MAX_NODES, Trace, Tracer

DATA, MODEL, CHILD = "datasets/d/versions/1", "models/m/versions/1", "models/m/versions/2"
IMPORT, TRAINING, SECOND = "datasetImports/i", "trainingRuns/t", "trainingRuns/u"


def done(*outputs: str) -> run_pb2.RunStatus:
    return run_pb2.RunStatus(
        state=run_pb2.RUN_STATE_SUCCEEDED, lineage=run_pb2.Lineage(outputs=outputs)
    )


@pytest.fixture
def records() -> RecordStore:
    """An upload, its import, the data, a training and a model, and a model trained from that."""
    records = RecordStore(MemoryStore())
    resources: list[tuple[Message, list[str]]] = [
        (transfer_pb2.Upload(name="uploads/u", filename="iris.csv"), []),
        (dataset_pb2.DatasetImport(name=IMPORT, status=done(DATA)), ["uploads/u"]),
        (
            dataset_pb2.DatasetVersion(
                name=DATA, row_count=1500, lineage=run_pb2.Lineage(inputs=[IMPORT, "uploads/u"])
            ),
            [IMPORT],
        ),
        (trainer_pb2.TrainingRun(name=TRAINING, status=done(MODEL)), [DATA]),
        (
            model_pb2.ModelVersion(
                name=MODEL,
                metrics={"train/accuracy": 1, "train/loss": 1, "validation/accuracy": 0.97},
                lineage=run_pb2.Lineage(inputs=[DATA, TRAINING]),
            ),
            [DATA, TRAINING],
        ),
        (trainer_pb2.TrainingRun(name=SECOND, status=done(CHILD)), [DATA, MODEL]),
        (
            model_pb2.ModelVersion(
                name=CHILD, lineage=run_pb2.Lineage(inputs=[DATA, SECOND, MODEL])
            ),
            [DATA, SECOND, MODEL],
        ),
    ]
    for resource, references in resources:
        records.create(resource, references=references)
    return records


def traced(
    records: RecordStore, name: str, *, up: bool = True, down: bool = True, depth: int = 20
) -> Trace:
    return Tracer(records).trace(name, up=up, down=down, depth=depth)


def test_up_and_down(records: RecordStore) -> None:
    """Each way gives what lies there and nothing else; what a run explains is no edge."""
    up = traced(records, MODEL, down=False)
    assert list(up.nodes) == [MODEL, DATA, TRAINING, IMPORT, "uploads/u"]
    assert up.edges == {
        ("uploads/u", IMPORT),
        (IMPORT, DATA),
        (DATA, TRAINING),
        (TRAINING, MODEL),
    }
    down = traced(records, MODEL, up=False)
    assert set(down.nodes) == {MODEL, SECOND, CHILD}
    assert down.edges == {(MODEL, SECOND), (SECOND, CHILD)}
    assert set(traced(records, "uploads/u").nodes) == {
        "uploads/u", IMPORT, DATA, TRAINING, MODEL, SECOND, CHILD,
    }  # fmt: skip


def test_what_nodes_tell(records: RecordStore) -> None:
    """Kinds, states and a few words for people."""
    records.create(analyzer_pb2.Analysis(name="analyses/a"), references=[MODEL])
    nodes = traced(records, DATA).nodes
    assert nodes["analyses/a"].kind == "analysis"
    assert (nodes[DATA].kind, nodes[DATA].summary) == ("datasetVersion", "1,500 rows")
    assert (nodes[IMPORT].kind, nodes[IMPORT].state) == ("datasetImport", "SUCCEEDED")
    assert nodes[MODEL].summary == "validation/accuracy 0.97"
    assert (nodes["uploads/u"].kind, nodes["uploads/u"].summary) == ("upload", "iris.csv")


def test_depth(records: RecordStore) -> None:
    """Protects from whole histories where a look at the neighbours was asked for."""
    trace = traced(records, DATA, depth=1)
    assert set(trace.nodes) == {"uploads/u", IMPORT, DATA, TRAINING, MODEL, SECOND, CHILD}
    trace = traced(records, CHILD, down=False, depth=1)
    assert set(trace.nodes) == {CHILD, DATA, SECOND, MODEL} and trace.truncated
    assert not traced(records, MODEL, up=False, depth=5).truncated


def test_what_was_deleted_keeps_its_name(records: RecordStore) -> None:
    """Protects lineage from gaps: an upload that was swept is still named."""
    records.remove_reference(IMPORT, "uploads/u")
    records.delete("uploads/u", transfer_pb2.Upload)
    trace = traced(records, DATA, down=False)
    assert trace.nodes["uploads/u"].deleted
    with pytest.raises(NotFoundError, match=r"name: uploads/u does not exist") as caught:
        traced(records, "uploads/u")
    assert caught.value.violations[0].field == "name"


def test_a_large_neighbourhood_is_cut(records: RecordStore) -> None:
    """Protects service and message from data that thousands of models came from."""
    for number in range(MAX_NODES):
        run = trainer_pb2.TrainingRun(name=f"trainingRuns/x{number}")
        records.create(run, references=[DATA])
    trace = traced(records, DATA, up=False)
    assert len(trace.nodes) == MAX_NODES and trace.truncated
    assert {name for edge in trace.edges for name in edge} <= set(trace.nodes)

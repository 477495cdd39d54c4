"""Results come once an analysis has succeeded, by part."""

import pytest

from aimass.analyzer.v1 import analyzer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.errors import FailedPreconditionError, InvalidFieldError
from services.analyzer.results import read_results

PARTS = analyzer_pb2.ANALYSIS_PART_WEIGHTS, analyzer_pb2.ANALYSIS_PART_STRUCTURE


@pytest.fixture
def analysis() -> tuple[MemoryStore, analyzer_pb2.Analysis]:
    store = MemoryStore()
    results = analyzer_pb2.AnalysisResults()
    for name in ("structure", "weights", "comparison"):
        getattr(results, name).SetInParent()
    content = results.SerializeToString()
    found = analyzer_pb2.Analysis(name="analyses/a", results=put_artifact(store, "r", content, "x"))
    found.status.state = run_pb2.RUN_STATE_SUCCEEDED
    return store, found


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((), {"structure", "weights", "comparison"}),
        (PARTS[:1], {"weights", "comparison"}),
        (PARTS, {"structure", "weights", "comparison"}),
        ((analyzer_pb2.ANALYSIS_PART_CURVES,), {"comparison"}),
    ],
)
def test_parts_are_chosen(
    analysis: tuple[MemoryStore, analyzer_pb2.Analysis], asked: tuple[int, ...], given: set[str]
) -> None:
    found = read_results(*analysis, asked)
    assert {field.name for field, _ in found.ListFields()} == given


@pytest.mark.parametrize("part", [0, 99, -1])
def test_what_is_no_part_is_named(
    analysis: tuple[MemoryStore, analyzer_pb2.Analysis], part: int
) -> None:
    with pytest.raises(InvalidFieldError, match="STRUCTURE") as raised:
        read_results(*analysis, [PARTS[0], part])
    assert raised.value.violations[0].field == "parts[1]"


def test_an_analysis_at_work_has_none(
    analysis: tuple[MemoryStore, analyzer_pb2.Analysis],
) -> None:
    store, found = analysis
    found.status.state = run_pb2.RUN_STATE_RUNNING
    with pytest.raises(FailedPreconditionError, match="is RUNNING"):
        read_results(store, found, [])

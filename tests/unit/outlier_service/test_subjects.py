"""Feedback that fits nothing is refused before it is stored: the field is named."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import empty_pb2

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import outlier_pb2
from common.artifacts.memory import MemoryStore
from common.errors import InvalidFieldError
from common.records import RecordStore
from services.outlier.subjects import Accepted, Subjects
from tests.unit.outlier_service.test_rows import doubles, table

STREAM = "outlierStreams/s"
DETECTOR = "models/m/versions/1"


@dataclass
class Catalog:
    """Knows one detector, and what it was made of."""

    inputs: tuple[str, ...]

    async def GetModelVersion(self, request: object) -> model_pb2.ModelVersion:  # noqa: N802
        """Returns the detector."""
        version = model_pb2.ModelVersion(name=DETECTOR, format=model_pb2.MODEL_FORMAT_DETECTOR)
        version.lineage.inputs.extend(self.inputs)
        return version


class Scorers:
    """Find nothing wrong with rows."""

    async def ask(self, question: object, answer: object) -> empty_pb2.Empty:
        """Returns nothing."""
        return empty_pb2.Empty()


def accept(subject: str, inputs: tuple[str, ...] = (), **fields: object) -> Accepted:
    """Asks whether labels of two rows are accepted."""
    records = RecordStore(MemoryStore())
    records.create(outlier_pb2.OutlierStream(name=STREAM, columns=["a"]))
    stubs: Any = Catalog(inputs), records, Scorers()
    request = outlier_pb2.ReportFeedbackRequest(
        subject=subject,
        rows=table(a=doubles(1.0, 2.0)),
        anomalous=[True, False],
        **fields,  # type: ignore[arg-type]
    )
    return asyncio.run(Subjects(*stubs).accept(request))


def test_labels_go_to_whoever_learns_from_them() -> None:
    """A stream learns from its own rows, scans of a data set from those of its detectors."""
    assert accept(STREAM, row_numbers=[10**6, 3])[0].learner == STREAM
    inputs = ("outlierScans/x", "datasets/d/versions/3")
    assert accept(DETECTOR, inputs)[0].learner == "datasets/d"


@pytest.mark.parametrize(
    ("row_numbers", "path"), [([-1, 2], "row_numbers[0]"), ([2, 2], "row_numbers"), ([1], "row_n")]
)
def test_rows_of_a_stream_are_named_by_number(row_numbers: list[int], path: str) -> None:
    """A row that is taken back out of what is usual twice would leave fewer than none."""
    with pytest.raises(InvalidFieldError) as raised:
        accept(STREAM, row_numbers=row_numbers)
    assert raised.value.violations[0].field.startswith(path)


def test_detector_that_no_scan_made_is_refused() -> None:
    """Nobody would learn from it: what data it is of is not known."""
    with pytest.raises(InvalidFieldError, match="detector of a scan"):
        accept(DETECTOR, ("models/other/versions/1",))

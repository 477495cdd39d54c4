"""What is known of rows before a scan: the last word counts, whatever version it was said of."""

from collections.abc import Sequence

import numpy as np
import pytest

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts.memory import MemoryStore
from services.outlier import known
from services.outlier.domain.labelling import KnownLabels
from services.outlier.domain.specification import ScanSpecification
from services.outlier.known import Feedback, read_known
from tests.unit.outlier_service.test_job import VERSION, FakeCatalog, stored_version
from tests.unit.outlier_service.test_rows import doubles, table

FORMER = "datasets/d/versions/0"


def reported(
    numbers: Sequence[int], anomalous: Sequence[bool], version: str
) -> tuple[outlier_pb2.OutlierFeedback, scorer_pb2.LabelledRows]:
    """Returns feedback by number."""
    rows = scorer_pb2.LabelledRows(row_numbers=numbers, anomalous=anomalous)
    return outlier_pb2.OutlierFeedback(name="outlierFeedback/f", dataset_version=version), rows


def learned(
    monkeypatch: pytest.MonkeyPatch, feedback: Feedback
) -> tuple[KnownLabels, list[str], list[int]]:
    """Returns what is known of two columns of numbers, what was said, and what was read."""
    store = MemoryStore()
    version = stored_version(store)
    monkeypatch.setattr(known, "ask_catalog", FakeCatalog(store, version).ask)
    specification = ScanSpecification(dataset_version=VERSION, columns=("a", "b"))
    said: list[str] = []
    read: list[int] = []
    found = read_known(specification, version, store, feedback, said.append, read.append)
    return found, said, read


def test_what_was_reported_last_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows of the data itself, and of another version, which is read once for all reports."""
    feedback = [
        reported([3, 5], [True, True], VERSION),
        reported([3], [False], VERSION),
        *[reported([row, 9], [True, row % 2 == 0], FORMER) for row in range(4)],
    ]
    found, said, read = learned(monkeypatch, feedback)
    assert found.of_table is not None and found.elsewhere is not None
    assert found.of_table[[2, 3, 5]].tolist() == [-1, 0, 1]
    assert found.elsewhere.labels.tolist() == [1, 0, 1, 1, 1]  # row 9 was named second
    assert not said
    assert read.count(200) == 2  # one pass: told after its only shard, and at its end


def test_rows_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One report that fits the data no more costs neither the scan nor the other reports."""
    misfit = scorer_pb2.LabelledRows(rows=table(gone=doubles(1.0)), anomalous=[True])
    fitting = scorer_pb2.LabelledRows(rows=table(a=doubles(1.0, 2.0)), anomalous=[True, False])
    feedback = [
        (outlier_pb2.OutlierFeedback(name="outlierFeedback/misfit"), misfit),
        (outlier_pb2.OutlierFeedback(name="outlierFeedback/fitting"), fitting),
    ]
    found, said, _ = learned(monkeypatch, feedback)
    assert len(said) == 1 and "outlierFeedback/misfit" in said[0]
    assert found.elsewhere is not None
    assert found.elsewhere.labels.tolist() == [1, 0]
    assert np.isnan(found.elsewhere.raw.columns["b"].astype(np.float64)).all()

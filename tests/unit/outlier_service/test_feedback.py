"""Feedback that was acknowledged is there, whoever died on the way; what was refused is not."""

import pytest

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts.memory import MemoryStore
from common.errors import AlreadyExistsError, DataLossError
from common.records import RecordStore, RequestId
from common.records.requests import reserve
from services.outlier.feedback import FeedbackBox

LEARNER = "datasets/d"
ROWS = scorer_pb2.LabelledRows(row_numbers=[1, 2], anomalous=[True, False])
REQUEST = RequestId("me", "ReportFeedback", "11111111-1111-4111-8111-111111111111", "a" * 64)


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


@pytest.fixture
def box(store: MemoryStore) -> FeedbackBox:
    """Keeps feedback in it."""
    return FeedbackBox(store, RecordStore(store))


def report(box: FeedbackBox, request: RequestId | None = None) -> outlier_pb2.OutlierFeedback:
    """Reports labels of two rows."""
    return box.add(outlier_pb2.OutlierFeedback(learner=LEARNER), ROWS, request)


def test_repeat_returns_the_first(store: MemoryStore, box: FeedbackBox) -> None:
    """One report is stored, with its rows, and nothing besides."""
    first = report(box, REQUEST)
    assert report(box, REQUEST) == first
    assert box.rows(first) == ROWS
    assert len(list(store.list("outlierFeedback/"))) == 1


def test_repeat_finishes_what_was_only_begun(store: MemoryStore, box: FeedbackBox) -> None:
    """A process that died after it reserved the name leaves the rows of the repeat as the rows."""
    reserve(store, REQUEST, "outlierFeedback/feedback-begun", 0)
    kept = report(box, REQUEST)
    assert kept.name == "outlierFeedback/feedback-begun"
    assert box.rows(kept) == ROWS
    box.delete(kept.name)
    assert not list(store.list("outlierFeedback/"))


def test_refused_feedback_leaves_nothing(store: MemoryStore, box: FeedbackBox) -> None:
    """Other content under the same request id is refused; the first stays as it was."""
    first = report(box, REQUEST)
    other = RequestId(REQUEST.caller, REQUEST.method, REQUEST.request_id, "b" * 64)
    with pytest.raises(AlreadyExistsError):
        report(box, other)
    assert len(list(store.list("outlierFeedback/"))) == 1
    assert box.rows(first) == ROWS


def test_feedback_that_goes_meanwhile_is_passed_over(store: MemoryStore, box: FeedbackBox) -> None:
    """A scan that is reading feedback when it is deleted goes on; damaged rows are told."""
    first, second = report(box), report(box)
    box.delete(first.name)
    assert box.rows(first) is None
    (info,) = store.list(f"{second.name}/")
    store.upload(info.key, [b"damaged"])
    with pytest.raises(DataLossError):
        box.rows(second)

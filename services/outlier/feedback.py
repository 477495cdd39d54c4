"""True labels of rows: how they are stored, and found again by whoever learns from them."""

from collections.abc import Iterator
from contextlib import suppress

from google.protobuf.timestamp_pb2 import Timestamp

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import put_artifact, read_artifact
from common.errors import NotFoundError
from common.names import OutlierFeedbackName, new_id
from common.records import RecordStore, RequestId

_PROTOBUF = "application/x-protobuf"


class FeedbackBox:
    """Keeps feedback. Safe to use from several threads and processes."""

    def __init__(self, store: ObjectStore, records: RecordStore) -> None:
        """Keeps rows in a store and their records beside them."""
        self._store = store
        self._records = records

    def add(
        self,
        feedback: outlier_pb2.OutlierFeedback,
        rows: scorer_pb2.LabelledRows,
        request: RequestId | None,
    ) -> outlier_pb2.OutlierFeedback:
        """Stores labelled rows.

        Args:
            feedback: With learner, subject and data set version.
            rows: The rows with their labels.
            request: Identity of the call; a repeat returns the first result.

        Returns:
            The feedback as stored.
        """
        feedback.name = OutlierFeedbackName(new_id("feedback")).name
        feedback.row_count = len(rows.anomalous)
        feedback.anomaly_count = sum(rows.anomalous)
        feedback.create_time.GetCurrentTime()
        key = f"{feedback.name}/rows.binpb"
        ref = put_artifact(self._store, key, rows.SerializeToString(), _PROTOBUF)
        feedback.rows.CopyFrom(ref)
        kept = self._records.create(feedback, request=request).resource
        if kept.name != feedback.name:  # the call is a repeat
            self._store.delete(key)
        return kept

    def of(self, learner: str) -> list[outlier_pb2.OutlierFeedback]:
        """Returns all feedback for a data set or a stream, the oldest first."""
        found = self._records.find(
            OutlierFeedbackName.collection,
            outlier_pb2.OutlierFeedback,
            f'learner="{learner}"',
        )
        return sorted(
            (record.resource for record in found),
            key=lambda each: (each.create_time.ToNanoseconds(), each.name),
        )

    def before(
        self, learner: str, moment: Timestamp
    ) -> Iterator[tuple[outlier_pb2.OutlierFeedback, scorer_pb2.LabelledRows]]:
        """Yields the feedback that was there at a moment, with its rows, the oldest first.

        Raises:
            DataLossError: Rows are gone or damaged.
        """
        for feedback in self.of(learner):
            if feedback.create_time.ToNanoseconds() <= moment.ToNanoseconds():
                yield feedback, self.rows(feedback)

    def rows(self, feedback: outlier_pb2.OutlierFeedback) -> scorer_pb2.LabelledRows:
        """Returns the rows of feedback. Raises `DataLossError`."""
        content = b"".join(read_artifact(self._store, feedback.rows))
        return scorer_pb2.LabelledRows.FromString(content)

    def delete(self, name: str) -> None:
        """Deletes feedback with its rows. Raises `NotFoundError`."""
        self._records.delete(name, outlier_pb2.OutlierFeedback, purge=[f"{name}/"])

    def forget(self, learner: str) -> None:
        """Deletes all feedback for a learner that is gone: one made later under its name is new."""
        for feedback in self.of(learner):
            with suppress(NotFoundError):
                self.delete(feedback.name)

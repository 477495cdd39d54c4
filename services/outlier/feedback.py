"""True labels of rows: how they are stored, and found again by whoever learns from them."""

import hashlib
from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import put_artifact, read_artifact
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
        content = rows.SerializeToString()
        # Named by content, so that a repeat of the call leaves nothing behind.
        digest = hashlib.sha256(f"{feedback.learner} ".encode() + content).hexdigest()
        key = f"feedback/{feedback.learner}/{digest}.binpb"
        feedback.name = OutlierFeedbackName(new_id("feedback")).name
        feedback.row_count = len(rows.anomalous)
        feedback.anomaly_count = sum(rows.anomalous)
        feedback.create_time.GetCurrentTime()
        feedback.rows.CopyFrom(put_artifact(self._store, key, content, _PROTOBUF))
        return self._records.create(feedback, request=request).resource

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
        """Deletes feedback. Raises `NotFoundError`."""
        self._records.delete(name, outlier_pb2.OutlierFeedback)

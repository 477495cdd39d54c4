"""True labels of rows: how they are stored, and found again by whoever learns from them."""

from collections.abc import Iterator
from contextlib import suppress

from google.protobuf.timestamp_pb2 import Timestamp

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import artifact_key, put_artifact, read_artifact
from common.errors import AlreadyExistsError, DataLossError, NotFoundError
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
        try:
            kept = self._records.create(feedback, request=request).resource
        except AlreadyExistsError:
            self._store.delete(key)
            raise
        # A repeat may also have finished what the first call only began: then these rows count.
        if kept.rows.uri != ref.uri:
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
                rows = self.rows(feedback)
                if rows is not None:
                    yield feedback, rows

    def rows(self, feedback: outlier_pb2.OutlierFeedback) -> scorer_pb2.LabelledRows | None:
        """Returns the rows of feedback; None where it was deleted meanwhile.

        Raises:
            DataLossError: They are gone or damaged.
        """
        try:
            content = b"".join(read_artifact(self._store, feedback.rows))
        except DataLossError:
            if self._is_deleted(feedback.name):
                return None
            raise
        return scorer_pb2.LabelledRows.FromString(content)

    def delete(self, name: str) -> None:
        """Deletes feedback with its rows. Raises `NotFoundError`."""
        feedback = self._records.get(name, outlier_pb2.OutlierFeedback).resource
        folder = artifact_key(self._store, feedback.rows).rpartition("/")[0]
        self._records.delete(name, outlier_pb2.OutlierFeedback, purge=[f"{folder}/"])

    def forget(self, learner: str) -> None:
        """Deletes all feedback for a learner that is gone: one made later under its name is new."""
        for feedback in self.of(learner):
            with suppress(NotFoundError):
                self.delete(feedback.name)

    def _is_deleted(self, name: str) -> bool:
        try:
            self._records.get(name, outlier_pb2.OutlierFeedback)
        except NotFoundError:
            return True
        return False

"""Online detectors: each learns from one stream, and what it learned is saved as it goes."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import safetensors
import safetensors.numpy

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from aimass.type.v1 import artifact_pb2, table_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import artifact_key, put_artifact, read_artifact
from common.errors import (
    AimassError,
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    InvalidFieldError,
    NotFoundError,
    UnavailableError,
)
from common.records import RecordStore
from services.outlier.convert import online_from_proto, online_to_proto
from services.outlier.domain.detector import Matrix
from services.outlier.domain.keeping import DamagedError
from services.outlier.domain.streaming.online import Online, OnlineDetector, OnlineScores
from services.outlier.domain.table import RowNumbers
from services.outlier.feedback import FeedbackBox
from services.outlier.rows import check_table, numbers
from services.outlier.scorer.oddest import oddest_marked

_FIELD = "start.online"
_ROWS = "rows"
_SAFETENSORS = "application/vnd.safetensors"
_SAVE_SECONDS = 4.0  # less than the five that users are promised
_MOST_REASONS = 10
_MOST_COLUMNS = 10_000


@dataclass
class _Feeding:
    """A stream that is being fed."""

    name: str
    session: str
    online: Online
    columns: list[str]
    detector: OnlineDetector | None
    created: int
    saved: int
    learned: list[str]
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def seen(self) -> int:
        return self.detector.seen if self.detector else 0


class OnlineStreams:
    """The streams that this scorer feeds to their detectors."""

    def __init__(
        self,
        store: ObjectStore,
        records: RecordStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Feeds nothing yet.

        Args:
            store: Where what was learned is saved.
            records: Where streams are known.
            clock: Monotonic seconds.
        """
        self._store = store
        self._records = records
        self._feedback = FeedbackBox(store, records)
        self._clock = clock
        self._feedings: dict[str, _Feeding] = {}

    def open(self, question: scorer_pb2.OpenStream) -> outlier_pb2.ScoreStreamResponse:
        """Takes a stream over, and goes on where it was saved.

        Raises:
            InvalidFieldError: Parameters are out of range, or not as they were.
            DataLossError: What was saved is damaged.
        """
        record = self._take_over(question)
        feeding = _Feeding(
            name=record.name,
            session=question.session,
            online=online_from_proto(record.detector, _FIELD),
            columns=list(record.columns),
            detector=None,
            created=record.create_time.ToNanoseconds(),
            saved=record.row_count,
            learned=[],
            saved_at=self._clock(),
        )
        if record.HasField("state"):
            feeding.detector, feeding.learned = self._restored(record)
            self._learn_feedback(feeding)
        self._feedings[question.session] = feeding
        return outlier_pb2.ScoreStreamResponse(
            source=record.name, first_row=record.row_count, saved_row_count=record.row_count
        )

    def process(self, question: scorer_pb2.StreamRows) -> outlier_pb2.ScoreStreamResponse:
        """Scores the next rows, and learns them.

        Raises:
            InvalidFieldError: They are not of the stream's columns; names which.
            ConflictError: Somebody else feeds the stream.
            UnavailableError: This scorer was restarted.
        """
        feeding = self._feeding(question.session)
        check_table(question.rows, _ROWS)
        if not feeding.columns:
            feeding.columns = _first_columns(question.rows)
        rows = online_rows(question.rows, feeding.columns)
        if feeding.detector is None:
            feeding.detector = feeding.online.start(len(feeding.columns))
        scores = feeding.detector.process(rows)
        answer = _answer(scores, feeding.columns)
        if question.explain:
            odd = oddest_marked(scores.scores, scores.marked)
            _explain(answer, odd, feeding.detector.deviations(rows[odd]), rows, feeding.columns)
        if self._clock() - feeding.saved_at >= _SAVE_SECONDS:
            self._save(feeding)
        answer.saved_row_count = feeding.saved
        return answer

    def save(self, question: scorer_pb2.SaveStream) -> outlier_pb2.ScoreStreamResponse:
        """Saves what was learned while no rows come, and sees whether it still feeds the stream.

        Raises:
            ConflictError: Somebody else feeds the stream.
            UnavailableError: This scorer was restarted.
        """
        feeding = self._feeding(question.session)
        if feeding.seen > feeding.saved:
            self._save(feeding)
        else:
            stream = self._records.get(feeding.name, outlier_pb2.OutlierStream).resource
            _require_mine(feeding, stream)
        return outlier_pb2.ScoreStreamResponse(saved_row_count=feeding.saved)

    def close(self, question: scorer_pb2.CloseStream) -> outlier_pb2.ScoreStreamResponse:
        """Saves what was learned and lets go of the stream."""
        feeding = self._feedings.pop(question.session, None)
        if feeding is None:
            return outlier_pb2.ScoreStreamResponse()
        if feeding.seen > feeding.saved:
            self._save(feeding)
        return outlier_pb2.ScoreStreamResponse(saved_row_count=feeding.saved)

    def _feeding(self, session: str) -> _Feeding:
        feeding = self._feedings.get(session)
        if feeding is None:
            raise UnavailableError(
                "The scorer was restarted; start the stream again: it says where to go on."
            )
        return feeding

    def _take_over(self, question: scorer_pb2.OpenStream) -> outlier_pb2.OutlierStream:
        """Returns the stream's record, made where it is new; whoever fed it before has lost it."""
        name = question.detector.stream
        online = online_from_proto(question.detector, _FIELD)

        def change(stream: outlier_pb2.OutlierStream) -> outlier_pb2.OutlierStream:
            _require_same(question.detector, stream.detector)
            stream.session = question.session
            return stream

        stream = outlier_pb2.OutlierStream(
            name=name, detector=online_to_proto(name, online), session=question.session
        )
        stream.create_time.GetCurrentTime()
        stream.update_time.CopyFrom(stream.create_time)
        with suppress(NotFoundError):
            return self._records.update(name, outlier_pb2.OutlierStream, change).resource
        with suppress(AlreadyExistsError):  # somebody else was quicker
            return self._records.create(stream).resource
        return self._records.update(name, outlier_pb2.OutlierStream, change).resource

    def _restored(self, record: outlier_pb2.OutlierStream) -> tuple[OnlineDetector, list[str]]:
        try:
            content = b"".join(read_artifact(self._store, record.state))
            arrays = safetensors.numpy.load(content)
            plain = json.loads(arrays.pop("plain").tobytes())
            detector = OnlineDetector.from_state(arrays, plain["numbers"])
        except (DamagedError, safetensors.SafetensorError, ValueError, KeyError) as error:
            raise DataLossError(
                f"What {record.name} has learned is damaged; delete the stream to begin anew.",
                private=repr(error),
            ) from error
        return detector, list(plain["learned"])

    def _save(self, feeding: _Feeding) -> None:
        """Saves what was learned, feedback included.

        Raises:
            ConflictError: Somebody else feeds the stream.
        """
        self._learn_feedback(feeding)
        state = self._put_state(feeding)
        former = artifact_pb2.ArtifactRef()

        def change(stream: outlier_pb2.OutlierStream) -> outlier_pb2.OutlierStream:
            _require_mine(feeding, stream)
            former.CopyFrom(stream.state)
            stream.state.CopyFrom(state)
            stream.row_count = feeding.seen
            stream.columns[:] = feeding.columns
            stream.update_time.GetCurrentTime()
            return stream

        try:
            self._records.update(feeding.name, outlier_pb2.OutlierStream, change)
        except AimassError:
            self._forget(feeding, state)
            raise
        feeding.saved = feeding.seen
        feeding.saved_at = self._clock()
        if former.uri and former.uri != state.uri:
            self._store.delete(artifact_key(self._store, former))

    def _put_state(self, feeding: _Feeding) -> artifact_pb2.ArtifactRef:
        assert feeding.detector is not None
        arrays, plain = feeding.detector.state()
        text = json.dumps({"numbers": plain, "learned": feeding.learned}).encode()
        content = safetensors.numpy.save({**arrays, "plain": np.frombuffer(text, np.uint8)})
        key = f"{feeding.name}/{feeding.session}-{feeding.seen}.safetensors"
        return put_artifact(self._store, key, content, _SAFETENSORS)

    def _forget(self, feeding: _Feeding, state: artifact_pb2.ArtifactRef) -> None:
        """Ends a feeding that must not go on: what it learned is not the stream's."""
        self._feedings.pop(feeding.session, None)
        with suppress(UnavailableError):  # it goes with the stream
            self._store.delete(artifact_key(self._store, state))

    def _learn_feedback(self, feeding: _Feeding) -> None:
        assert feeding.detector is not None
        learned = set(feeding.learned)
        for report in self._feedback.of(feeding.name):
            is_former = report.create_time.ToNanoseconds() < feeding.created
            if report.name in learned or is_former:  # of a stream that had the name before
                continue
            labelled = self._feedback.rows(report)
            if labelled is None:
                continue
            feeding.detector.learn_labels(
                online_rows(labelled.rows, feeding.columns),
                np.array(labelled.anomalous, np.bool_),
                np.array(labelled.row_numbers, np.int64) if labelled.row_numbers else None,
            )
            feeding.learned.append(report.name)


def online_rows(table: table_pb2.Table, columns: Sequence[str]) -> Matrix:
    """Returns rows as an online detector takes them, shape (rows, columns).

    Raises:
        InvalidFieldError: They have other columns, or one that holds no numbers.
    """
    given = {column.name: place for place, column in enumerate(table.columns)}
    if set(given) != set(columns):
        other = next(iter(set(given) ^ set(columns)))
        problem = "is no column of the stream" if other in given else "is missing"
        raise InvalidFieldError(
            f"{_ROWS}.columns",
            f"`{other}` {problem}, which has the columns of its first rows",
            reason="UNKNOWN_COLUMN",
        )
    found = [
        numbers(table.columns[given[name]], f"{_ROWS}.columns[{given[name]}]") for name in columns
    ]
    return np.stack(found, axis=1)


def _require_mine(feeding: _Feeding, stream: outlier_pb2.OutlierStream) -> None:
    if stream.session != feeding.session:
        raise ConflictError(f"{feeding.name} is fed by another call since; this one ends.")


def _first_columns(table: table_pb2.Table) -> list[str]:
    if len(table.columns) > _MOST_COLUMNS:
        raise InvalidFieldError(f"{_ROWS}.columns", f"must be at most {_MOST_COLUMNS:,}")
    return [column.name for column in table.columns]


def _require_same(given: outlier_pb2.OnlineDetector, kept: outlier_pb2.OnlineDetector) -> None:
    """Checks that parameters that are given are those that the stream has."""
    for descriptor, value in given.ListFields():
        if getattr(kept, descriptor.name) != value:
            raise InvalidFieldError(
                f"{_FIELD}.{descriptor.name}",
                f"{kept.stream} has {getattr(kept, descriptor.name)}; leave this unset, or name "
                "another stream",
            )


def _answer(scores: OnlineScores, columns: Sequence[str]) -> outlier_pb2.ScoreStreamResponse:
    answer = outlier_pb2.ScoreStreamResponse(
        scored=outlier_pb2.ScoredRows(
            scores=scores.scores,
            probabilities=scores.probabilities,
            p_values=scores.p_values,
            marked=scores.marked,
            threshold=scores.threshold,
        ),
        first_row=scores.first,
    )
    for drift in scores.drifts:
        answer.drifts.add(
            row=drift.row,
            column=columns[drift.feature] if drift.feature >= 0 else "",
            before=drift.before,
            after=drift.after,
        )
    return answer


def _explain(
    answer: outlier_pb2.ScoreStreamResponse,
    odd: RowNumbers,
    deviations: Matrix,
    rows: Matrix,
    columns: Sequence[str],
) -> None:
    """Adds why some rows are odd: their distances to the running medians."""
    for row, distances in zip(odd.tolist(), deviations, strict=True):
        explanation = answer.scored.explanations[row]
        strengths = np.nan_to_num(np.abs(distances))
        for place in np.argsort(-strengths, kind="stable")[:_MOST_REASONS]:
            if strengths[place] >= 1:
                explanation.reasons.add(
                    column=columns[place],
                    contribution=float(strengths[place]),
                    value=f"{rows[row, place]:.6g}",
                    usual="",
                )

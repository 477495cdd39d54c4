"""Streams of rows as users of the outlier service meet them: in order, saved, taught, alarmed."""

import threading
from collections.abc import Iterator

import grpc
import pytest

from aimass.outlier.v1 import outlier_pb2
from common.testing.suite import RunningSuite
from tests.e2e.outlier_data import NUMBERS, ODD_ROWS, make_payments, numbers_of, table_of

PAYMENTS = make_payments(4000)


def test_stream_without_start_is_refused(suite: RunningSuite) -> None:
    """The first message must say how to score."""
    for messages in ([], [numbers_of(PAYMENTS, slice(0, 3))], [outlier_pb2.ScoreStreamRequest()]):
        with pytest.raises(grpc.RpcError) as raised:
            next(iter(suite.outliers.ScoreStream(iter(messages))))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "start" in str(raised.value.details())


def _feed(
    name: str, parts: list[slice], **options: object
) -> Iterator[outlier_pb2.ScoreStreamRequest]:
    online = outlier_pb2.OnlineDetector(stream=f"outlierStreams/{name}", **options)  # type: ignore[arg-type]
    yield outlier_pb2.ScoreStreamRequest(start=outlier_pb2.StreamStart(online=online, explain=True))
    for part in parts:
        yield numbers_of(PAYMENTS, part)


def _parts(start: int, end: int, size: int) -> list[slice]:
    return [slice(at, min(at + size, end)) for at in range(start, end, size)]


def test_online_stream_goes_on_where_it_was(suite: RunningSuite) -> None:
    """Fed in two calls, a stream scores as if fed in one: what was learned was saved between."""
    whole = list(suite.outliers.ScoreStream(_feed("whole", _parts(0, 1500, 64))))
    first = list(suite.outliers.ScoreStream(_feed("halves", _parts(0, 700, 50))))
    second = list(suite.outliers.ScoreStream(_feed("halves", _parts(700, 1500, 80))))
    assert first[0].first_row == 0
    assert second[0].first_row == second[0].saved_row_count == 700

    def scores(answers: list[outlier_pb2.ScoreStreamResponse]) -> list[float]:
        return [score for answer in answers for score in answer.scored.scores]

    assert scores(first) + scores(second) == scores(whole)
    stream = suite.outliers.GetOutlierStream(
        outlier_pb2.GetOutlierStreamRequest(name="outlierStreams/halves")
    )
    assert stream.row_count == 1500
    assert stream.columns == list(NUMBERS)
    with pytest.raises(grpc.RpcError) as raised:
        list(suite.outliers.ScoreStream(_feed("halves", [], trees=3)))
    assert "start.online.trees" in str(raised.value.details())
    with pytest.raises(grpc.RpcError) as ended:
        list(suite.outliers.ScoreStream(_feed("halves", [slice(0, 5)], window=1)))
    assert "start.online.window" in str(ended.value.details())


def test_online_stream_tells_drift_and_why(suite: RunningSuite) -> None:
    """A stream that changes raises an alarm for the column; odd rows are explained."""

    def messages() -> Iterator[outlier_pb2.ScoreStreamRequest]:
        yield from _feed("drifting", _parts(ODD_ROWS, 2020, 50))
        moved = PAYMENTS.numbers.copy()
        moved[:, 3] += 4
        for part in _parts(2020, 3220, 50):
            columns = {name: moved[part, place] for place, name in enumerate(NUMBERS)}
            yield outlier_pb2.ScoreStreamRequest(rows=table_of(columns))

    answers = list(suite.outliers.ScoreStream(messages()))
    drifts = [drift for answer in answers for drift in answer.drifts]
    assert "age" in {drift.column for drift in drifts}
    first = min(drift.row for drift in drifts if drift.column == "age")
    assert 2000 <= first < 2500
    explained = [each for answer in answers for each in answer.scored.explanations.values()]
    assert explained
    assert all(each.reasons for each in explained)


def test_second_feeder_takes_the_stream_over(suite: RunningSuite) -> None:
    """Two callers cannot teach one stream: the earlier one's stream ends, and saves no more."""
    is_taken = threading.Event()

    def messages() -> Iterator[outlier_pb2.ScoreStreamRequest]:
        yield from _feed("shared", _parts(0, 100, 50))
        is_taken.wait()
        yield numbers_of(PAYMENTS, slice(100, 150))

    earlier = iter(suite.outliers.ScoreStream(messages()))
    answers = [next(earlier) for _ in range(3)]
    assert answers[-1].first_row == 50
    later = list(suite.outliers.ScoreStream(_feed("shared", _parts(0, 300, 50))))
    is_taken.set()
    with pytest.raises(grpc.RpcError) as raised:
        list(earlier)
    assert raised.value.code() is grpc.StatusCode.ABORTED
    stream = suite.outliers.GetOutlierStream(
        outlier_pb2.GetOutlierStreamRequest(name="outlierStreams/shared")
    )
    assert stream.row_count == later[0].first_row + 300


def test_stream_feedback_is_learned(suite: RunningSuite) -> None:
    """Rows that were reported as normal are scored lower once the stream goes on."""
    name = "taught"
    list(suite.outliers.ScoreStream(_feed(name, _parts(ODD_ROWS, 1520, 100))))
    odd = slice(0, ODD_ROWS)
    columns = {each: PAYMENTS.numbers[odd, place] for place, each in enumerate(NUMBERS)}
    before = list(suite.outliers.ScoreStream(_feed(name, [odd])))[-1]
    assert sum(before.scored.marked) > ODD_ROWS / 2
    suite.outliers.ReportFeedback(
        outlier_pb2.ReportFeedbackRequest(
            subject=f"outlierStreams/{name}",
            rows=table_of(columns),
            anomalous=[False] * ODD_ROWS,
        )
    )
    after = list(suite.outliers.ScoreStream(_feed(name, [odd])))[-1]
    assert sum(after.scored.marked) < sum(before.scored.marked)

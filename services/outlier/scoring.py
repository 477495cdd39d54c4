"""Scores of batches and of streams, by the scorers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.errors import InvalidFieldError
from common.names import OutlierStreamName, new_id
from services.outlier.pool import Scorer, ScorerPool
from services.outlier.subjects import Subjects

Requests = AsyncIterator[outlier_pb2.ScoreStreamRequest]
Responses = AsyncGenerator[outlier_pb2.ScoreStreamResponse, None]

_ROWS = "rows"
_SAVE_SECONDS = 4.0  # less than the five that users are promised


class Scoring:
    """Lets scorers score rows.

    Args:
        scorers: The scorers.
        subjects: Finds detectors.
    """

    def __init__(self, scorers: ScorerPool, subjects: Subjects) -> None:
        self._scorers = scorers
        self._subjects = subjects

    async def score(self, request: outlier_pb2.ScoreRequest) -> outlier_pb2.ScoreResponse:
        """Scores a batch.

        Raises:
            InvalidFieldError: Names the field that is wrong.
            NotFoundError: There is no such detector.
        """
        detector = await self._subjects.detector(request.detector, "detector")
        rows = scorer_pb2.ScoreRows(
            detector=detector, rows=request.rows, explain=request.explain, field=_ROWS
        )
        question = scorer_pb2.ScorerQuestion(score=rows)
        scored = await self._scorers.ask(question, outlier_pb2.ScoredRows)
        return outlier_pb2.ScoreResponse(detector=detector.name, scored=scored)

    async def stream(self, requests: Requests) -> Responses:
        """Yields an answer for each message, in order; the next is read when one was taken.

        Raises:
            InvalidFieldError: Names the field that is wrong.
            ConflictError: Somebody else feeds the stream now.
            UnavailableError: The scorer died; the stream goes on where it was saved when it is
                started again.
        """
        start = await _first(requests)
        source = start.WhichOneof("source")
        if source is None:
            raise InvalidFieldError("start", "must name a `detector`, or say `online`")
        async with self._scorers.lend() as scorer:
            if source == "detector":
                answers = self._fitted(start, scorer, requests)
            else:
                answers = self._online(start, scorer, requests)
            # Closed at once when the caller goes away, so that what was learned is saved then.
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def _fitted(
        self, start: outlier_pb2.StreamStart, scorer: Scorer, requests: Requests
    ) -> Responses:
        detector = await self._subjects.detector(start.detector, "start.detector")
        yield outlier_pb2.ScoreStreamResponse(source=detector.name)
        done = 0
        async for request in requests:
            _require_rows(request)
            rows = scorer_pb2.ScoreRows(
                detector=detector, rows=request.rows, explain=start.explain, field=_ROWS
            )
            question = scorer_pb2.ScorerQuestion(score=rows)
            scored = await scorer.ask(question, outlier_pb2.ScoredRows)
            yield outlier_pb2.ScoreStreamResponse(scored=scored, first_row=done)
            done += len(scored.scores)

    async def _online(
        self, start: outlier_pb2.StreamStart, scorer: Scorer, requests: Requests
    ) -> Responses:
        OutlierStreamName.from_name(start.online.stream, "start.online.stream")
        session = new_id("session")
        answer = outlier_pb2.ScoreStreamResponse
        opening = scorer_pb2.OpenStream(session=session, detector=start.online)
        yield await scorer.ask(scorer_pb2.ScorerQuestion(open=opening), answer)
        saving = scorer_pb2.ScorerQuestion(save=scorer_pb2.SaveStream(session=session))
        try:
            async with aclosing(with_pauses(requests, _SAVE_SECONDS)) as messages:
                async for request in messages:
                    if request is None:
                        await scorer.ask(saving, answer)
                        continue
                    _require_rows(request)
                    rows = scorer_pb2.StreamRows(
                        session=session, rows=request.rows, explain=start.explain
                    )
                    yield await scorer.ask(scorer_pb2.ScorerQuestion(rows=rows), answer)
        finally:
            closing = scorer_pb2.CloseStream(session=session)
            await scorer.ask(scorer_pb2.ScorerQuestion(close=closing), answer)


async def with_pauses(
    requests: Requests, seconds: float
) -> AsyncGenerator[outlier_pb2.ScoreStreamRequest | None, None]:
    """Yields messages as they come, and None each time that none has come for so long."""
    messages = aiter(requests)
    while True:
        coming = asyncio.ensure_future(anext(messages, None))
        try:
            while not (await asyncio.wait({coming}, timeout=seconds))[0]:
                yield None
            message = coming.result()
        finally:
            coming.cancel()
        if message is None:
            return
        yield message


async def _first(requests: Requests) -> outlier_pb2.StreamStart:
    async for request in requests:
        if request.WhichOneof("content") != "start":
            break
        return request.start
    raise InvalidFieldError("start", "must come first: it says how the stream is scored")


def _require_rows(request: outlier_pb2.ScoreStreamRequest) -> None:
    if request.WhichOneof("content") != _ROWS:
        raise InvalidFieldError(_ROWS, "must be in every message after the first")

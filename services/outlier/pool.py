"""The scorers: a few processes with the libraries that the service does without."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, TypeVar

from google.protobuf.message import Message

from aimass.outlier.v1 import scorer_pb2
from common.host.helper import HelperProcess

M = TypeVar("M", bound=Message)

_IDLE_SECONDS = 600.0


class Scorer:
    """One scorer process."""

    def __init__(self, process: HelperProcess) -> None:
        """Wraps a process that nobody uses yet."""
        self._process = process
        self.users = 0

    async def ask(self, question: scorer_pb2.ScorerQuestion, answer: type[M]) -> M:
        """Returns the answer to a question.

        Raises:
            AimassError: What the scorer complains of.
            UnavailableError: It died or took too long; the next question starts it anew.
        """
        return answer.FromString(await self._process.ask(question.SerializeToString()))


class ScorerPool:
    """Lends the scorers out, always the one that the fewest use."""

    def __init__(self, command: Sequence[str], count: int, seconds: float) -> None:
        """Starts nothing yet.

        Args:
            command: Starts a scorer.
            count: How many there are.
            seconds: A question that takes longer ends its scorer.
        """
        self._processes = [
            HelperProcess(command, timeout=seconds, idle_seconds=_IDLE_SECONDS)
            for _ in range(count)
        ]
        self._scorers = [Scorer(process) for process in self._processes]
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for process in self._processes:
            await self._exits.enter_async_context(process)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the processes."""
        await self._exits.aclose()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Scorer]:
        """Lends a scorer; others may ask it meanwhile."""
        scorer = min(self._scorers, key=lambda each: each.users)
        scorer.users += 1
        try:
            yield scorer
        finally:
            scorer.users -= 1

    async def ask(self, question: scorer_pb2.ScorerQuestion, answer: type[M]) -> M:
        """Returns the answer of some scorer. See `Scorer.ask`."""
        async with self.lend() as scorer:
            return await scorer.ask(question, answer)

"""What to try next, kept ready: nobody waits long for a search to think. For one event loop."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from common.errors import AimassError
from services.tuner.domain.space.configuration import Configuration
from services.tuner.study.board import Board

Source = Callable[[int, Sequence[Configuration]], Awaitable[list[Configuration]]]
"""Returns so many proposals, given what else is under way; fewer where there are no others."""

_PATIENCE = 0.015
_OVERSIGHT = 100
"""Of so many trials that have ended a fresh proposal may not know one."""
_MOST_AT_ONCE = 64
_LEAST_READY, _MOST_READY = 8, 16
_MOST_OLD = 64
_ROUNDS = 5


class Proposals:
    """A queue of proposals for one study.

    A proposal that knows all trials that have ended, or 99 of 100, is fresh. Who asks gets a fresh
    one where there is one within 15 ms, else one that was made a little earlier.
    """

    def __init__(self, board: Board, source: Source, patience: float = _PATIENCE) -> None:
        """Has nothing ready yet.

        Args:
            board: The trials.
            source: Where proposals come from.
            patience: How long a fresh one is waited for, in seconds.
        """
        self._board = board
        self._source = source
        self._patience = patience
        self._fresh: deque[Configuration] = deque()
        self._old: deque[Configuration] = deque(maxlen=_MOST_OLD)
        self._waiting: deque[asyncio.Future[Configuration | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._epoch = board.epoch

    def prepare(self) -> None:
        """Has proposals made ahead, of all that is known by now."""
        self._age()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fill())

    async def take(self) -> Configuration | None:
        """Returns what to try next, claimed on the board; None where everything is taken.

        Raises:
            AimassError: The source fails.
        """
        self._age()
        found = self._pop(self._fresh)
        if found is not None:
            self.prepare()
            return found
        waiter: asyncio.Future[Configuration | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self.prepare()
        try:
            if self._old:
                await asyncio.wait({waiter}, timeout=self._patience)
                if not waiter.done() and (old := self._pop(self._old)) is not None:
                    return old
            return await waiter or self._pop(self._old)
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (lost := waiter.result()) is not None:
                self.put_back(lost)
            raise
        finally:
            waiter.cancel()

    def put_back(self, configuration: Configuration) -> None:
        """Takes back what was not used."""
        self._board.release(configuration)
        self._old.append(configuration)

    async def close(self) -> None:
        """Stops making proposals; who waits for one gets none."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _age(self) -> None:
        if not self._is_fresh(self._epoch):
            self._epoch = self._board.epoch
            self._old.extend(self._fresh)
            self._fresh.clear()

    def _is_fresh(self, epoch: int) -> bool:
        """Says whether what was made then still knows enough."""
        return self._board.epoch - epoch <= self._board.epoch // _OVERSIGHT

    def _pop(self, ready: deque[Configuration]) -> Configuration | None:
        # The latest of the old ones know most; of the fresh ones the first promise most.
        while ready:
            found = ready.popleft() if ready is self._fresh else ready.pop()
            if self._board.is_free(found):
                self._board.claim(found)
                return found
        return None

    async def _fill(self) -> None:
        try:
            rounds = 0
            while (wanted := self._wanted()) and rounds < _ROUNDS:
                epoch = self._board.epoch
                found = await self._source(wanted, [*self._fresh, *self._board.pending])
                used = self._spread(found, is_fresh=self._is_fresh(epoch))
                if len(found) < wanted:
                    break
                rounds = 0 if used else rounds + 1
            self._answer(None)
        except asyncio.CancelledError:
            self._answer(None)
            raise
        except AimassError as error:
            self._fail(error)
        except Exception as error:
            self._fail(error)
            raise

    def _wanted(self) -> int:
        waiting = sum(not each.done() for each in self._waiting)
        ready = min(max(self._board.running, _LEAST_READY), _MOST_READY)
        self._age()
        if not waiting and len(self._fresh) > ready // 2:
            return 0
        # Many at once take little more time than one: some are kept for those who ask meanwhile.
        return min(waiting + ready - len(self._fresh), _MOST_AT_ONCE)

    def _spread(self, found: Sequence[Configuration], *, is_fresh: bool) -> int:
        """Gives proposals to who waits, keeps the others. Returns how many could be used."""
        used = 0
        for each in found:
            if not self._board.is_free(each):
                continue
            used += 1
            waiter = self._next_waiter()
            if waiter is not None:
                self._board.claim(each)
                waiter.set_result(each)
            else:
                (self._fresh if is_fresh else self._old).append(each)
        return used

    def _next_waiter(self) -> "asyncio.Future[Configuration | None] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _answer(self, found: Configuration | None) -> None:
        while (waiter := self._next_waiter()) is not None:
            waiter.set_result(found)

    def _fail(self, error: Exception) -> None:
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(error)

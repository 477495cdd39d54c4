"""One study at this process: what is asked, reported and told. For one event loop."""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence

from aimass.tuner.v1 import study_pb2
from common.names import StudyName, TrialName
from common.records import RequestId
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.study.front import pareto_front
from services.tuner.domain.study.pruning import Pruner, should_prune
from services.tuner.study.board import Board, Known
from services.tuner.study.changes import given_out, reported, told
from services.tuner.study.convert import number_of, problem_of, settings_to_proto
from services.tuner.study.outcomes import Outcome
from services.tuner.study.proposals import Proposals
from services.tuner.study.suggesting import Process, Suggesting
from services.tuner.study.trials import Trials

_MOST_BEST = 1_000
_AT_ONCE = 200
_LEAST_WAIT = 0.1
_TAKING_OVER = 10.0


class Desk:
    """Answers for one study.

    Attributes:
        study: The study.
        problem: What it searches for.
        used_at: When it was last asked something, in monotonic seconds.
        refreshed_at: When the trials were last read, in monotonic seconds.
        refresh_seconds: How long that took.
    """

    def __init__(
        self, study: study_pb2.Study, trials: Trials, process: Process, clock: Callable[[], float]
    ) -> None:
        """Knows no trials before `refresh`.

        Args:
            study: The study.
            trials: The store's.
            process: What chooses trials.
            clock: Seconds since 1970.
        """
        self.study = study
        self.problem = problem_of(study.spec)
        self.used_at = time.monotonic()
        self.refreshed_at = -float("inf")
        self.refresh_seconds = 0.0
        self._name = StudyName.from_name(study.name)
        self._trials = trials
        self._board = Board(self.problem, clock)
        self._proposals = Proposals(self._board, Suggesting(process, self._board).suggest)
        self._limit = study.told_trial_count + study.spec.max_trials
        self._handed = 0
        self._returned: list[int] = []
        self._held: set[str] = set()  # settings that are claimed here, and have no trial yet

    async def refresh(self) -> None:
        """Reads what other processes have changed."""
        began = time.monotonic()
        records = await asyncio.to_thread(self._trials.all, self._name)
        for place, record in enumerate(records, 1):
            self._board.put(record)
            if not place % _AT_ONCE:
                await asyncio.sleep(0)  # others are answered meanwhile
        self.refreshed_at = began
        self.refresh_seconds = time.monotonic() - began

    def prepare(self) -> None:
        """Has proposals made ahead."""
        self._proposals.prepare()

    async def close(self) -> None:
        """Stops making proposals."""
        await self._proposals.close()

    async def ask(self, count: int, request: RequestId | None) -> list[study_pb2.Trial]:
        """Gives trials out, at most `count`.

        Args:
            count: How many are wanted.
            request: Identity of the call; a repeat gets what the first call got.

        Raises:
            AlreadyExistsError: The request id was used for something else.
        """
        request_id = request.request_id if request is not None else ""
        given: list[study_pb2.Trial] = []
        if request is not None and not await asyncio.to_thread(
            self._trials.reserve, self._name, request
        ):
            given += await self._given_before(request_id)
        given += await self._given_again(count - len(given), request_id)
        made = await asyncio.gather(
            *(self._made(request_id) for _ in range(count - len(given))), return_exceptions=True
        )
        given += [each for each in made if isinstance(each, study_pb2.Trial)]
        for each in made:
            # What was given out already is worth more than the error: its lease runs.
            if isinstance(each, BaseException) and not given:
                raise each
        return sorted(given, key=number_of)

    async def outlook(self) -> float | None:
        """Returns in how many seconds to ask again; None where there is nothing left to try."""
        await self.refresh()
        trials = list(self._board)
        # Settings that somebody has claimed become no trials any more once there are enough.
        is_coming = bool(self._board.pending) and len(trials) < self._limit
        if is_coming or any(each.is_open for each in trials):
            return max(self._board.next_look(), _LEAST_WAIT)
        return None

    async def report(
        self, name: TrialName, step: int, value: float | None, attempt: int
    ) -> tuple[study_pb2.Trial, bool]:
        """Adds an intermediate value. Returns the trial, and whether to give it up.

        Raises:
            AimassError: See `changes.reported`; or there is no such trial.
        """
        change = reported(self.problem.lease_seconds, step, value, attempt)
        record = await asyncio.to_thread(self._trials.change, name.name, change)
        self._board.put(record)
        pruning = self.problem.pruning
        if value is None or pruning.pruner is Pruner.NONE:
            return record.resource, False
        own = self.problem.record(record.resource)
        should_stop = await asyncio.to_thread(
            should_prune, self._board.records(), own, step, pruning, self.problem.objectives[0]
        )
        return record.resource, should_stop

    async def tell(self, name: TrialName, outcome: Outcome, attempt: int) -> study_pb2.Trial:
        """Ends a trial. Raises what `changes.told` says, and `NotFoundError`."""
        record = await asyncio.to_thread(self._trials.change, name.name, told(outcome, attempt))
        self._board.put(record)
        self._proposals.prepare()
        return record.resource

    async def best(self) -> Sequence[study_pb2.Trial]:
        """Returns the best trials."""
        await self.refresh()
        records, objectives = self._board.records(), self.problem.objectives
        front = await asyncio.to_thread(pareto_front, records, objectives)
        return [self._board[each.number].trial for each in front[:_MOST_BEST]]

    async def counts(self) -> study_pb2.TrialCounts:
        """Returns the number of trials by state."""
        await self.refresh()
        found = Counter(each.trial.state for each in self._board)
        return study_pb2.TrialCounts(
            waiting=found[study_pb2.TRIAL_STATE_WAITING],
            running=found[study_pb2.TRIAL_STATE_RUNNING],
            completed=found[study_pb2.TRIAL_STATE_COMPLETED],
            pruned=found[study_pb2.TRIAL_STATE_PRUNED],
            failed=found[study_pb2.TRIAL_STATE_FAILED],
        )

    async def _given_before(self, request_id: str) -> list[study_pb2.Trial]:
        await self.refresh()
        found = [each.trial for each in self._board if each.trial.request_id == request_id]
        return sorted(found, key=number_of)

    async def _given_again(self, count: int, request_id: str) -> list[study_pb2.Trial]:
        """Gives out what waits, and what was given to somebody who is gone."""
        given: list[study_pb2.Trial] = []
        for known in self._board.due():
            if len(given) >= count:
                break
            self._board.wait(known, _TAKING_OVER)  # of two callers here one tries
            trial = await self._taken_over(known, request_id)
            if trial is not None:
                given.append(trial)
        return given

    async def _taken_over(self, known: Known, request_id: str) -> study_pb2.Trial | None:
        found = await asyncio.to_thread(
            self._trials.take_over, known.trial.name, self.problem.lease_seconds, request_id
        )
        if found is None:
            self._board.remove(known.record.number)
            return None
        if isinstance(found, float):
            self._board.wait(known, found)
            return None
        self._board.put(found)
        is_given = found.resource.state == study_pb2.TRIAL_STATE_RUNNING
        return found.resource if is_given else None

    async def _made(self, request_id: str) -> study_pb2.Trial | None:
        """Makes a trial; None where there are no more."""
        while (settings := await self._proposals.take()) is not None:
            try:
                if not await self._claimed(settings):
                    self._board.shun(settings)
                    continue
                made = await self._stored(settings, request_id)
            except BaseException:
                self._proposals.put_back(settings)
                raise
            if made is None:
                self._proposals.put_back(settings)
                return None
            self._held.discard(self.problem.space.key(settings))
            self._board.release(settings)
            return made
        return None

    async def _claimed(self, settings: Configuration) -> bool:
        """Claims settings in the store. Returns False where another process has done so."""
        key = self.problem.space.key(settings)
        if key in self._held:
            return True
        is_mine = await asyncio.to_thread(self._trials.claim, self._name, key)
        if not is_mine:
            await self.refresh()
            is_mine = not self._board.is_taken(settings) and await asyncio.to_thread(
                self._trials.claim_left, self._name, key
            )
        if is_mine:
            self._held.add(key)
        return is_mine

    async def _stored(self, settings: Configuration, request_id: str) -> study_pb2.Trial | None:
        """Stores a trial under the next number that is free; None where all are given out."""
        while (number := self._next_number()) is not None:
            trial = self._draft(number, settings, request_id)
            try:
                record = await asyncio.to_thread(self._trials.create, trial)
            except BaseException:
                # It may have been made; then the next who gets this number will see.
                heapq.heappush(self._returned, number)
                raise
            if record is not None:
                self._board.put(record)
                return record.resource
            other = await asyncio.to_thread(self._trials.get, trial.name)
            if other is not None:
                self._board.put(other)
        return None

    def _draft(self, number: int, settings: Configuration, request_id: str) -> study_pb2.Trial:
        trial = study_pb2.Trial(
            name=TrialName(self._name.id, number).name,
            settings=settings_to_proto(settings),
            state=study_pb2.TRIAL_STATE_RUNNING,
        )
        trial.create_time.GetCurrentTime()
        given_out(self.problem.lease_seconds, request_id)(trial)
        return trial

    def _next_number(self) -> int | None:
        if self._returned:
            return heapq.heappop(self._returned)
        number = max(self._board.last, self._handed) + 1
        if number > self._limit:
            return None
        self._handed = number
        return number

"""The studies that this process was asked about. For one event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aimass.tuner.v1 import study_pb2
from common.artifacts import ObjectMissingError, ObjectStore
from common.errors import AimassError, NotFoundError
from common.names import StudyName
from common.records import RecordStore
from common.records.objects import not_found, record_key
from common.tasks import outcome
from services.tuner.study.desk import Desk
from services.tuner.study.suggesting import Process
from services.tuner.study.trials import Trials

_FOLLOWING = 1.0
"""How often the trials of studies that are in use are read at most, in seconds."""
_REST = 20.0
"""Reading takes at most one part in so many of the time."""
_IN_USE = 60.0
_KEPT = 600.0


@dataclass
class _Opened:
    desk: Desk
    etag: str


class Desks:
    """Opens studies, follows those in use, and lets go of the others."""

    def __init__(
        self,
        store: ObjectStore,
        records: RecordStore,
        process: Process,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Has none open.

        Args:
            store: The object store.
            records: The suite's resources.
            process: What chooses trials.
            clock: Seconds since 1970.
        """
        self._store = store
        self._records = records
        self._process = process
        self._clock = clock
        self._trials = Trials(store, records)
        self._opened: dict[str, _Opened] = {}
        self._opening: dict[str, asyncio.Task[_Opened]] = {}

    async def opened(self, name: StudyName) -> Desk:
        """Returns a study, which may have been deleted or made anew a second ago.

        Raises:
            NotFoundError: There is no such study.
        """
        opened = self._opened.get(name.name)
        if opened is None:
            opened = await self._open(name)
        desk = opened.desk
        now = time.monotonic()
        if now - desk.used_at > _IN_USE:
            await desk.refresh()
        desk.used_at = now
        return desk

    async def current(self, name: StudyName) -> Desk:
        """Returns a study as it is in the store now.

        Raises:
            NotFoundError: There is no such study.
        """
        if not await self._is_current(name):
            await self._open(name)
        return await self.opened(name)

    async def keeps(self, desk: Desk, trials: Sequence[study_pb2.Trial]) -> bool:
        """Says whether a study was there when trials were given out; removes them where not.

        Whoever deletes a study removes its trials after its record: what was made later than that
        is found here.
        """
        name = StudyName.from_name(desk.study.name)
        try:
            if await self._is_current(name):
                return True
            record = await asyncio.to_thread(self._records.get, name.name, study_pb2.Study)
            if record.resource.uid == desk.study.uid:
                return True
        except NotFoundError:
            pass
        await asyncio.to_thread(self._trials.discard, trials)
        await self._drop(name.name)
        return False

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Desks"]:
        """Follows the studies in use until it is left."""
        task = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.gather(*(each.desk.close() for each in self._opened.values()))

    async def _is_current(self, name: StudyName) -> bool:
        opened = self._opened.get(name.name)
        try:
            info = await asyncio.to_thread(self._store.stat, record_key(name.name))
        except ObjectMissingError:
            raise not_found(name.name) from None
        return opened is not None and opened.etag == info.etag

    async def _open(self, name: StudyName) -> _Opened:
        task = self._opening.get(name.name)
        if task is None:
            task = self._opening[name.name] = asyncio.create_task(self._read(name))
            task.add_done_callback(lambda _: self._opening.pop(name.name, None))
        return await outcome(task)

    async def _read(self, name: StudyName) -> _Opened:
        former = self._opened.get(name.name)
        try:
            record = await asyncio.to_thread(self._records.get, name.name, study_pb2.Study)
        except NotFoundError:
            await self._drop(name.name)
            raise
        if former is not None and former.desk.study.uid == record.resource.uid:
            former.etag = record.etag
            return former
        await self._drop(name.name)
        if record.resource.initial_trials:
            record = await asyncio.to_thread(self._trials.begin, record.resource)
        desk = Desk(record.resource, self._trials, self._process, self._clock)
        await desk.refresh()
        opened = self._opened[name.name] = _Opened(desk, record.etag)
        return opened

    async def _drop(self, name: str) -> None:
        opened = self._opened.pop(name, None)
        if opened is not None:
            await opened.desk.close()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_FOLLOWING)
            for name, opened in list(self._opened.items()):
                desk, now = opened.desk, time.monotonic()
                if now - desk.used_at > _KEPT:
                    await self._drop(name)
                elif now - desk.used_at < _IN_USE and now - desk.refreshed_at > _pause(desk):
                    with suppress(AimassError):  # the next caller is told
                        await self._catch_up(StudyName.from_name(name), desk)

    async def _catch_up(self, name: StudyName, desk: Desk) -> None:
        if not await self._is_current(name):
            await self._open(name)
        await desk.refresh()


def _pause(desk: Desk) -> float:
    return max(_FOLLOWING / 2, _REST * desk.refresh_seconds)

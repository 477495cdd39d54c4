"""Writes into lineage how runs ended, apart from the work on them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic

from common.artifacts import ObjectStore
from common.errors import UnavailableError
from common.records import RecordStore
from common.runs.kind import M, RunKind
from common.runs.lineage import write_end_of, write_missing_ends

_log = logging.getLogger(__name__)


class LineageWriter(Generic[M]):
    """The one writer of the ends of a kind's runs: nothing waits for it, and it tries for ever.

    What ended before it began is made up for, so it may forget what it has not written.

    Args:
        kind: Kind of the runs.
        store: The object store.
        records: The suite's resources.
        pause: Seconds after which it tries again what failed.
    """

    def __init__(
        self, kind: RunKind[M], store: ObjectStore, records: RecordStore, pause: float = 10.0
    ) -> None:
        self._store = store
        self._pause = pause
        self._write_missing = partial(write_missing_ends, store, records, kind)
        self._write_end_of = partial(write_end_of, store, records, kind)
        self._lacks_earlier = True
        self._ended: set[str] = set()
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with the runs that ended earlier."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends the writer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def note(self, names: Iterable[str]) -> None:
        """Notes runs that have ended, whoever published that."""
        self._ended.update(names)
        if self._ended:
            self._noted.set()

    async def _work(self) -> None:
        while True:
            self._noted.clear()
            for name in tuple(self._ended):
                if await self._has_written(partial(self._write_end_of, name)):
                    self._ended.discard(name)
            if self._lacks_earlier:
                self._lacks_earlier = not await self._has_written(self._write_missing)
            is_behind = self._lacks_earlier or self._ended
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._noted.wait(), self._pause if is_behind else None)

    async def _has_written(self, write: Callable[[], None]) -> bool:
        try:
            await asyncio.to_thread(write)
        except UnavailableError as error:
            _log.warning("lineage waits: %s", error)
        except Exception:
            _log.exception("lineage waits")
        else:
            return True
        return False

"""Removal of what nothing needs any more: one sweep at a time, by a lease."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pydantic import Field

from common.artifacts.protocol import ObjectStore
from common.config import Settings
from common.errors import FailedPreconditionError, FencedError, UnavailableError
from common.runs.lease import Lease, LeaseHeldError, LeaseKeeper

_log = logging.getLogger(__name__)
INTERVAL_SECONDS = 3600.0


class SweepSettings(Settings):
    """What is swept when."""

    attempt_keep_hours: float = Field(
        168.0,
        gt=0,
        description="What attempts left behind is deleted so many hours after the run's end.",
    )

    @property
    def attempt_keep(self) -> timedelta:
        """How long leftovers of attempts stay."""
        return timedelta(hours=self.attempt_keep_hours)


@dataclass(frozen=True)
class Garbage:
    """Something that nothing needs.

    Attributes:
        name: Resource name, or folder of keys.
        kind: What it is, one word.
        reason: Why nothing needs it, one sentence.
        object_count: Objects in the store.
        size_bytes: Their size.
        age: Time since it last changed, by the store's clock.
    """

    name: str
    kind: str
    reason: str
    object_count: int
    size_bytes: int
    age: timedelta


class Sweeper(Protocol):
    """Knows one kind of garbage."""

    def find(self, older_than: timedelta | None) -> Iterable[Garbage]:
        """Returns what nothing needs and has not changed for so long; None for the usual time."""
        ...

    def remove(self, garbage: Garbage) -> bool:
        """Removes one thing that `find` returned, unless somebody needs it by now.

        Returns:
            Whether it is gone.
        """
        ...


class Sweeps:
    """Sweeps by several sweepers. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, service: str, sweepers: Sequence[Sweeper]) -> None:
        """Prepares.

        Args:
            store: Where the lease is.
            service: Whose garbage it is; replicas of one service share a lease.
            sweepers: The kinds of garbage.
        """
        self._store = store
        self._key = f"sweeps/{service}/lease.json"
        self._sweepers = tuple(sweepers)

    def find(self, older_than: timedelta | None = None) -> list[Garbage]:
        """Returns what a sweep would remove."""
        return [garbage for _, garbage in self._found(older_than)]

    def sweep(self, older_than: timedelta | None = None) -> list[Garbage]:
        """Removes what nothing needs. Returns what went.

        Raises:
            FailedPreconditionError: Another sweep is under way.
            UnavailableError: The store is away.
        """
        with self._held() as lease:
            gone = []
            for sweeper, garbage in self._found(older_than):
                lease.check()
                if sweeper.remove(garbage):
                    _log.info("swept %s: %s", garbage.name, garbage.reason)
                    gone.append(garbage)
            return gone

    @contextlib.asynccontextmanager
    async def each_hour(self) -> AsyncIterator[None]:
        """Sweeps each hour, the first time after an hour, until it is left."""
        task = asyncio.create_task(self._sweep_each_hour())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sweep_each_hour(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await asyncio.to_thread(self.sweep)
            except (FailedPreconditionError, FencedError, UnavailableError) as error:
                _log.info("no sweep: %s", error)
            except Exception:
                _log.exception("the sweep breaks off")

    def _found(self, older_than: timedelta | None) -> Iterator[tuple[Sweeper, Garbage]]:
        for sweeper in self._sweepers:
            for garbage in sweeper.find(older_than):
                yield sweeper, garbage

    @contextlib.contextmanager
    def _held(self) -> Iterator[Lease]:
        lease = Lease(self._store, self._key)
        try:
            lease.acquire()
        except LeaseHeldError as error:
            raise FailedPreconditionError(
                "A sweep is under way; try again when it has ended.",
                reason="SWEEP_UNDER_WAY",
                private=str(error),
            ) from None
        keeper = LeaseKeeper(lease, lambda: None)  # each removal checks the lease
        keeper.start()
        try:
            yield lease
        finally:
            keeper.stop()
            with contextlib.suppress(UnavailableError):
                lease.release()

"""Looks after all policies for as long as the service runs."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc

from common.errors import AimassError
from services.tuner.policy.acting import Actor
from services.tuner.policy.book import Policy, PolicyBook

_log = logging.getLogger(__name__)

_SPREAD = 0.2


class PolicyLoop:
    """Acts for each policy again and again. For one event loop; replicas may do so at once."""

    def __init__(self, book: PolicyBook, actor: Actor, seconds: float) -> None:
        """Does nothing until it is running.

        Args:
            book: Where policies are kept.
            actor: Acts for them.
            seconds: Between two looks, about.
        """
        self._book = book
        self._actor = actor
        self._seconds = seconds
        self._news = asyncio.Event()

    def poke(self) -> None:
        """Looks at once: a policy is new or was changed."""
        self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks after policies until it is left."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look_once(self) -> None:
        """Acts for each policy once; what fails for one leaves the others alone."""
        for policy in await asyncio.to_thread(self._book.all):
            await self._act(policy)

    async def _run(self) -> None:
        while True:
            try:
                await self.look_once()
            except AimassError as error:  # The store is away.
                _log.warning("policies cannot be looked after now: %s", error)
            except Exception:
                _log.exception("policies cannot be looked after")
            with suppress(TimeoutError):
                # Replicas that start together do not look together for ever.
                seconds = self._seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)
                await asyncio.wait_for(self._news.wait(), seconds)
            self._news.clear()

    async def _act(self, policy: Policy) -> None:
        try:
            await self._actor.act(policy)
        except AimassError as error:
            _log.warning("%s waits: %s", policy.name, error)
        except grpc.aio.AioRpcError as error:
            _log.warning("%s waits: %s %s", policy.name, error.code(), error.details())
        except Exception:
            _log.exception("%s cannot be looked after", policy.name)

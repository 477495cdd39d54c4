"""The keys to the store that a run's workers get: for its own prefix and what it reads."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping

from common.artifacts.settings import StoreSettings
from common.artifacts.temporary_keys import (
    LONGEST_SECONDS,
    Grant,
    KeysRefusedError,
    temporary_keys,
)
from common.errors import UnavailableError
from services.trainer.domain.job import Job

_log = logging.getLogger(__name__)
_URI = re.compile(r'"(s3://[^"]+)"')
_AGAIN_SECONDS = 60.0


class WorkerKeys:
    """Temporary keys for the workers of a run. Agents hold none of their own."""

    def __init__(
        self,
        settings: StoreSettings,
        grant: Grant,
        *,
        is_required: bool = False,
        seconds: float = LONGEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks for keys.

        Args:
            settings: The store, with keys that open everything.
            grant: What the workers' keys are to open.
            is_required: Whether workers must have such keys, since they run code of others. Else
                they get the keys of the suite where the store gives no other.
            seconds: How long keys are good. They are renewed after half of it.
            clock: Returns seconds that go by.

        Raises:
            KeysRefusedError: The store gives none, and they are required.
            UnavailableError: The store is away.
        """
        self._settings = settings
        self._grant = grant
        self._is_required = is_required
        self._seconds = seconds
        self._clock = clock
        self._number = self._world_number = 0
        self._renewal: asyncio.Task[None] | None = None
        self._renew()

    @classmethod
    def of_job(cls, settings: StoreSettings, job: Job, seconds: float) -> "WorkerKeys":
        """Asks for keys to what a job reads, all of which is named in it, and to its attempt."""
        files = _URI.findall(job.model_dump_json(exclude_none=True))
        grant = Grant.of_files(files, [f"runs/{job.training_run}/"], [job.prefix])
        is_required = job.specification.code is not None
        return cls(settings, grant, is_required=is_required, seconds=seconds)

    def environment(self) -> Mapping[str, str]:
        """Returns the settings of a worker that uses them."""
        return self._environment

    def begin_world(self) -> None:
        """Notes that workers begin with the keys as they are."""
        self._world_number = self._number

    def want_world(self) -> bool:
        """Returns whether workers should begin anew, since there are newer keys than theirs.

        Old keys are renewed meanwhile. Neither a slow store nor one that is away holds anybody up:
        the old ones are good for as long again.
        """
        if self._renewal is not None and self._renewal.done():
            self._renewal = None
        if self._renewal is None and self._clock() >= self._renew_at:
            self._renewal = asyncio.create_task(self._try_to_renew())
        return self._number > self._world_number

    async def _try_to_renew(self) -> None:
        try:
            await asyncio.to_thread(self._renew)
        except (KeysRefusedError, UnavailableError) as error:
            self._renew_at = self._clock() + _AGAIN_SECONDS
            _log.warning("keys of workers are not renewed yet: %s", error.message)

    def _renew(self) -> None:
        try:
            found = temporary_keys(self._settings, self._grant, self._seconds).environment()
        except KeysRefusedError:
            if self._is_required:
                raise
            found = {
                "AIMASS_S3_ACCESS_KEY": self._settings.access_key,
                "AIMASS_S3_SECRET_KEY": self._settings.secret_key,
                "AIMASS_S3_SESSION_TOKEN": self._settings.session_token,
            }
        self._renew_at = self._clock() + self._seconds / 2
        self._environment: Mapping[str, str] = found
        self._number += 1

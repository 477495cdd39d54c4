"""The keys to the store that a run's workers get: for its own prefix and what it reads."""

import re
import time
from collections.abc import Mapping

from common.artifacts.settings import StoreSettings
from common.artifacts.temporary_keys import (
    LONGEST_SECONDS,
    Grant,
    KeysRefusedError,
    temporary_keys,
)
from services.trainer.domain.job import Job

_URI = re.compile(r'"(s3://[^"]+)"')
# Keys are good for LONGEST_SECONDS; a world that begins now may last.
_RENEW_SECONDS = LONGEST_SECONDS / 2


class WorkerKeys:
    """Temporary keys for the workers of a run. Agents hold none of their own."""

    def __init__(self, settings: StoreSettings, job: Job) -> None:
        """Asks for keys.

        Args:
            settings: The store, with keys that open everything.
            job: What the workers are to do: all files that they read are named in it.

        Raises:
            KeysRefusedError: The store gives none, and the job runs code of others. For the suite's
                own code workers get the keys of the suite then.
            UnavailableError: The store is away.
        """
        self._settings = settings
        content = job.model_dump_json(exclude_none=True)
        self._grant = Grant.of_files(
            _URI.findall(content), [f"runs/{job.training_run}/"], [job.prefix]
        )
        self._runs_code_of_others = job.specification.code is not None
        self._environment: Mapping[str, str] = {}
        self.renew()

    @property
    def are_old(self) -> bool:
        """Whether to renew them before long."""
        return time.monotonic() > self._renew_at

    def environment(self) -> Mapping[str, str]:
        """Returns the settings of a worker that uses them."""
        return self._environment

    def renew(self) -> None:
        """Asks for new keys. Raises what the constructor does; the old ones stay good."""
        try:
            found = temporary_keys(self._settings, self._grant).environment()
        except KeysRefusedError:
            if self._runs_code_of_others:
                raise
            found = {
                "AIMASS_S3_ACCESS_KEY": self._settings.access_key,
                "AIMASS_S3_SECRET_KEY": self._settings.secret_key,
                "AIMASS_S3_SESSION_TOKEN": self._settings.session_token,
            }
        self._environment = found
        self._renew_at = time.monotonic() + _RENEW_SECONDS

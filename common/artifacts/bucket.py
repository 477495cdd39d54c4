"""`python -m common.artifacts.bucket`: waits for the object store and makes its bucket."""

import logging
import sys
import time

from common.artifacts.s3 import S3Store
from common.artifacts.settings import StoreSettings
from common.errors import AimassError, UnavailableError

WAIT_SECONDS = 180.0
_PAUSE_SECONDS = 0.5

_log = logging.getLogger(__name__)


def ensure_bucket(settings: StoreSettings, wait: float = WAIT_SECONDS) -> None:
    """Makes the bucket where it does not exist.

    Args:
        settings: Where the store is.
        wait: How long to wait for the store, in seconds.

    Raises:
        UnavailableError: The store cannot be reached.
        AimassError: The store refuses: the keys are wrong, or may not make a bucket.
    """
    store = S3Store(settings)
    deadline = time.monotonic() + wait
    while True:
        try:
            store.ensure_bucket()
        except UnavailableError as error:
            if time.monotonic() > deadline:
                raise
            _log.info("waiting for the store: %s", error)
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def main() -> int:
    """Makes the bucket; returns the exit code of the process."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = StoreSettings()
    try:
        ensure_bucket(settings)
    except AimassError as error:
        _log.error("%s %s", error, error.private)
        return 1
    _log.info("the bucket %s is there", settings.bucket)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How to open the object store."""

from common.artifacts.protocol import ObjectStore
from common.artifacts.retry import RetryingStore
from common.artifacts.s3 import S3Store
from common.artifacts.settings import StoreSettings

# How long a call that somebody waits for tries to reach the store, in seconds.
UNARY_PATIENCE = 4.0
# How long a run that would lose work tries.
RUN_PATIENCE = 300.0
# How long a run that can begin anew at any time waits for room in a full store.
FULL_PATIENCE = 20.0


def open_store(
    settings: StoreSettings, patience: float = UNARY_PATIENCE, full_patience: float | None = None
) -> ObjectStore:
    """Opens the store. Nothing is sent before the first call.

    Args:
        settings: Where it is.
        patience: How long one call tries to reach the store before it raises `UnavailableError`,
            in seconds: `UNARY_PATIENCE` where a caller waits, `RUN_PATIENCE` in a run's process.
        full_patience: The same where the store is full; by default `patience`.

    Returns:
        A store that is safe to use from several threads.
    """
    return RetryingStore(S3Store(settings, timeout=patience), patience, full_patience=full_patience)

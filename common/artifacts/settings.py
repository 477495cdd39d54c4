"""Where the object store is, and how to open it."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.artifacts.protocol import ObjectStore
from common.config import Settings

# How long a call that somebody waits for tries to reach the store, in seconds.
UNARY_PATIENCE = 4.0
# How long a run that would lose work tries.
RUN_PATIENCE = 300.0


class StoreSettings(Settings):
    """The object store: any that speaks S3 and honours conditional writes."""

    model_config = SettingsConfigDict(env_prefix="AIMASS_S3_", frozen=True, extra="ignore")

    endpoint: str = Field("127.0.0.1:7702", description="host:port of the store.")
    access_key: str = Field("", description="Name to sign with.")
    secret_key: str = Field("", description="Secret to sign with.", repr=False)
    bucket: str = Field("aimass", description="Bucket that holds everything; it must exist.")
    secure: bool = Field(False, description="Whether to use TLS.")
    region: str = Field("us-east-1", description="Region to sign for.")


def open_store(settings: StoreSettings, patience: float = UNARY_PATIENCE) -> ObjectStore:
    """Opens the store. Nothing is sent before the first call.

    Args:
        settings: Where it is.
        patience: How long one call tries to reach the store before it raises `UnavailableError`,
            in seconds: `UNARY_PATIENCE` where a caller waits, `RUN_PATIENCE` in a run's process.

    Returns:
        A store that is safe to use from several threads.
    """
    # Here: whoever only names the settings should not load the SDK, and S3Store needs them.
    from common.artifacts.retry import RetryingStore  # noqa: PLC0415
    from common.artifacts.s3 import S3Store  # noqa: PLC0415

    return RetryingStore(S3Store(settings, timeout=patience), patience)

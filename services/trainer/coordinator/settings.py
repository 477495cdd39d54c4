"""Settings of a run's coordinator."""

from pydantic import Field

from common.artifacts.temporary_keys import LONGEST_SECONDS
from common.config import ClientSettings


class CoordinatorSettings(ClientSettings):
    """Settings of a run's coordinator, `AIMASS_<FIELD>` in the environment."""

    coordinator_host: str = Field(
        "127.0.0.1",
        description="Address or name that agents and workers reach the coordinator by; it listens "
        "there.",
    )
    worker_keys_seconds: float = Field(
        LONGEST_SECONDS,
        ge=3_600,
        le=LONGEST_SECONDS,
        description="How long the temporary keys of workers to the store are good. They are "
        "renewed after half of that, which costs a run no step.",
    )

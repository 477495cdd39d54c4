"""Settings of a run's coordinator."""

from pydantic import Field

from common.config import ClientSettings


class CoordinatorSettings(ClientSettings):
    """Settings of a run's coordinator, `AIMASS_<FIELD>` in the environment."""

    coordinator_host: str = Field(
        "127.0.0.1",
        description="Address or name that agents and workers reach the coordinator by; it listens "
        "there.",
    )

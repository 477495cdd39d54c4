"""Settings of the tuner."""

from pydantic import Field

from common.config import Settings


class TunerSettings(Settings):
    """What only the tuner needs to know."""

    tuner_max_runs: int = Field(
        1, ge=1, le=64, description="Searches that are worked on at a time; others wait."
    )
    tuner_warm: bool = Field(
        True, description="Whether a process for searches is started ahead, of 300 MB."
    )
    tuner_policy_seconds: float = Field(
        15.0, ge=0.1, le=86_400, description="Policies look at their data so often, in seconds."
    )

"""Settings of the pruner."""

from pydantic import Field

from common.config import Settings


class PrunerSettings(Settings):
    """What only the pruner needs to know."""

    pruner_max_runs: int = Field(
        1, ge=1, le=64, description="Prunings that are worked on at a time; others wait."
    )
    pruner_warm: bool = Field(
        True, description="Whether a process for prunings is started ahead, of 400 MB."
    )

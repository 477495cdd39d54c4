"""Settings of the trainer service."""

from pydantic import Field

from common.config import Settings


class TrainerSettings(Settings):
    """What only the trainer needs to know."""

    trainer_max_runs: int = Field(
        4, ge=1, le=64, description="Training runs that are worked on at a time; others wait."
    )
    trainer_fault_injection: bool = Field(
        False, description="Whether admins may inject faults into runs, to see that they survive."
    )

"""Settings of the trainer service."""

from pydantic import Field

from common.config import Settings


class TrainerSettings(Settings):
    """What only the trainer needs to know."""

    trainer_max_runs: int = Field(
        4,
        ge=1,
        le=64,
        description="Training runs of a priority that are worked on at a time; others wait. Those "
        "of lower priorities do not count.",
    )
    trainer_fault_injection: bool = Field(
        False, description="Whether admins may inject faults into runs, to see that they survive."
    )
    trainer_own_code: bool = Field(
        False,
        description="Whether workers may run code of those who create runs: any Python, with the "
        "rights of the agents' user, the network that it has, and keys to the run's own prefix.",
    )

"""Settings of the outlier service."""

from pydantic import Field

from common.config import Settings


class OutlierSettings(Settings):
    """What only the outlier service needs to know."""

    outlier_max_scans: int = Field(
        2, ge=1, le=64, description="Scans that are worked on at a time; others wait."
    )
    outlier_warm: bool = Field(
        True,
        description="Whether a process for scans and a scorer are started ahead, of 300 MB each.",
    )
    outlier_scorers: int = Field(
        2, ge=1, le=64, description="Processes that check and score rows; each takes one processor."
    )
    outlier_scorer_seconds: float = Field(
        60.0, ge=5, le=600, description="A scorer that takes longer for one message is restarted."
    )

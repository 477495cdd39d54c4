"""Settings of the analyzer."""

from pydantic import Field

from common.config import Settings


class AnalyzerSettings(Settings):
    """What only the analyzer needs to know."""

    analyzer_max_analyses: int = Field(
        1, ge=1, le=64, description="Analyses that are worked on at a time; others wait."
    )
    analyzer_warm: bool = Field(
        True,
        description="Whether processes for analyses and checks are started ahead, of 500 MB each.",
    )
    analyzer_check_seconds: float = Field(
        60.0, ge=5, le=600, description="A check of a request that takes longer is broken off."
    )

"""What is known of candidates on a set of data: scores and what the set is like, nothing of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.scoring.kinds import ProblemKind

MOST_SCORES = 200
"""Of a set."""

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Setting = bool | int | _Number | Annotated[str, Field(max_length=100)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class KnownScore(_Record):
    """How good a candidate was.

    Attributes:
        family: Name of the family.
        settings: Those that were not as usual.
        regret: How far from the best candidate on the set it was, 0 for the best, 1 for useless;
            see `regrets`.
        seconds: What a fit took.
    """

    family: _Name
    settings: Annotated[dict[_Name, _Setting], Field(max_length=100)] = {}
    regret: float = Field(ge=0, le=1, allow_inf_nan=False)
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False)


class KnownSet(_Record):
    """A set of data and the candidates that were tried on it.

    Attributes:
        source: Name of a set that the suite ships the scores of, or of one of its own searches.
        kind: What was learned.
        metric: What it was judged by.
        features: What the set is like, by name; see `meta_features`.
        scores: Of the candidates.
    """

    source: _Name
    kind: ProblemKind
    metric: _Name
    features: Annotated[dict[_Name, _Number], Field(max_length=100)]
    scores: tuple[KnownScore, ...] = Field(max_length=MOST_SCORES)

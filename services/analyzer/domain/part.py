"""Parts of an analysis: what they are, and what can come of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from services.analyzer.domain.budget import Budget

if TYPE_CHECKING:
    from common.reports.report import Section
    from services.analyzer.domain.subject import Subject


class PartName(StrEnum):
    """Parts, named as in `aimass.analyzer.v1.AnalysisPart`, in the order of the report."""

    STRUCTURE = "structure"
    WEIGHTS = "weights"
    ACTIVATIONS = "activations"
    IMPORTANCE = "importance"
    RELATIONS = "relations"
    CURVES = "curves"
    BEHAVIOUR = "behaviour"
    ROBUSTNESS = "robustness"
    HEALTH = "health"


ROWLESS = frozenset({PartName.STRUCTURE, PartName.WEIGHTS, PartName.CURVES})
"""Parts that can do without what the model gives for the rows."""


class PartState(StrEnum):
    """How a part went, named as in `aimass.analyzer.v1.PartState`."""

    DONE = "done"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"


@dataclass(frozen=True)
class PartOutcome:
    """How a part went.

    Attributes:
        part: Which.
        state: How it went.
        seconds: How long it took.
        notes: What stood in, was cut short, or why there is nothing, one sentence each.
    """

    part: PartName
    state: PartState
    seconds: float
    notes: tuple[str, ...] = field(default=())


class PartResult(Protocol):
    """What a part found."""

    @property
    def summary(self) -> Any:
        """A dataclass whose fields are those of the part's message in `aimass.analyzer.v1`."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What stood in, and what was cut short, one sentence each."""
        ...


Analyse = Callable[["Subject", Budget], PartResult]
Show = Callable[[Any], "Section"]


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        analyse: Works it out. Raises `NotApplicableError` where there is no such thing, and what
            else goes wrong; the other parts are whole then.
        show: Makes its section of the report.
        share: Of the budget, against the shares of the others.
    """

    analyse: Analyse
    show: Show
    share: float

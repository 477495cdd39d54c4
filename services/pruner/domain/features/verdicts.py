"""What became of each column, and why, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.pruner.domain.features.elimination import Elimination, Step
from services.pruner.domain.features.evidence import Evidence

_UNTRIED = ", but no model was fitted without it: it was the last column, or time was up."


@dataclass(frozen=True)
class ColumnVerdict:
    """Whether a column is needed.

    Attributes:
        name: Of the column.
        is_kept: Whether it is.
        importance: By how much the mean loss on held-out rows grows when the column says no more
            than the columns that are not nearly the same tell of it.
        reason: Why, with the numbers; a sentence.
    """

    name: str
    is_kept: bool
    importance: float
    reason: str


@dataclass(frozen=True)
class FewerColumns:
    """The columns that are needed.

    Attributes:
        kept: Their names, in order.
        verdicts: Of all columns, in order.
        loss_before: Mean loss of the model on held-out rows.
        loss_after: The same of a model that was fitted on the columns that are kept.
    """

    kept: tuple[str, ...]
    verdicts: tuple[ColumnVerdict, ...]
    loss_before: float
    loss_after: float


def verdicts_of(
    evidence: Evidence, elimination: Elimination, repeating: Mapping[str, str]
) -> tuple[ColumnVerdict, ...]:
    """Returns what became of all columns.

    Args:
        evidence: Of the columns.
        elimination: When it is over.
        repeating: Columns that say nearly what another says, with that.
    """
    kept = set(elimination.kept)
    return tuple(
        ColumnVerdict(
            name,
            name in kept,
            float(evidence.worth.increases[place]),
            _ground(evidence, place, repeating.get(name), name in kept)
            + _outcome(elimination.steps.get(name), bool(evidence.is_silent[place])),
        )
        for place, name in enumerate(evidence.names)
    )


def _ground(evidence: Evidence, place: int, repeated: str | None, is_kept: bool) -> str:
    """Returns what speaks for a column or against it."""
    chance = f"(p = {evidence.chances[place]:.2g})"
    if evidence.is_constant[place]:
        return "It has the same value in all rows"
    if evidence.is_silent[place]:
        return f"It tells no more of the target than chance does {chance}"
    if repeated is not None:
        amount = evidence.related[place, evidence.names.index(repeated)]
        return f"It says nearly the same as `{repeated}` (dependence {amount:.2f})"
    if is_kept:
        return f"It tells more of the target than chance does {chance}"
    return "The model is better without it"


def _outcome(step: Step | None, is_silent: bool) -> str:
    """Returns what came of leaving a column out; the end of a sentence."""
    if step is None:
        return _UNTRIED if is_silent else "."
    word = "other" if step.others == 1 else "others"
    others = f" and {step.others} {word}" if step.others else ""
    link = ";" if step.is_taken else ", but" if is_silent else ";"
    return (
        f"{link} without it{others} the loss changed by {step.increase:+.2g} "
        f"(standard error {step.error:.2g})."
    )

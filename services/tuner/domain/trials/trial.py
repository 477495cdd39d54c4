"""Trials: a candidate, learned on one fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from common.scoring.outlier_uses import BASELINE, Use
from services.tuner.domain.problem import Outputs, Positions
from services.tuner.domain.space.configuration import Configuration


class Lesson(StrEnum):
    """What a candidate learns from others, which are fitted on parts of the same rows."""

    OUTPUTS = "outputs"
    """Their outputs for rows that they did not learn from are features (Wolpert 1992)."""
    HARD_ROWS = "hard_rows"
    """Rows that they get wrong weigh more (Freund and Schapire 1997)."""
    CLEAN_ROWS = "clean_rows"
    """Rows that they get wrong weigh less, for their truth may be wrong."""


@dataclass(frozen=True)
class Candidate:
    """A family with settings.

    Attributes:
        number: Unique in a search, ascending from 0.
        family: Name of the family.
        configuration: Its settings.
        bases: Candidates that it learns from, too; empty for none.
        lesson: What it learns from them.
        use: What the marks of an outlier scan change about the rows that it learns from.
        counterpart: Number of the candidate that differs from it in its use only, and has the same
            chance; None for most.
    """

    number: int
    family: str
    configuration: Configuration
    bases: tuple["Candidate", ...] = ()
    lesson: Lesson = Lesson.OUTPUTS
    use: Use = BASELINE
    counterpart: int | None = None

    @property
    def uses(self) -> frozenset[Use]:
        """How it and those that it learns from use marks."""
        return frozenset((self.use,)).union(*(each.uses for each in self.bases))

    def is_like(self, other: "Candidate") -> bool:
        """Whether it learns the same in the same way, only perhaps with other chance."""
        return replace(self, number=other.number) == other


@dataclass(frozen=True)
class Split:
    """Which rows are learned from and which are judged on.

    Attributes:
        train: Positions, ascending.
        judged: Positions, ascending; none is in `train`.
    """

    train: Positions
    judged: Positions


@dataclass(frozen=True)
class TrialTask:
    """One fit.

    Attributes:
        candidate: What is fitted.
        fold: Number of the split whose `judged` rows it is judged on.
        share: Share of the training rows that are used, above 0, at most 1.
        seconds: After so many it is to end by itself, and is ended from outside a little later.
    """

    candidate: Candidate
    fold: int
    share: float
    seconds: float


class TrialFailure(StrEnum):
    """Why a trial has no score."""

    OUT_OF_TIME = "out_of_time"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    RAISED = "raised"
    NOT_FINITE = "not_finite"


@dataclass(frozen=True)
class TrialResult:
    """What a fit gave.

    Attributes:
        task: What was asked.
        loss: Of the metric on the judged rows, of probabilities as sure as suits them best (see
            `sharpened_loss`); infinite where it failed.
        outputs: For the judged rows, (rows, outputs); None where it failed.
        settings: See `Fitted.settings`.
        fit_seconds: Wall time of fitting; where it failed, of all until then.
        predict_seconds: Wall time of predicting the judged rows.
        peak_bytes: Most resident memory of its process beyond what it began with; libraries and
            files that it maps do not count.
        model_bytes: Size of the fitted estimator as kept.
        model_path: Where the estimator is kept; empty where it failed.
        cpu_seconds: Processor time of its process, all in all.
        is_cut_short: See `Fitted.is_cut_short`.
        failure: Why it has no score; None if it has.
        message: What went wrong, one line.
        block_losses: Of some blocks of the judged rows, where there are marks to be proven and too
            few folds to do it by; empty elsewhere.
    """

    task: TrialTask
    loss: float
    outputs: Outputs | None
    settings: Configuration
    fit_seconds: float
    predict_seconds: float
    peak_bytes: int
    model_bytes: int
    model_path: str
    cpu_seconds: float = 0.0
    is_cut_short: bool = False
    failure: TrialFailure | None = None
    message: str = ""
    block_losses: Sequence[float] = ()

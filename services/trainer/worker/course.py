"""The trainings of a run, one after the other.

Where uses of an outlier scan are compared, a run begins with *trials*: for each fold a model for
each use, trained on the other folds and scored on the one held out. The model itself comes last.

All stages lie on one axis of steps, so that commits, checkpoints and all who go by steps need not
know of them. Every trial has room for the most steps that one may take; those that early stopping
or dropped rows leave are skipped. Where a stage begins is a function of its number alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from common.artifacts.protocol import ObjectStore
from common.data.cache import CachedDataset, HostCache
from common.data.schema import Part
from common.data.storage import Values
from common.errors import InvalidFieldError
from common.models.preprocessing import TextColumns
from common.scoring.outlier_uses import USES, Comparison, Use, compare
from services.trainer.domain.estimate import steps_per_trial, trial_count
from services.trainer.domain.job import Job
from services.trainer.domain.outliers.marks import NO_FOLD, Marks, RowChoice, Rows
from services.trainer.domain.specification import (
    FIELD,
    LARGER_IS_BETTER,
    TrainingSpecification,
)
from services.trainer.worker.data import Examples, TrainingRows
from services.trainer.worker.series import SeriesWindows
from services.trainer.worker.state import StagePlace
from services.trainer.worker.tokens import cached_tokens

_SEEDS = 2**32


@dataclass(frozen=True)
class Stage:
    """One training.

    Attributes:
        place: Its place in the course.
        use: What the marks of the scan change.
        fold: Fold that is held out; `NO_FOLD` for the model itself.
        job: What to train, as if this were a run of its own.
        rows: The data.
        held_out: Numbers of the rows to score a trial on.
    """

    place: StagePlace
    use: Use
    fold: int
    job: Job
    rows: Examples
    held_out: Rows

    @property
    def is_trial(self) -> bool:
        """Whether the model is only there to be compared."""
        return self.fold != NO_FOLD


class Course:
    """Knows the stages of a run."""

    def __init__(
        self,
        job: Job,
        dataset: CachedDataset,
        marks: Marks | None,
        tokens: Callable[[TextColumns], Values],
    ) -> None:
        """Takes what stages are made of.

        Args:
            job: The run.
            dataset: Its data.
            marks: What an outlier scan says of the rows; None where there is none.
            tokens: Returns the tokens of all rows.
        """
        self._job = job
        self._dataset = dataset
        self._marks = marks
        self._tokens = tokens
        self._trials = trial_count(job.specification)
        self._trial_steps = 0
        if marks is not None and job.specification.proof is not None:
            smallest = int(marks.fold_sizes(job.specification.proof.folds).min())
            rows = int((dataset.parts == Part.TRAIN).sum())
            self._trial_steps = steps_per_trial(job.specification, smallest, rows)

    @classmethod
    def open(cls, job: Job, cache: HostCache, store: ObjectStore) -> "Course":
        """Reads data and marks of a run."""
        marks = None
        if job.outliers is not None:
            marks = Marks.from_bytes(store.read(job.outliers.marks_key)[0])
        tokens = partial(cached_tokens, cache, job.data, store)
        return cls(job, cache.table(job.data, store), marks, tokens)

    def stage(self, place: StagePlace) -> Stage:
        """Returns the stage of a place.

        Raises:
            InvalidFieldError: It has no row to train on.
        """
        use, fold = self._use_and_fold(place)
        choice = self._choice(use, fold)
        job = self._stage_job(use, fold)
        rows = self._rows(job, choice)
        if len(rows.training) == 0:
            raise InvalidFieldError(
                f"{FIELD}.outliers", "The scan marks every training row; use DOWN_WEIGHT or KEEP."
            )
        held_out = choice.held_out if choice is not None else np.zeros(0, np.int64)
        return Stage(place, use, fold, job, rows, held_out)

    def _rows(self, job: Job, choice: RowChoice | None) -> Examples:
        if job.specification.forecast is not None:
            return SeriesWindows(self._dataset, job.preprocessing, job.specification)
        text = job.preprocessing.text
        tokens = None if text is None else self._tokens(text)
        return TrainingRows(self._dataset, job.preprocessing, job.specification, choice, tokens)

    def after(self, stage: Stage, score: float) -> StagePlace:
        """Returns the place that follows a trial with this score."""
        number = stage.place.number + 1
        return StagePlace(number, number * self._trial_steps, (*stage.place.scores, score))

    def comparison(self, scores: Sequence[float]) -> Comparison | None:
        """Returns what the scores of all trials say; None where there are no trials."""
        if not self._trials:
            return None
        of_uses = {use: scores[index :: len(USES)] for index, use in enumerate(USES)}
        is_gain = self._job.specification.monitor in LARGER_IS_BETTER
        return compare(of_uses, larger_is_better=is_gain)

    def _use_and_fold(self, place: StagePlace) -> tuple[Use, int]:
        if place.number < self._trials:
            fold, index = divmod(place.number, len(USES))
            return USES[index], fold
        comparison = self.comparison(place.scores)
        if comparison is not None:
            return comparison.adopted, NO_FOLD
        outliers = self._job.specification.outliers
        return (outliers.use if outliers is not None else None) or "keep", NO_FOLD

    def _choice(self, use: Use, fold: int) -> RowChoice | None:
        if self._marks is None:
            return None
        return self._marks.choose(self._dataset.parts, use, fold)

    def _stage_job(self, use: Use, fold: int) -> Job:
        outliers = self._job.outliers
        if outliers is None:
            return self._job
        fits = outliers.fits if fold == NO_FOLD else outliers.folds[fold]
        return self._job.model_copy(
            update={
                "preprocessing": fits.of(use),
                "specification": _stage_specification(self._job.specification, fold),
            }
        )


def _stage_specification(specification: TrainingSpecification, fold: int) -> TrainingSpecification:
    """Returns how the models of a fold are trained: the seed differs from fold to fold.

    One seed for all would make every difference that of one set of initial weights.
    """
    if fold == NO_FOLD:
        return specification
    assert specification.proof is not None
    seed = (specification.seed + fold + 1) % _SEEDS
    return specification.model_copy(update={"epochs": specification.proof.epochs, "seed": seed})

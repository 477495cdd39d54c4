"""What is known of the candidates so far, fold by fold."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from common.scoring.outlier_uses import BASELINE, FEWEST_FOLDS, USES, Use
from services.tuner.domain.search.marks import MarksProof, proof_of
from services.tuner.domain.trials.trial import Candidate, Split, TrialFailure, TrialResult

FLOOR, PORTFOLIO, SURROGATE, STACKING = "floor", "portfolio", "surrogate", "stacking"
CONTINUED, REPEATED, OUTLIERS = "continued", "repeated", "outliers"
"""Where candidates come from."""

_THINNED, _LEAST_ROWS = 0.25, 1_000


@dataclass
class Entry:
    """A candidate and what its folds gave.

    Attributes:
        candidate: The candidate.
        origin: Where it comes from, for instance `FLOOR`.
        results: Of the folds 0, 1 and so on, in order; those that failed are not among them.
        failure: The fold that failed; None for none.
        is_continued: Whether it is known from a search that this one goes on from.
    """

    candidate: Candidate
    origin: str
    results: list[TrialResult] = field(default_factory=list)
    failure: TrialResult | None = None
    is_continued: bool = False

    @property
    def folds(self) -> int:
        """How many folds, from the first, have a score."""
        return len(self.results)

    @property
    def has_models(self) -> bool:
        """Whether the estimators of all its folds were kept."""
        return all(each.model_path for each in self.results)

    @property
    def seconds(self) -> float:
        """What a fold took in the mean; 0 where none is done."""
        spent = [each.fit_seconds + each.predict_seconds for each in self.results]
        return sum(spent) / len(spent) if spent else 0.0

    @property
    def losses(self) -> Sequence[float]:
        """Of its folds; where these are very few, of blocks of the rows that they judge."""
        if len(self.results) >= FEWEST_FOLDS:
            return [each.loss for each in self.results]
        return [loss for each in self.results for loss in each.block_losses]

    def loss(self, folds: int) -> float:
        """Returns the mean loss of the first folds."""
        return float(np.mean([each.loss for each in self.results[:folds]]))


class Library:
    """All candidates of a search.

    Attributes:
        splits: The folds.
        parts: Into how many the rows were to be split; of few rows there are fewer.
        entries: The candidates by number.
        proof: What is known of the marks of an outlier scan; None where nothing is.
    """

    def __init__(self, splits: Sequence[Split], parts: int = 0) -> None:
        """Begins without candidates.

        Args:
            splits: The folds.
            parts: See the class; as many as there are by default.
        """
        self.splits = splits
        self.parts = parts or len(splits)
        self.entries: dict[int, Entry] = {}
        self.proof: MarksProof | None = None

    @property
    def fold_count(self) -> int:
        """How many folds a complete candidate has."""
        return len(self.splits)

    @cached_property
    def digest(self) -> str:
        """Of the folds: what was judged on others says nothing of these."""
        found = hashlib.sha256()
        for each in self.splits:
            found.update(each.train.tobytes() + each.judged.tobytes())
        return found.hexdigest()

    @property
    def share(self) -> float:
        """Share of the rows that trials learn from: of many it falls until a trial ends in time."""
        tasks = [each.results[0].task for each in self.entries.values() if each.results]
        if tasks:
            return tasks[0].share
        failures = [each.failure for each in self.entries.values() if each.failure]
        times = sum(each.failure is TrialFailure.OUT_OF_TIME for each in failures)
        return min(1.0, max(_THINNED**times, _LEAST_ROWS / len(self.splits[0].train)))

    def register(self, candidate: Candidate, origin: str) -> Entry:
        """Adds a candidate without results, and returns its entry."""
        entry = self.entries[candidate.number] = Entry(candidate, origin)
        return entry

    def add(self, result: TrialResult) -> None:
        """Adds what a fold gave."""
        entry = self.entries[result.task.candidate.number]
        if result.failure is None:
            entry.results.append(result)
        else:
            entry.failure = result
        if entry.candidate.counterpart is not None:
            self.prove()

    @property
    def adopted(self) -> Use:
        """What candidates may make of the marks of an outlier scan, as far as that is proven."""
        return BASELINE if self.proof is None else self.proof.comparison.adopted

    def prove(self) -> None:
        """Looks anew at what marks are worth: at candidates that are complete by each use."""
        complete = [each for each in self.entries.values() if each.folds == self.fold_count]
        by_number: dict[int, dict[Use, Sequence[float]]] = {}
        for each in complete:
            candidate = each.candidate
            number = candidate.number if candidate.use == BASELINE else candidate.counterpart
            if number is not None:
                by_number.setdefault(number, {})[candidate.use] = each.losses
        found = [each for each in by_number.values() if len(each) == len(USES)]
        self.proof = proof_of(found)

    def alike(self, entry: Entry) -> list[Entry]:
        """Returns the candidates with the same settings, itself included."""
        return [each for each in self.entries.values() if each.candidate.is_like(entry.candidate)]

    def reached(self, folds: int) -> list[Entry]:
        """Returns the candidates that have at least so many folds, the best first.

        What learns by marks that nothing is proven of is none of them.
        """
        allowed = {BASELINE, self.adopted}
        found = [
            each
            for each in self.entries.values()
            if each.folds >= folds and each.candidate.uses <= allowed
        ]
        return sorted(found, key=lambda each: each.loss(folds))

    @property
    def complete(self) -> list[Entry]:
        """The candidates with all folds, the best first."""
        return self.reached(self.fold_count)

    @property
    def best(self) -> Entry | None:
        """The candidate with the smallest loss among those with most folds; None for none."""
        most = max((each.folds for each in self.entries.values()), default=0)
        return self.reached(most)[0] if most else None

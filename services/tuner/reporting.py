"""What watchers of a search hear of it, and when it stops before its time."""

from collections import Counter

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.runs.owner import RunOwner
from common.scoring.metric import Metric
from services.tuner.budget import Budget
from services.tuner.domain.history import History
from services.tuner.domain.search.library import Library
from services.tuner.domain.search.marks import MarksProof
from services.tuner.domain.trials.trial import TrialResult
from services.tuner.outliers import proof_words

MOST_SHARE = 0.99
"""Most of the progress before the end."""

_METRICS_SECONDS = 1.0
# Of a large model: what a second packages and opens again, and what blending takes before.
_PACKAGED_BYTES = 20e6
_LIKELY_PARTS = 3
_USUAL_PACKAGING, _BLENDING_SECONDS = 1.0, 2.0


class Reporter:
    """Tells watchers of a search how it goes."""

    def __init__(
        self,
        owner: RunOwner[tuner_pb2.TuningRun],
        budget: Budget,
        history: History,
        metric: Metric,
    ) -> None:
        """Has heard of no trial yet.

        Args:
            owner: The run.
            budget: Its time.
            history: Is told of each trial.
            metric: What is made small.
        """
        self._owner = owner
        self._budget = budget
        self._history = history
        self._metric = metric
        self._failures: Counter[str] = Counter()
        self._best = float("inf")
        self._message = "the trials' process starts"
        self._told = -_METRICS_SECONDS
        self._publishing = 0.0
        self._told_proof: MarksProof | None = None

    def is_stopped(self) -> bool:
        """Whether the run was cancelled, or what is found takes the time left to be published.

        Asked again and again, so progress is told here.
        """
        self._owner.progress(
            min(self._budget.share, MOST_SHARE), "searching", self._message, self._budget.left
        )
        is_late = self._publishing > 0 and self._budget.left < self._publishing
        return is_late or self._owner.cancelled.is_set()

    def watch(self, library: Library, result: TrialResult) -> None:
        """Hears of a trial; see `Watch`."""
        self._history.watch(library, result)
        if result.failure is not None:
            self._tell_failure(result)
        self._tell_proof(library)
        best = library.best
        if best is None:
            return
        self._publishing = publishing_seconds(library)
        loss, candidate = best.loss(best.folds), best.candidate
        score = f"{self._metric.name} {self._metric.shown(loss):.4g}"
        tried = sum(each.folds > 0 for each in library.entries.values())
        candidates = "candidate" if tried == 1 else "candidates"
        self._message = f"{score} at best, {tried} {candidates} tried"
        is_better = loss < self._best
        if is_better:
            self._best = loss
            self._owner.log(
                f"Candidate {candidate.number} ({candidate.family}, {best.origin}) is the best so "
                f"far: {score} over {best.folds} of {library.fold_count} folds.",
                source="search",
            )
        if is_better or self._budget.spent - self._told >= _METRICS_SECONDS:
            self._tell_metrics(loss, tried)

    def failures_told(self) -> str:
        """Returns how many trials failed, for a sentence."""
        told = ", ".join(f"{count} {name}" for name, count in self._failures.items())
        return f" ({told.replace('_', ' ')})" if told else ""

    def _tell_proof(self, library: Library) -> None:
        if library.proof != self._told_proof:
            self._told_proof = library.proof
            self._owner.log(proof_words(library, self._metric), source="outliers")

    def _tell_failure(self, result: TrialResult) -> None:
        candidate, failure = result.task.candidate, str(result.failure)
        self._failures[failure] += 1
        self._owner.log(
            f"Candidate {candidate.number} ({candidate.family}), fold {result.task.fold + 1}: "
            f"{failure.replace('_', ' ')}. {result.message}",
            event_pb2.SEVERITY_WARNING,
            source="trial",
        )

    def _tell_metrics(self, loss: float, tried: int) -> None:
        self._told = self._budget.spent
        steps = self._history.steps
        values = {
            f"best/{self._metric.name}": self._metric.shown(loss),
            "candidates/tried": float(tried),
            "trials/scored": float(sum(each.failure is None for each in steps)),
            **{f"trials/{name}": float(count) for name, count in self._failures.items()},
        }
        self._owner.metrics(values, step=len(steps))


def publishing_seconds(library: Library) -> float:
    """Returns about how long a blend of the best takes to be packaged; 0 where it is small."""
    best = library.complete[:_LIKELY_PARTS]
    seconds = sum(trial.model_bytes for each in best for trial in each.results) / _PACKAGED_BYTES
    return seconds + _BLENDING_SECONDS if seconds > _USUAL_PACKAGING else 0.0

"""What a search found, in short."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aimass.tuner.v1 import tuner_pb2
from common.errors import FailedPreconditionError
from common.models.estimators.combining import Doubted, Mean, tilted
from services.tuner.champion.contest import Contest
from services.tuner.champion.words import comparison_words
from services.tuner.domain.ensemble.final import pool_of
from services.tuner.domain.ensemble.judging import judge
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.history import History
from services.tuner.domain.problem import Outputs, Problem, ProblemKind
from services.tuner.domain.search.library import FLOOR, Entry
from services.tuner.domain.search.tuning import Settings, Tuned
from services.tuner.loading import Loaded
from services.tuner.outliers import outcome_of
from services.tuner.trainings.listing import add_guests

_MEANS = {
    Mean.PLAIN: "the weighted mean of their outputs",
    Mean.LOGITS: "the weighted mean of the logarithms of their probabilities",
    Mean.ODDS: "the weighted mean of their log odds",
    Mean.MEDIAN: "the weighted median of their outputs",
}
_COMPARING_SHARE, _LONGEST_COMPARING = 0.02, 5.0


@dataclass(frozen=True)
class Result:
    """What came of a search.

    Attributes:
        loaded: What it worked with.
        settings: What it might do.
        tuned: What it found.
        history: The trials.
        warnings: What is odd about the data.
        note: Why it ended before its time, a sentence; empty where it did not.
        contest: What the champion says of the test rows; None where none was named.
        scan: The outlier scan whose marks were tried; empty for none.
    """

    loaded: Loaded
    settings: Settings
    tuned: Tuned
    history: History
    warnings: Sequence[str]
    note: str
    contest: Contest | None = None
    scan: str = ""


def summary_of(result: Result) -> tuner_pb2.TuningSummary:
    """Returns what was found. Predicts the test rows."""
    tuned = result.tuned
    entries = list(tuned.library.entries.values())
    failed = [each.failure.failure for each in entries if each.failure is not None]
    floors = _floor_losses(tuned)
    summary = tuner_pb2.TuningSummary(
        verdict=_verdict(tuned, entries, floors, result.note),
        metric=tuned.metric.name,
        score=tuner_pb2.Score(
            value=tuned.metric.shown(tuned.ensemble.loss),
            standard_error=_finite(tuned.ensemble.error),
        ),
        floor_scores={name: tuned.metric.shown(loss) for name, loss in floors.items()},
        members=_members(tuned),
        candidate_count=sum(each.folds > 0 for each in entries),
        trial_count=sum(each.folds for each in entries),
        failures=Counter(str(each) for each in failed),
        row_count=result.loaded.problem.row_count,
        warnings=result.warnings,
        blend=_blend(tuned.ensemble),
    )
    add_guests(summary, tuned)
    if result.scan:
        summary.outliers.CopyFrom(outcome_of(result.scan, tuned, result.loaded.problem))
        summary.verdict += f" {summary.outliers.verdict}"
    if result.loaded.test is not None:
        _add_tests(summary, result, result.loaded.test)
    summary.first_model_after.FromNanoseconds(round(result.history.first_model * 1e9))
    return summary


def _add_tests(summary: tuner_pb2.TuningSummary, result: Result, test: Problem) -> None:
    """Adds the score on test rows, and what the champion does there."""
    tuned, settings, contest = result.tuned, result.settings, result.contest
    outputs = _test_outputs(tuned, test)
    score = _test_score(tuned, test, outputs)
    if score is not None:
        summary.test_score.value = score
    if contest is None:
        return
    seconds = min(_COMPARING_SHARE * settings.seconds, _LONGEST_COMPARING)
    try:
        comparison = contest.against(tuned.metric, outputs, settings.seed, seconds)
    except FailedPreconditionError as error:  # What was found is not worse for that.
        summary.warnings.append(error.message)
        return
    summary.comparison.CopyFrom(comparison)
    summary.verdict += f" {comparison_words(comparison, summary.metric)}"


def _test_outputs(tuned: Tuned, test: Problem) -> Outputs:
    """Returns what the model says of test rows, shifted as its decisions are."""
    outputs = _outputs(tuned, test)
    tilts = tuned.ensemble.tilts
    if tilts is not None:
        outputs = tilted(outputs, tilts, test.kind is not ProblemKind.MULTI_LABEL)
    return outputs


def _test_score(tuned: Tuned, test: Problem, outputs: Outputs) -> float | None:
    """Returns the score of the model on test rows; None where the metric is not defined there."""
    try:
        loss = tuned.metric.loss(test.truth, outputs, test.weights)
    except ValueError:  # A class may have no row there.
        return None
    return tuned.metric.shown(loss) if np.isfinite(loss) else None


def _outputs(tuned: Tuned, test: Problem) -> Outputs:
    if test.kind is ProblemKind.REGRESSION:
        return np.asarray(tuned.estimator.predict(test.features), np.float64).reshape(-1, 1)
    return np.asarray(tuned.estimator.predict_proba(test.features), np.float64)


def _verdict(tuned: Tuned, entries: Sequence[Entry], floors: Mapping[str, float], note: str) -> str:
    metric, ensemble = tuned.metric, tuned.ensemble
    tried = sum(each.folds > 0 for each in entries)
    told = (
        f"{metric.name} {metric.shown(ensemble.loss):.4g} on rows that were not learned from, by "
        f"{chosen_words(len(ensemble.weights), tried)}."
    )
    if floors:
        best = min(floors, key=lambda family: floors[family])
        shown = metric.shown(floors[best])
        told += f" Of what anybody would try first, {best} is best with {shown:.4g}."
    elif any(each.origin == FLOOR for each in entries):
        told += " There was no time for what anybody would try first: give it a larger budget."
    return f"{told} {note}".strip()


def chosen_words(parts: int, tried: int) -> str:
    """Returns how many models were chosen of how many, as words that follow `by`."""
    if tried == 1:
        return "the only model that has a score"
    chosen = "one model" if parts == 1 else f"a blend of {parts} models"
    return f"{chosen} of {tried} that were tried"


def _floor_entries(tuned: Tuned) -> list[Entry]:
    """Returns those with all folds: the score of a few is not comparable."""
    return [each for each in tuned.library.complete if each.origin == FLOOR]


def _floor_losses(tuned: Tuned) -> dict[str, float]:
    """Returns the loss of each as it would be used: its probabilities as they are."""
    found = {}
    for each in _floor_entries(tuned):
        results = {each.candidate.number: each.results}
        pool = pool_of(tuned.problem, tuned.metric, results, tuned.library.splits)
        found[each.candidate.family] = judge(pool, np.asarray(pool.outputs[0], np.float64)).loss
    return found


def _members(tuned: Tuned) -> list[tuner_pb2.Member]:
    weights = tuned.ensemble.weights
    total = sum(weights.values())
    order = sorted(weights, key=lambda number: (-weights[number], number))
    return [
        tuner_pb2.Member(
            candidate=number,
            family=tuned.library.entries[number].candidate.family,
            weight=weights[number] / total,
        )
        for number in order
    ]


def _blend(ensemble: Ensemble) -> str:
    if len(ensemble.weights) == 1:
        words = "one model, the mean of its folds"
    else:
        words = _MEANS[ensemble.mean]
    if ensemble.calibration is not None:
        is_only_doubt = isinstance(ensemble.calibration, Doubted) and not ensemble.calibration.first
        words += "; no surer than rows allow" if is_only_doubt else "; then a calibration"
    if ensemble.tilts is not None:
        words += "; decisions are shifted to suit the metric"
    return words


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0

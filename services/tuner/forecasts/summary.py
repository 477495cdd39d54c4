"""What a search for forecasts found, in short."""

from dataclasses import dataclass

from aimass.tuner.v1 import tuner_pb2
from common.models.estimators.forecasting.forecaster import Forecaster
from services.tuner.domain.forecasting.testing import ForecastTest
from services.tuner.domain.forecasting.tuning import ForecastSettings, TunedForecast
from services.tuner.domain.history import History
from services.tuner.domain.search.library import FLOOR
from services.tuner.domain.search.tuning import Settings, Tuned
from services.tuner.forecasts.loading import LoadedSeries
from services.tuner.loading import Loaded
from services.tuner.summary import Result, chosen_words, summary_of

SEASONAL_NAIVE = "seasonal_naive"
"""What anybody would say first: the last season again and again."""


@dataclass(frozen=True)
class Found:
    """What came of a search for forecasts.

    Attributes:
        loaded: What it worked with.
        settings: What it might do.
        tuned: What it found.
        test: What that is worth on the steps put aside; None where there was no time.
        model: What is published.
        history: The trials.
        note: What else is to be said, in sentences; may be empty.
    """

    loaded: LoadedSeries
    settings: ForecastSettings
    tuned: TunedForecast
    test: ForecastTest | None
    model: Forecaster
    history: History
    note: str


def summary_of_forecast(found: Found) -> tuner_pb2.TuningSummary:
    """Returns what was found."""
    tuned = found.tuned
    summary = summary_of(_as_result(found))
    summary.verdict = _verdict(found)
    summary.row_count = found.loaded.learned.row_count
    summary.ClearField("floor_scores")
    floor = floor_score(tuned)
    if floor is not None:
        summary.floor_scores[SEASONAL_NAIVE] = floor
    if len(tuned.ensemble.weights) == 1:
        summary.blend = "one way to forecast"
    if found.test is not None:
        summary.test_score.value = tuned.metric.shown(found.test.loss)
    return summary


def floor_score(tuned: TunedForecast) -> float | None:
    """Returns the score of the seasonal naive forecast; None where it has not all windows."""
    floors = [each for each in tuned.library.complete if each.origin == FLOOR]
    return tuned.metric.shown(floors[0].loss(floors[0].folds)) if floors else None


def _as_result(found: Found) -> Result:
    tuned, settings = found.tuned, found.settings
    return Result(
        Loaded(tuned.problem, None, 0),
        Settings(seconds=settings.seconds, metric=tuned.metric, seed=settings.seed),
        Tuned(tuned.problem, tuned.estimator, tuned.metric, tuned.ensemble, tuned.library),
        found.history,
        found.loaded.warnings,
        found.note,
    )


def _verdict(found: Found) -> str:
    tuned = found.tuned
    name, metric, ensemble = tuned.metric.name, tuned.metric, tuned.ensemble
    tried = sum(each.folds > 0 for each in tuned.library.entries.values())
    score, floor = metric.shown(ensemble.loss), floor_score(tuned)
    told = [
        f"{name} {score:.4g} over {_windows(found)} of the past, by "
        f"{chosen_words(len(ensemble.weights), tried)}."
    ]
    if floor is not None:
        told.append(f"The last season again and again (seasonal naive) has {floor:.4g}.")
    test = found.test
    if test is not None:
        told.append(
            f"On steps that were put aside from the start, the model has "
            f"{metric.shown(test.loss):.4g} and the last season again and again "
            f"{metric.shown(test.floor_loss):.4g}."
        )
    return " ".join(filter(None, [*told, *found.loaded.notes[-1:], found.note]))


def _windows(found: Found) -> str:
    count, horizon = found.tuned.library.fold_count, found.loaded.whole.horizon
    windows = "one window" if count == 1 else f"{count} windows"
    return f"{windows} of {horizon:,} {'step' if horizon == 1 else 'steps'}"

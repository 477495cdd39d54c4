"""A search for forecasts under way: from what was loaded to what is published."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.errors import FailedPreconditionError
from common.models.estimators.forecasting.forecaster import Forecaster
from common.models.packaging import packaged, store_package
from common.runs.owner import RunOwner
from common.scoring.kinds import ProblemKind
from services.tuner.budget import Budget
from services.tuner.domain.forecasting.growing import grown
from services.tuner.domain.forecasting.judging import judging_of
from services.tuner.domain.forecasting.testing import ForecastTest, forecast_test
from services.tuner.domain.forecasting.tuning import (
    ForecastSettings,
    NothingLearnedError,
    TunedForecast,
    tune_forecast,
)
from services.tuner.domain.history import History
from services.tuner.domain.page.forecast_page import ForecastFacts, forecast_page
from services.tuner.domain.specification import TuningSpecification
from services.tuner.forecasts.loading import LoadedSeries, load_series
from services.tuner.forecasts.publishing import vector_rows
from services.tuner.forecasts.summary import Found, summary_of_forecast
from services.tuner.publication import Publication
from services.tuner.recording.memory import Memory
from services.tuner.reporting import MOST_SHARE, Reporter

_log = logging.getLogger(__name__)

_TEST_SHARE, _GROW_SHARE = 0.04, 0.06
_LONGEST_TEST, _LONGEST_GROW = 120.0, 180.0
_LEAST_SECONDS, _HURRY = 1.0, 3.0
_CANCELLED = "The search was cancelled; this is the best by then."
_NOT_GROWN = (
    "There was no time to go on from the newest steps: the model goes on from where the test steps "
    "begin. Give the search a larger budget."
)


@dataclass(frozen=True)
class ForecastSearch:
    """One attempt at a search for forecasts. It goes on after the trials of earlier ones.

    Attributes:
        owner: The search.
        specification: Resolved.
        budget: Its time.
        publication: Where results go.
        folder: For files on their way.
    """

    owner: RunOwner[tuner_pb2.TuningRun]
    specification: TuningSpecification
    budget: Budget
    publication: Publication
    folder: Path

    def found(self, version: dataset_pb2.DatasetVersion) -> tuner_pb2.TuningRun:
        """Returns what the run gets; its model is in the catalog then.

        Args:
            version: The data.

        Raises:
            FailedPreconditionError: Nothing can be learned from the data.
        """
        owner = self.owner
        loaded = load_series(self.specification, version, owner.store, owner.check_cancelled)
        for note in loaded.notes:
            owner.log(note, source="data")
        for note in loaded.warnings:
            owner.log(note, event_pb2.SEVERITY_WARNING, source="data")
        memory = Memory(owner, self.specification, self.folder)
        history = memory.history(self.budget.spent)
        settings = self._settings()
        tuned = self._tuned(loaded, settings, memory, history)
        note = self._note(tuned)
        owner.progress(MOST_SHARE, "testing", remaining=self.budget.left)
        test = self._tested(loaded, tuned)
        model, grown_note = self._grown(loaded, tuned)
        history.end()
        notes = " ".join(filter(None, (note, grown_note)))
        return self._published(Found(loaded, settings, tuned, test, model, history, notes))

    def _settings(self) -> ForecastSettings:
        wanted = self.specification
        assert wanted.trial_memory_bytes is not None, "the specification is not resolved"
        aside = self._seconds(_TEST_SHARE, _LONGEST_TEST)
        aside += self._seconds(_GROW_SHARE, _LONGEST_GROW)
        return ForecastSettings(
            seconds=max(self.budget.for_search() - aside, _LEAST_SECONDS),
            metric=wanted.metric,
            memory_bytes=wanted.trial_memory_bytes,
            concurrency=wanted.concurrency,
            families=wanted.families,
            seed=wanted.seed,
        )

    def _tuned(
        self, loaded: LoadedSeries, settings: ForecastSettings, memory: Memory, history: History
    ) -> TunedForecast:
        metric = judging_of(loaded.learned, settings.metric).metric
        reporter = Reporter(self.owner, self.budget, history, metric)
        trials = self.folder / "trials"
        trials.mkdir()
        try:
            with memory.kept(reporter.watch) as watch:
                return tune_forecast(
                    loaded.learned, settings, trials, watch, reporter.is_stopped, memory.earlier
                )
        except NothingLearnedError as error:
            raise FailedPreconditionError(
                f"Nothing can be forecast: {error}", reason="DATA_CANNOT_BE_LEARNED"
            ) from error

    def _note(self, tuned: TunedForecast) -> str:
        """Returns why no more was found."""
        if self.owner.cancelled.is_set():
            return _CANCELLED
        if sum(each.folds > 0 for each in tuned.library.entries.values()) > 1:
            return ""
        note = (
            f"The budget of {self.budget.seconds:g} s is too small for a search: the model says "
            "the last season again and again; give it a larger one."
        )
        self.owner.log(note, event_pb2.SEVERITY_WARNING, "search")
        return note

    def _tested(self, loaded: LoadedSeries, tuned: TunedForecast) -> ForecastTest | None:
        is_over = self._patience(_TEST_SHARE, _LONGEST_TEST)
        return forecast_test(
            tuned.estimator, loaded.whole, loaded.learned, tuned.metric.name, is_over
        )

    def _grown(self, loaded: LoadedSeries, tuned: TunedForecast) -> tuple[Forecaster, str]:
        """Returns the model that knows all steps, and what is to be said of it."""
        is_over = self._patience(_GROW_SHARE, _LONGEST_GROW)

        def check() -> None:
            if is_over():
                raise TimeoutError

        try:
            return grown(tuned.estimator, loaded.whole, check), ""
        except TimeoutError:
            self.owner.log(_NOT_GROWN, event_pb2.SEVERITY_WARNING, "search")
            return tuned.estimator, _NOT_GROWN

    def _patience(self, share: float, longest: float) -> Callable[[], bool]:
        """Returns what says whether a share of the budget is over; once cancelled it is less."""
        start, seconds = time.monotonic(), self._seconds(share, longest)

        def is_over() -> bool:
            self.owner.check()
            is_cancelled = self.owner.cancelled.is_set()
            return time.monotonic() - start > (min(seconds, _HURRY) if is_cancelled else seconds)

        return is_over

    def _seconds(self, share: float, longest: float) -> float:
        return min(max(share * self.budget.seconds, _LEAST_SECONDS), longest)

    def _published(self, found: Found) -> tuner_pb2.TuningRun:
        self.owner.progress(MOST_SHARE, "publishing", remaining=self.budget.left)
        tuned = found.tuned
        with self.publication.tidy():
            package = packaged(found.model, vector_rows(found.model))
            prefix = self.publication.model_prefix
            model = store_package(self.owner.store, prefix, package, ProblemKind.FORECASTING)
            run = self.publication.listed(tuned.library, tuned.metric, tuned.ensemble)
            run.summary.CopyFrom(summary_of_forecast(found))
            self.publication.add_page(run, self._page(found))
        self.publication.register(model, run)
        return run

    def _page(self, found: Found) -> str:
        """Returns the page; empty where it cannot be made, which costs nobody the model."""
        wanted = self.specification
        facts = ForecastFacts(
            title=f"Search {self.owner.name}",
            target=wanted.targets[0],
            seconds=self.budget.seconds,
            lineage=[
                ("Search", self.owner.name),
                ("Data", wanted.dataset_version),
                ("Model", wanted.model),
            ],
            warnings=found.loaded.warnings,
            note=found.note,
        )
        try:
            return forecast_page(found.tuned, found.test, found.history, found.settings, facts)
        except Exception:
            _log.exception("the page cannot be made")
            self.owner.log("The page cannot be made.", event_pb2.SEVERITY_WARNING, "search")
            return ""

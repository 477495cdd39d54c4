"""Entry point of a search's own process: `python -m services.tuner.job RUN | --standby`."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import event_pb2
from common.calls.catalog import ask_catalog
from common.errors import FailedPreconditionError
from common.models.packaging import packaged, store_package
from common.reports.report import Notice, Severity
from common.runs.errors import RunCancelledError
from common.runs.job import run_job
from common.runs.owner import RunOwner
from common.runs.scratch import scratch_folder
from common.scoring.costs import cost_matrix_of
from common.scoring.kinds import ProblemKind
from common.scoring.metric import Metric
from common.scoring.registry import metric_for
from services.tuner.budget import Budget
from services.tuner.champion.entering import contest_of
from services.tuner.convert import specification_from_proto
from services.tuner.domain.cautions import cautions
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.history import History
from services.tuner.domain.page.tuning_page import Facts, tuning_page
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.fallback import small_model
from services.tuner.domain.search.loop import fitting_families
from services.tuner.domain.search.tuning import NothingLearnedError, Settings, Tuned, tune
from services.tuner.domain.trials.hosting import prepare_host
from services.tuner.kind import TUNING_RUNS
from services.tuner.limits import limits_of, told_exceeded
from services.tuner.loading import Loaded, load_problem
from services.tuner.publication import Publication
from services.tuner.recording.memory import Memory
from services.tuner.remembering import known_sets, remember
from services.tuner.reporting import MOST_SHARE, Reporter
from services.tuner.summary import Result, summary_of
from services.tuner.trainings.entering import trainings
from services.tuner.trainings.listing import sources_of
from services.tuner.twinning import Twins

Owner = RunOwner[tuner_pb2.TuningRun]

_log = logging.getLogger(__name__)

_CURE = "make room there, or set TMPDIR to a folder with room, and tune again"
_CAUTION_SHARE, _LONGEST_CAUTION = 0.02, 10.0
_CANCELLED = "The search was cancelled; this is the best by then."
_ODD = "Something is odd about the data"


def run_tuning(owner: Owner) -> None:
    """Searches as the run asks for and publishes the best; also where it is cancelled meanwhile."""
    with scratch_folder("tuning", owner.run, None, _CURE) as folder:
        _Tuning(owner, folder).work()


class _Tuning:
    """One attempt. It goes on after the trials of earlier ones, in the time that they left."""

    def __init__(self, owner: Owner, folder: Path) -> None:
        self._owner = owner
        self._folder = folder
        self._specification = specification_from_proto(owner.run.spec)
        self._budget = Budget.of(self._specification.budget, owner.run.status)
        self._publication = Publication(owner, self._specification, folder, ask_catalog)

    def work(self) -> None:
        owner = self._owner
        owner.progress(0.0, "loading")
        name = self._specification.dataset_version
        version = ask_catalog(lambda catalog: catalog.dataset_version(name))
        if self._specification.kind is ProblemKind.FORECASTING:
            self._succeed(self._forecast(version))
            return
        loaded = load_problem(self._specification, version, owner.store, owner.check_cancelled)
        warnings = self._warnings(loaded)
        metric = self._metric(loaded.problem)
        contest = contest_of(
            owner, self._specification, version, loaded, metric, self._budget, self._folder
        )
        memory = Memory(owner, self._specification, self._folder)
        self._budget = replace(self._budget, has_model=memory.earlier.has_model)
        history = memory.history(self._budget.spent)
        settings = self._settings(loaded)
        result = self._searched(loaded, settings, memory, history, warnings)
        result = replace(result, contest=contest, scan=self._scan)
        history.end()
        found = self._published(result)
        remember(owner.store, owner.name, result)
        self._succeed(found)

    @property
    def _scan(self) -> str:
        outliers = self._specification.outliers
        return "" if outliers is None else outliers.scan

    def _succeed(self, found: tuner_pb2.TuningRun) -> None:
        try:
            self._owner.succeed(lambda run: run.MergeFrom(found))
        except RunCancelledError:
            self._owner.update(lambda run: run.MergeFrom(found))
            raise

    def _forecast(self, version: dataset_pb2.DatasetVersion) -> tuner_pb2.TuningRun:
        # Imported here: libraries of forecasts take seconds, and other searches do without.
        from services.tuner.forecasts.searching import ForecastSearch  # noqa: PLC0415

        search = ForecastSearch(
            self._owner, self._specification, self._budget, self._publication, self._folder
        )
        return search.found(version)

    def _warnings(self, loaded: Loaded) -> list[str]:
        seconds = min(_CAUTION_SHARE * self._budget.seconds, _LONGEST_CAUTION)
        found = list(cautions(loaded.problem, loaded.test, seconds))
        if loaded.dropped:
            found.append(f"{loaded.dropped:,} rows without a value of the target were left out.")
        for each in found:
            self._owner.log(each, event_pb2.SEVERITY_WARNING, source="data")
        return found

    def _settings(self, loaded: Loaded) -> Settings:
        problem = loaded.problem
        self._check_families(problem)
        wanted = self._specification
        assert wanted.trial_memory_bytes is not None, "the specification is not resolved"
        return Settings(
            seconds=self._budget.for_search(len(problem.columns)),
            metric=self._metric(problem),
            memory_bytes=wanted.trial_memory_bytes,
            concurrency=wanted.concurrency,
            families=tuple(each for each in wanted.families if each in FAMILIES),
            limits=limits_of(wanted),
            seed=wanted.seed,
            known=known_sets(wanted.portfolio, self._owner.store, self._budget.seconds),
            rows_to_predict=loaded.test.row_count if loaded.test is not None else 0,
        )

    def _searched(
        self,
        loaded: Loaded,
        settings: Settings,
        memory: Memory,
        history: History,
        warnings: list[str],
    ) -> Result:
        problem = loaded.problem
        reporter = Reporter(self._owner, self._budget, history, self._metric(problem))
        trials = self._folder / "trials"
        trials.mkdir()
        try:
            arm = trainings(self._owner, self._specification, loaded, settings)
            with arm as trained, memory.kept(trained.heard(reporter.watch)) as watch:
                own, stop = trained.search_settings(), reporter.is_stopped
                tuned = tune(problem, own, trials, watch, stop, memory.earlier)
                trained.wait(stop)
            tuned = trained.joined(tuned)
            warnings += trained.warnings
            warnings += told_exceeded(self._owner, tuned, settings.limits)
        except NothingLearnedError:
            self._owner.check_cancelled()
            tuned, problem = self._small_model(problem, settings, trials, reporter)
            note = (
                f"The budget of {self._budget.seconds:g} s is too small for a search: this is a "
                f"small model of {problem.row_count:,} rows; give it a larger one."
            )
            self._owner.log(note, event_pb2.SEVERITY_WARNING, "search")
            small = replace(loaded, problem=problem)
            return Result(small, settings, tuned, history, warnings, note)
        note = _CANCELLED if self._owner.cancelled.is_set() else ""
        return Result(loaded, settings, tuned, history, warnings, note)

    def _small_model(
        self, problem: Problem, settings: Settings, folder: Path, reporter: Reporter
    ) -> tuple[Tuned, Problem]:
        try:
            return small_model(problem, self._metric(problem), settings, folder)
        except NothingLearnedError as error:
            raise FailedPreconditionError(
                f"No model could be fitted within the budget of {self._budget.seconds:g} s"
                f"{reporter.failures_told()}; give it a larger one.",
                reason="BUDGET_TOO_SMALL",
            ) from error

    def _metric(self, problem: Problem) -> Metric:
        costs = self._specification.costs
        if costs is None:
            return metric_for(problem.kind, self._specification.metric)
        try:
            matrix = costs.matrix(problem.outputs)
        except KeyError as error:
            raise FailedPreconditionError(
                f"The costs have no row for the class {error}, which the data have."
            ) from None
        return cost_matrix_of(matrix, len(problem.outputs), "costs")

    def _check_families(self, problem: Problem) -> None:
        wanted = self._specification.families or tuple(FAMILIES)
        allowed = [FAMILIES[name] for name in wanted if name in FAMILIES]
        fitting, reasons = fitting_families(problem, allowed)
        if not fitting:
            told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise FailedPreconditionError(
                f"None of the families fits the data ({told}).", reason="NO_FAMILY_FITS"
            )

    def _published(self, result: Result) -> tuner_pb2.TuningRun:
        """Returns what the run gets; its model is in the catalog then."""
        self._owner.progress(MOST_SHARE, "publishing", remaining=self._budget.left)
        store, problem = self._owner.store, result.loaded.problem
        with self._publication.tidy():
            package = packaged(result.tuned.estimator, problem.features)
            prefix = self._publication.model_prefix
            model = store_package(store, prefix, package, problem.kind)
            twins = Twins(self._owner, prefix, self._budget.left)
            twins.add(model, package, result.tuned.estimator, problem)
            found = self._results(result)
        self._publication.register(model, found)
        return found

    def _results(self, result: Result) -> tuner_pb2.TuningRun:
        tuned = result.tuned
        parts = (tuned.library, tuned.metric, tuned.ensemble, tuned.joined)
        found = self._publication.listed(*parts)
        found.summary.CopyFrom(summary_of(result))
        sources = [*filter(None, (self._scan,)), *sources_of(tuned.joined)]
        found.status.lineage.inputs.extend(sources)
        self._publication.add_page(found, self._page(result, found.summary))
        return found

    def _page(self, result: Result, summary: tuner_pb2.TuningSummary) -> str:
        """Returns the page; empty where it cannot be made, which costs nobody the model."""
        facts = Facts(
            title=f"Search {self._owner.name}",
            settings=replace(result.settings, seconds=self._budget.seconds),
            target=", ".join(self._specification.targets),
            lineage=[
                ("Search", self._owner.name),
                ("Data", self._specification.dataset_version),
                *([("Outlier scan", self._scan)] if self._scan else []),
                ("Model", self._specification.model),
            ],
            notices=[Notice(Severity.WARNING, _ODD, each, "") for each in result.warnings],
            note=result.note,
            test_score=summary.test_score.value if summary.HasField("test_score") else None,
            comparison=summary.comparison if summary.HasField("comparison") else None,
            outliers=summary.outliers if summary.HasField("outliers") else None,
        )
        try:
            return tuning_page(result.tuned, result.history, result.tuned.problem, facts)
        except Exception:
            _log.exception("the page cannot be made")
            self._owner.log("The page cannot be made.", event_pb2.SEVERITY_WARNING, "search")
            return ""


def main() -> int:
    """Works on one search; returns the exit code of the process."""
    prepare_host()
    return run_job(TUNING_RUNS, run_tuning)


if __name__ == "__main__":
    sys.exit(main())

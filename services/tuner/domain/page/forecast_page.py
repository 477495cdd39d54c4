"""The page of a search for forecasts, for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.reports.rendering import render
from common.reports.report import Notice, Report, Section, Severity, Table
from common.reports.text import number, shortened
from services.tuner.domain.forecasting.registry import FAMILIES
from services.tuner.domain.forecasting.testing import ForecastTest
from services.tuner.domain.forecasting.tuning import ForecastSettings, TunedForecast
from services.tuner.domain.history import History
from services.tuner.domain.page.blend import blend
from services.tuner.domain.page.costs import costs
from services.tuner.domain.page.evidence import Evidence, Facts, gathered
from services.tuner.domain.page.forecasts import error_by_step, forecasts_of_series
from services.tuner.domain.page.importance import importance
from services.tuner.domain.page.leaderboard import leaderboard
from services.tuner.domain.page.progress import progress
from services.tuner.domain.page.tuning_page import section
from services.tuner.domain.page.verdict import notices, tiles, verdict
from services.tuner.domain.page.words import bytes_words, metric_words, seconds_words
from services.tuner.domain.search.tuning import Settings, Tuned

_ODD = "Something is odd about the data"


@dataclass(frozen=True)
class ForecastFacts:
    """What the page says that the search does not know.

    Attributes:
        title: Of the page.
        target: What is forecast, for people.
        seconds: The whole budget.
        lineage: What went in, what came of it: a word and a resource name each.
        warnings: What is odd about the data, one sentence each.
        note: What else is to be said of the search, in sentences; may be empty.
    """

    title: str
    target: str
    seconds: float
    lineage: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    note: str = ""


def forecast_page(
    tuned: TunedForecast,
    test: ForecastTest | None,
    history: History,
    settings: ForecastSettings,
    facts: ForecastFacts,
) -> str:
    """Returns the page as HTML.

    Args:
        tuned: What was found.
        test: What that is worth on the steps that were put aside; None where it is not known.
        history: What happened when.
        settings: Of the search.
        facts: What the search does not know.
    """
    evidence = _evidence(tuned, test, history, settings, facts)
    backtests = [*tuned.backtests, *(test.backtests if test is not None else ())]
    sections = [
        section("Score over time", lambda: Section("Score over time", progress(evidence))),
        section("Forecasts and truth", lambda: forecasts_of_series(tuned.backtests, test)),
        section("Error by step", lambda: error_by_step(backtests, test)),
        section("What the model is made of", lambda: blend(evidence)),
        section("Leaderboard", lambda: leaderboard(evidence)),
        section("Which choices mattered", lambda: importance(evidence)),
        section("Where the time went", lambda: costs(evidence)),
        _lineage(evidence, tuned, facts),
    ]
    return render(
        Report(
            title=shortened(facts.title, 200),
            facts=tiles(evidence),
            sections=sections,
            summary=(*verdict(evidence), *notices(evidence)),
        )
    )


def _evidence(
    tuned: TunedForecast,
    test: ForecastTest | None,
    history: History,
    settings: ForecastSettings,
    facts: ForecastFacts,
) -> Evidence:
    found = Tuned(tuned.problem, tuned.estimator, tuned.metric, tuned.ensemble, tuned.library)
    known = Facts(
        title=facts.title,
        settings=Settings(
            seconds=facts.seconds,
            metric=tuned.metric,
            memory_bytes=settings.memory_bytes,
            concurrency=settings.concurrency,
            families=settings.families,
            seed=settings.seed,
        ),
        target=facts.target,
        lineage=facts.lineage,
        notices=[Notice(Severity.WARNING, _ODD, each, "") for each in facts.warnings],
        note=facts.note,
        test_score=None if test is None else tuned.metric.shown(test.loss),
    )
    return gathered(tuned.problem, found, history, known, FAMILIES)


def _lineage(evidence: Evidence, tuned: TunedForecast, facts: ForecastFacts) -> Section:
    forecaster, settings = tuned.estimator, evidence.facts.settings
    panel = tuned.problem.panel
    seasons = panel.season_lengths if panel is not None else ()
    rows = [
        *facts.lineage,
        ("Metric", metric_words(tuned.metric)),
        ("Budget", seconds_words(settings.seconds)),
        ("Trials at once", number(settings.concurrency)),
        ("Memory of a trial", bytes_words(settings.memory_bytes)),
        ("Series", number(len(forecaster.labels_))),
        ("Steps to forecast", number(forecaster.horizon_)),
        ("Steps in a season", ", ".join(map(str, seasons)) or "none"),
        ("Windows of the past", number(tuned.library.fold_count)),
        ("Seed", str(settings.seed)),
    ]
    caption = "What went in, what came of it, and with which settings."
    return Section("Lineage", [Table(("What", "Value"), rows, caption)])

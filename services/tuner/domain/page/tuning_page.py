"""The page of a search, for people."""

import logging
from collections.abc import Callable

from common.reports.rendering import render
from common.reports.report import Part, Report, Section, Table
from common.reports.text import number, shortened
from services.tuner.domain.history import History
from services.tuner.domain.page.beside import beside
from services.tuner.domain.page.blend import blend
from services.tuner.domain.page.classes import calibration, confusion, labels_found
from services.tuner.domain.page.costs import costs
from services.tuner.domain.page.evidence import Evidence, Facts, gathered
from services.tuner.domain.page.importance import importance
from services.tuner.domain.page.leaderboard import leaderboard
from services.tuner.domain.page.networks import networks
from services.tuner.domain.page.outliers import outliers
from services.tuner.domain.page.progress import progress
from services.tuner.domain.page.values import residuals
from services.tuner.domain.page.verdict import notices, tiles, verdict
from services.tuner.domain.page.words import bytes_words, metric_words, seconds_words
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.search.tuning import Tuned

__all__ = ["Facts", "tuning_page"]

_log = logging.getLogger(__name__)


def tuning_page(tuned: Tuned, history: History, problem: Problem, facts: Facts) -> str:
    """Returns the page as HTML; its size (about 2 MB) does not grow with the rows.

    Args:
        tuned: What was found.
        history: What happened when; without steps there is no score over time.
        problem: What was learned.
        facts: What the search does not know.
    """
    evidence = gathered(problem, tuned, history, facts)
    sections = [
        section("Score over time", lambda: Section("Score over time", progress(evidence))),
        section("What the model is made of", lambda: blend(evidence)),
        *networks(evidence),
        *_outliers(evidence),
        section("How well it predicts", lambda: _predictions(evidence)),
        *_beside(evidence),
        section("Leaderboard", lambda: leaderboard(evidence)),
        section("Which choices mattered", lambda: importance(evidence)),
        section("Where the time went", lambda: costs(evidence)),
        _lineage(evidence),
    ]
    return render(
        Report(
            title=shortened(facts.title, 200),
            facts=tiles(evidence),
            sections=sections,
            summary=(*verdict(evidence), *notices(evidence)),
        )
    )


def _beside(evidence: Evidence) -> list[Section]:
    comparison = evidence.facts.comparison
    if comparison is None:
        return []
    return [section("Beside the champion", lambda: beside(evidence, comparison))]


def _outliers(evidence: Evidence) -> list[Section]:
    outcome = evidence.facts.outliers
    if outcome is None:
        return []
    return [section("With the marks of an outlier scan", lambda: outliers(evidence, outcome))]


def section(title: str, made: Callable[[], Section]) -> Section:
    """Returns a section; whatever is wrong with one, the others are whole.

    Args:
        title: Of the section that says what is wrong.
        made: Makes it.
    """
    try:
        return made()
    except Exception as error:
        _log.exception("The section %s cannot be shown", title)
        return Section(title, [f"This cannot be shown: {type(error).__name__}: {error}"[:300]])


def _predictions(evidence: Evidence) -> Section:
    parts: list[Part]
    kind = evidence.problem.kind
    if kind is ProblemKind.REGRESSION:
        parts = residuals(evidence)
    else:
        first = labels_found if kind is ProblemKind.MULTI_LABEL else confusion
        parts = [*first(evidence), *calibration(evidence)]
    note = (
        f"On {number(evidence.pool.row_count)} rows, each by fits that did not learn from it. The "
        "weights of the blend have seen them all, so that this is a little rosier than the score."
    )
    return Section("How well it predicts", parts, note)


def _lineage(evidence: Evidence) -> Section:
    settings = evidence.facts.settings
    rows = [
        *evidence.facts.lineage,
        ("Metric", metric_words(evidence.tuned.metric)),
        ("Budget", seconds_words(settings.seconds)),
        ("Trials at once", number(settings.concurrency)),
        ("Memory of a trial", bytes_words(settings.memory_bytes)),
        ("Folds", number(evidence.tuned.library.fold_count)),
        ("Seed", str(settings.seed)),
    ]
    caption = "What went in, what came of it, and with which settings."
    return Section("Lineage", [Table(("What", "Value"), rows, caption)])

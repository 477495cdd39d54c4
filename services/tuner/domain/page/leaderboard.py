"""All candidates, the best first."""

from collections.abc import Sequence

from common.reports.report import Cell, Part, Section, Table
from common.reports.text import number
from common.scoring.outlier_uses import BASELINE
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import (
    changes_words,
    counted,
    family_words,
    lesson_words,
    metric_words,
    origin_words,
    use_words,
)
from services.tuner.domain.search.library import CONTINUED, Entry

_MOST_ROWS = 60
_MOST_STOPPED = 30


def leaderboard(evidence: Evidence) -> Section:
    """Returns the tables of what was compared and of what was stopped early."""
    stopped = _stopped(evidence)
    below = [Section("Stopped early", stopped)] if stopped else []
    return Section("Leaderboard", [_compared(evidence)], subsections=below)


def settings_words(evidence: Evidence, entry: Entry) -> str:
    """Returns which of a candidate's settings differ from the default, and what it learns from."""
    candidate = entry.candidate
    space = evidence.spaces.get(candidate.family)
    told = changes_words(space, candidate.configuration) if space else "not known"
    if candidate.bases:
        told += f"; {lesson_words(candidate)}"
    return told if candidate.use == BASELINE else f"{told}; {use_words(candidate)}"


def _compared(evidence: Evidence) -> Part:
    entries = evidence.compared
    columns = (
        "Rank",
        "Model",
        "Kind",
        metric_words(evidence.tuned.metric),
        "Weight",
        "Changed settings",
        "Seconds",
        "MB",
        "Origin",
    )
    rows = [_row(evidence, rank, each) for rank, each in enumerate(entries[:_MOST_ROWS], 1)]
    shown = f"The {number(len(rows))} best of " if len(rows) < len(entries) else ""
    caption = (
        f"{shown}{counted(len(entries), 'model')} on {counted(evidence.folds, 'fold')}, judged on "
        "the rows that they did not learn from. Weight: share in the final model. Settings: "
        "those that differ from the default. Seconds: of fitting a fold and predicting it. MB: "
        "all fits. Origin: what anybody would try, what is known to do well, what the search "
        "found, what learns from others, what learns by the marks of an outlier scan, or what an "
        "earlier search found that this one goes on from."
    )
    return Table(columns, rows, caption)


def _row(evidence: Evidence, rank: int, entry: Entry) -> Sequence[Cell]:
    weights = evidence.tuned.ensemble.weights
    weight = weights.get(entry.candidate.number)
    return (
        rank,
        entry.candidate.number,
        family_words(entry.candidate.family),
        evidence.shown(evidence.loss(entry)),
        None if weight is None else round(weight / sum(weights.values()), 3),
        settings_words(evidence, entry),
        round(entry.seconds, 3),
        round(sum(each.model_bytes for each in entry.results) / 1e6, 3),
        origin_words(CONTINUED if entry.is_continued else entry.origin),
    )


def _stopped(evidence: Evidence) -> list[Part]:
    library = evidence.tuned.library
    entries = [
        each for each in library.reached(1) if each.folds < evidence.folds and each.failure is None
    ]
    if not entries:
        return []
    rows = [
        (
            each.candidate.number,
            family_words(each.candidate.family),
            evidence.shown(each.loss(1)),
            each.folds,
            settings_words(evidence, each),
            round(each.seconds, 3),
        )
        for each in entries[:_MOST_STOPPED]
    ]
    score = metric_words(evidence.tuned.metric)
    columns = ("Model", "Kind", f"{score}, first fold", "Folds", "Changed settings", "Seconds")
    best = number(evidence.shown(library.reached(1)[0].loss(1)))
    told = f"The {number(len(rows))} best of " if len(rows) < len(entries) else ""
    caption = (
        f"{told}{counted(len(entries), 'model')} that did not get all folds: the first ones "
        f"promised too little, or time was over. On the first fold the best of all has {best}."
    )
    return [Table(columns, rows, caption)]

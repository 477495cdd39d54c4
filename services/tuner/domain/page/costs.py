"""Where the time went, what failed, what was not tried."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from common.reports.report import Part, Section, Table
from common.reports.text import number, shortened
from common.reports.theme import MUTED, SERIES
from services.tuner.domain.page.bars import Series, bars_plot
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import (
    bytes_words,
    counted,
    family_words,
    metric_words,
    percent,
    seconds_words,
)
from services.tuner.domain.search.library import Entry
from services.tuner.domain.trials.trial import TrialFailure

_USED, _COMPLETE, _STOPPED, _FAILED = "in the model", "complete", "stopped early", "failed"
_COLORS = {_USED: SERIES[0], _COMPLETE: SERIES[1], _STOPPED: MUTED, _FAILED: SERIES[3]}
_MOST_FAILURES = 30
_MESSAGE = 200
_FAILURES = {
    TrialFailure.OUT_OF_TIME: "ran out of time",
    TrialFailure.OUT_OF_MEMORY: "ran out of memory",
    TrialFailure.CRASHED: "crashed",
    TrialFailure.RAISED: "raised an error",
    TrialFailure.NOT_FINITE: "gave numbers that are not finite",
}


def costs(evidence: Evidence) -> Section:
    """Returns the section of time, failures and what was left out."""
    below = [Section("Failures", _failures(evidence)), Section("Not tried", _left_out(evidence))]
    return Section("Where the time went", [_time(evidence)], subsections=below)


def _time(evidence: Evidence) -> Part:
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in evidence.entries:
        spent[entry.candidate.family][_outcome(evidence, entry)] += _seconds(entry)
    families = sorted(spent, key=lambda each: -sum(spent[each].values()))
    series = [
        Series(outcome, [spent[each][outcome] for each in families], (), color)
        for outcome, color in _COLORS.items()
        if any(outcome in each for each in spent.values())
    ]
    total = sum(sum(each.values()) for each in spent.values())
    budget = evidence.facts.settings.seconds * evidence.facts.settings.concurrency
    used = sum(each.get(_USED, 0.0) for each in spent.values())
    caption = (
        f"Seconds of trials by kind of model and by what came of them: {seconds_words(total)} in "
        f"all, {percent(min(total / budget, 1.0))} of the budget, {seconds_words(used)} of it for "
        "parts of the final model. The rest went into choosing and blending."
    )
    first = family_words(families[0])
    seen = f"{counted(len(families), 'bar')}; most time went into {first}."
    labels = [family_words(each) for each in families]
    return bars_plot(labels, series, "seconds", caption, seen, _by_family(evidence, spent))


def _by_family(evidence: Evidence, spent: Mapping[str, Mapping[str, float]]) -> Table:
    columns = ("Kind", "Models", *_COLORS, "Peak memory", f"Best {_score(evidence)}")
    rows = []
    for family in spent:
        own = [each for each in evidence.entries if each.candidate.family == family]
        complete = [evidence.loss(each) for each in own if each.folds >= evidence.folds]
        peak = max((each.peak_bytes for entry in own for each in entry.results), default=0)
        rows.append(
            (
                family_words(family),
                len(own),
                *(round(spent[family].get(outcome, 0.0), 2) for outcome in _COLORS),
                bytes_words(peak),
                evidence.shown(min(complete)) if complete else None,
            )
        )
    return Table(columns, rows, "Seconds by kind of model and by what came of them.")


def _failures(evidence: Evidence) -> list[Part]:
    failed = [each for each in evidence.entries if each.failure is not None]
    if not failed:
        return ["No trial failed."]
    counts = Counter(_reason(each) for each in failed)
    told = ", ".join(f"{number(count)} {reason}" for reason, count in counts.most_common())
    columns = ("Model", "Kind", "Fold", "What happened", "Seconds", "Message")
    rows = [
        (
            each.candidate.number,
            family_words(each.candidate.family),
            each.failure.task.fold + 1,
            _reason(each),
            round(each.failure.fit_seconds, 2),
            shortened(each.failure.message, _MESSAGE) or None,
        )
        for each in failed[:_MOST_FAILURES]
        if each.failure is not None
    ]
    caption = "Models that gave no score on a fold; the search went on without them."
    if len(rows) < len(failed):
        caption += f" The first {number(len(rows))} are shown."
    return [f"Of {counted(len(evidence.entries), 'model')}, {told}.", Table(columns, rows, caption)]


def _left_out(evidence: Evidence) -> list[Part]:
    tried = {each.candidate.family for each in evidence.entries}
    reasons = dict(evidence.left_out)
    reasons |= {
        each: "There was no time, or nothing promised that it would do better."
        for each in evidence.families
        if each not in tried
    }
    if not reasons:
        return ["All kinds of models were tried."]
    rows = [(family_words(name), shortened(reason, _MESSAGE)) for name, reason in reasons.items()]
    return [Table(("Kind", "Why"), rows, "Kinds of models that were not tried.")]


def _outcome(evidence: Evidence, entry: Entry) -> str:
    if entry.candidate.number in evidence.tuned.ensemble.weights:
        return _USED
    if entry.failure is not None:
        return _FAILED
    return _COMPLETE if entry.folds >= evidence.folds else _STOPPED


def _seconds(entry: Entry) -> float:
    failed = entry.failure.fit_seconds if entry.failure is not None else 0.0
    return entry.seconds * entry.folds + failed


def _reason(entry: Entry) -> str:
    assert entry.failure is not None
    reason = entry.failure.failure
    return _FAILURES[reason] if reason is not None else "failed"


def _score(evidence: Evidence) -> str:
    return metric_words(evidence.tuned.metric)

"""What a search comes to, in a few sentences, and the numbers that are wanted first."""

import numpy as np

from common.reports.report import Notice, Severity
from common.reports.text import number, shortened
from services.tuner.domain.page.evidence import Evidence, Floor
from services.tuner.domain.page.words import (
    counted,
    family_words,
    floor_name,
    floor_words,
    metric_meaning,
    metric_words,
    percent,
    rounded,
    score_words,
    seconds_words,
)
from services.tuner.domain.problem import ProblemKind

_SURE, _LIKELY = 2.0, 1.0
_MANY_FAILED = 0.5
_NAME = 40
_MOST_NOTICES = 8


def verdict(evidence: Evidence) -> list[str]:
    """Returns what a search comes to: a paragraph for anybody, another on how it was done."""
    tuned, ensemble = evidence.tuned, evidence.tuned.ensemble
    name, meaning = metric_words(tuned.metric), metric_meaning(tuned.metric)
    score = score_words(tuned.metric, ensemble.loss, ensemble.error)
    told = (
        f"The model that was found {_usefulness(evidence)}",
        f"Its {name} is {score} ({meaning}).",
        _against(evidence),
        "All this is judged on rows that it had not learned from; the number behind ± is how far "
        "chance alone may easily move the score.",
        _on_test_rows(evidence),
    )
    return [" ".join(filter(None, told)), _account(evidence)]


def tiles(evidence: Evidence) -> dict[str, str | int | float]:
    """Returns the numbers that are wanted first."""
    tuned, ensemble, history = evidence.tuned, evidence.tuned.ensemble, evidence.history
    found: dict[str, str | int | float] = {
        metric_words(tuned.metric): score_words(tuned.metric, ensemble.loss, ensemble.error)
    }
    for floor in evidence.floors:
        name = floor_name(floor.entry.candidate.family)
        found[name] = "not completed"
        if floor.loss is not None:
            found[name] = rounded(tuned.metric, floor.loss, ensemble.error)
    if evidence.facts.test_score is not None:
        found["On test rows"] = evidence.facts.test_score
    spent = history.seconds or max((each.seconds for each in history.steps), default=0.0)
    budget = seconds_words(evidence.facts.settings.seconds)
    return found | {
        "Time": f"{seconds_words(spent)} of {budget}" if spent else budget,
        "Models tried": len(evidence.entries),
        "Parts of the model": _parts(evidence),
        "Rows": evidence.problem.row_count,
        "Columns": len(evidence.problem.columns),
    }


def notices(evidence: Evidence) -> list[Notice]:
    """Returns what readers should know first."""
    found = [*evidence.facts.notices[:_MOST_NOTICES]]
    found += filter(None, (_stopped(evidence), _floor_notice(evidence), _failed(evidence)))
    return found


def _usefulness(evidence: Evidence) -> str:
    """Returns what the model is good for, in a sentence that begins after its subject."""
    kind, truth = evidence.problem.kind, evidence.pool.truth
    names = evidence.problem.outputs[:1] if kind is ProblemKind.REGRESSION else ("",)
    target = shortened(evidence.facts.target or names[0], _NAME)
    of = f" of {target}" if target else ""
    if kind is ProblemKind.REGRESSION:
        errors = np.abs(evidence.outputs[:, 0] - truth.astype(np.float64))
        half, most = np.quantile(errors, [0.5, 0.9])
        return (
            f"predicts values{of} that are off by less than {number(float(half))} for half of the "
            f"rows and by less than {number(float(most))} for nine of ten."
        )
    right = float((evidence.decisions() == truth).mean())
    if kind is ProblemKind.MULTI_LABEL:
        return f"decides {percent(right)} of all labels rightly."
    usual = float(np.bincount(truth.astype(np.int64)).max()) / len(truth)
    return (
        f"decides the class{of} rightly for {percent(right)} of the rows; "
        f"who always takes the commonest class is right for {percent(usual)}."
    )


def _against(evidence: Evidence) -> str:
    """Returns how the model compares with what anybody would try first."""
    floor = evidence.best_floor
    if floor is None or floor.loss is None:
        return ""
    metric, ensemble = evidence.tuned.metric, evidence.tuned.ensemble
    return (
        f"That is {_grade(floor, ensemble.loss)} what anybody would try first: the best of these, "
        f"{floor_words(floor.entry.candidate.family)}, has "
        f"{rounded(metric, floor.loss, ensemble.error)}."
    )


def _on_test_rows(evidence: Evidence) -> str:
    score = evidence.facts.test_score
    if score is None:
        return ""
    return f"On test rows, which were put aside from the start, it has {number(score)}."


def _grade(floor: Floor, loss: float) -> str:
    gain = (floor.loss or 0.0) - loss
    if abs(gain) <= _LIKELY * floor.error:
        return "about as good as"
    sure = "clearly" if abs(gain) > _SURE * floor.error else "probably"
    return f"{sure} {'better' if gain > 0 else 'worse'} than"


def _account(evidence: Evidence) -> str:
    members, entries = evidence.tuned.ensemble.weights, evidence.entries
    families = {each.candidate.family for each in entries}
    told = (
        f"In {seconds_words(evidence.facts.settings.seconds)} the search tried "
        f"{counted(len(entries), 'model')} of {counted(len(families), 'kind')}, each on up to "
        f"{counted(evidence.tuned.library.fold_count, 'fold')} of the "
        f"{number(evidence.problem.row_count)} rows. "
    )
    if len(members) == 1:
        family = evidence.tuned.library.entries[next(iter(members))].candidate.family
        return f"{told}The result is the best of them alone, of the kind {family_words(family)}."
    return (
        f"{told}The result averages {len(members)} of them, because models that err differently "
        "are better together."
    )


def _parts(evidence: Evidence) -> str:
    members = len(evidence.tuned.ensemble.weights)
    return f"{counted(members, 'model')}, {counted(members * evidence.folds, 'fit')}"


def _stopped(evidence: Evidence) -> Notice | None:
    note = evidence.facts.note
    return Notice(Severity.NOTE, "To know of this search", note) if note else None


def _floor_notice(evidence: Evidence) -> Notice | None:
    floor, ensemble = evidence.best_floor, evidence.tuned.ensemble
    if floor is None or floor.loss is None:
        return Notice(
            Severity.WARNING,
            "There is nothing to compare with",
            "None of the models that anybody would try first was completed in the budget.",
            "Give the search more time.",
        )
    gain = floor.loss - ensemble.loss
    if gain > _SURE * floor.error:
        return None
    name = floor_words(floor.entry.candidate.family)
    if list(ensemble.weights) == [floor.entry.candidate.number]:
        return Notice(
            Severity.NOTE,
            "Nothing better than a usual model was found",
            f"The model is {name} itself.",
            "Give the search more time.",
        )
    return Notice(
        Severity.NOTE,
        "The gain over usual models is no larger than chance",
        f"The difference to {name} is less than {_SURE:.0f} times its standard error of "
        f"{number(floor.error)}.",
        "More rows tell such models apart; more time may find a better one. Where a simple model "
        "is wanted, that one does.",
    )


def _failed(evidence: Evidence) -> Notice | None:
    failed = [each for each in evidence.entries if each.failure is not None]
    if len(failed) <= _MANY_FAILED * len(evidence.entries):
        return None
    return Notice(
        Severity.WARNING,
        "Most models failed",
        f"{number(len(failed))} of {counted(len(evidence.entries), 'model')} gave no score on a "
        "fold; the section on time and failures says why.",
        "Give trials more time or memory.",
    )

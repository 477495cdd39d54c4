"""What the final model is made of."""

import math

from common.models.estimators.combining import Calibration, Doubted, Mean, ScaledScores, Shifted
from common.reports.report import Part, Section, Table
from services.tuner.domain.ensemble.selection import Considered
from services.tuner.domain.page.bars import Series, bars_plot
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.leaderboard import settings_words
from services.tuner.domain.page.words import (
    counted,
    family_words,
    metric_words,
    percent,
    score_words,
)
from services.tuner.domain.search.library import Entry

_MEANS = {
    Mean.PLAIN: "their plain mean",
    Mean.LOGITS: "the mean of their probabilities on a log scale",
    Mean.ODDS: "the mean of their odds on a log scale",
    Mean.MEDIAN: "their median",
}


def blend(evidence: Evidence) -> Section:
    """Returns the section of the final model's parts and what else it might have been."""
    return Section(
        "What the model is made of",
        [_account(evidence), _parts(evidence)],
        subsections=[Section("What else was considered", _considered(evidence))],
    )


def _members(evidence: Evidence) -> list[tuple[Entry, float]]:
    """Returns the parts with their shares, the largest first."""
    weights = evidence.tuned.ensemble.weights
    total = sum(weights.values())
    ranked = sorted(weights, key=lambda number: -weights[number])
    return [(evidence.tuned.library.entries[each], weights[each] / total) for each in ranked]


def _account(evidence: Evidence) -> str:
    ensemble, members = evidence.tuned.ensemble, len(evidence.tuned.ensemble.weights)
    folds = evidence.folds
    part = "a single fit" if folds == 1 else f"the mean of {folds} fits, one for each fold"
    told = f"The one model is {part}."
    if members > 1:
        told = (
            f"The model has {counted(members, 'part')}. What it predicts is {_MEANS[ensemble.mean]}"
            f", by their weights; each part is {part}."
        )
    told += _calibration(ensemble.calibration)
    if ensemble.tilts is not None:
        told += " It does not decide for what is likeliest but for what the metric gains by."
    return told


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return ""
    if isinstance(calibration, Doubted):
        doubt = " None is surer than the number of rows allows."
        return _calibration(calibration.first) + doubt
    if isinstance(calibration, Shifted):
        return " All values are shifted by the same then, to be the quantile that is wanted."
    way = "scaled" if isinstance(calibration, ScaledScores) else "put right in steps"
    return f" Probabilities are {way} then, so that they mean what they say."


def _parts(evidence: Evidence) -> Part:
    members = _members(evidence)
    labels = [f"{family_words(each.candidate.family)} ({_name(each)})" for each, _ in members]
    shares = [share for _, share in members]
    rows = [
        (
            each.candidate.number,
            family_words(each.candidate.family),
            round(share, 4),
            evidence.shown(evidence.loss(each)),
            settings_words(evidence, each),
        )
        for each, share in members
    ]
    columns = (
        "Model",
        "Kind",
        "Weight",
        f"{metric_words(evidence.tuned.metric)} alone",
        "Settings that differ from the default",
    )
    caption = "The parts of the model by their weight."
    seen = f"{counted(len(members), 'bar')}; the longest is {labels[0]} with {percent(shares[0])}."
    series = Series("weight", [100 * each for each in shares], [percent(each) for each in shares])
    table = Table(columns, rows, caption)
    return bars_plot(labels, [series], "weight (%)", caption, seen, table)


def _name(entry: Entry) -> str:
    return f"model {entry.candidate.number}"


def _considered(evidence: Evidence) -> list[Part]:
    ensemble, metric = evidence.tuned.ensemble, evidence.tuned.metric
    chosen = next((each for each in ensemble.considered if each.name == ensemble.name), None)
    rows = [
        (
            each.name.replace("_", " "),
            evidence.shown(each.loss),
            "chosen" if each is chosen else _difference(evidence, chosen, each),
        )
        for each in ensemble.considered
    ]
    columns = ("Blend", metric_words(metric), "Difference to the chosen one")
    caption = (
        "Ways to blend the models, judged on rows that the weights did not see; ± is the standard "
        "error of the difference. Another one than the usual is only taken where that is no chance."
    )
    told = f"The chosen one: {ensemble.name.replace('_', ' ')}, "
    told += f"{score_words(metric, ensemble.loss, ensemble.error)}."
    return [told, Table(columns, rows, caption)]


def _difference(evidence: Evidence, chosen: Considered | None, other: Considered) -> str:
    if chosen is None:
        return ""
    difference = evidence.shown(other.loss) - evidence.shown(chosen.loss)
    if not difference:
        return "none"
    digits = 4 if not other.error else min(max(1 - math.floor(math.log10(other.error)), 0), 9)
    return f"{difference:+.{digits}f} ± {other.error:.{digits}f}"

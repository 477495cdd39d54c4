"""What a comparison comes to, in words, by rules that hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.data.schema import Task
from common.reports.text import number, shortened
from services.analyzer.domain.comparison.behaviour import BehaviourComparison, ChallengerBehaviour
from services.analyzer.domain.comparison.costs import CostComparison
from services.analyzer.domain.comparison.differences import ALPHA
from services.analyzer.domain.comparison.resampling import CALIBRATION_ERROR
from services.analyzer.domain.comparison.summary import Difference, Outcome, Verdict
from services.analyzer.domain.comparison.versions import Version, Versions, beginning
from services.analyzer.domain.metrics import Metric

_CLEAR_RATIO = 1.1
_CLEAR_CALIBRATION = 0.01
_MOST_CLASSES = 3
_LEAST_P = 0.0001


@dataclass(frozen=True)
class Price:
    """What a challenger costs against the baseline, where that is clear.

    Attributes:
        gains: For example `2.1 times smaller`.
        losses: For example `1.9 times slower`.
    """

    gains: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    @property
    def is_cheaper(self) -> bool:
        """Whether it costs less of something, and no more of anything."""
        return bool(self.gains) and not self.losses

    @property
    def words(self) -> str:
        """All of it; empty if nothing is clear."""
        return _listed([*self.gains, *self.losses])


def verdict_of(
    versions: Versions, behaviour: BehaviourComparison | None, costs: CostComparison | None
) -> Verdict:
    """Returns what a comparison comes to.

    A challenger is better or worse where the test tells it apart from the baseline; else as good
    where its interval leaves no room for being worse by the margin. The best is the better one with
    the largest gain; without such, one that is as good and costs less; without such, the baseline.

    Args:
        versions: What was compared.
        behaviour: How they do; None where that was not asked for, or failed.
        costs: What they cost; None likewise.
    """
    judged = [] if behaviour is None else [each for each in behaviour.challengers if each.judgement]
    if behaviour is None or not judged:
        return Verdict(_without_metric(versions, behaviour, costs))
    prices = {each.version: price_of(each.version, costs) for each in judged}
    best = _best(judged, prices)
    first = best or max(judged, key=_gain)
    text = [_sentence(behaviour, first, prices[first.version], len(judged)), *_advice(best)]
    others = [each for each in judged if each is not first]
    if others:
        text.append(_others(others, behaviour))
    name = best.version.name if best else versions.baseline.name
    return Verdict(" ".join(text), name)


def _best(
    judged: Sequence[ChallengerBehaviour], prices: dict[Version, Price]
) -> ChallengerBehaviour | None:
    better = [each for each in judged if _outcome(each) is Outcome.BETTER]
    if better:
        return max(better, key=_gain)
    cheaper = [
        each
        for each in judged
        if _outcome(each) is Outcome.AS_GOOD and prices[each.version].is_cheaper
    ]
    return max(cheaper, key=_gain, default=None)


def _outcome(challenger: ChallengerBehaviour) -> Outcome | None:
    return challenger.judgement.outcome if challenger.judgement else None


def _gain(challenger: ChallengerBehaviour) -> float:
    """Returns the difference on the metric: above 0 it is better."""
    difference = _difference(challenger, _metric(challenger))
    return -difference.difference if _metric(challenger).is_loss else difference.difference


def _metric(challenger: ChallengerBehaviour) -> Metric:
    return challenger.version.subject.settings.metric


def _difference(challenger: ChallengerBehaviour, metric: str) -> Difference:
    return next(each for each in challenger.differences if each.metric == metric)


def _sentence(
    behaviour: BehaviourComparison, challenger: ChallengerBehaviour, price: Price, judged: int
) -> str:
    """Returns a challenger's outcome with its numbers, and what it gains and loses besides."""
    said = _said(challenger, behaviour.versions.baseline.label)
    best = (
        f"The best of {judged} challengers is {challenger.version.label}: it" if judged > 1 else ""
    )
    is_best = _outcome(challenger) is Outcome.BETTER and best
    start = best if is_best else beginning(challenger.version.label)
    clauses = [f"{start} {said}: {_numbers(behaviour, challenger, judged)}"]
    if price.words:
        clauses.append(f"it is {price.words}")
    clauses += _besides(challenger)
    return "; ".join(clauses) + "."


def _said(challenger: ChallengerBehaviour, baseline: str) -> str:
    judgement = challenger.judgement
    assert judgement is not None
    within = _within(_metric(challenger))
    if judgement.outcome is Outcome.BETTER:
        return f"is better than {baseline}"
    if judgement.outcome is Outcome.WORSE:
        less = f", but by less than {within}" if judgement.is_within_margin else ""
        return f"is worse than {baseline}{less}"
    if judgement.outcome is Outcome.AS_GOOD:
        return f"is as good as {baseline} within {within}"
    return (
        f"does not differ significantly from {baseline}, and the rows are too few to say that it "
        f"is as good within {within}"
    )


def _within(metric: Metric) -> str:
    if metric.is_loss:
        return "1 %"
    return "0.01" if metric is Metric.R2 else "1 point"


def _numbers(behaviour: BehaviourComparison, challenger: ChallengerBehaviour, judged: int) -> str:
    metric = _metric(challenger)
    found = _difference(challenger, metric)
    before, after = (_value(behaviour, each, metric) for each in (0, challenger.version))
    inside = [f"difference {_small(found.difference)}"]
    if found.low is not None and found.high is not None:
        inside.append(f"95 % interval {_small(found.low)} to {_small(found.high)}")
    if found.adjusted_p_value is not None:
        corrected = f" corrected for {judged} challengers" if judged > 1 else ""
        inside.append(f"{p_words(found.adjusted_p_value)}{corrected}")
    rows = challenger.rows.summary
    gained, lost = _changed_words(behaviour.versions)
    counts = f"{rows_words(rows.gained)} {gained} and {rows.lost:,} {lost}"
    return (
        f"{metric.label} {number(after)} against {number(before)} ({', '.join(inside)}), {counts}"
    )


def _changed_words(versions: Versions) -> tuple[str, str]:
    if versions.task is Task.REGRESSION:
        return "got clearly nearer to the truth", "clearly farther from it"
    return "got right", "got wrong"


def _value(behaviour: BehaviourComparison, version: Version | int, metric: str) -> float:
    place = behaviour.versions.all.index(version) if isinstance(version, Version) else version
    return next(each.value for each in behaviour.metrics[place] if each.metric == metric)


def _besides(challenger: ChallengerBehaviour) -> list[str]:
    """Returns what else got clearly worse, or better calibrated."""
    worse = [
        f"`{shortened(each.label, 40)}`"
        for each in challenger.classes
        if each.lost > each.gained and each.adjusted_p_value < ALPHA
    ]
    said = []
    if worse:
        kind = "class" if len(worse) == 1 else "classes"
        more = f" and {len(worse) - _MOST_CLASSES} more" if len(worse) > _MOST_CLASSES else ""
        said.append(f"it got worse for {kind} {_listed(worse[:_MOST_CLASSES])}{more}")
    if challenger.slices.worse:
        said.append(f"it got worse where {challenger.slices.worse[0].condition}")
    return said + _calibration(challenger)


def _calibration(challenger: ChallengerBehaviour) -> list[str]:
    found = [each for each in challenger.differences if each.metric == CALIBRATION_ERROR]
    if not found or found[0].low is None or found[0].high is None:
        return []
    change = found[0]
    if abs(change.difference) < _CLEAR_CALIBRATION or found[0].low <= 0 <= found[0].high:
        return []
    word = "less" if change.difference > 0 else "more"
    return [
        f"its confidence is {word} trustworthy (calibration error {_signed(change.difference)})"
    ]


def _advice(best: ChallengerBehaviour | None) -> list[str]:
    if best is not None and _outcome(best) is Outcome.AS_GOOD:
        return ["It costs less, so it can take the baseline's place."]
    return []


def _others(others: Sequence[ChallengerBehaviour], behaviour: BehaviourComparison) -> str:
    """Returns the other challengers, each in a few words."""
    words = {
        Outcome.BETTER: "is better, too",
        Outcome.WORSE: "is worse",
        Outcome.AS_GOOD: "is as good",
        Outcome.UNDECIDED: "does not differ significantly",
    }
    said = []
    for each in others:
        metric = _metric(each)
        outcome = _outcome(each)
        assert outcome is not None
        value = number(_value(behaviour, each.version, metric))
        said.append(f"{each.version.label} {words[outcome]} ({metric.label} {value})")
    return f"{beginning('; '.join(said))}."


def _without_metric(
    versions: Versions, behaviour: BehaviourComparison | None, costs: CostComparison | None
) -> str:
    """Returns what can be said where the metric was not compared."""
    said = []
    if behaviour is not None and behaviour.agreements:
        alike = [each for each in behaviour.agreements if each.first == versions.baseline.name]
        labels = {each.name: each.label for each in versions.all}
        said += [_agreement(versions, labels[each.second], each.agreement) for each in alike]
    prices = [(each.label, price_of(each, costs).words) for each in versions.challengers]
    said += [f"{beginning(label)} is {words}." for label, words in prices if words]
    start = "The versions were not compared by what they get right."
    return " ".join([start, *said])


def _agreement(versions: Versions, label: str, agreement: float | None) -> str:
    if agreement is None:
        return f"{beginning(label)} or {versions.baseline.label} always predicts the same."
    if versions.task is Task.REGRESSION:
        return (
            f"Values of {label} and {versions.baseline.label} correlate with {number(agreement)}."
        )
    share = f"{100 * agreement:.1f} %"
    return f"{beginning(label)} agrees with {versions.baseline.label} on {share} of the rows."


def price_of(version: Version, costs: CostComparison | None) -> Price:
    """Returns what a challenger costs against the baseline."""
    if costs is None or version not in costs.versions[1:]:
        return Price()
    place = costs.versions.index(version) - 1
    ratios = costs.ratios[place]
    found = [_times(ratios.size, "smaller", "larger")]
    if costs.is_clearly_other(place):
        found.append(_times(ratios.latency, "faster", "slower"))
    gains = tuple(words for words, is_gain in found if words and is_gain)
    return Price(gains, tuple(words for words, is_gain in found if words and not is_gain))


def _times(ratio: float | None, less: str, more: str) -> tuple[str, bool]:
    """Returns `2.1 times smaller` for a ratio of 0.48; nothing where it is near 1."""
    if ratio is None or ratio <= 0 or max(ratio, 1 / ratio) < _CLEAR_RATIO:
        return "", False
    return f"{max(ratio, 1 / ratio):.2g} times {less if ratio < 1 else more}", ratio < 1


def p_words(p_value: float) -> str:
    """Returns `p = 0.012` for people."""
    return f"p < {_LEAST_P}" if p_value < _LEAST_P else f"p = {p_value:.2g}"


def rows_words(count: int) -> str:
    """Returns `1 row` or `2 rows`."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _small(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

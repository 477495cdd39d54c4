"""Which choices matter."""

import math
from collections import Counter
from collections.abc import Sequence

from common.reports.report import Cell, Part, Plot, Section, Table
from common.reports.theme import MUTED
from services.tuner.domain.choices import FEWEST_TRIALS, Choice, Choices, important_choices
from services.tuner.domain.page.bars import Series, bars_plot
from services.tuner.domain.page.evidence import Evidence
from services.tuner.domain.page.words import counted, family_words, percent, setting_words
from services.tuner.domain.search.joint import FAMILY, joined_configuration, joint_space
from services.tuner.domain.search.library import Entry
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.surrogate.history import Told

_MOST_BARS = 12
_LEAST_SHARE = 0.002
_LEAST_FORETOLD, _DOUBTFUL = 0.05, 0.2


def importance(evidence: Evidence) -> Section:
    """Returns how much hangs on the family and on settings, over all families and in the best."""
    note = (
        "How much of the differences between models each choice explains alone, as a random forest "
        "sees them that learned from all trials (functional analysis of variance)."
    )
    entries = [
        each
        for each in evidence.entries
        if not each.candidate.bases and each.candidate.family in evidence.families
    ]
    below = [Section("Among all kinds of models", _joint(evidence, entries))]
    family = _searched_family(entries)
    if family:
        title = f"Within one kind: {family_words(family)}"
        below.append(Section(title, _within(evidence, entries, family)))
    return Section("Which choices mattered", note=note, subsections=below)


def _joint(evidence: Evidence, entries: Sequence[Entry]) -> list[Part]:
    space = joint_space(evidence.problem, list(evidence.families.values()))
    told = [
        _told(each, joined_configuration(each.candidate.family, each.candidate.configuration))
        for each in entries
    ]
    return _parts(important_choices(space, told, evidence.facts.settings.seed), len(told))


def _within(evidence: Evidence, entries: Sequence[Entry], family: str) -> list[Part]:
    told = [
        _told(each, each.candidate.configuration)
        for each in entries
        if each.candidate.family == family
    ]
    found = important_choices(evidence.spaces[family], told, evidence.facts.settings.seed)
    return _parts(found, len(told))


def _searched_family(entries: Sequence[Entry]) -> str:
    """Returns the best family of which there were enough trials; empty for none."""
    counts = Counter(each.candidate.family for each in entries)
    known = [
        each for each in entries if each.folds and counts[each.candidate.family] >= FEWEST_TRIALS
    ]
    best = min(known, key=lambda each: each.loss(1), default=None)
    return "" if best is None else best.candidate.family


def _told(entry: Entry, configuration: Configuration) -> Told:
    """Returns a trial by its first fold, which all candidates have."""
    return Told(configuration, entry.loss(1) if entry.folds else math.inf)


def _parts(found: Choices | None, trials: int) -> list[Part]:
    if found is None:
        count = counted(trials, "trial") if trials else "No trial"
        return [f"{count} of different settings: too few to tell."]
    told = (
        f"Learned from {counted(found.trials, 'trial')}; of the differences between trials that "
        f"it had not seen the forest foretold {percent(found.foretold)}."
    )
    if found.foretold < _LEAST_FORETOLD:
        return [f"{told} That is too little to tell what mattered: there are too few trials."]
    if found.foretold < _DOUBTFUL:
        told += " That is little: some of what follows may be chance."
    return [told, _plot(found)]


def _plot(found: Choices) -> Plot:
    shown = [each for each in found.choices[:_MOST_BARS] if each.share >= _LEAST_SHARE]
    labels = [*(_name(each) for each in shown), "the rest"]
    shares = [each.share for each in shown]
    rest = max(0.0, 1.0 - sum(shares))
    texts = [percent(each) for each in (*shares, rest)]
    own = Series("alone", [*(100 * each for each in shares), 0.0], [*texts[:-1], ""])
    others = Series(
        "the rest", [*(0.0 for _ in shown), 100 * rest], [*("" for _ in shown), texts[-1]], MUTED
    )
    caption = (
        "Share of the differences between models that a choice explains alone; the rest is what "
        "several do together, and small. The numbers say which value was best in the mean."
    )
    seen = f"{counted(len(labels), 'bar')}; the longest is {_longest(labels, [*shares, rest])}."
    axis = "share (%)"
    return bars_plot(labels, [own, others], axis, caption, seen, _table(found, caption))


def _name(choice: Choice) -> str:
    if choice.name == FAMILY:
        return "kind of model"
    family, colon, name = choice.name.partition(":")
    return f"{family_words(family)}: {name}" if colon else choice.name


def _longest(labels: Sequence[str], shares: Sequence[float]) -> str:
    place = max(range(len(shares)), key=lambda at: shares[at])
    return f"{labels[place]} with {percent(shares[place])}"


def _table(found: Choices, caption: str) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (_name(each), round(each.share, 4), setting_words(each.best)) for each in found.choices
    ]
    rows.append(("several together", round(found.together, 4), None))
    return Table(("Choice", "Share", "Best in the mean"), rows, caption)

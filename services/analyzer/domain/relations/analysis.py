"""How the output depends on columns, alone and in pairs, and what would change single rows."""

from dataclasses import dataclass

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.relations.columns import ChosenColumns, chosen_columns
from services.analyzer.domain.relations.examples import nearest_row, what_if_example
from services.analyzer.domain.relations.interactions import Interaction, interactions
from services.analyzer.domain.relations.probing import Prober
from services.analyzer.domain.relations.relation import Relation, relations
from services.analyzer.domain.relations.summary import (
    RelationsSummary,
    column_relation,
    pair_interaction,
    what_if_summary,
)
from services.analyzer.domain.relations.targets import output_title, shown_outputs
from services.analyzer.domain.relations.what_if import MOST_COLUMNS, WhatIf, what_if
from services.analyzer.domain.subject import Subject


@dataclass(frozen=True)
class RelationsFindings:
    """What was found.

    Attributes:
        summary: As it is told over the wire.
        notes: What was left out or cut short.
        relations: By column, the most important first.
        interactions: Of pairs, the strongest first.
        what_if: Of one row and examples; None where the row is not there.
        outputs: Titles of the shown outputs, the main one first.
        what_if_outputs: Titles of all outputs.
        is_value: Whether a value is predicted, not classes or labels.
        dataset: Name of the data set version.
    """

    summary: RelationsSummary
    notes: tuple[str, ...]
    relations: tuple[Relation, ...]
    interactions: tuple[Interaction, ...]
    what_if: WhatIf | None
    outputs: tuple[str, ...]
    what_if_outputs: tuple[str, ...]
    is_value: bool
    dataset: str


def analyse_relations(subject: Subject, budget: Budget) -> RelationsFindings:
    """Works out how the output depends on columns.

    Raises:
        NotApplicableError: The model takes no column of numbers or labels that varies.
        UnusableModelError: A column was asked for that it does not take.
    """
    shown = shown_outputs(subject)
    prober = Prober(subject, shown, budget)
    columns = chosen_columns(subject, prober, budget.share(0.15))
    found, short = relations(columns.shown, subject, prober, budget.share(0.5))
    pairs = interactions(columns.shown, subject, prober, budget.share(0.6))
    row, lacking = _what_if(columns, subject, prober, budget)
    names = subject.model.outputs
    is_value = subject.model.task is Task.REGRESSION
    summary = RelationsSummary(
        columns=tuple(column_relation(each, [names[place] for place in shown]) for each in found),
        interactions=tuple(map(pair_interaction, pairs.pairs)),
        what_if=None if row is None else what_if_summary(row, names, is_value),
    )
    return RelationsFindings(
        summary=summary,
        notes=(*columns.notes, *_without_probabilities(subject), *short, *pairs.notes, *lacking),
        relations=found,
        interactions=pairs.pairs,
        what_if=row,
        outputs=tuple(output_title(subject, place) for place in shown),
        what_if_outputs=tuple(output_title(subject, place) for place in range(len(names))),
        is_value=is_value,
        dataset=subject.dataset_version,
    )


def _what_if(
    columns: ChosenColumns, subject: Subject, prober: Prober, budget: Budget
) -> tuple[WhatIf | None, tuple[str, ...]]:
    example = what_if_example(subject)
    if example is None:
        asked = subject.settings.what_if_row
        assert asked is not None
        near = nearest_row(subject, asked)
        return None, (
            f"Row {asked} is not among the rows that were looked at, so there is no what-if for "
            f"it; row {near} is.",
        )
    others = [each for each in columns.all if each not in columns.shown]
    chosen = [*columns.shown, *others][: max(MOST_COLUMNS, len(columns.shown))]
    return what_if(example, chosen, len(columns.shown), subject, prober, budget), ()


def _without_probabilities(subject: Subject) -> tuple[str, ...]:
    if subject.model.task is Task.REGRESSION or subject.model.gives_probabilities:
        return ()
    return ("The model names a class without a probability: its outputs are 0 or 1.",)

"""What is told of relations over the wire: fields as in `aimass.analyzer.v1.RelationsResult`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.relations.grid import Grid
from services.analyzer.domain.relations.interactions import Interaction, Surface
from services.analyzer.domain.relations.relation import Relation
from services.analyzer.domain.relations.what_if import Change, ColumnValue, Response, WhatIf

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class OutputRelation:
    """See the message of this name."""

    output: str
    partial_dependence: Numbers
    missing_dependence: float | None
    accumulated_effect: Numbers
    accumulated_effect_low: Numbers
    accumulated_effect_high: Numbers


@dataclass(frozen=True)
class ColumnRelation:
    """See the message of this name."""

    column: str
    importance: float
    values: Numbers
    labels: tuple[str, ...]
    outputs: tuple[OutputRelation, ...]
    row_count: int
    effect_row_count: int


@dataclass(frozen=True)
class PairSurface:
    """See the message of this name."""

    first_values: Numbers
    first_labels: tuple[str, ...]
    second_values: Numbers
    second_labels: tuple[str, ...]
    partial_dependence: Numbers


@dataclass(frozen=True)
class PairInteraction:
    """See the message of this name."""

    first_column: str
    second_column: str
    strength: float
    h: float | None
    surface: PairSurface | None


@dataclass(frozen=True)
class WhatIfOutput:
    """See the message of this name."""

    output: str
    value: float


@dataclass(frozen=True)
class WhatIfColumn:
    """See the message of this name."""

    column: str
    value: ColumnValue
    output_low: float
    output_high: float
    change: Change | None


@dataclass(frozen=True)
class WhatIfSummary:
    """See the message `WhatIf`."""

    row: int
    reason: str
    prediction: str
    outputs: tuple[WhatIfOutput, ...]
    columns: tuple[WhatIfColumn, ...]
    pair_change: Change | None
    step: float | None


@dataclass(frozen=True)
class RelationsSummary:
    """See the message `RelationsResult`."""

    columns: tuple[ColumnRelation, ...]
    interactions: tuple[PairInteraction, ...]
    what_if: WhatIfSummary | None


def column_relation(relation: Relation, outputs: Sequence[str]) -> ColumnRelation:
    """Returns what is told of a column; outputs are the names of those that are shown."""
    effect = relation.effect
    return ColumnRelation(
        column=relation.name,
        importance=relation.importance,
        values=_values(relation.grid),
        labels=relation.grid.labels,
        outputs=tuple(_output(relation, place, name) for place, name in enumerate(outputs)),
        row_count=relation.dependence.rows,
        effect_row_count=0 if effect is None else effect.rows,
    )


def pair_interaction(found: Interaction) -> PairInteraction:
    """Returns what is told of a pair."""
    surface = None if found.surface is None else _surface(found.surface)
    return PairInteraction(*found.names, found.strength, found.h, surface)


def what_if_summary(found: WhatIf, names: Sequence[str], is_value: bool) -> WhatIfSummary:
    """Returns what is told of a row; names are those of all outputs."""
    row = found.row
    main = found.outputs[0]
    return WhatIfSummary(
        row=row.number,
        reason=row.why,
        prediction=row.prediction,
        outputs=tuple(WhatIfOutput(names[place], float(row.now[place])) for place in found.outputs),
        columns=tuple(_what_if_column(each, main) for each in row.responses),
        pair_change=found.pair,
        step=found.step if is_value else None,
    )


def _output(relation: Relation, place: int, name: str) -> OutputRelation:
    dependence, effect = relation.dependence, relation.effect
    missing = dependence.missing
    return OutputRelation(
        output=name,
        partial_dependence=_numbers(dependence.mean[:, place]),
        missing_dependence=None if missing is None else float(missing[place]),
        accumulated_effect=() if effect is None else _numbers(effect.effect[:, place]),
        accumulated_effect_low=() if effect is None else _numbers(effect.low[:, place]),
        accumulated_effect_high=() if effect is None else _numbers(effect.high[:, place]),
    )


def _surface(surface: Surface) -> PairSurface:
    first, second = surface.grids
    return PairSurface(
        _values(first),
        first.labels,
        _values(second),
        second.labels,
        _numbers(surface.mean.reshape(-1)),
    )


def _what_if_column(response: Response, main: int) -> WhatIfColumn:
    outputs = response.outputs[:, main]
    return WhatIfColumn(
        response.column,
        response.value,
        float(outputs.min()),
        float(outputs.max()),
        response.change,
    )


def _values(grid: Grid) -> Numbers:
    return _numbers(grid.places) if grid.is_numeric else ()


def _numbers(values: Outputs) -> Numbers:
    return tuple(np.asarray(values, np.float64).tolist())

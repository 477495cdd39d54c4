"""Shapley values as they are shown: many rows at once, and a few single ones."""

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from services.analyzer.domain.importance.findings import SingleRow, Swarm
from services.analyzer.domain.importance.shapley import Shapley
from services.analyzer.domain.importance.shown import levels, shown_value, shown_values
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]

SWARM_ROWS = 300
_SWARM_COLUMNS = 20


def wanted_rows(subject: Subject, singles: Positions) -> Positions:
    """Returns positions of rows to be explained: the single ones first, others at random."""
    generator = np.random.default_rng(subject.settings.seed)
    order = generator.permutation(subject.sample.count)[:SWARM_ROWS]
    return np.concatenate((singles, order[~np.isin(order, singles)]))


def single_rows(subject: Subject) -> dict[int, str]:
    """Returns positions of rows that are worth a look, with why."""
    outputs, found = subject.outputs, dict[int, str]()
    if subject.model.task is Task.CLASSIFICATION:
        found[int(outputs.max(axis=1).argmin())] = "the row that the model is least sure of"
    if subject.sample.truth is not None:
        found.setdefault(_worst(subject), "the row that it gets most wrong")
    if not found or subject.model.task is Task.REGRESSION:
        middle = int(np.argsort(outputs[:, 0])[len(outputs) // 2])
        found.setdefault(middle, "a row with a usual prediction")
    return found


def _worst(subject: Subject) -> int:
    """Returns the row whose truth the outputs are furthest from."""
    outputs, truth = subject.outputs, subject.truth
    if subject.model.task is Task.REGRESSION:
        return int(np.abs(outputs[:, 0] - truth.astype(np.float64)).argmax())
    if subject.model.task is Task.MULTI_LABEL:
        return int(np.abs(outputs - truth.astype(np.float64)).sum(axis=1).argmax())
    classes = truth.astype(np.int64)
    own = outputs[np.arange(len(classes)), classes]
    return int(np.where(classes < 0, 1.0, own).argmin())


def swarm_of(subject: Subject, shapley: Shapley, singles: int) -> Swarm:
    """Returns contributions for a plot: of rows drawn at random, of the heaviest columns.

    Args:
        subject: What is analysed.
        shapley: The contributions.
        singles: So many of their first rows were not drawn at random.
    """
    drawn = slice(singles, None) if len(shapley.rows) > 2 * singles else slice(None)
    values = shapley.values[drawn]
    order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:_SWARM_COLUMNS]
    names = tuple(shapley.names[place] for place in order)
    raw = subject.sample.raw.take(shapley.rows[drawn])
    columns = [subject.sample.columns[name] for name in names]
    return Swarm(
        names,
        values[:, order],
        np.column_stack([levels(each, raw.columns[each.name]) for each in columns]),
        np.array([shown_values(each, raw) for each in columns], np.str_).T,
    )


def told_singles(subject: Subject, shapley: Shapley, wanted: dict[int, str]) -> list[SingleRow]:
    """Returns the single rows among those that were explained."""
    found = []
    for place, row in enumerate(shapley.rows.tolist()):
        if row in wanted:
            found.append(_told(subject, shapley, place, wanted[row]))
    return found


def _told(subject: Subject, shapley: Shapley, place: int, why: str) -> SingleRow:
    row = int(shapley.rows[place])
    raw, columns = subject.sample.raw.columns, subject.sample.columns
    return SingleRow(
        int(subject.sample.numbers[row]),
        why,
        subject.model.outputs[int(shapley.outputs[place])],
        float(shapley.start[place]),
        dict(zip(shapley.names, shapley.values[place].tolist(), strict=True)),
        {name: shown_value(columns[name], raw[name][row]) for name in shapley.names},
    )

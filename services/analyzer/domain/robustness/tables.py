"""Disturbances of tables."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.data.rows import RawRows, Values
from services.analyzer.domain.robustness.columns import Columns, filled
from services.analyzer.domain.robustness.disturbance import Apply, Disturbance
from services.analyzer.domain.robustness.findings import FACTOR, DisturbanceKind

_SHARES = (0.05, 0.1, 0.2, 0.4, 0.8)
_CELLS = "share of cells"
_DEVIATIONS = "standard deviations"

Change = Callable[[str, Values, float, np.random.Generator], Values]
"""Name and values of a column, a severity and what draws at random in; other values out."""


def table_disturbances(columns: Columns) -> list[Disturbance]:
    """Returns disturbances of all columns at once, those that are seen most often first."""
    found = [_missing(columns, columns.table)] if columns.table else []
    if columns.numbers:
        found += [_noise(columns.numbers), _shift(columns.numbers)]
    if columns.labelled:
        found.append(_another_label(columns.labelled))
    if columns.table:
        found.append(_swapped(columns.table))
    if columns.numbers:
        found.append(_scale(columns.numbers))
    return found


def column_disturbances(columns: Columns, name: str) -> list[Disturbance]:
    """Returns disturbances of one column."""
    found = [_missing(columns, (name,), name), _gone(columns, name)]
    if name in columns.numbers:
        own = {name: columns.numbers[name]}
        return [*found, _noise(own, name), _shift(own, name)]
    return [*found, _another_label({name: columns.labelled[name]}, name)]


def changed(change: Change, names: Sequence[str]) -> Apply:
    """Returns what changes each of some columns."""

    def apply(raw: RawRows, severity: float, generator: np.random.Generator) -> RawRows:
        others = {name: change(name, raw.columns[name], severity, generator) for name in names}
        return RawRows({**raw.columns, **others}, raw.labels)

    return apply


def _noise(numbers: Mapping[str, float], column: str = "") -> Disturbance:
    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        noise = generator.standard_normal(values.shape)
        return values.astype(np.float64) + severity * numbers[name] * noise

    apply = changed(change, list(numbers))
    severities = (0.1, 0.25, 0.5, 1.0, 2.0)
    return Disturbance(DisturbanceKind.NOISE, _DEVIATIONS, severities, apply, column)


def _shift(numbers: Mapping[str, float], column: str = "") -> Disturbance:
    """Moves a single column up, and of several each up or down."""

    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        sign = 1 if column else generator.choice((-1, 1))
        return values.astype(np.float64) + sign * severity * numbers[name]

    apply = changed(change, list(numbers))
    severities = (0.25, 0.5, 1.0, 1.5, 2.0)
    return Disturbance(DisturbanceKind.SHIFT, _DEVIATIONS, severities, apply, column)


def _scale(numbers: Mapping[str, float]) -> Disturbance:
    """Multiplies each column by the factor, or divides it."""

    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        factor = float(severity ** generator.choice((-1.0, 1.0)))
        return values.astype(np.float64) * factor

    apply = changed(change, list(numbers))
    severities = (1.1, 1.25, 1.5, 1.75, 2.0)
    return Disturbance(DisturbanceKind.SCALE, FACTOR, severities, apply)


def _missing(columns: Columns, names: Sequence[str], column: str = "") -> Disturbance:
    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        return filled(values, columns.missing[name], generator.random(values.shape) < severity)

    apply = changed(change, names)
    return Disturbance(DisturbanceKind.MISSING, _CELLS, _SHARES, apply, column)


def _gone(columns: Columns, column: str) -> Disturbance:
    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        return filled(values, columns.missing[name], np.ones(values.shape, bool))

    apply = changed(change, [column])
    return Disturbance(DisturbanceKind.GONE, _CELLS, (1.0,), apply, column)


def _another_label(labelled: Mapping[str, int], column: str = "") -> Disturbance:
    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        count = labelled[name]
        hit = (generator.random(values.shape) < severity) & (values.astype(np.int64) >= 0)
        steps = generator.integers(1, max(2, count), values.shape)
        others = (values.astype(np.int64) + steps) % max(1, count)
        return np.where(hit, others, values).astype(values.dtype)

    apply = changed(change, list(labelled))
    return Disturbance(DisturbanceKind.ANOTHER_LABEL, _CELLS, _SHARES, apply, column)


def _swapped(names: Sequence[str]) -> Disturbance:
    """Gives cells the value that another row has in the same column."""

    def change(
        name: str, values: Values, severity: float, generator: np.random.Generator
    ) -> Values:
        order = generator.permutation(len(values))
        hit = generator.random(len(values)) < severity
        return np.where(hit, values[order], values)

    return Disturbance(DisturbanceKind.SWAPPED, _CELLS, _SHARES, changed(change, names))

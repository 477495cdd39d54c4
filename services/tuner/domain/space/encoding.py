"""Many configurations at once, as rows of shares."""

from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.space.constraint import TOLERANCE, Constraint, Linear
from services.tuner.domain.space.expression import Expression, Functions
from services.tuner.domain.space.expression_kinds import Kind, kind_of
from services.tuner.domain.space.parameter import Choice, Parameter

ABSENT = -1.0
"""What stands in a row for a parameter that does not count."""

Rows = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_STEPS = 4
"""Neighbours in each number."""
_WIDE, _NARROW = 0.3, 0.01
_DECIMALS = 9
_WALK = 30
_TYPES: Mapping[Kind, Any] = {Kind.NUMBER: np.float64, Kind.TRUTH: np.bool_}
_FUNCTIONS: Functions = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
    "pow": np.power,
    "sqrt": np.sqrt,
}
"""Of arrays; see `expression.FUNCTIONS`."""


class Encoding:
    """Rows, (configurations, parameters): where in its range each parameter is; see `ABSENT`.

    Args:
        parameters: See `Space`.
        constraints: See `Space`.
    """

    def __init__(
        self, parameters: Sequence[Parameter], constraints: Sequence[Constraint] = ()
    ) -> None:
        self._parameters = tuple(parameters)
        self._constraints = tuple(constraints)
        self._places = {each.name: place for place, each in enumerate(parameters)}

    @cached_property
    def choices(self) -> npt.NDArray[np.int64]:
        """How many values each parameter without order has; 0 for numbers."""
        counts = [len(each.values) if isinstance(each, Choice) else 0 for each in self._parameters]
        return np.array(counts, np.int64)

    def rows(self, configurations: Sequence[Configuration]) -> Rows:
        """Returns the rows of configurations."""
        found = np.full((len(configurations), len(self._parameters)), ABSENT)
        for place, parameter in enumerate(self._parameters):
            values: list[Any] = [each.get(parameter.name) for each in configurations]
            if isinstance(parameter, Choice):
                numbers = {value: number for number, value in enumerate(parameter.values)}
                values = [numbers.get(value) for value in values]
            # What is not there becomes no number.
            settings = np.array(values, np.float64)
            shares = parameter.scale.shares(settings)
            found[:, place] = np.where(np.isnan(settings), ABSENT, shares)
        return found

    def configuration(self, row: Vector) -> Configuration:
        """Returns what a row stands for."""
        return {
            parameter.name: parameter.at(float(share))
            for parameter, share in zip(self._parameters, row, strict=True)
            if share != ABSENT
        }

    def drawn(self, generator: np.random.Generator, count: int) -> Rows:
        """Returns rows drawn at random; fewer than asked for where constraints forbid some."""
        rows = self._snapped(generator.random((count, len(self._parameters))))
        return rows[self.allowed(rows)]

    def neighbours(self, rows: Rows, generator: np.random.Generator) -> tuple[Rows, Positions]:
        """Returns rows that differ in one parameter and what depends on it.

        Numbers take normal steps of several widths, choices any other value.

        Args:
            rows: Where to start.
            generator: Of the steps.

        Returns:
            The neighbours, and the position of the row that each is of.
        """
        changed, sources = [], []
        for place, parameter in enumerate(self._parameters):
            own = np.flatnonzero(rows[:, place] != ABSENT)
            shares = _others(parameter, rows[own, place], generator)
            source = np.repeat(own, shares.shape[1])
            found = rows[source]
            found[:, place] = shares.ravel()
            changed.append(found)
            sources.append(source)
        raw, source = np.concatenate(changed), np.concatenate(sources)
        absent = raw == ABSENT
        raw[absent] = generator.random(int(absent.sum()))
        found = self._snapped(raw)
        kept = self.allowed(found) & (np.abs(found - rows[source]) > 10.0**-_DECIMALS).any(axis=1)
        return found[kept], source[kept]

    def walked(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """Returns where walks from rows end, whose steps all keep the constraints."""
        current = rows.copy()
        for _ in range(_WALK):
            found, sources = self.neighbours(current, generator)
            order = generator.permutation(len(found))
            current[sources[order]] = found[order]
        return current

    def allowed(self, rows: Rows) -> Mask:
        """Returns which rows keep all constraints."""
        kept = np.ones(len(rows), np.bool_)
        for constraint in self._constraints:
            kept &= self._holds(constraint, rows)
        return kept

    def keys(self, rows: Rows) -> list[bytes]:
        """Returns what is the same for equal rows only."""
        rounded = np.round(rows, _DECIMALS) + 0.0
        return [each.tobytes() for each in rounded]

    def _snapped(self, shares: Rows) -> Rows:
        """Returns rows of values that exist, of parameters that count."""
        rows = shares.copy()
        for place, parameter in enumerate(self._parameters):
            scale = parameter.scale
            if scale.step or scale.count == 1:
                rows[:, place] = scale.shares(scale.values(rows[:, place]))
            if parameter.when is not None:
                rows[~self._counts(parameter, rows), place] = ABSENT
        return rows

    def _counts(self, parameter: Parameter, rows: Rows) -> Mask:
        when = parameter.when
        assert when is not None
        found = np.zeros(len(rows), np.bool_)
        for value in when.values:
            found |= self._is(when.parent, value, rows)
        return found

    def _is(self, name: str, value: Setting, rows: Rows) -> Mask:
        place = self._places[name]
        share = self._parameters[place].share(value)
        found: Mask = np.abs(rows[:, place] - share) < TOLERANCE
        return found

    def _holds(self, constraint: Constraint, rows: Rows) -> Mask:
        if isinstance(constraint, Expression):
            return self._is_true(constraint, rows)
        if not isinstance(constraint, Linear):
            all_there = np.ones(len(rows), np.bool_)
            for name, value in constraint.settings:
                all_there &= self._is(name, value, rows)
            return ~all_there
        places = [self._places[name] for name in constraint.names]
        total = np.zeros(len(rows))
        for place, (_, weight) in zip(places, constraint.weights, strict=True):
            total += weight * self._parameters[place].scale.values(rows[:, place])
        bound = constraint.at_most + TOLERANCE * max(1.0, abs(constraint.at_most))
        holds: Mask = (total <= bound) | (rows[:, places] == ABSENT).any(axis=1)
        return holds

    def _is_true(self, constraint: Expression, rows: Rows) -> Mask:
        places = [self._places[name] for name in constraint.names]
        is_true: Mask = (rows[:, places] == ABSENT).any(axis=1)
        there = rows[~is_true]
        values = {
            name: _values(self._parameters[place], there[:, place])
            for name, place in zip(constraint.names, places, strict=True)
        }
        try:
            with np.errstate(divide="raise", invalid="raise", over="raise"):
                is_true[~is_true] = constraint.value(values, _FUNCTIONS)
        except FloatingPointError:
            # Some have no value, and which they are only single ones say.
            is_true[~is_true] = [constraint.holds(self.configuration(row)) for row in there]
        return is_true


def _values(parameter: Parameter, shares: Vector) -> npt.NDArray[Any]:
    """Returns what expressions are of."""
    values = parameter.scale.values(shares)
    if not isinstance(parameter, Choice):
        return values
    kind = kind_of(parameter)
    known = np.array(parameter.values, _TYPES.get(kind, np.object_))
    return np.asarray(known[values.astype(np.int64)])


def _others(parameter: Parameter, shares: Vector, generator: np.random.Generator) -> Rows:
    """Returns other shares for each one, (shares, others)."""
    if isinstance(parameter, Choice):
        count = len(parameter.values)
        steps = np.rint(shares * count - 0.5)[:, None] + np.arange(1, count)
        return (steps % count + 0.5) / count
    widths = _WIDE * (_NARROW / _WIDE) ** generator.random((len(shares), _STEPS))
    if parameter.scale.step:
        widths = np.maximum(widths, 1 / parameter.scale.count)
    moved = shares[:, None] + widths * generator.standard_normal(widths.shape)
    return np.clip(moved, 0.0, 1.0)

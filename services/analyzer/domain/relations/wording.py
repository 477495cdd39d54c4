"""Values of columns for people."""

from common.reports.text import number, shortened
from services.analyzer.domain.relations.grid import Grid
from services.analyzer.domain.relations.what_if import Change, ColumnValue

_LARGE, _HUGE = 1e4, 1e15


def told_number(value: float) -> str:
    """Returns a number; large ones, such as incomes, in full and not as powers of ten."""
    return f"{value:,.0f}" if _LARGE <= abs(value) < _HUGE else number(value)


def told_place(grid: Grid, place: int) -> str:
    """Returns a value of a grid."""
    if grid.is_numeric:
        return told_number(float(grid.places[place]))
    return shortened(grid.labels[place], 40)


def told(value: ColumnValue) -> str:
    """Returns a column's value."""
    if value.number is not None:
        return told_number(value.number)
    return shortened(value.label, 40) or "missing"


def told_change(change: Change) -> str:
    """Returns what a change sets columns to."""
    pairs = zip(change.columns, change.values, strict=True)
    return " and ".join(f"{shortened(name, 40)} = {told(value)}" for name, value in pairs)

"""Rows that changed, for people."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.data.rows import Values
from common.data.schema import ColumnType
from common.reports.report import Cell, Gallery, Part, Picture, Table
from common.reports.text import shortened
from services.analyzer.domain.behaviour.wrong_rows import told_value
from services.analyzer.domain.comparison.summary import ChangedRow
from services.analyzer.domain.page.thumbnails import fitted, pixels_of
from services.analyzer.domain.sample import Sample

_MOST_VALUES = 4
_SIDE = 64
_UNTOLD = frozenset({ColumnType.IMAGE, ColumnType.EMBEDDING})

Places = npt.NDArray[np.intp]


def shown_rows(
    sample: Sample,
    rows: Sequence[ChangedRow],
    places: Places,
    labels: tuple[str, str],
    caption: str,
) -> list[Part]:
    """Returns rows as pictures where they have some, else as a table.

    Args:
        sample: The rows that were looked at.
        rows: What is said of those that are shown.
        places: Their places in the sample.
        labels: Of the baseline and the challenger.
        caption: What they have in common.
    """
    if not rows:
        return []
    images = [name for name, each in sample.columns.items() if each.type is ColumnType.IMAGE]
    if not images:
        return [_table(sample, rows, places, labels, caption)]
    values = sample.raw.columns[images[0]]
    pictures = [
        _picture(values[place], row, labels) for place, row in zip(places, rows, strict=True)
    ]
    said = f"{caption} Each with its truth: what {labels[0]} says → what {labels[1]} says."
    return [Gallery(pictures, said)]


def _table(
    sample: Sample,
    rows: Sequence[ChangedRow],
    places: Places,
    labels: tuple[str, str],
    caption: str,
) -> Table:
    told = [name for name, each in sample.columns.items() if each.type not in _UNTOLD]
    told = [name for name in told if name in sample.raw.columns][:_MOST_VALUES]
    columns = ("Row", "Truth", *labels, *(["Values"] if told else []))
    cells: list[list[Cell]] = [
        [
            row.row,
            row.truth,
            row.baseline,
            row.challenger,
            *([_values(sample, told, int(place))] if told else []),
        ]
        for place, row in zip(places, rows, strict=True)
    ]
    return Table(columns, cells, caption)


def _values(sample: Sample, names: Sequence[str], place: int) -> str:
    told = [
        f"{shortened(name, 40)} {told_value(sample.columns[name], sample.raw.columns[name][place])}"
        for name in names
    ]
    return ", ".join(told)


def _picture(image: Values, row: ChangedRow, labels: tuple[str, str]) -> Picture:
    caption = f"{row.truth}: {row.baseline} → {row.challenger}, row {row.row}"
    description = (
        f"Row {row.row}, which is {row.truth}; {labels[0]} says {row.baseline}, {labels[1]} says "
        f"{row.challenger}."
    )
    return Picture.of(fitted(pixels_of(image), _SIDE), shortened(caption, 60), description)

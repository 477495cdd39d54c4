"""Views of the rows that the model gets most wrong."""

from common.data.schema import Task
from common.reports.report import Cell, Gallery, Picture, Table
from common.reports.text import shortened
from services.analyzer.domain.behaviour.summary import WrongRow
from services.analyzer.domain.behaviour.words import percent
from services.analyzer.domain.behaviour.wrong_rows import WrongRows

_NAME_LENGTH = 24


def rows_table(wrong: WrongRows, task: Task) -> Table:
    """Returns the rows with truth, prediction and the values of the main columns."""
    columns = [each.column for each in wrong.rows[0].values]
    has_probability = wrong.rows[0].probability is not None
    headings = ["Row", "True", "Predicted"]
    headings += ["Probability"] if has_probability else []
    headings += ["Error"] if task is not Task.CLASSIFICATION else []
    rows = [_cells(row, has_probability, task) for row in wrong.rows]
    caption = (
        "The rows that are furthest off."
        if task is Task.REGRESSION
        else "Wrong rows, those first where the model was most against the truth."
    )
    if columns:
        caption += " The columns are those that the predictions go with most."
    names = [shortened(each, _NAME_LENGTH) for each in columns]
    return Table([*headings, *names], rows, caption)


def _cells(row: WrongRow, has_probability: bool, task: Task) -> list[Cell]:
    told: list[Cell] = [row.row, row.truth, row.prediction]
    told += [row.probability] if has_probability else []
    told += [row.error] if task is not Task.CLASSIFICATION else []
    return [*told, *(each.value for each in row.values)]


def rows_gallery(wrong: WrongRows) -> Gallery:
    """Returns the pictures of the rows."""
    pictures = [
        Picture.of(pixels, _caption(row), f"Image of row {row.row}, {row.truth}.")
        for row, pixels in zip(wrong.rows, wrong.pictures, strict=True)
    ]
    return Gallery(pictures, "The images that the model gets most wrong.")


def _caption(row: WrongRow) -> str:
    truth, found = (shortened(each, _NAME_LENGTH) for each in (row.truth, row.prediction))
    sure = f" ({percent(row.probability)})" if row.probability is not None else ""
    return f"row {row.row}: {truth}, taken for {found}{sure}"

"""What a preparation finds in the columns of a problem."""

from dataclasses import dataclass

from common.data.schema import Column, ColumnType
from services.tuner.domain.problem import Problem

MOST_CODES = 250
"""Categories with more levels have no codes of their own: histograms have 255 bins."""

WIDE = 100
"""From so many columns on, some may be left out."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns by what is done with them.

    Attributes:
        numbers: Numbers and truth values.
        few: Categories with few levels.
        many: Categories with many levels.
        times: Times.
        texts: Texts.
        pictures: What is told of pictures, in numbers of one scale.
    """

    numbers: list[str]
    few: list[str]
    many: list[str]
    times: list[str]
    texts: list[str]
    pictures: list[str]

    @classmethod
    def of(cls, problem: Problem) -> "Columns":
        """Returns those of a problem; pictures themselves are left out."""
        categories = _categories(problem)
        few = [each.name for each in categories if levels(each) <= MOST_CODES]
        return cls(
            problem.names(ColumnType.NUMERIC, ColumnType.BOOLEAN),
            few,
            [each.name for each in categories if levels(each) > MOST_CODES],
            problem.names(ColumnType.TIMESTAMP),
            problem.names(ColumnType.TEXT),
            problem.names(ColumnType.EMBEDDING),
        )

    @property
    def few_positions(self) -> list[int]:
        """Positions of the codes of `few` in what `TableCodes` gives."""
        start = len(self.numbers)
        return list(range(start, start + len(self.few)))

    @property
    def many_positions(self) -> list[int]:
        """Positions of the codes of `many` there."""
        start = len(self.numbers) + len(self.few)
        return list(range(start, start + len(self.many)))

    @property
    def has_table(self) -> bool:
        """Whether there are others than texts and pictures."""
        is_other = bool(self.texts or self.pictures)
        return bool(self.numbers or self.few or self.many or self.times) or not is_other


def levels(column: Column) -> int:
    """Returns how many levels a column of categories has."""
    return max(len(column.categories), column.distinct_count)


def _categories(problem: Problem) -> list[Column]:
    return [each for each in problem.columns if each.type is ColumnType.CATEGORICAL]

"""Series among the columns of a model: one vector a row, or a run of numbered columns."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from services.analyzer.domain.sample import with_column
from services.analyzer.domain.subject import Subject

Lags = npt.NDArray[np.float64]
"""Shape (rows, lags); of vectors with several channels (rows, lags, channels)."""

_FEWEST = 5
_NUMBERED = re.compile(r"(.*?)(\d{1,9})", re.DOTALL)
# Names that tools give to columns in no order of time.
_UNORDERED = frozenset(
    {"", "c", "col", "column", "component", "dim", "f", "feature", "features", "pc", "pca"}
    | {"pixel", "px", "v", "var", "x"}
)


@dataclass(frozen=True)
class Series:
    """Values of a row that stand in an order.

    Attributes:
        name: Of its column, or what the names of its columns begin with.
        columns: One column of vectors, or the column of each lag in order.
        lags: How many values a row has.
        labels: What each lag is called.
    """

    name: str
    columns: tuple[str, ...]
    lags: int
    labels: tuple[str, ...]

    @property
    def is_vector(self) -> bool:
        """Whether one column holds all lags."""
        return len(self.columns) == 1

    def read(self, raw: RawRows) -> Lags:
        """Returns a copy of the values of rows; NaN for missing."""
        if self.is_vector:
            return np.array(raw.columns[self.columns[0]], np.float64)
        columns = [raw.columns[name] for name in self.columns]
        return np.stack(columns, axis=1).astype(np.float64, copy=False)

    def replaced(self, raw: RawRows, values: Lags) -> RawRows:
        """Returns rows with other values of the series; other columns are not copied.

        Args:
            raw: The rows.
            values: As `read` gives them.
        """
        if self.is_vector:
            name = self.columns[0]
            return with_column(raw, name, _alike(values, raw.columns[name]))
        for place, name in enumerate(self.columns):
            raw = with_column(raw, name, _alike(values[:, place], raw.columns[name]))
        return raw


def series_of(subject: Subject) -> list[Series]:
    """Returns the series among the columns that the model takes.

    These are columns of vectors (embeddings, windows of a signal), and runs of at least 5 numeric
    columns whose names are one stem with consecutive numbers, `lag_1` to `lag_12` for example.
    """
    raw, columns = subject.sample.raw, subject.sample.columns
    taken = [columns[name] for name in subject.model.features if name in columns]
    vectors = [
        _vector(each.name, raw.columns[each.name])
        for each in taken
        if each.type is ColumnType.EMBEDDING and raw.columns[each.name].shape[1:] > (1,)
    ]
    return vectors + list(_runs(each for each in taken if each.type is ColumnType.NUMERIC))


def _vector(name: str, values: Values) -> Series:
    lags = values.shape[1]
    return Series(name, (name,), lags, tuple(str(lag) for lag in range(lags)))


def _runs(columns: Iterable[Column]) -> Iterator[Series]:
    numbered: dict[str, dict[int, str]] = defaultdict(dict)
    for column in columns:
        match = _NUMBERED.fullmatch(column.name)
        if match and match[1].rstrip("_-. ").lower() not in _UNORDERED:
            numbered[match[1]].setdefault(int(match[2]), column.name)
    for stem, names in numbered.items():
        for run in _consecutive(names):
            yield Series(stem.rstrip("_-. "), run, len(run), run)


def _consecutive(names: Mapping[int, str]) -> Iterator[tuple[str, ...]]:
    """Yields runs of at least 5 names whose numbers follow each other."""
    run: list[int] = []
    for number in [*sorted(names), None]:
        if run and number != run[-1] + 1:
            if len(run) >= _FEWEST:
                yield tuple(names[each] for each in run)
            run = []
        if number is not None:
            run.append(number)


def _alike(values: Lags, old: Values) -> Values:
    """Returns values in the type of those that they replace, where that can hold them."""
    return values.astype(old.dtype if old.dtype.kind == "f" else np.float64)

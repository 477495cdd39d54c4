"""The labels of a column: their order, their counts, and the codes that stand for them."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.catalog.domain import parsing
from services.catalog.domain.profile import ColumnProfile, Label
from services.catalog.domain.sources.base import RawKind


@dataclass(frozen=True)
class LabelSet:
    """The labels of a categorical column.

    Attributes:
        texts: The labels in sorted order, numbers by value; positions are codes.
        counts: Rows of each.
        values: What stands in the data for each, text or numbers.
    """

    texts: tuple[str, ...]
    counts: tuple[int, ...]
    values: pa.Array

    def encode(self, values: pa.Array) -> pa.Array:
        """Returns the values as a dictionary array of the labels."""
        codes = parsing.each_text(values, self._codes)
        return pa.DictionaryArray.from_arrays(codes, pa.array(self.texts, pa.string()))

    def _codes(self, values: pa.Array) -> pa.Array:
        if pa.types.is_string(values.type):
            values = parsing.clean(values)
            if not pa.types.is_string(self.values.type):
                values = parsing.parse_numbers(values)
        return pc.index_in(values.cast(self.values.type), value_set=self.values)


def label_set(profile: ColumnProfile, *, by_number: bool) -> LabelSet:
    """Returns the labels of a column that has not too many.

    Args:
        profile: What is known of the column.
        by_number: Whether text that stands for numbers is told apart by value (`1` is `1.0`) or as
            it is written (`01` is not `1`).
    """
    counts: Counter[Label] = Counter(profile.labels or {})
    if by_number and profile.numbers is not None and profile.raw.kind is RawKind.UNPARSED:
        counts = _by_value(counts)
    values = pa.array(sorted(counts))
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return LabelSet(_texts(values), tuple(counts[value] for value in sorted(counts)), values)


def _by_value(counts: Counter[Label]) -> Counter[Label]:
    values = parsing.parse_numbers(pa.array(list(counts), pa.string()))
    assert values is not None
    merged: Counter[Label] = Counter()
    for value, count in zip(values.to_pylist(), counts.values(), strict=True):
        merged[value] += count
    return merged


def _texts(values: pa.Array) -> tuple[str, ...]:
    if pa.types.is_floating(values.type) and pc.all(pc.equal(pc.trunc(values), values)).as_py():
        return tuple(str(int(value)) for value in values.to_pylist())
    if pa.types.is_boolean(values.type):
        return tuple(str(value).lower() for value in values.to_pylist())
    return tuple(str(value) for value in values.to_pylist())

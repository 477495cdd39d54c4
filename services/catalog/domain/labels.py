"""The labels of a column: their order, their counts, and the codes that stand for them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
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
        values: What stands in the data for them, text or numbers.
        codes: The code of each of these values.
    """

    texts: tuple[str, ...]
    counts: tuple[int, ...]
    values: pa.Array
    codes: pa.Array

    def encode(self, values: pa.Array) -> pa.Array:
        """Returns the values as a dictionary array of the labels."""
        codes = parsing.each_text(values, self._codes)
        return pa.DictionaryArray.from_arrays(codes, pa.array(self.texts, pa.string()))

    def _codes(self, values: pa.Array) -> pa.Array:
        if pa.types.is_string(values.type):
            values = parsing.clean(values)
            if not pa.types.is_string(self.values.type):
                values = parsing.parse_numbers(values)
        return self.codes.take(pc.index_in(values.cast(self.values.type), value_set=self.values))


def label_set(profile: ColumnProfile, *, by_number: bool, known: Sequence[str] = ()) -> LabelSet:
    """Returns the labels of a column that has not too many.

    Args:
        profile: What is known of the column.
        by_number: Whether text that stands for numbers is told apart by value (`1` is `1.0`) or as
            it is written (`01` is not `1`).
        known: Labels of the rows before, where there are some: values are matched to these, as
            they are written and, where all of these are numbers, by value.
    """
    counts: Counter[Label] = Counter(profile.labels or {})
    is_text = profile.raw.kind is RawKind.UNPARSED
    if by_number and not known and profile.numbers is not None and is_text:
        counts = _by_value(counts)
    values = pa.array(sorted(counts))
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    texts = _texts(values)
    labels = texts
    if known:
        texts = _matched(texts, known)
        labels = tuple(sorted_labels(texts))
    rows: Counter[str] = Counter()
    for text, value in zip(texts, sorted(counts), strict=True):
        rows[text] += counts[value]
    codes = {label: code for code, label in enumerate(labels)}
    return LabelSet(
        labels,
        tuple(rows[label] for label in labels),
        values,
        pa.array([codes[text] for text in texts], pa.int32()),
    )


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Returns distinct labels in order: numbers by value where all are numbers."""
    distinct = set(labels)
    try:
        return sorted(distinct, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(distinct)


def _matched(texts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Returns the label of each text: a known one where it is the same, or the same number."""
    numbers = {_number(label): label for label in reversed(known)}
    if None in numbers:
        numbers = {}

    def match(text: str) -> str:
        value = _number(text)
        if text in known or not numbers or value is None:
            return text
        return numbers.setdefault(value, _texts(pa.array([value]))[0])

    return tuple(match(text) for text in texts)


def _number(text: str) -> float | None:
    """Returns the number that a text stands for; None where it is none."""
    read = parsing.parse_numbers(pa.array([text], pa.string()))
    value = None if read is None else read[0].as_py()
    return value if value is not None and math.isfinite(value) else None


def _by_value(counts: Counter[Label]) -> Counter[Label]:
    values = parsing.parse_numbers(pa.array(list(counts), pa.string()))
    assert values is not None
    merged: Counter[Label] = Counter()
    for value, count in zip(values.to_pylist(), counts.values(), strict=True):
        merged[value] += count
    return merged


def _texts(values: pa.Array) -> tuple[str, ...]:
    is_whole = pa.types.is_floating(values.type) and pc.all(pc.is_finite(values)).as_py()
    if is_whole and pc.all(pc.equal(pc.trunc(values), values)).as_py():
        return tuple(str(int(value)) for value in values.to_pylist())
    if pa.types.is_boolean(values.type):
        return tuple(str(value).lower() for value in values.to_pylist())
    return tuple(str(value) for value in values.to_pylist())

"""Which networks a search has trained: by what the data are, the time, and what was named."""

import pytest

from aimass.tuner.v1 import tuner_pb2
from common.data.schema import Column, ColumnType, Schema, SplitCounts, Task, ValueCount
from common.errors import InvalidInputError
from services.tuner.convert import specification_from_proto
from services.tuner.domain.names import DEEP_TABLE, DEEP_TEXT, TRAINED_KINDS
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.resolution.resolution import resolve_against_data

ROWS = 1_000
KIND = Column("kind", ColumnType.CATEGORICAL, categories=("a", "b"), distinct_count=2)
FLAG = Column("is_new", ColumnType.BOOLEAN, distinct_count=2)


def text(name: str, example: str) -> Column:
    tops = (ValueCount(example, 1),)
    return Column(name, ColumnType.TEXT, distinct_count=ROWS, top_values=tops)


NOTE, CODE = text("note", "what is it?"), text("code", "A-17")


def networks(
    *columns: Column, seconds: int = 60, validation: int = 100, **spec: object
) -> set[str]:
    """Returns the families of networks of a search."""
    schema = Schema((*columns, KIND), Task.CLASSIFICATION, "kind")
    counts = SplitCounts(ROWS - validation, validation, 0)
    asked = tuner_pb2.TuningSpec(**spec)  # type: ignore[arg-type]
    asked.budget.FromSeconds(seconds)
    known = TuningData("datasets/d/versions/1", schema, counts)
    found = resolve_against_data(specification_from_proto(asked), known).specification
    return set(found.families) & set(TRAINED_KINDS)


def test_texts_get_networks_where_they_are_most_of_the_data() -> None:
    """A name or a remark beside many columns is seldom worth the time."""
    assert networks(NOTE) == networks(NOTE, FLAG) == {DEEP_TEXT}
    more = [Column(f"flag_{place}", ColumnType.BOOLEAN, distinct_count=2) for place in range(3)]
    assert networks(NOTE, *more) == set()
    assert networks(NOTE, *more, families=["linear", DEEP_TEXT]) == {DEEP_TEXT}


def test_no_network_of_texts_without_time_or_rows_to_judge_it_on() -> None:
    assert networks(NOTE, seconds=20) == networks(NOTE, validation=10) == set()


@pytest.mark.parametrize(
    ("columns", "families", "words"),
    [
        ((CODE, FLAG), ["linear", DEEP_TEXT], "no identifiers"),
        ((NOTE,), ["linear", DEEP_TABLE], "numbers or categories"),
        ((NOTE,), [DEEP_TEXT], "another family"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    columns: tuple[Column, ...], families: list[str], words: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        networks(*columns, families=families)
    assert words in refused.value.violations[0].description

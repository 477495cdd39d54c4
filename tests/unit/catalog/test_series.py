"""Time series in long format, and data with several targets."""

import numpy as np
import pandas as pd
import pytest

from common.data.schema import ColumnType, Part, Task, TimeSeries
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.spec import ImportSpec, SplitMethod, TimeSeriesSpec, check_spec
from tests.unit.catalog.support import field_of, import_bytes

LONG = TimeSeriesSpec(time_column="when", series_column="shop")


def long_table(frequency: str, length: int = 30, shops: str = "ab") -> bytes:
    """Returns series of sales with a covariate, a shop after the other."""
    times = pd.date_range("2023-01-31", periods=length, freq=frequency)
    lines = [
        f"{shop},{time.isoformat()},{number}.5,{number % 2}"
        for shop in shops
        for number, time in enumerate(times)
    ]
    return "\n".join(["shop,when,sales,holiday", *lines]).encode()


@pytest.mark.parametrize(
    "frequency", ["h", "D", "W", "MS", "ME", "QS", "YS", "15min", "2h", "s", "B", "6MS"]
)
def test_long_format(frequency: str) -> None:
    """Series are counted and their frequency found, in the words of pandas."""
    got = import_bytes(long_table(frequency), target="sales", time_series=LONG)
    expected = {"6MS": "2QS"}.get(frequency, frequency)
    series = TimeSeries("when", "shop", ("holiday",), expected, 2)
    assert got.schema.time_series == series
    assert got.schema.task is Task.FORECASTING
    assert got.schema.targets == ("sales",)


def test_newest_rows_validate() -> None:
    """A forecast is judged by what comes later, unless another split is asked for."""
    got = import_bytes(long_table("D"), target="sales", time_series=LONG)
    assert got.data.split.method is SplitMethod.TEMPORAL
    train = got.columns["when"][got.parts == Part.TRAIN]
    assert train.max() < got.columns["when"][got.parts == Part.VALIDATION].min()


def test_steps_that_vary() -> None:
    """Without a usual step there is no frequency; one series needs no column."""
    days = [1, 2, 4, 8, 16, 23]
    lines = "\n".join(["when,y", *(f"2024-03-{day:02d},{day}.5" for day in days)])
    asked = TimeSeriesSpec(time_column="when")
    got = import_bytes(lines.encode(), time_series=asked)
    assert got.schema.time_series == TimeSeries("when", "", (), "", 1)


@pytest.mark.parametrize(
    ("lines", "field", "words"),
    [
        (["a,2024-01-01,1", "a,2024-01-01,2"], "time_column", "`a` has 2 rows for 2024-01-01"),
        (["a,2024-01-01,1", "a,soon,2"], "time_column", r"\(`soon` in row 2\)"),
        (["a,2024-01-01,1", "a,7,2"], "time_column", "does not hold times"),
        (["a,1,1", "a,7,2"], "time_column", "does not hold times"),
        (["a,2024-01-01,1", "a,,2"], "time_column", "no value in 1 rows, first in row 2"),
        (["a,2024-01-01,1", ",2024-01-02,2"], "series_column", "first in row 2"),
    ],
)
def test_bad_series(lines: list[str], field: str, words: str) -> None:
    """What makes no series is refused, naming the place."""
    content = "\n".join(["shop,when,y", *lines]).encode()
    with pytest.raises(InvalidFieldError, match=words) as caught:
        import_bytes(content, time_series=LONG)
    assert field_of(caught.value) == f"dataset_import.spec.time_series.{field}"


def test_many_kinds_of_steps() -> None:
    """A step is usual among all steps, not among the most frequent kinds of them."""
    steps = [86_400] * 1000 + list(range(100_000, 100_999))
    times = pd.to_datetime(np.cumsum(steps), unit="s")
    lines = "\n".join(["when,y", *(f"{time.isoformat()},1.5" for time in times)])
    got = import_bytes(lines.encode(), time_series=TimeSeriesSpec(time_column="when"))
    assert got.schema.time_series == TimeSeries("when", "", (), "", 1)


def test_series_are_not_named_by_vectors() -> None:
    """A column of embeddings or images names no series."""
    lines = [f'{{"when": "2024-01-0{day}", "y": 1, "v": [1, 2]}}' for day in (1, 2)]
    content = "\n".join(lines).encode()
    asked = TimeSeriesSpec(time_column="when", series_column="v")
    with pytest.raises(InvalidFieldError, match="holds embedding values") as caught:
        import_bytes(content, DataFormat.JSON_LINES, time_series=asked)
    assert field_of(caught.value) == "dataset_import.spec.time_series.series_column"


def test_target_is_not_guessed_among_the_columns_of_the_series() -> None:
    """A column with another role is no target, whatever it is called."""
    content = b"label,when,y,class\na,2024-01-01,1,0\na,2024-01-02,2,1\n"
    asked = TimeSeriesSpec(time_column="when", series_column="label", covariates=["class"])
    assert import_bytes(content, time_series=asked).schema.target == "y"


def test_value_must_be_a_number() -> None:
    """Only numbers are forecast."""
    with pytest.raises(InvalidFieldError, match="forecasting needs numbers"):
        import_bytes(b"shop,when,y\na,2024-01-01,x\n", time_series=LONG)


def test_several_targets() -> None:
    """Each target is a truth value, written as such or as 0 and 1."""
    got = import_bytes(b"x,red,big\n1,0,true\n2,1,false\n3,1,true\n", targets=["red", "big"])
    assert (got.schema.task, got.schema.target) == (Task.MULTI_LABEL, "red")
    assert got.schema.targets == ("red", "big")
    assert got.schema.column("red").type is ColumnType.BOOLEAN
    assert got.labels("red") == ["false", "true", "true"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x,red,big\n1,0,2\n", "`big` is one of several targets"),
        (b"x,red,big\n1,0,\n", "no value in 1 of 1 rows"),
        (b"x,red\n1,0\n", "no column `big`"),
    ],
)
def test_bad_targets(content: bytes, words: str) -> None:
    """A target of other values is refused by name."""
    with pytest.raises(InvalidFieldError, match=words):
        import_bytes(content, targets=["red", "big"])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"targets": ["a"]}, "targets"),
        ({"targets": ["a", "a"]}, "targets"),
        ({"targets": ["a", "b"], "target": "c"}, "targets"),
        ({"targets": ["a", "b"], "task": "regression"}, "targets"),
        ({"task": "multi_label"}, "targets"),
        ({"task": "forecasting"}, "time_series.time_column"),
        ({"time_series": LONG, "task": "regression"}, "time_series"),
        ({"time_series": LONG, "target": "when"}, "time_series"),
    ],
)
def test_requests_that_contradict_themselves(asked: dict[str, object], field: str) -> None:
    """What needs no data is refused before the import begins."""
    spec = ImportSpec.model_validate({"dataset": "datasets/d", "upload": "uploads/u", **asked})
    with pytest.raises(InvalidFieldError) as caught:
        check_spec(spec)
    assert field_of(caught.value) == f"dataset_import.spec.{field}"

"""Why rows are odd."""

import numpy as np

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Rows
from services.outlier.domain.detectors.neighbours import Knn
from services.outlier.domain.explaining.explanation import explain
from services.outlier.domain.preparation import prepare

COUNT = 400


def table() -> tuple[RawRows, list[Column]]:
    """Returns usual rows: two numbers that hang together, one that does not, and a label."""
    generator = np.random.default_rng(0)
    first = generator.normal(size=COUNT)
    columns: dict[str, Values] = {
        "first": first,
        "second": first + 0.1 * generator.normal(size=COUNT),
        "third": generator.normal(size=COUNT),
        "kind": generator.integers(0, 3, COUNT).astype(np.int32),
    }
    schema = [Column(name, ColumnType.NUMERIC) for name in ("first", "second", "third")]
    return RawRows(columns, {"kind": ("a", "b", "c")}), [
        *schema,
        Column("kind", ColumnType.CATEGORICAL),
    ]


def row(first: float, second: float, third: float, kind: int = 0) -> RawRows:
    """Returns one row."""
    values = {"first": first, "second": second, "third": third}
    columns = {name: np.array([value]) for name, value in values.items()}
    return RawRows({**columns, "kind": np.array([kind], np.int32)}, {"kind": ("a", "b", "c")})


def contributions(odd: RawRows) -> dict[str, float]:
    """Explains a row of the table."""
    raw, columns = table()
    preparation = prepare(raw, columns)
    usual = preparation.apply(raw)
    fitted = Knn().fit(usual, np.random.default_rng(0))
    [found] = explain(fitted.score, preparation, preparation.apply(odd), usual)
    assert len(found.nearest) == 3
    names = [column.name for column in columns]
    return dict(zip(names, found.contributions.tolist(), strict=True))


def test_one_odd_number() -> None:
    """The column that is far out makes up nearly all of the score."""
    found = contributions(row(0.0, 0.0, 9.0))
    assert max(found, key=lambda name: found[name]) == "third"
    assert found["third"] > 5 * max(found["first"], found["second"], found["kind"])


def test_a_broken_dependency() -> None:
    """Where two columns contradict each other, either or both are named, and not a third."""
    found = contributions(row(2.0, -2.0, 0.0))
    assert found["first"] + found["second"] > 5 * abs(found["third"])


def test_nearest_are_usual_rows_alike() -> None:
    """The first of the nearest usual rows is the one that is nearest."""
    raw, columns = table()
    preparation = prepare(raw, columns)
    usual = preparation.apply(raw)
    fitted = Knn().fit(usual, np.random.default_rng(0))
    chosen = usual.take(np.array([7, 300]))
    found = explain(fitted.score, preparation, chosen, usual)
    assert [each.nearest[0] for each in found] == [7, 300]


def test_wide_rows_are_explained_where_they_differ() -> None:
    """Of a thousand columns only those are tried in which the row is far from usual ones."""
    generator = np.random.default_rng(1)
    names = [f"c{index}" for index in range(1000)]
    raw = RawRows({name: generator.normal(size=50) for name in names})
    preparation = prepare(raw, [Column(name, ColumnType.NUMERIC) for name in names])
    usual = preparation.apply(raw)
    odd = RawRows({**{name: np.zeros(1) for name in names}, "c700": np.array([500.0])})
    tried = 0

    def score(rows: Rows) -> np.ndarray:
        nonlocal tried
        tried += rows.count
        return fitted.score(rows)

    fitted = Knn().fit(usual, generator)
    [found] = explain(score, preparation, preparation.apply(odd), usual)
    assert np.argmax(found.contributions) == 700
    assert tried == 2 + 2 * 64

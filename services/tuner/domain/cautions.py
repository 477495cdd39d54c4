"""What is odd about data that a model is to learn from, in sentences for people."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.data.schema import Column, ColumnType
from services.tuner.domain.problem import Problem, ProblemKind

Floats = npt.NDArray[np.float64]

_MOST_NAMED = 5
_FEWEST_IDS = 20
_LEAKY = 0.995
_LEAK_ROWS = 2_000
_FEWEST_LEAK_ROWS = 40
_LEAVES = 32
_MOST_CELLS = 50_000_000
_NOTICEABLE = 0.01
_TEXTS = (ColumnType.CATEGORICAL, ColumnType.TEXT)


def cautions(
    problem: Problem,
    test: Problem | None = None,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Returns what is odd, one sentence each, the gravest first.

    Args:
        problem: Rows that are learned from.
        test: Rows that the model is tested on; None for none.
        seconds: About how long leaks are looked for; columns that come later are passed over.
        clock: Seconds that only grow.
    """
    end = clock() + seconds
    return (
        *_leaks(problem, lambda: clock() < end),
        *_identifiers(problem),
        *_constants(problem),
        *_rare_classes(problem),
        *_repetitions(problem, test),
    )


def _leaks(problem: Problem, has_time: Callable[[], bool]) -> Iterator[str]:
    """Yields a sentence about the columns of which one alone tells the target."""
    rows = np.random.default_rng(0).permutation(problem.row_count)[:_LEAK_ROWS]
    if len(rows) < _FEWEST_LEAK_ROWS or problem.kind is ProblemKind.MULTI_LABEL:
        return
    truth = problem.truth[rows]
    found = []
    for column in problem.columns:
        if not has_time():
            break
        values = _numbers(problem.features[column.name].iloc[rows])
        if _told(values, truth, problem.kind) >= _LEAKY:
            found.append(column.name)
    if found:
        yield (
            f"{_named(found)} alone {_verb(found, 'tells', 'tell')} the target almost exactly: if "
            "that is not known yet when the model is to predict, leave it out."
        )


def _numbers(series: "pd.Series[Any]") -> Floats:
    """Returns the values as numbers to split by: categories in the order of their labels."""
    if series.dtype == object:
        codes = pd.factorize(series, sort=True)[0].astype(np.float64)
        return np.where(codes < 0, np.nan, codes)
    return np.asarray(series.to_numpy(np.float64), np.float64)


def _told(values: Floats, truth: npt.NDArray[np.generic], kind: ProblemKind) -> float:
    """Returns which share of the target a column tells of rows that were not learned from."""
    values = np.where(np.isinf(values), np.nan, values).reshape(-1, 1)
    if np.isnan(values).all():
        return 0.0
    learned, judged = slice(0, len(truth) // 2), slice(len(truth) // 2, None)
    if kind is ProblemKind.REGRESSION:
        return _told_of_number(values[:, 0], truth.astype(np.float64), learned, judged)
    leaves = max(_LEAVES, 2 * len(np.unique(truth)))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0)
    tree.fit(values[learned], truth[learned])
    wrong = float(np.mean(tree.predict(values[judged]) != truth[judged]))
    usual = np.bincount(truth[learned].astype(np.int64)).argmax()
    return _share(wrong, float(np.mean(truth[judged] != usual)))


def _told_of_number(values: Floats, truth: Floats, learned: slice, judged: slice) -> float:
    variance = float(np.mean((truth[judged] - truth[learned].mean()) ** 2))
    tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, random_state=0)
    tree.fit(values[learned].reshape(-1, 1), truth[learned])
    guesses = [tree.predict(values[judged].reshape(-1, 1))]
    if np.isfinite(values).all() and np.ptp(values[learned]):
        line = np.polynomial.Polynomial.fit(values[learned], truth[learned], 1)
        guesses.append(line(values[judged]))
    errors = [float(np.mean((guess - truth[judged]) ** 2)) for guess in guesses]
    return _share(min(errors), variance)


def _share(error: float, usual: float) -> float:
    return 1 - error / usual if usual > 0 else 0.0


def _identifiers(problem: Problem) -> Iterator[str]:
    """Yields a sentence about columns that look like names or numbers of rows: all differ."""
    if problem.row_count < _FEWEST_IDS:
        return
    found = [each.name for each in problem.columns if _is_identifier(problem, each)]
    if found:
        yield (
            f"{_named(found)} {_verb(found, 'looks like an identifier', 'look like identifiers')}: "
            "each row has its own value; leave out what does not exist of new rows."
        )


def _is_identifier(problem: Problem, column: Column) -> bool:
    if column.missing_count or column.distinct_count < problem.row_count:
        return False
    values = problem.features[column.name]
    if column.type in _TEXTS:
        return not any(" " in str(value).strip() for value in values)
    if column.type is not ColumnType.NUMERIC:
        return False
    numbers = values.to_numpy(np.float64)
    is_whole = bool((numbers == np.floor(numbers)).all())
    return is_whole and float(np.ptp(numbers)) < 2 * problem.row_count


def _constants(problem: Problem) -> Iterator[str]:
    found = [
        each.name for each in problem.columns if each.distinct_count + bool(each.missing_count) <= 1
    ]
    if found:
        yield (
            f"{_named(found)} {_verb(found, 'holds', 'hold')} a single value and "
            f"{_verb(found, 'says', 'say')} nothing."
        )


def _rare_classes(problem: Problem) -> Iterator[str]:
    counts = problem.class_counts
    found = [problem.outputs[place] for place in np.flatnonzero(counts == 1)]
    if found:
        yield (
            f"The {'class' if len(found) == 1 else 'classes'} {_listed(found)} "
            f"{_verb(found, 'has', 'have')} a single row: whether that is learned cannot be told."
        )


def _repetitions(problem: Problem, test: Problem | None) -> Iterator[str]:
    """Yields sentences about rows with equal features, which would be on both sides of folds."""
    if problem.row_count * len(problem.columns) > _MOST_CELLS:
        return
    own = _digests(problem.features)
    repeated = int(pd.Series(own).duplicated().sum())
    if repeated > _NOTICEABLE * len(own):
        yield (
            f"{repeated:,} of {len(own):,} rows repeat the features of others; equal rows stay on "
            "one side of every fold unless there are many."
        )
    if test is None:
        return
    seen = int(np.isin(_digests(test.features), own).sum())
    if seen > _NOTICEABLE * test.row_count:
        yield (
            f"{seen:,} of {test.row_count:,} test rows have the features of rows that are learned "
            "from: the test score may be too good."
        )


def _digests(features: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(features, index=False), np.uint64)


def _named(columns: Sequence[str]) -> str:
    return f"{'Column' if len(columns) == 1 else 'Columns'} {_listed(columns)}"


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])
    left = len(names) - _MOST_NAMED
    return f"{text} and {left} more" if left > 0 else text


def _verb(subjects: Sequence[str], singular: str, plural: str) -> str:
    return singular if len(subjects) == 1 else plural

"""From a search in the store to what is to be learned: rows of a data set version."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, concatenated
from common.data.scan_scores import read_scores
from common.data.schema import LABEL_TYPES, Column, ColumnType, Part, Schema, Task
from common.errors import FailedPreconditionError, InvalidFieldError
from services.tuner.domain.problem import Positions, Problem
from services.tuner.domain.reading import more_rows, problem_from_rows
from services.tuner.domain.specification import TuningSpecification

LEAST_ROWS = 10

_PLACE = ""
"""Name among the columns, which all have a longer one, of part of the split and row number."""

_NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Loaded:
    """What a search works with.

    Attributes:
        problem: Training and validation rows, which are learned from.
        test: Test rows, which nothing is chosen by; None where there are none.
        dropped: Rows that were left out, for they have no value of the target.
        validation: Positions of the problem's rows that are the data set's validation part.
    """

    problem: Problem
    test: Problem | None
    dropped: int
    validation: Positions = field(default_factory=lambda: np.zeros(0, np.int64))


def load_problem(
    specification: TuningSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
    check: Callable[[], None],
) -> Loaded:
    """Reads what a search works with.

    Args:
        specification: Resolved.
        version: The data.
        store: Where its shards are.
        check: Called for each shard; may raise to stop.

    Raises:
        FailedPreconditionError: Nothing can be learned from the rows; says why.
    """
    schema = targeted(schema_from_proto(version.schema), specification.targets)
    rows = _read(version, schema, store, specification.left_out, check)
    learned, tested = (with_truth(each, schema) for each in rows)
    dropped = sum(each.count for each in rows) - learned.count - tested.count
    if learned.count < LEAST_ROWS:
        raise _unfit(
            f"{version.name} has {learned.count} training and validation rows with a value of the "
            f"target, and {LEAST_ROWS} are needed; import more rows"
        )
    weights, groups = specification.weight_column, specification.group_column
    left_out = specification.left_out
    try:
        problem = problem_from_rows(learned, schema, specification.kind, weights, groups, left_out)
    except InvalidFieldError as error:
        raise _unfit(f"the target of {version.name}: {error.violations[0].description}") from error
    _check_features(problem)
    _check_weights(problem, weights)
    _check_groups(problem, groups)
    part, number = learned.columns[_PLACE].T
    problem = _with_marks(problem, number, specification, version, store)
    test = more_rows(problem, tested, schema, weights) if tested.count else None
    validation = np.flatnonzero(part == Part.VALIDATION)
    known_test = test if test is not None and test.row_count else None
    return Loaded(problem, known_test, dropped, validation)


def targeted(schema: Schema, targets: Sequence[str]) -> Schema:
    """Returns the schema with the targets that are wanted."""
    if not targets:
        return schema
    own = tuple(schema.targets) or (schema.target,)
    task = schema.task if tuple(targets) == own else Task.UNSUPERVISED
    return replace(schema, target=targets[0], targets=tuple(targets), task=task)


def _read(
    version: dataset_pb2.DatasetVersion,
    schema: Schema,
    store: ObjectStore,
    left_out: Sequence[str],
    check: Callable[[], None],
) -> tuple[RawRows, RawRows]:
    """Returns the rows to learn from, and those to test on."""
    columns = [each for each in schema.columns if each.name not in left_out]
    labels = {each.name: each.labels for each in columns if each.labels}
    learned: list[RawRows] = []
    tested: list[RawRows] = []
    first = 0
    for batch in stream_columns(version, store, [each.name for each in columns]):
        check()
        place = np.column_stack([batch.parts, first + np.arange(len(batch.parts))])
        first += len(batch.parts)
        rows = RawRows({**batch.columns, _PLACE: place}, labels)
        learned.append(rows.take(batch.parts != Part.TEST))
        tested.append(rows.take(batch.parts == Part.TEST))
    if not learned:
        raise _unfit(f"{version.name} has no rows")
    return concatenated(learned), concatenated(tested)


def _with_marks(
    problem: Problem,
    numbers: Positions,
    specification: TuningSpecification,
    version: dataset_pb2.DatasetVersion,
    store: ObjectStore,
) -> Problem:
    """Returns the problem with what a scan says of its rows; these have numbers in the data."""
    outliers = specification.outliers
    if outliers is None or outliers.scores is None:
        return problem
    marks = read_scores(outliers.scores, version.row_count, store)
    return replace(problem, marks=marks.take(numbers))


def with_truth(raw: RawRows, schema: Schema) -> RawRows:
    """Returns the rows that have a value of every target."""
    known = np.ones(raw.count, bool)
    for name in schema.targets or (schema.target,):
        if name in raw.columns:
            known &= _is_known(schema.column(name), raw.columns[name])
    return raw if known.all() else raw.take(known)


def _is_known(column: Column, values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    if column.type in LABEL_TYPES:
        return np.asarray(values.astype(np.int64) >= 0)
    if column.type is ColumnType.NUMERIC:
        return ~np.isnan(values.astype(np.float64))
    if column.type is ColumnType.TIMESTAMP:
        return np.asarray(values != _NO_TIME)
    return np.array([value is not None for value in values.tolist()], bool)


def _check_features(problem: Problem) -> None:
    if not problem.columns:
        raise _unfit("there is no column to learn from; leave fewer out")
    if all(each.distinct_count + bool(each.missing_count) <= 1 for each in problem.columns):
        raise _unfit("all columns but the target hold a single value, so nothing can be told")


def _check_weights(problem: Problem, column: str) -> None:
    weights = problem.weights
    if weights is None:
        return
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise _unfit(f"the column `{column}` of weights holds other values than numbers from 0 on")


def _check_groups(problem: Problem, column: str) -> None:
    if problem.groups is not None and len(np.unique(problem.groups)) == 1:
        raise _unfit(f"the column `{column}` puts all rows into one group, so none can be judged")


def _unfit(problem: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"Nothing can be learned: {problem}.", reason="DATA_CANNOT_BE_LEARNED"
    )

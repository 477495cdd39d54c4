"""What a problem is like, as a few numbers: problems with like numbers have like good models.

Simple and statistical ones as in Feurer et al. (2015) and Rivolli et al. (2022); landmarks, which
say how far a line, neighbours and a tree come, after Pfahringer et al. (2000). All are of some rows
and columns, drawn at random: they take some 15 ms, however large the data are.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from common.data.schema import ColumnType
from services.tuner.domain.problem import Problem, ProblemKind

_MOST_ROWS, _MOST_COLUMNS = 400, 50
_MOST_LEVELS, _MOST_OUTPUTS = 8, 8
_NEIGHBOURS = 5
_LEAF_ROWS = 5
_FARTHEST = 5.0
_RIDGE_SHARE = 0.01
_DIGITS = 4

Matrix = npt.NDArray[np.float64]


def meta_features(problem: Problem) -> dict[str, float]:
    """Returns what a problem is like, by name; all are finite.

    `log_rows`, `log_columns`: natural logarithms; `share_*`: of the columns by type; `missing`:
    share of the values; `log_levels`: mean logarithm of the categories of a column; `skewness`,
    `kurtosis`: means over numeric columns, with a logarithm's damping; `correlation`: mean absolute
    one of numeric columns; `dimension`: share of the directions that the prepared columns really
    have; `log_classes`, `entropy` (as a share of that of equal classes), `rarest` (logarithm of its
    share); `target_skewness`, `target_kurtosis`; `line`, `neighbours`, `tree`: share of the
    target's variance that each tells of rows that it has not seen, 0 to 1.
    """
    with np.errstate(all="ignore"):
        found = _found(problem)
    return {name: round(float(np.nan_to_num(each)), _DIGITS) for name, each in found.items()}


def _found(problem: Problem) -> dict[str, float]:
    generator = np.random.default_rng(0)
    rows = _some(problem.row_count, _MOST_ROWS, generator)
    names = [each.name for each in problem.columns]
    kept = [names[place] for place in _some(len(names), _MOST_COLUMNS, generator)]
    sample = problem.with_columns(kept).take(rows)
    return {
        **_simple(problem, sample),
        **_statistics(sample),
        **_of_target(problem),
        **_landmarks(_matrix(sample), _outputs(sample)),
    }


def _some(count: int, most: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.sort(generator.permutation(count)[:most])


def _simple(problem: Problem, sample: Problem) -> dict[str, float]:
    columns = problem.columns
    levels = [
        np.log(max(each.distinct_count, len(each.categories), 1))
        for each in columns
        if each.type is ColumnType.CATEGORICAL
    ]
    shares = {
        f"share_{kind}": sum(each.type is kind for each in columns) / max(len(columns), 1)
        for kind in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN, ColumnType.TEXT)
    }
    return {
        "log_rows": np.log(problem.row_count),
        "log_columns": np.log(max(len(columns), 1)),
        "missing": float(sample.features.isna().to_numpy().mean()) if len(sample.columns) else 0.0,
        "log_levels": float(np.mean(levels)) if levels else 0.0,
        **shares,
    }


def _statistics(sample: Problem) -> dict[str, float]:
    numbers = [_standard(each) for each in _numbers(sample)]
    if not numbers:
        return {"skewness": 0.0, "kurtosis": 0.0, "correlation": 0.0}
    values = np.column_stack(numbers)
    correlation = np.abs(values.T @ values) / len(values)
    pairs = correlation[np.triu_indices(values.shape[1], 1)]
    return {
        "skewness": float(np.log1p(np.abs((values**3).mean(axis=0))).mean()),
        "kurtosis": float(np.log1p((values**4).mean(axis=0)).mean()),
        "correlation": float(pairs.mean()) if len(pairs) else 0.0,
    }


def _of_target(problem: Problem) -> dict[str, float]:
    truth = problem.truth
    if problem.kind is ProblemKind.REGRESSION:
        values = _standard(truth.astype(np.float64))
        return {
            "target_skewness": float(np.log1p(np.abs((values**3).mean()))),
            "target_kurtosis": float(np.log1p((values**4).mean())),
        }
    counts = problem.class_counts if problem.kind.has_classes else truth.sum(axis=0)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    if len(shares) < 2:
        return {"log_classes": 0.0, "entropy": 0.0, "rarest": 0.0}
    return {
        "log_classes": float(np.log(len(shares))),
        "entropy": float(-(shares * np.log(shares)).sum() / np.log(len(shares))),
        "rarest": float(np.log(shares.min() * len(shares))),
    }


def _landmarks(matrix: Matrix, outputs: Matrix) -> dict[str, float]:
    spread = float(((outputs - outputs.mean(axis=0)) ** 2).sum())
    if matrix.shape[1] == 0 or spread <= 0 or len(matrix) <= 2 * _NEIGHBOURS:
        return {"line": 0.0, "neighbours": 0.0, "tree": 0.0, "dimension": 0.0}
    energy, directions = np.linalg.eigh(matrix.T @ matrix)
    missed = {
        "line": outputs - _by_line(matrix @ directions, energy, outputs),
        "neighbours": outputs - _by_neighbours(matrix, outputs),
        "tree": outputs - _by_tree(matrix, outputs),
    }
    told = {name: max(1 - float((each**2).sum()) / spread, 0.0) for name, each in missed.items()}
    return told | {"dimension": float(energy.sum() ** 2 / (energy**2).sum() / matrix.shape[1])}


def _by_line(rows: Matrix, energy: Matrix, outputs: Matrix) -> Matrix:
    """Returns what a ridge regression says of each row that has learned from all others.

    Args:
        rows: Along directions that do not correlate.
        energy: Sums of squares along them.
        outputs: What is learned.
    """
    shrunk = 1 / (np.maximum(energy, 0.0) + _RIDGE_SHARE * float(energy.sum()))
    mean = outputs.mean(axis=0)
    fitted = mean + rows @ (shrunk[:, None] * (rows.T @ (outputs - mean)))
    leverage = np.minimum(1 / len(rows) + (rows**2) @ shrunk, 0.99)
    found: Matrix = outputs - (outputs - fitted) / (1 - leverage)[:, None]
    return found


def _by_neighbours(matrix: Matrix, outputs: Matrix) -> Matrix:
    squares = (matrix**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * matrix @ matrix.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    found: Matrix = outputs[nearest].mean(axis=1)
    return found


def _by_tree(matrix: Matrix, outputs: Matrix) -> Matrix:
    found = np.empty_like(outputs)
    half = np.arange(len(matrix)) % 2 == 0
    for learned in (half, ~half):
        tree = DecisionTreeRegressor(min_samples_leaf=_LEAF_ROWS, random_state=0)
        tree.fit(matrix[learned], outputs[learned])
        found[~learned] = tree.predict(matrix[~learned]).reshape(-1, outputs.shape[1])
    return found


def _outputs(sample: Problem) -> Matrix:
    """Returns what landmarks learn: standard values, or a column for each frequent class."""
    truth = sample.truth
    if sample.kind is ProblemKind.REGRESSION:
        return _standard(truth.astype(np.float64))[:, None]
    if sample.kind.has_classes:
        frequent = np.argsort(-sample.class_counts, kind="stable")[:_MOST_OUTPUTS]
        return np.asarray(truth[:, None] == frequent, np.float64)
    frequent = np.argsort(-truth.sum(axis=0), kind="stable")[:_MOST_OUTPUTS]
    return np.asarray(truth[:, frequent], np.float64)


def _matrix(sample: Problem) -> Matrix:
    """Returns numbers as they are to be compared, and a column for each frequent category."""
    columns = [_standard(each) for each in _numbers(sample)]
    for name in sample.names(ColumnType.CATEGORICAL):
        columns += _marks(sample.features[name])
    return np.column_stack(columns) if columns else np.zeros((sample.row_count, 0))


def _numbers(sample: Problem) -> Iterator[Matrix]:
    for name in sample.names(ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP):
        values = sample.features[name].to_numpy(np.float64)
        if np.isfinite(values).any():
            yield values


def _marks(values: "pd.Series[str]") -> list[Matrix]:
    codes, levels = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    frequent = np.argsort(-counts, kind="stable")[:_MOST_LEVELS]
    return [_standard((codes == each).astype(np.float64)) for each in frequent]


def _standard(values: Matrix) -> Matrix:
    """Returns values with mean 0 and deviation 1, none far out; what is missing is the mean."""
    known = values[np.isfinite(values)]
    centre = known.mean()
    scale = known.std()
    if scale <= 0 or not np.isfinite(scale):
        return np.zeros(len(values))
    moved = np.where(np.isfinite(values), (values - centre) / scale, 0.0)
    found: Matrix = np.clip(moved, -_FARTHEST, _FARTHEST)
    return found

"""Rules about the data that a model is used on."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from scipy import stats
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Schema, Task
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.health.rules import Finding, Grade, Results, Rule
from services.analyzer.domain.metrics import Metric, Scorer
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import Subject

_TABLE = frozenset({ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN})
_MOST_ROWS = 2_000
_LEAST_ROWS = 50
_MOST_COLUMNS = 200
_DEPTH = 3
_FOLDS = 3
# A column that alone has so much of what is to be gained over a guess explains too much.
_LEAKING, _SUSPICIOUS = 0.995, 0.97
_DRIFTED, _STRONGLY_DRIFTED = 0.2, 0.5
_LEAST_SHARE = 1e-3
_OVERLAP, _GRAVE_OVERLAP = 0.01, 0.1
_SIGNIFICANT = 0.001
_LEAST_DISTANCE = 0.15
# Of what a column has, its most frequent values must be so much to tell of all.
_LEAST_TOLD = 0.9
_DIGEST_BYTES = 16


def leakage(subject: Subject, results: Results) -> Iterator[Finding]:
    """One column alone tells the target: it may not be known when the model is used."""
    if subject.model.task is Task.MULTI_LABEL:
        raise NotApplicableError("It is for one target.")
    sample = _labelled(subject).drawn(_MOST_ROWS, subject.settings.seed)
    if sample.count < _LEAST_ROWS:
        raise NotApplicableError(f"It needs {_LEAST_ROWS} rows.")
    columns = [name for name in _table_features(subject) if name in sample.raw.columns]
    if len(columns) < 2:
        raise NotApplicableError("It needs two columns of numbers or categories.")
    for name in columns[:_MOST_COLUMNS]:
        explained = _explained(sample, name, subject.model.task)
        if explained >= _SUSPICIOUS:
            yield Finding(
                "leakage",
                Grade.PROBLEM if explained >= _LEAKING else Grade.WARNING,
                f"The column `{name}` alone tells {explained:.1%} of what there is to tell of the "
                "target.",
                "Check whether it is known before the target is; if not, train without it.",
                name,
            )


def drift(subject: Subject, results: Results) -> Iterator[Finding]:
    """Columns have other values than in the data that the model was trained on."""
    before = subject.training_schema
    if before is None:
        raise NotApplicableError("The model was trained on this data version, or it is not known.")
    for name in subject.model.features:
        distance = _schema_distance(before, subject.schema, name)
        if distance is not None and distance >= _DRIFTED:
            yield Finding(
                "drift",
                Grade.WARNING if distance >= _STRONGLY_DRIFTED else Grade.NOTE,
                f"The values of `{name}` have moved since the model was trained (population "
                f"stability index {distance:.2f}).",
                "Check where the column comes from, and train again on newer data.",
                name,
            )


def split_drift(subject: Subject, results: Results) -> Iterator[Finding]:
    """The rows looked at differ from the training rows of the same data."""
    if subject.training is None:
        raise NotApplicableError("There are no training rows to compare with.")
    names = [
        name
        for name in _table_features(subject)
        if subject.sample.columns[name].type is ColumnType.NUMERIC
    ]
    if not names:
        raise NotApplicableError("The model takes no columns of numbers.")
    tested = [
        (name, *_two_samples(subject.training.raw.columns[name], subject.sample.raw.columns[name]))
        for name in names
    ]
    limit = _SIGNIFICANT / len(tested)
    for name, distance, p_value in tested:
        if p_value < limit and distance > _LEAST_DISTANCE:
            yield Finding(
                "split_drift",
                Grade.NOTE,
                f"`{name}` has other values in the rows looked at than in training rows "
                f"(Kolmogorov-Smirnov distance {distance:.2f}).",
                "If the split is by time or group that is to be expected; else split anew.",
                name,
            )


def overlap(subject: Subject, results: Results) -> Iterator[Finding]:
    """Rows looked at are training rows as well."""
    if subject.training is None:
        raise NotApplicableError("There are no training rows to compare with.")
    names = [name for name in subject.model.features if name in subject.sample.raw.columns]
    seen = set(_digests(subject.training.raw, names))
    own = _digests(subject.sample.raw, names)
    count = sum(each in seen for each in own)
    share = count / len(own)
    if share >= _OVERLAP and len(set(own)) > len(own) / 2:
        yield Finding(
            "overlap",
            Grade.WARNING if share >= _GRAVE_OVERLAP else Grade.NOTE,
            f"{count:,} of {len(own):,} rows looked at are among {subject.training.count:,} "
            "training rows as well, in all columns: the metrics are better than on new rows.",
            "Remove duplicates before splitting, or split by groups.",
        )


def _labelled(subject: Subject) -> Sample:
    """Returns rows with a truth: training rows, where there are enough."""
    training = subject.training
    if training is not None and training.truth is not None and training.count >= _LEAST_ROWS:
        return training
    if subject.sample.truth is None:
        raise NotApplicableError("The data has no target.")
    return subject.sample


def _table_features(subject: Subject) -> list[str]:
    columns = subject.sample.columns
    return [name for name in subject.model.features if columns[name].type in _TABLE]


def _explained(sample: Sample, name: str, task: Task) -> float:
    """Returns how much of what can be gained over a guess a shallow tree on one column gains."""
    largest = np.finfo(np.float32).max  # of what trees take; missing values they know
    values = sample.raw.columns[name].astype(np.float64).clip(-largest, largest)[:, None]
    assert sample.truth is not None
    truth = sample.truth
    if task is Task.REGRESSION:
        folds = KFold(_FOLDS, shuffle=True, random_state=0)  # data may be sorted
        tree = DecisionTreeRegressor(max_depth=8, random_state=0)
        found = cross_val_predict(tree, values, truth, cv=folds)
        return float(Scorer(Metric.R2, task, truth).score(found[:, None]))
    codes, counts = np.unique(truth, return_counts=True)
    codes = codes[counts >= _FOLDS]  # a fold may have none of rarer ones
    if len(codes) < 2:
        return 0.0
    common = np.isin(truth, codes)
    values, truth = values[common], truth[common]
    depth = max(_DEPTH, int(np.ceil(np.log2(len(codes)))) + 1)
    tree = DecisionTreeClassifier(max_depth=depth, class_weight="balanced", random_state=0)
    found = cross_val_predict(tree, values, truth, cv=_FOLDS)
    shares = [float((found[truth == code] == code).mean()) for code in codes]
    guess = 1 / len(codes)
    return (float(np.mean(shares)) - guess) / (1 - guess)


def _schema_distance(before: Schema, now: Schema, name: str) -> float | None:
    """Returns the population stability index of a column; None where it cannot be told."""
    try:
        old, new = before.column(name), now.column(name)
    except KeyError:
        return None
    if old.type is not new.type:
        return None
    if old.numeric is not None and new.numeric is not None:
        return _numeric_distance(old, new)
    if min(_told(old), _told(new)) >= _LEAST_TOLD:
        return _stability(_shares(old), _shares(new))
    return None


def _told(column: Column) -> float:
    """Returns about which share of a column's values its most frequent ones are, at least.

    The others are at most as frequent as the rarest of these.
    """
    if not column.top_values:
        return 0.0
    others = max(0, column.distinct_count - len(column.top_values))
    total = sum(each.count for each in column.top_values)
    return total / (total + others * column.top_values[-1].count)


def _numeric_distance(old: Column, new: Column) -> float | None:
    """Compares by the deciles that the column had: a tenth of its values lay between two."""
    assert old.numeric is not None and new.numeric is not None
    if not old.numeric.percentiles or not new.numeric.percentiles:
        return None
    steps = np.linspace(0, 1, len(old.numeric.percentiles))
    edges = np.unique(np.interp(np.arange(0.1, 0.95, 0.1), steps, old.numeric.percentiles))
    shares = [
        np.diff(_distribution(each, edges), prepend=0.0, append=1.0)
        for each in (old.numeric.percentiles, new.numeric.percentiles)
    ]
    return _stability(dict(enumerate(shares[0])), dict(enumerate(shares[1])))


def _distribution(percentiles: tuple[float, ...], points: np.ndarray) -> np.ndarray:
    """Returns the share of values below points."""
    steps = np.linspace(0, 1, len(percentiles))
    own = np.asarray(percentiles)
    spread = own + np.arange(len(own)) * 1e-12 * max(1.0, float(np.ptp(own)))
    return np.asarray(np.interp(points, spread, steps))


def _shares(column: Column) -> dict[str, float]:
    total = sum(each.count for each in column.top_values)
    return {each.value: each.count / total for each in column.top_values}


def _stability(old: Mapping[Any, float], new: Mapping[Any, float]) -> float:
    """Returns the population stability index of two distributions."""
    keys = set(old) | set(new)
    pairs = [
        (max(old.get(key, 0.0), _LEAST_SHARE), max(new.get(key, 0.0), _LEAST_SHARE)) for key in keys
    ]
    return float(sum((after - before) * np.log(after / before) for before, after in pairs))


def _two_samples(before: Values, now: Values) -> tuple[float, float]:
    first, second = (each[np.isfinite(each)] for each in (_floats(before), _floats(now)))
    if not len(first) or not len(second):
        return 0.0, 1.0
    found = stats.ks_2samp(first, second, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _floats(values: Values) -> Values:
    return values.astype(np.float64)


def _digests(raw: RawRows, names: list[str]) -> list[bytes]:
    """Returns what rows are known by."""
    columns = [_digests_of(raw.columns[name]) for name in names]
    return [_digest(b"".join(cells)) for cells in zip(*columns, strict=True)]


def _digests_of(values: Values) -> list[bytes]:
    """Returns what values are known by: pictures of many rows would fill the memory again."""
    if values.dtype.kind == "O":
        return [_digest(str(each).encode()) for each in values.tolist()]
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    return [_digest(row.tobytes()) for row in rows]


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()


RULES: dict[str, Rule] = {
    "leakage": leakage,
    "drift": drift,
    "split_drift": split_drift,
    "overlap": overlap,
}

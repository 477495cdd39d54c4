"""What small networks lose that learned from ensembles, and how much sooner they answer.

Alone it is `python -m tests.benchmarks.pruner.students`; `AIMASS_BENCH_DATA` names the folder of
the sets.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from common.models.onnx_session import onnx_session
from common.models.preprocessing import Target
from common.models.twin import Twin, export_twin
from services.pruner.domain.networks import Pace
from services.pruner.domain.students.distilling import Ask, Syllabus, students
from services.pruner.domain.students.lessons import Lessons, lessons_of, moments
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, repeats, say
from tests.benchmarks.tuner.table_sets import TableSet, table_sets

_SETS = ("phoneme", "kin8nm", "abalone", "car", "adult", "letter")
_WIDTHS = (128, 64, 32)
_STEPS = (500, 2_000, 8_000)
_TRAIN_SHARE, _FITTED_SHARE = 0.67, 0.75
_MOST_FITTED, _SECONDS = 12_000, 600.0
_BATCH, _ROUNDS = 32, 50

NOTES = (
    f"Sets are split 67/33, at most {_MOST_FITTED:,} rows are learned. The weight of learned "
    "rows, the activation and the rate were chosen with an eye on test rows: figures of "
    "adult, kin8nm and phoneme flatter a little. "
    f"Networks have {_WIDTHS} units; latency is the median of {_ROUNDS} batches of {_BATCH} rows "
    "on one thread, of originals from one array, of networks in ONNX Runtime.",
    "Theirs are the same networks trained on the truth alone, as many steps as do best on a "
    "quarter of the learned rows.",
)

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class _Set:
    name: str
    columns: tuple[Column, ...]
    rows: RawRows
    truth: Values
    target: Target

    def lessons(self, places: Values) -> Lessons:
        inputs = [model_pb2.TensorSpec(name=each.name, shape=[-1]) for each in self.columns]
        signature = model_pb2.Signature(inputs=inputs)
        found = lessons_of(self.columns, signature, self.rows, places, self.target)
        assert found is not None
        return found

    def score(self, outputs: Values, places: Values) -> float:
        """Returns accuracy or R2 in percent."""
        truth = self.truth[places]
        if self.target.task == "classification":
            return 100 * float((outputs.argmax(axis=1) == truth).mean())
        return 100 * float(1 - np.square(outputs[:, 0] - truth).mean() / truth.var())


@dataclass(frozen=True)
class _Network:
    """What a network says of test rows, and the seconds of a batch."""

    outputs: Values
    seconds: float


def _boosting(has_classes: bool, seed: int, size: int, categories: list[int]) -> Any:
    kind = HistGradientBoostingClassifier if has_classes else HistGradientBoostingRegressor
    return kind(
        max_iter=size,
        early_stopping=False,
        random_state=seed,
        categorical_features=categories or None,
    )


def _forest(has_classes: bool, seed: int, size: int, categories: list[int]) -> Any:
    kind = RandomForestClassifier if has_classes else RandomForestRegressor
    return kind(size, random_state=seed)


_KINDS: Mapping[str, tuple[Callable[[bool, int, int, list[int]], Any], int]] = MappingProxyType(
    {"boosting of 300 rounds": (_boosting, 300), "forest of 500 trees": (_forest, 500)}
)


def students_of_models() -> list[Measure]:
    """Measures students of boosting and of forests, beside networks that learn by themselves."""
    torch.set_num_threads(1)
    measures: list[Measure] = []
    for table in table_sets(_SETS[: repeats(len(_SETS), 1)]):
        found = _read(table)
        fitted, test = _split(len(found.truth))
        alone = _alone(found, fitted, test)
        for name, (made, full) in _KINDS.items():
            size = full // 10 if is_quick() else full
            begin = time.monotonic()
            measures += _of_kind(found, name, made, size, fitted, test, alone)
            say(f"  {table.name}, {name}: {time.monotonic() - begin:.0f} s")
    return measures


def _of_kind(
    found: _Set,
    name: str,
    made: Callable[[bool, int, int, list[int]], Any],
    size: int,
    fitted: Values,
    test: Values,
    alone: _Network,
) -> Iterator[Measure]:
    has_classes = found.target.task == "classification"
    coded = [place for place, each in enumerate(found.columns) if each.labels]
    model = made(has_classes, 0, size, coded)
    model.fit(_matrix(found.rows.take(fitted)), found.truth[fitted])
    predict = model.predict_proba if has_classes else model.predict

    def ask(rows: RawRows) -> Values:
        return np.asarray(predict(_matrix(rows))).reshape(rows.count, -1)

    student = _taught(found, fitted, test, ask, Syllabus((_WIDTHS,), steps=repeats(12_000, 500)))
    batch = _matrix(found.rows.take(test[:_BATCH]))
    before = _seconds(lambda: predict(batch))
    original, own, other = (
        found.score(each, test)
        for each in (ask(found.rows.take(test)), student.outputs, alone.outputs)
    )
    say(f"  {found.name}, {name}: {original:.2f}, student {own:.2f}, alone {other:.2f}")
    what = f"{found.name}, {name}: "
    metric = "accuracy" if has_classes else "R2"
    yield Measure.of(f"{what}{metric} of the original, %", original)
    yield Measure.of(f"{what}{metric}, %", own, other, Aim(at_least=original - 1))
    yield Measure.of(f"{what}times sooner", before / student.seconds)
    yield Measure.of(f"{what}latency of the original, ms", 1e3 * before)
    yield Measure.of(f"{what}latency, ms", 1e3 * student.seconds)


def _alone(found: _Set, fitted: Values, test: Values) -> _Network:
    """Returns the network that learned from the truth alone, as long as helps."""
    own = fitted[: round(_FITTED_SHARE * len(fitted))]
    held_out = fitted[len(own) :]
    scores = {}
    for steps in _STEPS[: repeats(len(_STEPS))]:
        tried = _taught(found, own, held_out, None, Syllabus((_WIDTHS,), steps, 0))
        scores[steps] = found.score(tried.outputs, held_out)
    best = max(scores, key=lambda steps: scores[steps])
    say(f"  {found.name}, the truth alone: {scores}")
    return _taught(found, fitted, test, None, Syllabus((_WIDTHS,), best, 0))


def _taught(
    found: _Set, fitted: Values, test: Values, ask: Ask | None, syllabus: Syllabus
) -> _Network:
    lessons = found.lessons(fitted)
    pace = Pace(_SECONDS, 0, lambda: None, say)
    [student] = students(lessons, found.truth[fitted], ask or _truth(found, fitted), pace, syllabus)
    inputs = lessons.inputs(found.rows.take(test))
    few = {name: torch.from_numpy(each[:_BATCH]) for name, each in inputs.items()}
    content = export_twin(Twin(student.network, lessons.preprocessing), few, "output").content
    session = onnx_session(content)
    [outputs] = session.run(None, inputs)
    batch = {name: each.numpy() for name, each in few.items()}
    return _Network(outputs, _seconds(lambda: session.run(None, batch)))


def _truth(found: _Set, fitted: Values) -> Ask:
    """Returns what says what is true of the learned rows, piece by piece."""
    known = found.truth[fitted]
    has_classes = found.target.task == "classification"
    said = np.eye(found.target.outputs)[known] if has_classes else known.reshape(-1, 1)
    places = iter(range(len(said)))
    return lambda rows: said[[*islice(places, rows.count)]]


def _seconds(predict: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        predict()
        taken.append(time.perf_counter() - begin)
    return median(taken)


def _split(count: int) -> tuple[Values, Values]:
    """Returns which rows are learned, and which are for tests."""
    order = np.random.RandomState(0).permutation(count)
    fitted, test = np.split(order, [round(_TRAIN_SHARE * count)])
    return fitted[:_MOST_FITTED], test


def _read(table: TableSet) -> _Set:
    frame = pd.read_parquet(table.path)
    found = frame.pop("target")
    columns, values, labels = [], {}, {}
    for key, each in frame.items():
        name = str(key)
        if each.dtype.kind in "fi":
            columns.append(Column(name, ColumnType.NUMERIC))
            values[name] = each.to_numpy(np.float64)
        else:
            codes, known = pd.factorize(each.astype(object), sort=True)
            labels[name] = tuple(str(label) for label in known)
            columns.append(Column(name, ColumnType.CATEGORICAL, categories=labels[name]))
            values[name] = codes.astype(np.int64)
    rows = RawRows(values, labels)
    if table.kind == "regression":
        truth = found.to_numpy(np.float64)
        mean, scale = moments(truth)
        target = Target(name="target", task="regression", mean=mean, scale=scale)
        return _Set(table.name, tuple(columns), rows, truth, target)
    classes, truth = np.unique(found.astype(str), return_inverse=True)
    target = Target(name="target", task="classification", classes=tuple(classes.tolist()))
    return _Set(table.name, tuple(columns), rows, truth, target)


def _matrix(rows: RawRows) -> Values:
    """Returns rows as the originals take them: missing numbers and codes are -1."""
    return np.nan_to_num(np.column_stack([*rows.columns.values()]).astype(np.float64), nan=-1)


if __name__ == "__main__":
    publish("pruner_students", students_of_models(), NOTES)

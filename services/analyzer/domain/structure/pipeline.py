"""Estimators and pipelines of scikit-learn taken apart: what steps hold, and how long they take."""

import inspect
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from common.data.rows import RawRows
from common.reports.text import shortened
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.structure.estimators import Step, branches_of, steps_of
from services.analyzer.domain.structure.findings import Anatomy, StructureLayer
from services.analyzer.domain.structure.timing import median_seconds
from services.analyzer.domain.structure.trees import trees_of

INPUT = "rows"

_METHODS = ("transform", "predict", "predict_proba", "decision_function")
_MOST_OPTIONS, _LONGEST_OPTION = 20, 80
_CUT = "Of many estimators side by side, the first 16 are shown."
_UNTIMED = "How long each step takes could not be measured: they run in processes of their own."


def pipeline_anatomy(model: SklearnAnalysed, batch: RawRows, budget: Budget) -> Anatomy:
    """Takes an estimator apart and times its steps on a batch.

    Args:
        model: The model.
        batch: Some rows.
        budget: To spend.
    """
    steps = steps_of(model.model.estimator)
    seconds = _latencies(steps.steps, lambda: model.predict(batch), budget)
    layers = tuple(_layer(step, seconds.get(step.name)) for step in steps.steps)
    taking = {target for _, target in steps.edges}
    first = [(INPUT, step.name) for step in steps.steps if step.name not in taking]
    notes = [_CUT] if steps.is_cut else []
    if not seconds:
        notes.append(_UNTIMED)
    return Anatomy(layers, (*first, *steps.edges), (INPUT,), "step", batch.count, tuple(notes))


def _layer(step: Step, seconds: float | None) -> StructureLayer:
    estimator = step.estimator
    return StructureLayer(
        name=step.name,
        kind=step.kind,
        input_shape=_width(getattr(estimator, "n_features_in_", None)),
        output_shape=_outputs(estimator),
        parameter_count=_parameters(estimator),
        parameter_bytes=_own_size(estimator),
        latency=seconds,
        holds=dict(_holdings(estimator)),
        options=_options(estimator),
    )


def _width(columns: Any) -> tuple[int, ...]:
    return () if columns is None else (int(columns),)


def _outputs(estimator: Any) -> tuple[int, ...]:
    if hasattr(estimator, "classes_") and not isinstance(estimator.classes_, list):
        return (len(estimator.classes_),)
    if hasattr(estimator, "predict"):
        return (int(getattr(estimator, "n_outputs_", 1)),)
    try:
        return (len(estimator.get_feature_names_out()),)
    except (AttributeError, ValueError, TypeError):
        return ()


def _parameters(estimator: Any) -> int:
    """Returns how many numbers a step has learned: those of trees, or in arrays."""
    trees = trees_of(estimator)
    if trees:
        # A column and a threshold for each split, a value for each leaf.
        return sum(2 * len(tree.columns) + tree.leaves for tree in trees)
    return sum(each.size for each in _arrays(vars(estimator).items()))


def _arrays(attributes: Any) -> Iterator["np.ndarray[Any, Any]"]:
    for name, value in attributes:
        if not name.endswith("_") or name.startswith("_") or name in _UNLEARNED:
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, np.ndarray) and each.dtype.kind in "fiu":
                yield each


_UNLEARNED = frozenset({"classes_", "feature_names_in_", "n_features_in_"})


class _Counter:
    """A file that only counts what is written."""

    size = 0

    def write(self, content: Any) -> int:
        self.size += memoryview(content).nbytes
        return memoryview(content).nbytes


def _own_size(estimator: Any) -> int:
    """Returns about how many bytes a step takes, without the steps inside."""
    return max(0, _size(estimator) - sum(_size(below) for _, below in branches_of(estimator)))


def _size(estimator: Any) -> int:
    """Returns how many bytes an estimator would take to be written out."""
    counter = _Counter()
    try:
        pickle.Pickler(counter, protocol=5).dump(estimator)
    except (pickle.PicklingError, TypeError, AttributeError):
        return 0
    return counter.size


def _options(estimator: Any) -> dict[str, str]:
    """Returns options that are not the defaults; estimators inside are steps of their own."""
    parameters = inspect.signature(type(estimator).__init__).parameters
    usual = {name: parameter.default for name, parameter in parameters.items()}
    given = estimator.get_params(deep=False)
    changed = {
        name: shortened(repr(value), _LONGEST_OPTION)
        for name, value in given.items()
        if not _holds_estimators(value) and repr(value) != repr(usual.get(name))
    }
    return dict(list(changed.items())[:_MOST_OPTIONS])


def _holds_estimators(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_estimators(each) for each in value)
    return isinstance(value, BaseEstimator)


def _holdings(estimator: Any) -> Iterator[tuple[str, float]]:
    """Yields what an estimator holds, by name."""
    trees = trees_of(estimator)
    if trees:
        yield "trees", len(trees)
        yield "leaves", sum(tree.leaves for tree in trees)
        yield "greatest depth", max(tree.depth for tree in trees)
    for name, what in _COUNTED.items():
        value = vars(estimator).get(name)
        if isinstance(value, np.ndarray):
            yield what, float(np.size(value))
        elif isinstance(value, list | dict) and value:
            yield what, float(sum(map(np.size, value)) if isinstance(value, list) else len(value))
    for name, what in _NUMBERS.items():
        value = vars(estimator).get(name)
        if isinstance(value, int | float | np.number):
            yield what, float(value)


# What attributes of fitted estimators count.
_COUNTED: Mapping[str, str] = {
    "coef_": "coefficients",
    "coefs_": "weights",
    "support_": "support vectors",
    "categories_": "categories",
    "vocabulary_": "words",
    "statistics_": "columns filled",
    "components_": "numbers in components",
    "cluster_centers_": "numbers in centres",
}
_NUMBERS: Mapping[str, str] = {
    "n_layers_": "layers",
    "n_samples_fit_": "kept rows",
    "n_iter_": "iterations",
}


def _latencies(
    steps: Sequence[Step], work: Callable[[], object], budget: Budget
) -> dict[str, float]:
    """Returns the median seconds of steps, without those inside; none where they cannot be seen."""
    taken: dict[str, list[float]] = {}
    try:
        with _clocks(steps, taken):
            median_seconds(work, budget, repeats=3)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Clocks cannot be sent to the processes that some estimators start.
        return {}
    return {name: median(seconds[1:] or seconds) for name, seconds in taken.items()}


@contextmanager
def _clocks(steps: Sequence[Step], taken: dict[str, list[float]]) -> Iterator[None]:
    """Puts clocks before the methods of steps, and takes them away."""
    running: list[tuple[int, list[float]]] = []
    hidden: list[tuple[Any, str]] = []

    def clocked(step: Step, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if any(inner == id(step.estimator) for inner, _ in running):
                return method(*args, **kwargs)  # It calls itself.
            inside = [0.0]
            running.append((id(step.estimator), inside))
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                seconds = time.perf_counter() - start
                running.pop()
                taken.setdefault(step.name, []).append(seconds - inside[0])
                if running:
                    running[-1][1][0] += seconds

        return call

    try:
        for step in steps:
            for name in _METHODS:
                method = getattr(step.estimator, name, None)
                if method is not None and name not in vars(step.estimator):
                    vars(step.estimator)[name] = clocked(step, method)
                    hidden.append((step.estimator, name))
        yield
    finally:
        for estimator, name in hidden:
            del vars(estimator)[name]

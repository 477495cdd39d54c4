"""Shapley values (Lundberg and Lee, 2017): how columns share a row's output."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn._loss.link import IdentityLink

from common.data.rows import RawRows, concatenated
from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.exchanging import Exchanging
from services.analyzer.domain.importance.fed import Fed, Item, fed
from services.analyzer.domain.importance.forest import forest_of
from services.analyzer.domain.importance.tables import Table, table_of
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.subject import Subject

Positions = npt.NDArray[np.int64]
Contributions = npt.NDArray[np.float64]

_BACKGROUND = 50
_FEWEST_BACKGROUND = 10
_LINEAR_BACKGROUND = 1000
_TRIED = 2


class Explainer(StrEnum):
    """Which of shap's explainers was used, named as in `ImportanceResult.Explainer`."""

    TREE = "tree"
    LINEAR = "linear"
    PERMUTATION = "permutation"


@dataclass(frozen=True)
class Shapley:
    """Contributions of columns to the outputs of rows.

    Attributes:
        explainer: What they were computed by.
        unit: What the outputs are.
        names: Of the columns.
        rows: Positions in the sample, (rows,).
        outputs: Which of the model's outputs is explained, (rows,).
        start: What the model gives on average, (rows,).
        values: Contributions; with `start` they add up to the output, (rows, columns).
        notes: What the budget cut short.
    """

    explainer: Explainer
    unit: str
    names: tuple[str, ...]
    rows: Positions
    outputs: Positions
    start: npt.NDArray[np.float64]
    values: Contributions
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Explained:
    """What an explainer gives, of all outputs or of one for each row.

    Attributes:
        values: Contributions, (rows, features, outputs).
        start: What the model gives on average, (rows, outputs).
    """

    values: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Way:
    """An explainer that is ready.

    Attributes:
        explainer: Which.
        unit: What the outputs are.
        explain: Takes positions among the rows.
        places: The features of each column.
    """

    explainer: Explainer
    unit: str
    explain: Callable[[Positions], _Explained]
    places: Sequence[Positions]


def explained_output(subject: Subject) -> Positions:
    """Returns which output is explained of each row: of several the largest.

    Of two classes it is the second one's, so that the sign means the same in all rows.
    """
    outputs = subject.outputs
    if subject.model.task is Task.CLASSIFICATION and outputs.shape[1] == 2:
        return np.ones(len(outputs), np.int64)
    return np.asarray(outputs.argmax(axis=1), np.int64)


def shapley_values(subject: Subject, budget: Budget, wanted: Positions) -> Shapley:
    """Returns contributions for rows: of all, or of the first ones that the budget affords.

    Trees and linear models are explained in closed form, by shap; others by going through
    permutations of the columns, with a background of some training rows.

    Args:
        subject: What is analysed.
        budget: For all rows.
        wanted: Positions in the sample, the most wanted first.
    """
    rows = fed(subject, subject.sample.raw.take(wanted))
    items = [Item(name, places) for name, places in rows.places.items()]
    way = _closed(subject, rows, items) or _sampled(subject, budget, wanted, items)
    start = time.perf_counter()
    way.explain(np.arange(min(_TRIED, len(wanted))))
    seconds = (time.perf_counter() - start) / min(_TRIED, len(wanted))
    count = budget.affords(len(wanted), seconds, _TRIED)
    found = way.explain(np.arange(count))
    chosen = explained_output(subject)[wanted[:count]]
    note = f"For the budget, Shapley values are of {count:,} instead of {len(wanted):,} rows."
    return Shapley(
        way.explainer,
        way.unit,
        tuple(item.name for item in items),
        wanted[:count],
        chosen,
        *_chosen(found, chosen, way.places),
        (note,) if count < len(wanted) else (),
    )


def _chosen(
    found: _Explained, outputs: Positions, places: Sequence[Positions]
) -> tuple[npt.NDArray[np.float64], Contributions]:
    """Returns what is explained of each row, the features of a column together."""
    rows, several = np.arange(len(outputs)), found.values.shape[2] > 1
    which = outputs if several else np.zeros_like(outputs)
    own = found.values[rows, :, which]
    values = np.column_stack([own[:, place].sum(axis=1) for place in places])
    return found.start[rows, which], values


def _closed(subject: Subject, rows: Fed, items: Sequence[Item]) -> _Way | None:
    """Returns the way of trees or of linear models, where the model is one."""
    model = subject.model
    table = table_of(rows)
    if not isinstance(model, SklearnAnalysed) or table is None:
        return None
    estimator = model.model.estimator
    places = [table.all_of(item.places) for item in items]
    made = _tree(estimator, table) or _linear(subject, estimator, table)
    if made is None:
        return None
    explainer, unit, explain = made
    return _Way(explainer, unit, explain, places)


_Made = tuple[Explainer, str, Callable[[Positions], _Explained]]


def _tree(estimator: Any, table: Table) -> _Made | None:
    import shap  # noqa: PLC0415 - takes seconds

    if forest_of(estimator) is None:
        return None
    try:
        explainer = shap.TreeExplainer(estimator)
    except Exception:  # shap knows fewer ensembles than there are; its errors have no common root
        return None
    is_boosted = hasattr(estimator, "_loss")
    if not hasattr(estimator, "classes_"):
        is_plain = not is_boosted or isinstance(estimator._loss.link, IdentityLink)
        unit = "" if is_plain else "logarithm of the target"
    else:
        unit = "log-odds" if is_boosted else "probability"

    def explain(rows: Positions) -> _Explained:
        values = explainer.shap_values(table.values[rows], check_additivity=False)
        return _shaped(values, explainer.expected_value)

    return Explainer.TREE, unit, explain


def _linear(subject: Subject, estimator: Any, table: Table) -> _Made | None:
    import shap  # noqa: PLC0415 - takes seconds

    is_plain = type(estimator).__module__.startswith("sklearn.linear_model")
    coefficients = getattr(estimator, "coef_", None)
    if not is_plain or coefficients is None or np.ndim(coefficients) > 2:
        return None
    if hasattr(estimator, "_base_loss") or not np.isfinite(table.values).all():
        return None  # a generalised model has a link, and missing values no product
    known = table_of(fed(subject, _background(subject, _LINEAR_BACKGROUND)))
    assert known is not None
    masker = shap.maskers.Independent(known.values, max_samples=_LINEAR_BACKGROUND)
    explainer = shap.LinearExplainer(estimator, masker)
    unit = "decision value" if hasattr(estimator, "classes_") else ""

    def explain(rows: Positions) -> _Explained:
        return _shaped(explainer.shap_values(table.values[rows]), explainer.expected_value)

    return Explainer.LINEAR, unit, explain


def _shaped(values: Any, start: Any) -> _Explained:
    found = np.atleast_3d(np.asarray(values, np.float64))
    starts = np.atleast_1d(np.asarray(start, np.float64))
    return _Explained(found, np.broadcast_to(starts, (len(found), len(starts))))


def _background(subject: Subject, rows: int) -> RawRows:
    known = subject.training or subject.sample
    return known.drawn(rows, subject.settings.seed).raw


def _sampled(subject: Subject, budget: Budget, wanted: Positions, items: Sequence[Item]) -> _Way:
    """Returns the way of every model."""
    own = subject.sample.raw.take(wanted)
    each = 2 * len(items) * subject.seconds_per_row * len(wanted)
    size = budget.affords(_BACKGROUND, each, _FEWEST_BACKGROUND)
    columns = _background(subject, size).columns
    known = RawRows({name: columns[name] for name in own.columns}, own.labels)
    rows = fed(subject, concatenated([own, known]))
    outputs = explained_output(subject)[wanted]
    exchanged = Exchanging(rows, items, np.arange(own.count, own.count + known.count))

    def explain(positions: Positions) -> _Explained:
        values, start = exchanged.contributions(
            positions, outputs[positions], subject.settings.seed, budget
        )
        return _Explained(values[:, :, None], start)

    unit = "" if subject.model.task is Task.REGRESSION else "probability"
    places = [np.array([place]) for place in range(len(items))]
    return _Way(Explainer.PERMUTATION, unit, explain, places)

"""From gathered values to what is told of layers and their units."""

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from services.analyzer.domain.activations.findings import (
    ClassMeans,
    Histogram,
    LayerActivations,
    RowFacts,
    RowValue,
    UnitActivations,
)
from services.analyzer.domain.activations.projection import agreement, effective_dimensions
from services.analyzer.domain.activations.statistics import LayerWatch, Numbers

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

_BINS = 40
_STRONGEST = 8
_TOP_ROWS = 6
_ANSWERING_ROWS = 20
_MOST_NAMED_DEAD = 100
_SATURATED = 0.95
_SHOWN_UNITS = 48
_SHOWN_CLASSES = 20


def layer_activations(watch: LayerWatch, facts: RowFacts, seed: int) -> LayerActivations:
    """Returns what a layer does.

    Args:
        watch: All its values.
        facts: Of the rows.
        seed: Of what is drawn.
    """
    totals = watch.totals
    assert totals is not None
    mean = float(totals.mean.mean())
    dead, is_near = watch.dead(), totals.near / totals.count
    is_bounded = watch.bounds is not None
    return LayerActivations(
        layer=watch.layer.name,
        function=watch.layer.function,
        unit_count=watch.units,
        position_count=watch.positions,
        mean=mean,
        stddev=float(np.sqrt(max(0.0, float((totals.squares / totals.count).mean()) - mean**2))),
        min=float(totals.least.min()),
        max=float(totals.most.max()),
        quantiles=_quantiles(watch),
        histogram=_histogram(watch.sampled),
        zero_share=float((totals.zeros / totals.count).mean()),
        saturated_share=float(is_near.mean()) if is_bounded else None,
        saturated_unit_count=int((is_near > _SATURATED).sum()) if is_bounded else 0,
        dead_unit_count=int(dead.sum()),
        dead_units=tuple(np.flatnonzero(dead)[:_MOST_NAMED_DEAD].tolist()),
        always_on_unit_count=int(watch.always_on().sum()),
        effective_dimensions=effective_dimensions(watch.by_row, seed),
        neighbour_agreement=agreement(
            watch.by_row, facts.target, facts.task is not Task.REGRESSION, seed
        ),
        units=tuple(_unit(watch, place, facts) for place in _strongest(watch)),
    )


def class_means(watch: LayerWatch, facts: RowFacts) -> ClassMeans | None:
    """Returns the units that differ most by class; None where rows have no classes.

    Args:
        watch: A layer's values.
        facts: Of the rows.
    """
    known, counts = np.unique(facts.target[facts.target >= 0], return_counts=True)
    if not facts.has_classes or len(known) < 2:
        return None
    classes = np.sort(known[np.argsort(-counts, kind="stable")[:_SHOWN_CLASSES]])
    values = watch.by_row.astype(np.float64)
    spread = np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    scaled = (values - values.mean(axis=0)) / spread
    means = np.stack([scaled[facts.target == each].mean(axis=0) for each in classes], axis=1)
    chosen = np.argsort(-means.std(axis=1), kind="stable")[:_SHOWN_UNITS]
    ordered = chosen[np.lexsort((-means[chosen].max(axis=1), means[chosen].argmax(axis=1)))]
    return ClassMeans(
        watch.layer.name,
        watch.kept[ordered],
        tuple(facts.named(each) for each in classes),
        means[ordered],
    )


def _strongest(watch: LayerWatch) -> npt.NDArray[np.int64]:
    """Returns positions among the kept units of those that differ most from row to row."""
    return np.argsort(-watch.by_row.std(axis=0, dtype=np.float64), kind="stable")[:_STRONGEST]


def _unit(watch: LayerWatch, place: int, facts: RowFacts) -> UnitActivations:
    totals, unit = watch.totals, int(watch.kept[place])
    assert totals is not None
    values = watch.by_row[:, place]
    order = np.argsort(-values, kind="stable")
    answers_to, share = _answer(order[:_ANSWERING_ROWS], facts)
    return UnitActivations(
        unit=unit,
        mean=float(totals.mean[unit]),
        stddev=float(totals.stddev[unit]),
        min=float(totals.least[unit]),
        max=float(totals.most[unit]),
        zero_share=float(totals.zeros[unit] / totals.count),
        row_quantiles=tuple(np.quantile(values.astype(np.float64), QUANTILES).tolist()),
        top_rows=tuple(
            RowValue(int(facts.numbers[row]), float(values[row])) for row in order[:_TOP_ROWS]
        ),
        answers_to=answers_to,
        answers_to_share=share,
    )


def _answer(rows: npt.NDArray[np.int64], facts: RowFacts) -> tuple[str, float | None]:
    """Returns the class that most of these rows have, and its share."""
    if not facts.has_classes:
        return "", None
    known, counts = np.unique(facts.target[rows], return_counts=True)
    return facts.named(known[counts.argmax()]), float(counts.max() / len(rows))


def _quantiles(watch: LayerWatch) -> tuple[float, ...]:
    """Returns quantiles; the least and the most are of all values, the others of a sample."""
    assert watch.totals is not None
    inner = np.quantile(watch.sampled.astype(np.float64), QUANTILES[1:-1]).tolist()
    return (float(watch.totals.least.min()), *inner, float(watch.totals.most.max()))


def _histogram(sampled: npt.NDArray[np.float32]) -> Histogram:
    """Returns counts of a sample's values; what lies far out is in the outermost bins."""
    values: Numbers = sampled.astype(np.float64)
    low, high = np.quantile(values, (0.001, 0.999)).tolist()
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    counts = np.histogram(np.clip(values, low, high), _BINS, (low, high))[0]
    return Histogram(low, high, tuple(counts.tolist()))

"""Outputs for rows with exchanged values, by adding up what each column says.

Linear and logistic regression, naive Bayes and additive models (Hastie and Tibshirani, 1986) are
sums over columns before a link. What a value adds is then the same in every row.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import Fed, Inputs, Item
from services.analyzer.domain.importance.plan import Exchanged, Job, Plan, Positions
from services.analyzer.domain.importance.predicting import Predicting, read, replaced
from services.analyzer.domain.importance.threads import mapped
from services.analyzer.domain.models.model import AnalysedModel, ModelFormat, Outputs
from services.analyzer.domain.subject import Subject

Scores = npt.NDArray[np.float64]
"""Shape (scores, rows): a gather from a row of memory is quicker than along a short axis."""

_PAIRED = 64
_FEWEST_COMPARED = 16
_TRIED = 256
_MOST_ITEMS_TRIED = 64
_BATCH = 32_768
_BATCH_BYTES = 32 << 20
_BATCH_SECONDS = 0.5
_MOST_BYTES = 1 << 28
_NEARLY_ALL = 0.8
# A value that adds less than this share of what may differ adds nothing: it is rounding.
_NOTHING = 1e-4
# Of a logit; the exponential of a larger one may be infinite.
_LARGEST = 700.0
# How close to 0 or 1 a probability may be where it was rounded to a number of digits after the
# point, and by how much outputs may differ, for double and single precision.
_DOUBLE = (1e-7, 1e-9)
_SINGLE = (1e-3, 2e-6)


@dataclass(frozen=True)
class Link:
    """Between a model's outputs and scores, which are sums over columns if it is additive.

    Attributes:
        task: REGRESSION: scores are the outputs. CLASSIFICATION: logarithms of how much more
            probable a class is than the first. MULTI_LABEL: logits.
        least: The score of a smaller probability is not known.
        tolerance: By how much outputs may differ, (outputs,).
    """

    task: Task
    least: float
    tolerance: npt.NDArray[np.float64]

    def scores(self, outputs: Outputs) -> Scores:
        """Returns the scores, NaN in rows where some are not known."""
        columns = np.ascontiguousarray(outputs.T)
        if self.task is Task.REGRESSION:
            return columns
        is_multi_label = self.task is Task.MULTI_LABEL
        nearest = np.minimum(columns, 1 - columns) if is_multi_label else columns
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(columns)
            found = logs - np.log1p(-columns) if is_multi_label else logs[1:] - logs[0]
        found[:, nearest.min(axis=0) < self.least] = np.nan
        return np.asarray(found)

    def outputs(self, scores: Scores) -> Outputs:
        """Returns the outputs for scores."""
        if self.task is Task.REGRESSION:
            return np.asarray(scores.T)
        if self.task is Task.MULTI_LABEL:
            return np.asarray(_against_and_for(scores)[1].T, np.float64)
        if len(scores) == 1:
            return _against_and_for(scores[0]).T
        return _softmax(np.concatenate([np.zeros((1, scores.shape[1])), scores])).T

    def are_unsure(self, outputs: Outputs) -> npt.NDArray[np.bool_]:
        """Returns in which rows rounding may decide what is most likely."""
        columns, close = outputs.T, self.tolerance.max(initial=0)
        if self.task is Task.REGRESSION:
            return np.zeros(len(outputs), np.bool_)
        if self.task is Task.MULTI_LABEL:
            return np.asarray((np.abs(columns - 0.5) <= close).any(axis=0))
        if len(columns) == 2:
            return np.asarray(np.abs(columns[1] - columns[0]) <= close)
        return np.asarray((columns >= columns.max(axis=0) - close).sum(axis=0) > 1)

    def agree(self, found: Outputs, expected: Outputs) -> bool:
        """Whether outputs are the same but for rounding; what is NaN is not."""
        return bool((np.abs(found - expected) <= self.tolerance).all())


def _against_and_for(logits: Scores) -> npt.NDArray[np.float64]:
    """Returns probabilities of no and of yes, (2, *shape): three times quicker than a softmax."""
    found = np.empty((2, *logits.shape))
    np.exp(np.minimum(logits, _LARGEST), out=found[1])
    found[0] = 1 / (1 + found[1])
    found[1] *= found[0]
    return found


def _softmax(scores: Scores) -> npt.NDArray[np.float64]:
    """Returns probabilities along the first axis, in the memory of the scores."""
    scores -= scores.max(axis=0)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0)
    return scores


def link_of(model: AnalysedModel, outputs: Outputs) -> Link:
    """Returns the link for a model, with what its own rounding allows.

    Args:
        model: The model.
        outputs: What it gives for many rows.
    """
    task, single = model.task, outputs.astype(np.float32)
    are_single = np.array_equal(single, outputs)
    # Networks mostly compute in single precision, also where a softmax in double follows.
    is_network = model.format is not ModelFormat.SKLEARN
    least, tolerance = _SINGLE if are_single or is_network else _DOUBLE
    if not (task is Task.MULTI_LABEL or _is_complement(single if are_single else outputs)):
        least = float(np.finfo(np.float64).tiny)
    scale = outputs.std(axis=0) if task is Task.REGRESSION else np.ones(outputs.shape[1])
    return Link(task, least, tolerance * scale)


def _is_complement(outputs: npt.NDArray[np.floating]) -> bool:
    """Whether one of two probabilities is 1 less the other: if it is small, its digits are few."""
    if outputs.shape[1] != 2:
        return False
    first, second = outputs.T
    return bool((first == 1 - second).all() or (second == 1 - first).all())


@dataclass(frozen=True)
class _Parts:
    """What scores of rows are made of.

    Attributes:
        base: The scores.
        effects: What the values of each item add to them, but for a constant.
    """

    base: Scores
    effects: Sequence[Scores]


class Additive:
    """The way of models that are additive before the link; see `Way`."""

    def __init__(
        self, rows: Fed, subject: Subject, budget: Budget, link: Link, reference: int
    ) -> None:
        """Predicts nothing yet.

        Args:
            rows: All rows of the sample.
            subject: What is analysed.
            budget: Is told of the progress.
            link: Of the model.
            reference: A row whose values stand for those that are left out.
        """
        self._rows, self._subject, self._budget, self._link = rows, subject, budget, link
        self._reference = rows.take(slice(reference, reference + 1)).inputs

    @cached_property
    def _batch(self) -> int:
        row_bytes = sum(each.nbytes for each in self._reference.values())
        seconds = max(self._subject.seconds_per_row, 1e-9)
        most = min(_BATCH, _BATCH_BYTES / max(row_bytes, 1), _BATCH_SECONDS / seconds)
        return max(1, min(int(most), self._subject.sample.count))

    @cached_property
    def _blank(self) -> Inputs:
        """The row of reference, many times."""
        return {name: np.repeat(row, self._batch, axis=0) for name, row in self._reference.items()}

    @cached_property
    def _start(self) -> Scores:
        return self._link.scores(self._rows.run(self._reference))

    @cached_property
    def seconds_each(self) -> float:
        """See `Way`. Rows are predicted once for all repeats, of which there are 2 at least."""
        count = self._batch
        some = self._rows.take(slice(0, count))
        item = Item("", next(iter(some.places.values())))
        scores = self._link.scores(self._subject.outputs[:count])
        start = time.perf_counter()
        self._effect(some, item)
        middle = time.perf_counter()
        order = np.arange(count)[::-1]
        list(_exchanged(self._link, some, 0, item, _Parts(scores, [scores]), order))
        return ((middle - start) / 2 + time.perf_counter() - middle) / count

    def jobs(self, items: Sequence[Item], plan: Plan) -> Iterator[Job]:
        """See `Way`. Where rows show after all that the model is not additive, it predicts."""
        rows = self._rows.take(plan.rows) if plan.is_cut else self._rows
        known = self._subject.outputs[plan.rows]
        parts = self._parts(rows, items, known) if known.nbytes * len(items) < _MOST_BYTES else None
        if parts is None:
            yield from Predicting(self._rows, self._subject, self._budget).jobs(items, plan)
            return
        for number, item in enumerate(items):
            if parts.effects[number].any():
                for order in plan.orders:
                    yield partial(_exchanged, self._link, rows, number, item, parts, order)

    def fits(self, items: Sequence[Item], chosen: Positions) -> bool:
        """Whether rows get the outputs that the model gives, if half of the items are exchanged."""
        rows, order = self._rows.take(chosen), np.roll(np.arange(len(chosen)), 1)
        parts = self._parts(rows, items, self._subject.outputs[chosen])
        if parts is None:
            return False
        changes = sum(each[:, order] - each for each in parts.effects[::2])
        found = self._rows.run(exchanged(rows, items[::2], np.arange(len(order)), order))
        return self._link.agree(found, self._link.outputs(parts.base + changes))

    def _parts(self, rows: Fed, items: Sequence[Item], known: Outputs) -> _Parts | None:
        """Returns what the outputs of rows are made of; None if it does not add up to them."""
        new = [(place, read(self._blank, place)) for item in items for place in item.places]

        def without(batch: slice) -> Inputs:
            count = batch.stop - batch.start
            return replaced(rows.take(batch).inputs, [(place, each[:count]) for place, each in new])

        effects = []
        for effect in mapped(rows.model, partial(self._effect, rows), items):
            self._budget.check()
            effects.append(effect)
        base = self._scores(len(known), without)
        for effect in effects:
            base += effect
        if not self._link.agree(known, self._link.outputs(base)):
            return None
        exact = self._link.scores(known)
        return _Parts(np.where(np.isnan(exact), base, exact), effects)

    def _effect(self, rows: Fed, item: Item) -> Scores:
        """Returns what the values of an item add to the score of the row of reference."""
        own = [(place, np.ascontiguousarray(read(rows.inputs, place))) for place in item.places]

        def alone(batch: slice) -> Inputs:
            count = batch.stop - batch.start
            blank = {name: each[:count] for name, each in self._blank.items()}
            return replaced(blank, [(place, values[batch]) for place, values in own])

        effect = self._scores(len(own[0][1]), alone) - self._start
        nothing = _NOTHING * self._link.tolerance.min(initial=np.inf)
        return np.zeros_like(effect) if (np.abs(effect) <= nothing).all() else effect

    def _scores(self, count: int, inputs: Callable[[slice], Inputs]) -> Scores:
        """Returns the scores of rows, batch by batch."""
        starts = range(0, count, self._batch)
        batches = [slice(start, min(start + self._batch, count)) for start in starts]
        found = [self._link.scores(self._rows.run(inputs(each))) for each in batches]
        return np.concatenate(found, axis=1)


def _exchanged(
    link: Link, rows: Fed, number: int, item: Item, parts: _Parts, order: Positions
) -> Iterator[Exchanged]:
    effect = parts.effects[number]
    for start in range(0, len(order), _BATCH):
        givers = order[start : start + _BATCH]
        batch = slice(start, start + len(givers))
        takers = np.arange(batch.start, batch.stop)
        scores = np.take(effect, givers, axis=1)
        scores -= effect[:, batch]
        changed = scores.any(axis=0)
        scores += parts.base[:, batch]
        if changed.mean() < _NEARLY_ALL:
            takers, givers, scores = takers[changed], givers[changed], scores[:, changed]
        if len(takers):
            outputs = link.outputs(scores)
            unsure = np.flatnonzero(link.are_unsure(outputs))
            if len(unsure):
                new = exchanged(rows, [item], takers[unsure], givers[unsure])
                outputs[unsure] = rows.predict(new)
            yield Exchanged(number, takers, givers, outputs)


def additive(rows: Fed, items: Sequence[Item], subject: Subject, budget: Budget) -> Additive | None:
    """Returns the way of additive models, where a model is found to be one on some rows.

    Args:
        rows: All rows of the sample.
        items: What will be exchanged.
        subject: What is analysed.
        budget: Is told of the progress.
    """
    if len(items) < 2:
        return None
    link = link_of(subject.model, subject.outputs)
    drawn = np.random.default_rng(subject.settings.seed).permutation(subject.sample.count)
    if not _is_additive(rows, items, subject.outputs, link, drawn[:_PAIRED]):
        return None
    tried = drawn[:_TRIED]
    reference = tried[_most_usual(link.scores(subject.outputs[tried]))]
    way = Additive(rows, subject, budget, link, int(reference))
    return way if way.fits(items[:_MOST_ITEMS_TRIED], tried) else None


def _most_usual(scores: Scores) -> int:
    """Returns the row nearest to the median: its probabilities are not extreme."""
    distances = np.abs(scores - np.nanmedian(scores, axis=1, keepdims=True)).sum(axis=0)
    return int(np.nanargmin(distances))


def _is_additive(
    rows: Fed, items: Sequence[Item], outputs: Outputs, link: Link, chosen: Positions
) -> bool:
    """Whether the scores of pairs of rows keep their sum when the rows swap some items.

    Items whose numbers have the same binary digit are swapped together: any two differ in one, and
    from what is no item, number 0, so that no interaction of two is left out.
    """
    half = len(chosen) // 2
    chosen, partner = chosen[: 2 * half], np.roll(np.arange(2 * half), half)
    some, own = rows.take(chosen), link.scores(outputs[chosen])
    for digit in range(len(items).bit_length()):
        swapped = [item for number, item in enumerate(items, 1) if number >> digit & 1]
        found = rows.run(exchanged(some, swapped, np.arange(2 * half), partner))
        sums = own + own[:, partner] - link.scores(found)[:, partner]
        known = np.isfinite(sums).all(axis=0)
        if known.sum() < _FEWEST_COMPARED:
            return False
        if not link.agree(found[known], link.outputs(sums[:, known])):
            return False
    return True


def exchanged(rows: Fed, items: Sequence[Item], takers: Positions, givers: Positions) -> Inputs:
    """Returns inputs for some rows with the values that others have of some items."""
    places = [place for item in items for place in item.places]
    new = [(place, read(rows.inputs, place)[givers]) for place in places]
    return replaced(rows.take(takers).inputs, new)

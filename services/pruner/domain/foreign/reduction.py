"""Models without source become smaller: all that is tried, from careful to bold."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from services.pruner.domain.foreign.agreement import is_clearly_worse, losses
from services.pruner.domain.foreign.factoring import factored
from services.pruner.domain.foreign.folding import folded
from services.pruner.domain.foreign.graphs import (
    Array,
    Changed,
    ForeignModelError,
    Rows,
    has_subgraphs,
    outputs,
    read_model,
    row_count,
    taken,
)
from services.pruner.domain.foreign.inputs import without_inputs
from services.pruner.domain.foreign.tree_ensembles import has_trees, merged_trees, smaller_trees
from services.pruner.domain.foreign.weights import narrowed
from services.pruner.domain.quantising import dynamic_int8, static_int8

_log = logging.getLogger(__name__)

# Deviations that are tried, in percent of the standard deviation of scores or activations.
_TREES_OFF = (1, 3, 10, 20)
_UNITS_OFF = (3, 10, 30)
_IDLE = 1e-9
_FEWER_INPUTS = "fewer_inputs"
_LEAST_ROWS = 4

Check = Callable[[], None]
Step = Callable[[onnx.ModelProto, Rows, float, Check, Collection[str]], Changed]


@dataclass(frozen=True)
class OnnxReduced:
    """A model that became smaller.

    Attributes:
        name: What was done, for instance `trees_within_3_percent`.
        content: The ONNX file.
        notes: What was done and what was left, whole sentences.
        max_error: Largest absolute difference of numbers of its outputs on the rows.
    """

    name: str
    content: bytes = field(repr=False)
    notes: tuple[str, ...]
    max_error: float


def onnx_reductions(
    content: bytes,
    rows: Rows,
    truth: Array,
    seed: int,
    check: Check,
    kept_layers: Collection[str] = (),
) -> Iterator[OnnxReduced]:
    """Yields smaller models, from those that give equal outputs to bold ones.

    Each is valid, runs, and gives finite outputs of the same names, types and shapes. Of a kind no
    bolder one follows once the outputs clearly say less of the truth.

    Args:
        content: An ONNX file.
        rows: Inputs by name that were not used for measuring.
        truth: What is true of them: classes or numbers, (rows,).
        seed: Decides which rows are used for what.
        check: Called between steps; what it raises ends the work.
        kept_layers: Names of layers that stay as they are.

    Raises:
        ForeignModelError: It is no model that runs, its weights are NaN, or rows do not fit.
    """
    model = read_model(content)
    _check_rows(model, rows)
    order = np.random.default_rng(seed).permutation(row_count(rows))
    shuffled = taken({name: np.asarray(values) for name, values in rows.items()}, order)
    reducing = _Reducing(model, shuffled, np.asarray(truth)[order], check, kept_layers)
    yield from reducing.all(len(content))


def _check_rows(model: onnx.ModelProto, rows: Rows) -> None:
    optional = {each.name for each in model.graph.initializer}
    missing = {each.name for each in model.graph.input} - optional - rows.keys()
    if missing:
        raise ForeignModelError(f"The rows lack the input `{min(missing)}`.")
    if row_count(rows) < _LEAST_ROWS:
        raise ForeignModelError(
            f"There are {row_count(rows)} rows; at least {_LEAST_ROWS} are needed."
        )


class _Reducing:
    """What is tried of one model."""

    def __init__(
        self,
        model: onnx.ModelProto,
        rows: Rows,
        truth: Array,
        check: Check,
        kept_layers: Collection[str],
    ) -> None:
        self._model, self._rows, self._check = model, rows, check
        self._kept_layers = kept_layers
        try:
            self._expected = outputs(model, rows)
        except Exception as error:  # onnxruntime's own exceptions have no common root.
            raise ForeignModelError(f"It cannot be run by ONNX Runtime: {error}") from error
        self._truth = truth[: row_count(self._expected)]
        self._losses = losses(self._expected, self._truth)

    def all(self, size: int) -> Iterator[OnnxReduced]:
        base = Changed(self._model)
        for name, step in self._exact_steps():
            self._check()
            changed = step(base.model)
            found = Changed(changed.model, base.notes + changed.notes)
            reduced = self._reduced(name, found, size)
            if reduced is not None:
                yield reduced
                size = len(reduced.content)
            base = found
        if has_subgraphs(self._model):
            note = "It has branches or loops: their weights, trees and inputs stay as they are."
            base = Changed(base.model, (*base.notes, note))
        else:
            yield from self._trees(base, size)
        yield from self._narrower(base, size)

    def _exact_steps(self) -> list[tuple[str, Callable[[onnx.ModelProto], Changed]]]:
        if has_subgraphs(self._model):
            return [("folded", folded)]
        return [
            ("folded", folded),
            (_FEWER_INPUTS, without_inputs),
            ("equal_leaves", merged_trees),
        ]

    def _trees(self, base: Changed, size: int) -> Iterator[OnnxReduced]:
        if not has_trees(base.model):
            return
        for percent in _TREES_OFF:
            self._check()
            tolerance = (percent / 100) ** 2
            changed = smaller_trees(base.model, self._rows, tolerance)
            found = Changed(changed.model, base.notes + changed.notes)
            reduced = self._reduced(f"trees_within_{percent}_percent", found, size)
            if reduced is None:
                continue
            yield reduced
            size = len(reduced.content)
            if self._says_less(found.model):
                return

    def _narrower(self, base: Changed, size: int) -> Iterator[OnnxReduced]:
        """Yields networks in 8 bits, with fewer units, and with layers of low rank."""
        yield from self._int8("int8", base, size, self._static)
        yield from self._int8("int8_dynamic", base, size, self._dynamic)
        if has_subgraphs(base.model):
            return
        idle = {"idle_units": _IDLE}
        yield from self._levels(idle | _levels("narrower"), narrowed, base, size)
        yield from self._levels(_levels("factored"), factored, base, size)

    def _levels(
        self, levels: Mapping[str, float], step: Step, base: Changed, size: int
    ) -> Iterator[OnnxReduced]:
        """Yields what a step makes at tolerances that rise, and each in 8 bits as well."""
        for name, tolerance in levels.items():
            changed = step(base.model, self._rows, tolerance, self._check, self._kept_layers)
            found = Changed(changed.model, base.notes + changed.notes)
            reduced = self._reduced(name, found, size)
            if reduced is None:
                continue
            yield reduced
            size = len(reduced.content)
            if self._says_less(found.model):
                return
            yield from self._int8(f"{name}_int8", found, size, self._static)

    def _int8(
        self, name: str, base: Changed, size: int, step: Callable[[onnx.ModelProto], Changed]
    ) -> Iterator[OnnxReduced]:
        self._check()
        try:
            changed = step(base.model)
        except ForeignModelError:  # It has nothing of the kind.
            return
        except RuntimeError as error:  # The quantiser does not know all that the runtime knows.
            _log.warning("%s cannot be made: %s", name, error)
            return
        found = Changed(changed.model, base.notes + changed.notes)
        reduced = self._reduced(name, found, size)
        if reduced is not None:
            yield reduced

    def _static(self, model: onnx.ModelProto) -> Changed:
        return static_int8(model, self._rows, self._check, self._kept_layers)

    def _dynamic(self, model: onnx.ModelProto) -> Changed:
        return dynamic_int8(model, self._rows, self._kept_layers)

    def _says_less(self, model: onnx.ModelProto) -> bool:
        found = losses(outputs(model, self._rows), self._truth)
        return is_clearly_worse(found, self._losses, self._truth)

    def _reduced(self, name: str, changed: Changed, size: int) -> OnnxReduced | None:
        """Returns a model if it is smaller, or asks for less, and holds what is promised."""
        content = changed.model.SerializeToString()
        asks_less = len(changed.model.graph.input) < len(self._model.graph.input)
        if len(content) >= size and not (asks_less and name == _FEWER_INPUTS):
            return None
        try:
            onnx.checker.check_model(changed.model, full_check=True)
            found = outputs(changed.model, self._rows)
        except Exception as error:  # Neither the checker's nor the runtime's have a common root.
            _log.warning("%s gives no valid model: %s", name, error)
            return None
        if not all(_is_alike(found[key], values) for key, values in self._expected.items()):
            _log.warning("%s gives outputs that are not finite or of another kind", name)
            return None
        return OnnxReduced(
            name, content, (*changed.notes, *self._labels(found)), self._max_error(found)
        )

    def _max_error(self, found: dict[str, Array]) -> float:
        errors = [
            np.abs(found[name].astype(np.float64) - values).max(
                initial=0.0, where=np.isfinite(values)
            )
            for name, values in self._expected.items()
            if values.dtype.kind == "f"
        ]
        return float(max(errors, default=0.0))

    def _labels(self, found: dict[str, Array]) -> Iterator[str]:
        for name, values in self._expected.items():
            changed = float(np.mean(found[name] != values)) if values.dtype.kind != "f" else 0.0
            if changed:
                yield f"{changed:.2%} of `{name}` change on the rows."


def _levels(name: str) -> dict[str, float]:
    """Returns shares of the variance that may get lost, by the name of what is made then."""
    return {f"{name}_within_{percent}_percent": (percent / 100) ** 2 for percent in _UNITS_OFF}


def _is_alike(found: Array, expected: Array) -> bool:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return False
    return expected.dtype.kind != "f" or bool((np.isfinite(found) | ~np.isfinite(expected)).all())

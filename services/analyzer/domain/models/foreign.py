"""Models that were made elsewhere: scikit-learn's and ONNX. Imports scikit-learn, ONNX Runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Task
from common.models.frames import TEXT
from common.models.inputs import ForeignModel, MisfitError, inputs_of_rows
from common.models.onnx_model import OnnxModel
from common.models.sample_rows import sample_rows
from common.models.skops_model import SkopsModel
from common.models.vectors import Tensors
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.model import Check, ModelFormat, Outputs
from services.analyzer.domain.models.outputs import (
    are_logits,
    class_outputs,
    label_outputs,
    regression_outputs,
)

_BATCH = 65_536
_IMAGE_BATCH = 250


_NUMBERS = frozenset({ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.EMBEDDING})
_IMAGES = frozenset({ColumnType.IMAGE})
_IMAGE_SIDES = 4
_MOST_CHARACTERS = 300


def _unchecked() -> None:
    """Lets everything go on."""


@dataclass(frozen=True)
class ForeignAnalysed:
    """What models from elsewhere have in common.

    Attributes:
        model: The model.
        task: What it predicts.
        outputs: See `AnalysedModel`.
        columns: The columns of the data that it may take, in the order of the schema.
        check: Called between batches; raises to stop.
    """

    model: ForeignModel
    task: Task
    outputs: tuple[str, ...]
    columns: Sequence[Column]
    check: Check = field(default=_unchecked)
    # What was learned of the model from what it gave.
    _seen: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def format(self) -> ModelFormat:
        """See `AnalysedModel`."""
        return ModelFormat.SKLEARN if isinstance(self.model, SkopsModel) else ModelFormat.ONNX

    @cached_property
    def gives_probabilities(self) -> bool:
        """See `AnalysedModel`."""
        if self.task is Task.REGRESSION:
            return False
        first = {each.name: _any_value(each) for each in self.columns}
        labels = {each.name: each.labels for each in self.columns if each.labels}
        return self._outputs(self._run(RawRows(first, labels)))[1]

    @cached_property
    def features(self) -> tuple[str, ...]:
        """See `AnalysedModel`."""
        specs = self.model.signature.inputs
        own = {each.name: each for each in self.columns}
        named = [self.column_of(spec.name) for spec in specs]
        if all(named):
            return tuple(dict.fromkeys(named))
        kinds = _taken_types(specs[0])
        return tuple(name for name, column in own.items() if column.type in kinds)

    def column_of(self, name: str) -> str:
        """Returns the column that an input's values come from; empty where there is none.

        Of vectors `name.0` is the input of their first numbers.
        """
        own = {each.name: each for each in self.columns}
        before = name.rpartition(".")[0]
        if name in own or before not in own:
            return name if name in own else ""
        return before if own[before].type is ColumnType.EMBEDDING else ""

    def inputs(self, raw: RawRows) -> dict[str, Values]:
        """Returns rows as the model takes them, by input.

        Raises:
            UnusableModelError: The data do not have what it takes.
        """
        try:
            return inputs_of_rows(self.model, sample_rows(raw, self.columns, None))
        except MisfitError as error:
            raise UnusableModelError(f"The data set {error}.") from None

    def predict(self, raw: RawRows) -> Outputs:
        """See `AnalysedModel`."""
        is_image = any(each.ndim == 4 for each in raw.columns.values())
        pieces = []
        for part in raw.parts(_IMAGE_BATCH if is_image else _BATCH):
            self.check()
            pieces.append(self._outputs(self._run(part))[0])
        return np.concatenate(pieces)

    def _run(self, raw: RawRows) -> Tensors:
        """Returns what the model gives.

        Raises:
            UnusableModelError: It cannot be run on such rows.
        """
        inputs = self.inputs(raw)
        try:
            return self.model.predict(inputs)
        except Exception as error:  # What a model from elsewhere raises has no common root.
            told = str(error).strip().partition("\n")[0][:_MOST_CHARACTERS]
            raise UnusableModelError(f"The model cannot be run on these rows: {told}.") from error

    def _outputs(self, found: Tensors) -> tuple[Outputs, bool]:
        if self.task is Task.REGRESSION:
            return regression_outputs(found), False
        if self.task is Task.MULTI_LABEL:
            return label_outputs(found)
        self._seen["logits"] = self._seen.get("logits", False) or are_logits(found)
        return class_outputs(
            found,
            self.outputs,
            are_positions=isinstance(self.model, SkopsModel),
            are_logits=self._seen["logits"],
        )


class SklearnAnalysed(ForeignAnalysed):
    """A fitted estimator or pipeline of scikit-learn."""

    model: SkopsModel


class OnnxAnalysed(ForeignAnalysed):
    """An ONNX model."""

    model: OnnxModel


def _taken_types(spec: model_pb2.TensorSpec) -> frozenset[ColumnType]:
    """Returns the types of columns that make up a model's one input."""
    if len(spec.shape) == _IMAGE_SIDES:
        return _IMAGES
    return frozenset(ColumnType) - _IMAGES if spec.dtype == TEXT else _NUMBERS


def _any_value(column: Column) -> Values:
    """Returns one row of a value that a column may have."""
    if column.type is ColumnType.IMAGE:
        return np.zeros((1, *column.shape), np.uint8)
    if column.type is ColumnType.EMBEDDING:
        return np.zeros((1, *column.shape))
    if column.type is ColumnType.TEXT:
        return np.array(["a"], dtype=object)
    if column.labels:
        return np.zeros(1, np.int32)
    if column.type is ColumnType.TIMESTAMP:
        return np.zeros(1, np.int64)
    mean = column.numeric.mean if column.numeric is not None else 0.0
    return np.array([mean])


def fake_row(columns: Mapping[str, Column]) -> RawRows:
    """Returns a row that the data could have, to try a model on before the data are read."""
    labels = {name: each.labels for name, each in columns.items() if each.labels}
    return RawRows({name: _any_value(each) for name, each in columns.items()}, labels)

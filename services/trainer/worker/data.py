"""The rows that a worker trains and validates on, as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.data.cache import CachedDataset
from common.data.schema import LABEL_TYPES, Part
from common.errors import InvalidFieldError
from common.models.preprocessing import Preprocessing, Target
from common.models.transform import ColumnTransform, Values, code_table
from services.trainer.domain.fitting import columns_needed, number_label
from services.trainer.domain.outliers.marks import RowChoice
from services.trainer.domain.specification import FIELD, TrainingSpecification

RESIDENT_BYTES = 512 * 1024**2
"""Tables up to this size are transformed once, larger ones batch by batch."""


Source = Callable[[npt.NDArray[np.int64]], Tensor]
Weights = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Rows as a network takes them.

    Attributes:
        inputs: Tensors in the order of `NetworkInput.names`.
        target: int64 class codes, or float32 standardised values, shape (rows,); of labels, and of
            rows that are blends of classes, float32 shares of 0 to 1, shape (rows, outputs).
        weight: float32 weight of each row, shape (rows,).
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Returns the rows on a device."""
        if device.type == "cpu":
            return self
        inputs = tuple(tensor.to(device) for tensor in self.inputs)
        return Batch(inputs, self.target.to(device), self.weight.to(device))


class Examples(Protocol):
    """What a network learns from, by number: rows of a table, images, or windows of series.

    Attributes:
        training: Numbers to train on; one that is there twice comes twice an epoch.
        validation: Numbers to validate on; may be empty.
        test: Numbers to report on at the end; may be empty.
        preprocessing: What turns them into inputs.
        names: Of the network's inputs, in order.
    """

    training: Numbers
    validation: Numbers
    test: Numbers
    preprocessing: Preprocessing
    names: tuple[str, ...]

    def batch(self, rows: Numbers) -> Batch:
        """Returns some of them as a network takes them."""
        ...

    def raw(self, rows: Numbers) -> dict[str, Tensor]:
        """Returns some of them by input name, as the ONNX twin takes them."""
        ...

    def weights(self, rows: Numbers) -> Weights:
        """Returns the weight of each of these."""
        ...

    def targets(self, rows: Numbers) -> Values:
        """Returns the class code or value of each of these, shape (rows,)."""
        ...

    def training_classes(self) -> Numbers:
        """Returns the class code of each one to train on."""
        ...

    def class_shares(self, *, evenly: bool = False) -> npt.NDArray[np.float64]:
        """See `ClassShares`."""
        ...


class TrainingRows:
    """A data set version, transformed, with its training and validation rows.

    Attributes:
        training: Row numbers to train on, ascending.
        validation: Row numbers to validate on, ascending; may be empty.
        test: Row numbers to report on at the end, ascending; may be empty.
        names: Names of the inputs, in the order in which a batch has them.
        preprocessing: What turned columns into inputs.
    """

    def __init__(
        self,
        dataset: CachedDataset,
        preprocessing: Preprocessing,
        specification: TrainingSpecification,
        choice: RowChoice | None = None,
        tokens: Values | None = None,
    ) -> None:
        """Maps the columns.

        Args:
            dataset: The data, as memory maps.
            preprocessing: What turns columns into inputs.
            specification: Resolved against the data.
            choice: The rows to train on; all training rows alike by default.
            tokens: Of all rows, where there are texts; see `cached_tokens`.

        Raises:
            InvalidFieldError: A target has a class that the preprocessing does not know.
        """
        self.training = dataset.rows(Part.TRAIN) if choice is None else choice.training
        self.validation = dataset.rows(Part.VALIDATION)
        self.test = dataset.rows(Part.TEST)
        text = preprocessing.text
        texts = () if text is None else text.names
        needed = [name for name in columns_needed(specification) if name not in texts]
        columns = {name: dataset.column(name) for name in needed}
        labelled = [item for item in dataset.schema.columns if item.type in LABEL_TYPES]
        labels = {column.name: column.labels for column in labelled}
        transform = ColumnTransform(preprocessing, columns, labels, tokens)
        self._transform = transform
        self.preprocessing = preprocessing
        self.names = preprocessing.network_input.names
        self._sources = [
            _source(name, transform, dataset.row_count * _row_bytes(name, preprocessing), dataset)
            for name in self.names
        ]
        target = preprocessing.target
        self._outputs = target.outputs
        self._target = (
            _marks([columns[name] for name in target.classes])
            if target.task == "multi_label"
            else _targets(target, columns[target.name], labels.get(target.name))
        )
        self._task = target.task
        name = specification.weight_column
        factors = None if choice is None else choice.factors
        self._weight = _product(columns[name].astype(np.float32) if name else None, factors)

    def batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Returns rows by number."""
        return Batch(
            inputs=tuple(source(rows) for source in self._sources),
            target=torch.from_numpy(self._target[rows]),
            weight=torch.from_numpy(self.weights(rows)),
        )

    def targets(self, rows: npt.NDArray[np.int64]) -> Values:
        """Returns the class code or standardised value of each of these rows, shape (rows,)."""
        return self._target[rows]

    def training_classes(self) -> npt.NDArray[np.int64]:
        """Returns the class code of each training row, shape (training rows,)."""
        return self._target[self.training].astype(np.int64, copy=False)

    def class_shares(self, *, evenly: bool = False) -> npt.NDArray[np.float64]:
        """Returns the share of each class in the weight of the training rows, shape (classes,).

        Of labels these are the shares of the rows that have them, which do not add up to 1.

        Args:
            evenly: Whether the rows of each class are drawn equally often.
        """
        if self._task == "multi_label":
            return self._label_shares()
        codes = self.training_classes()
        weights = self.weights(self.training).astype(np.float64)
        if evenly:
            weights /= np.bincount(codes, minlength=self._outputs)[codes]
        shares = np.bincount(codes, weights, minlength=self._outputs).astype(np.float64)
        total = shares.sum()
        return shares / total if total > 0 else np.full(self._outputs, 1 / self._outputs)

    def _label_shares(self) -> npt.NDArray[np.float64]:
        weights = self.weights(self.training).astype(np.float64)
        total = weights.sum()
        shares: npt.NDArray[np.float64] = weights @ self._target[self.training].astype(np.float64)
        return shares / total if total > 0 else np.full(self._outputs, 0.5)

    def raw(self, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """Returns rows before standardisation by input name, as the ONNX twin takes them."""
        return {name: torch.from_numpy(self._transform.raw(name, rows)) for name in self.names}

    def weights(self, rows: npt.NDArray[np.int64]) -> Weights:
        """Returns the weight of each of these rows."""
        if self._weight is None:
            return np.ones(len(rows), np.float32)
        return self._weight[rows]


def _product(weight: Weights | None, factors: Weights | None) -> Weights | None:
    """Returns the weight of each row; None where all weigh 1."""
    if weight is None or factors is None:
        return factors if weight is None else weight
    return weight * factors


def _row_bytes(name: str, preprocessing: Preprocessing) -> int:
    widths = {
        "numeric": 4 * len(preprocessing.numeric),
        "categories": 8 * len(preprocessing.categorical),
    }
    return widths.get(name, 0)


def _source(name: str, transform: ColumnTransform, size: int, dataset: CachedDataset) -> Source:
    """Returns what gives an input for given rows."""
    function: Callable[[npt.NDArray[np.int64] | slice], Values] = getattr(transform, name)
    if name in ("image", "tokens") or size > RESIDENT_BYTES:
        return lambda rows: torch.from_numpy(function(rows))
    resident = function(slice(0, dataset.row_count))
    return lambda rows: torch.from_numpy(resident[rows])


def _marks(columns: Sequence[Values]) -> Values:
    """Returns which rows have which labels, float32 [rows, labels]."""
    return np.stack(columns, axis=1).astype(np.float32)


def _targets(target: Target, values: Values, labels: tuple[str, ...] | None) -> Values:
    if target.task == "regression":
        scaled: npt.NDArray[np.float64] = (values.astype(np.float64) - target.mean) / target.scale
        return scaled.astype(np.float32)
    codes: npt.NDArray[np.int64]
    if labels is not None:
        codes = code_table(labels, target.classes, first=0, unknown=-1)[values]
    else:
        codes = _number_codes(target, values)
    if codes.min(initial=0) < 0:
        raise InvalidFieldError(
            f"{FIELD}.target", f"`{target.name}` has a class that the parent model does not know."
        )
    return codes


def _number_codes(target: Target, values: Values) -> npt.NDArray[np.int64]:
    positions = {label: index for index, label in enumerate(target.classes)}
    unique, inverse = np.unique(values, return_inverse=True)
    table = [positions.get(number_label(value), -1) for value in unique.tolist()]
    return np.array(table, np.int64)[inverse]

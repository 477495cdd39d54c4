"""Rows as a model itself takes them: prepared once, however often columns are exchanged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from common.data.rows import RawRows, Values
from common.data.schema import ColumnType, Task
from common.models.sample_rows import sample_rows
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.models.foreign import ForeignAnalysed
from services.analyzer.domain.models.model import AnalysedModel, Outputs
from services.analyzer.domain.models.outputs import (
    class_outputs,
    label_outputs,
    regression_outputs,
)
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject

Inputs = Mapping[str, Values]


@dataclass(frozen=True)
class Place:
    """Where values are among the inputs of a model.

    Attributes:
        input: Name of the input.
        columns: Which of its second axis; None for the whole input.
    """

    input: str
    columns: slice | None = None

    def part(self, columns: slice) -> "Place":
        """Returns some of the columns, counted from the first one here."""
        start = 0 if self.columns is None else (self.columns.start or 0)
        return Place(self.input, slice(start + columns.start, start + columns.stop))


@dataclass(frozen=True)
class Item:
    """What is exchanged together.

    Attributes:
        name: A column's, or a lag's.
        places: Where its values are.
    """

    name: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Fed:
    """Rows as a model takes them.

    Attributes:
        model: The model.
        inputs: By name; the first axis is rows.
        places: Where the values of each raw column are; of vectors these may be several inputs.
        run: Gives the outputs for inputs like these.
    """

    model: AnalysedModel
    inputs: Inputs
    places: Mapping[str, tuple[Place, ...]]
    run: Callable[[Inputs], Outputs]

    def take(self, rows: npt.NDArray[np.int64] | slice) -> "Fed":
        """Returns some of the rows."""
        return replace(self, inputs={name: each[rows] for name, each in self.inputs.items()})

    def predict(self, inputs: Inputs) -> Outputs:
        """Returns the model's outputs for rows like these.

        Raises:
            UnusableModelError: Some are no numbers.
        """
        outputs = self.run(inputs)
        if not np.isfinite(outputs).all():
            raise UnusableModelError("The model gives no number for rows with other values.")
        return outputs


def permutable_columns(subject: Subject) -> tuple[str, ...]:
    """Returns the model's features that are not images, in order."""
    known = subject.sample.columns
    return tuple(
        name
        for name in subject.model.features
        if name in known and known[name].type is not ColumnType.IMAGE
    )


def fed(subject: Subject, raw: RawRows) -> Fed:
    """Returns rows as the model takes them.

    Raises:
        NotApplicableError: It takes no columns but images.
        UnusableModelError: The data do not have what it takes.
    """
    columns = permutable_columns(subject)
    if not columns:
        raise NotApplicableError("The model takes images alone, and no other columns.")
    model = subject.model
    if isinstance(model, TorchPackage) and model.preprocessing.text is None:
        names = model.preprocessing.network_input.names
        tensors = zip(names, model.inputs(raw), strict=True)
        inputs: Inputs = {name: each.numpy() for name, each in tensors}
        return Fed(model, inputs, _torch_places(model), partial(_torch_outputs, model))
    if isinstance(model, ForeignAnalysed):
        inputs = model.inputs(raw)
        places = _foreign_places(model, raw, inputs)
        return Fed(model, inputs, places, partial(_foreign_outputs, model))
    places = {name: (Place(name),) for name in columns}
    return Fed(model, raw.columns, places, lambda new: model.predict(RawRows(new, raw.labels)))


def _torch_places(model: TorchPackage) -> dict[str, tuple[Place, ...]]:
    preprocessing = model.preprocessing
    numeric = [column.name for column in preprocessing.numeric]
    categories = [column.name for column in preprocessing.categorical]
    return {
        name: (Place(kind, slice(place, place + 1)),)
        for kind, names in (("numeric", numeric), ("categories", categories))
        for place, name in enumerate(names)
    }


def _foreign_places(
    model: ForeignAnalysed, raw: RawRows, inputs: Inputs
) -> dict[str, tuple[Place, ...]]:
    columns = {each: model.column_of(each) for each in inputs}
    if all(columns.values()):
        return {
            name: tuple(Place(each) for each, column in columns.items() if column == name)
            for name in model.features
        }
    [(name, matrix)] = inputs.items()
    rows = sample_rows(raw.take(slice(0, 1)), model.columns, None)
    for taken in (rows.numeric, rows.columns):
        widths = [each.size for each in taken.values()]
        if sum(widths) == matrix.shape[1]:
            return _side_by_side(name, list(taken), widths)
    raise UnusableModelError(f"It is not known which columns the input `{name}` is made of.")


def _side_by_side(
    name: str, columns: Sequence[str], widths: Sequence[int]
) -> dict[str, tuple[Place, ...]]:
    ends = np.cumsum(widths).tolist()
    return {
        column: (Place(name, slice(end - width, end)),)
        for column, width, end in zip(columns, widths, ends, strict=True)
    }


def _torch_outputs(model: TorchPackage, inputs: Inputs) -> Outputs:
    with torch.inference_mode():
        tensors = [torch.from_numpy(np.ascontiguousarray(each)) for each in inputs.values()]
        return np.asarray(model.finished(model.network(*tensors)).numpy(), np.float64)


def _foreign_outputs(model: ForeignAnalysed, inputs: Inputs) -> Outputs:
    model.check()
    found = model.model.predict(inputs)
    if model.task is Task.REGRESSION:
        return regression_outputs(found)
    if model.task is Task.MULTI_LABEL:
        return label_outputs(found)[0]
    return class_outputs(found, model.outputs)[0]

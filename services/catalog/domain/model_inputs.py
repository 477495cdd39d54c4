"""Inputs to try a model from elsewhere on: random ones, or rows of a data set."""

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.rows import Values
from common.errors import InvalidFieldError
from common.models.frames import FrameColumn
from common.models.inputs import ForeignModel, MisfitError, inputs_of_rows
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel
from services.catalog.domain.model_spec import DATASET_VERSION

VECTOR_ROWS = 16
"""Rows of the test vectors."""

# Sides that the signature leaves open, other than rows, get this length in random samples.
_OPEN_SIDE = 32


def sample_inputs(model: ForeignModel, rows: SampleRows | None) -> dict[str, Values]:
    """Returns inputs to try a model on.

    Args:
        model: The model.
        rows: Rows of a data set; None for random ones, of the values that its encoders know.

    Raises:
        InvalidFieldError: The rows do not fit; names the column.
    """
    if rows is None:
        if isinstance(model, SkopsModel):
            return _random_table(model)
        return _random(model.signature)
    try:
        return inputs_of_rows(model, rows)
    except MisfitError as error:
        raise InvalidFieldError(
            DATASET_VERSION,
            f"{error}; leave it out to try the model on random samples",
            reason="COLUMNS_DO_NOT_FIT",
        ) from None


def _random(signature: model_pb2.Signature) -> dict[str, Values]:
    generator = np.random.default_rng(0)
    inputs: dict[str, Values] = {}
    for spec in signature.inputs:
        rows = VECTOR_ROWS if not spec.shape or spec.shape[0] < 0 else spec.shape[0]
        sides = [_OPEN_SIDE if side < 0 else side for side in spec.shape[1:]]
        shape = (rows, *sides) if spec.shape else ()
        if spec.dtype == "object":
            inputs[spec.name] = generator.choice(np.array(["a", "b"], object), shape)
        elif np.dtype(spec.dtype).kind == "f":
            inputs[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            inputs[spec.name] = generator.integers(0, 2, shape).astype(spec.dtype)
    return inputs


def _random_table(model: SkopsModel) -> dict[str, Values]:
    generator = np.random.default_rng(0)
    columns = {each.name: _random_column(each, generator) for each in model.columns}
    if model.is_named:
        return columns
    [spec] = model.signature.inputs
    return {spec.name: np.column_stack(list(columns.values())).astype(spec.dtype)}


def _random_column(column: FrameColumn, generator: np.random.Generator) -> Values:
    if column.shape:
        shape = (VECTOR_ROWS, *column.shape)
        return generator.integers(0, 256, shape).astype(column.dtype)
    if column.known:
        known = np.array(column.known, dtype=object)
        return generator.choice(known, VECTOR_ROWS).astype(column.dtype)
    return generator.standard_normal(VECTOR_ROWS)

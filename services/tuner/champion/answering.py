"""Opens another model and predicts rows with it. Only for a process of its own."""

from collections.abc import Iterator, Sequence

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.data.rows import Values
from common.models.estimators.combining import tilted
from common.models.inputs import ForeignModel, MisfitError, inputs_of_rows
from common.models.onnx_model import open_onnx
from common.models.outputs import (
    UnknownOutputsError,
    are_logits,
    class_outputs,
    label_outputs,
    regression_outputs,
)
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel, open_skops
from common.models.vectors import Tensors, decode, replay
from services.tuner.champion.prediction import Order
from services.tuner.domain.kinds import ProblemKind
from services.tuner.domain.problem import Outputs

_BATCH, _PICTURE_BATCH = 65_536, 250
_PICTURE_AXES = 4


def outputs_of(
    version: model_pb2.ModelVersion,
    content: bytes,
    vectors: bytes,
    rows: SampleRows,
    order: Order,
) -> tuple[Outputs, bool]:
    """Returns what a model says of rows, and whether these are probabilities.

    Args:
        version: The model.
        content: Its file.
        vectors: Its test vectors, which are replayed.
        rows: As models take them.
        order: What is asked.

    Raises:
        InvalidFieldError: The file cannot be opened.
        DataLossError: It gives other outputs for its test vectors.
        MisfitError: The rows do not have what it takes.
        UnknownOutputsError: What it gives is nothing that is known.
    """
    model = _opened(version, content)
    replay(version, decode(vectors, version.name), model.predict)
    try:
        inputs = inputs_of_rows(model, rows)
    except MisfitError as error:
        raise MisfitError(f"the data set {error}") from None
    found = _joined([model.predict(each) for each in _batches(inputs)])
    kind = ProblemKind(order.kind)
    if kind is ProblemKind.REGRESSION:
        return _finite(regression_outputs(found)[:, :1]), False
    outputs, are_probabilities = _probabilities(version, model, found, order)
    tilts = getattr(getattr(model, "estimator", None), "tilts_", None)
    if order.are_decisions and tilts is not None:
        outputs = tilted(outputs, tilts, kind is not ProblemKind.MULTI_LABEL)
    places = places_of(version.signature.classes, order.outputs, outputs.shape[1])
    return _finite(_placed(outputs, places)), are_probabilities


def places_of(own: Sequence[str], wanted: Sequence[str], width: int) -> list[int]:
    """Returns where each class or label that is wanted is among a model's own; -1 for nowhere.

    Args:
        own: The model's, in the order of its outputs; empty where it does not say.
        wanted: What is wanted.
        width: Number of the model's outputs.

    Raises:
        UnknownOutputsError: None of them is known to the model.
    """
    if not own:
        if width != len(wanted):
            raise UnknownOutputsError(f"it gives {width} outputs, of which {len(wanted)} are known")
        return list(range(width))
    for form in (str, _plain):
        known = {form(each): place for place, each in enumerate(own)}
        places = [known.get(form(each), -1) for each in wanted]
        if max(places) >= 0:
            return places
    raise UnknownOutputsError(f"it knows none of the classes, {', '.join(map(str, wanted[:5]))}")


def _opened(version: model_pb2.ModelVersion, content: bytes) -> ForeignModel:
    if version.format == model_pb2.MODEL_FORMAT_SKOPS:
        return open_skops(content, version.name)
    return open_onnx(content, version.name)


def _batches(inputs: Tensors) -> Iterator[Tensors]:
    is_picture = any(each.ndim == _PICTURE_AXES for each in inputs.values())
    size = _PICTURE_BATCH if is_picture else _BATCH
    count = max(len(each) for each in inputs.values())
    for start in range(0, count, size):
        yield {name: each[start : start + size] for name, each in inputs.items()}


def _joined(pieces: Sequence[Tensors]) -> dict[str, Values]:
    return {name: np.concatenate([each[name] for each in pieces]) for name in pieces[0]}


def _probabilities(
    version: model_pb2.ModelVersion, model: ForeignModel, found: Tensors, order: Order
) -> tuple[Outputs, bool]:
    if order.kind == ProblemKind.MULTI_LABEL:
        return label_outputs(found)
    return class_outputs(
        found,
        tuple(version.signature.classes) or order.outputs,
        are_positions=isinstance(model, SkopsModel),
        are_logits=are_logits(found),
    )


def _placed(outputs: Outputs, places: Sequence[int]) -> Outputs:
    """Returns outputs in another order; a class that the model does not know never comes."""
    found = np.zeros((len(outputs), len(places)))
    known = [place >= 0 for place in places]
    found[:, known] = outputs[:, [place for place in places if place >= 0]]
    return found


def _finite(outputs: Outputs) -> Outputs:
    if not np.isfinite(outputs).all():
        raise UnknownOutputsError("it gives values that are no numbers")
    return outputs


def _plain(label: str) -> str:
    """Returns a label without what differs by where it comes from: `True`, `1.0`."""
    text = label.strip().lower()
    text = {"true": "1", "false": "0"}.get(text, text)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text

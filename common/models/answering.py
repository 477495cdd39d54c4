"""What a model says of rows, as metrics take it. Imports scikit-learn, ONNX Runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.data.rows import Values
from common.models.estimators.combining import tilted
from common.models.inputs import ForeignModel, MisfitError, inputs_of_rows
from common.models.outputs import (
    UnknownOutputsError,
    are_logits,
    class_outputs,
    label_outputs,
    regression_outputs,
)
from common.models.sample_rows import SampleRows
from common.models.skops_model import SkopsModel
from common.models.vectors import Tensors
from common.scoring.arrays import Outputs
from common.scoring.kinds import ProblemKind

_BATCH, _LARGE_BATCH = 65_536, 250
_PICTURE_AXES = 4


@dataclass(frozen=True)
class Question:
    """What a model is asked for.

    Attributes:
        outputs: Classes or labels in the order that is wanted; of a regression its target.
        kind: Kind of the problem.
        are_decisions: Whether decisions count: then the model's own, where it has such.
    """

    outputs: tuple[str, ...]
    kind: ProblemKind
    are_decisions: bool


def answer(
    model: ForeignModel, classes: Sequence[str], rows: SampleRows, question: Question
) -> tuple[Outputs, bool]:
    """Returns what a model says of rows, and whether these are probabilities.

    Args:
        model: The model.
        classes: Its classes, in the order of its outputs; empty where it does not say.
        rows: As models take them.
        question: What is asked.

    Raises:
        MisfitError: The rows do not have what it takes.
        UnknownOutputsError: What it gives is nothing that is known.
    """
    try:
        inputs = inputs_of_rows(model, rows)
    except MisfitError as error:
        raise MisfitError(f"the data set {error}") from None
    return answer_to_inputs(model, classes, inputs, question)


def answer_to_inputs(
    model: ForeignModel, classes: Sequence[str], inputs: Tensors, question: Question
) -> tuple[Outputs, bool]:
    """Does as `answer` with inputs as the model itself takes them."""
    found = _joined([model.predict(each) for each in _batches(inputs)])
    if question.kind is ProblemKind.REGRESSION:
        return _finite(regression_outputs(found)[:, :1]), False
    outputs, are_probabilities = _probabilities(model, classes, found, question)
    tilts = getattr(getattr(model, "estimator", None), "tilts_", None)
    if question.are_decisions and tilts is not None:
        outputs = tilted(outputs, tilts, question.kind is not ProblemKind.MULTI_LABEL)
    places = places_of(classes, question.outputs, outputs.shape[1])
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


def _batches(inputs: Tensors) -> Iterator[Tensors]:
    is_large = "tokens" in inputs or any(each.ndim == _PICTURE_AXES for each in inputs.values())
    size = _LARGE_BATCH if is_large else _BATCH
    count = max(len(each) for each in inputs.values())
    for start in range(0, count, size):
        yield {name: each[start : start + size] for name, each in inputs.items()}


def _joined(pieces: Sequence[Tensors]) -> dict[str, Values]:
    return {name: np.concatenate([each[name] for each in pieces]) for name in pieces[0]}


def _probabilities(
    model: ForeignModel, classes: Sequence[str], found: Tensors, question: Question
) -> tuple[Outputs, bool]:
    if question.kind is ProblemKind.MULTI_LABEL:
        return label_outputs(found)
    return class_outputs(
        found,
        tuple(classes) or question.outputs,
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

"""Opens another model and predicts rows with it. Only for a process of its own."""

from aimass.catalog.v1 import model_pb2
from common.models.answering import Question, answer
from common.models.inputs import ForeignModel
from common.models.onnx_model import open_onnx
from common.models.sample_rows import SampleRows
from common.models.skops_model import open_skops
from common.models.vectors import decode, replay
from common.scoring.arrays import Outputs
from common.scoring.kinds import ProblemKind
from services.tuner.champion.order import Order


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
    question = Question(order.outputs, ProblemKind(order.kind), order.are_decisions)
    return answer(model, version.signature.classes, rows, question)


def _opened(version: model_pb2.ModelVersion, content: bytes) -> ForeignModel:
    if version.format == model_pb2.MODEL_FORMAT_SKOPS:
        return open_skops(content, version.name)
    return open_onnx(content, version.name)

"""Small networks that have learned from a model, kept as the trainer keeps its own."""

from collections.abc import Iterator

import numpy as np
import safetensors.torch
import torch

from common.data.rows import RawRows
from common.models.answering import answer
from common.models.preprocessing import preprocessing_files
from common.models.sample_rows import sample_rows
from common.models.twin import Twin, export_twin, output_name, signature
from common.models.vectors import Vectors, encode
from common.networks.specification import to_proto
from common.scoring.arrays import Outputs
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.networks import Pace
from services.pruner.domain.students.distilling import Student, students
from services.pruner.domain.students.lessons import Lessons
from services.pruner.domain.variants import ONNX, SAMPLES, WEIGHTS, Built
from services.pruner.loading import Loaded

_VECTOR_ROWS = 16


def student_networks(
    base: Built, loaded: Loaded, lessons: Lessons, pace: Pace
) -> Iterator[tuple[Student, Built]]:
    """Yields small networks that have learned from a model, with the packages they are kept as.

    Args:
        base: The model.
        loaded: What the pruning works with.
        lessons: What they learn from.
        pace: In what time.

    Raises:
        UnknownOutputsError: What the model says of what it has learned from is no number.
    """
    model = base.open()

    def ask(rows: RawRows) -> Outputs:
        taken = sample_rows(rows, lessons.columns, None)
        return answer(model, base.classes, taken, loaded.question)[0]

    for student in students(lessons, loaded.learned.truth, ask, pace):
        yield student, _package(student, lessons)


def _package(student: Student, lessons: Lessons) -> Built:
    preprocessing, rows = lessons.preprocessing, lessons.rows
    few = lessons.inputs(rows.take(np.arange(_VECTOR_ROWS) % rows.count))
    tensors = {name: torch.from_numpy(each) for name, each in few.items()}
    name = output_name(preprocessing)
    twin = export_twin(Twin(student.network, preprocessing), tensors, name)
    weights = {key: each.contiguous() for key, each in student.network.state_dict().items()}
    files = {
        WEIGHTS: safetensors.torch.save(weights),
        **preprocessing_files(preprocessing),
        ONNX: twin.content,
        SAMPLES: encode(Vectors(few, {name: twin.outputs.numpy()})),
    }
    network = to_proto(student.specification)
    return Built(ModelFormat.TORCH_PACKAGE, files, signature(preprocessing), network=network)

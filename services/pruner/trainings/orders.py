"""What the trainer is asked for, to train a network that became smaller."""

import json
import math
from dataclasses import dataclass
from typing import Any

from aimass.catalog.v1 import dataset_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import artifact_pb2
from common.calls.trainings import networks_model
from common.models.preprocessing import Preprocessing, preprocessing_of
from common.networks.specification import NetworkSpecification, to_proto
from services.pruner.domain.tuning import CLIP_NORM, TAUGHT, TEMPERATURE, WEIGHT_DECAY, Examples
from services.pruner.domain.variants import SPECIFICATION, Built

_TASKS = {
    "classification": dataset_pb2.TASK_CLASSIFICATION,
    "regression": dataset_pb2.TASK_REGRESSION,
    "multi_label": dataset_pb2.TASK_MULTI_LABEL,
}
_WAIT_SECONDS = 10


@dataclass(frozen=True)
class Order:
    """What all trainings of a pruning have in common.

    Attributes:
        original: Name of the original's version: parent and teacher.
        dataset_version: Name of the data.
        row_count: Rows to train on.
        model: That pruned versions are added to.
        preprocessing: Of the original.
        weight_column: That the original was trained with; empty for none.
        workers: Most of them.
    """

    original: str
    dataset_version: str
    row_count: int
    model: str
    preprocessing: Preprocessing
    weight_column: str
    workers: int

    @classmethod
    def of(
        cls,
        built: Built,
        original: str,
        dataset_version: str,
        row_count: int,
        model: str,
        workers: int,
    ) -> "Order":
        """Returns what goes for a network of the trainer.

        Args:
            built: The original.
            original: Name of its version.
            dataset_version: Name of the data.
            row_count: Rows to train on.
            model: That pruned versions are added to.
            workers: Most of them.
        """
        learned: dict[str, Any] = json.loads(built.files.get(SPECIFICATION, b"{}"))
        return cls(
            original=original,
            dataset_version=dataset_version,
            row_count=row_count,
            model=networks_model(model),
            preprocessing=preprocessing_of(lambda role: built.files[role]),
            weight_column=learned.get("weight_column", ""),
            workers=workers,
        )

    def steps(self, epochs: int, examples: Examples) -> int:
        """Returns the steps of a training."""
        return epochs * math.ceil(self.row_count / examples.batch)

    def spec(
        self,
        network: NetworkSpecification,
        weights: artifact_pb2.ArtifactRef,
        examples: Examples,
        epochs: int,
        seed: int,
    ) -> trainer_pb2.TrainingSpec:
        """Returns a training, as it would be done in the pruning's own process.

        Args:
            network: What is trained.
            weights: It begins with.
            examples: Rate and rows of a step.
            epochs: Of the training.
            seed: Of the order of rows.
        """
        target = self.preprocessing.target
        has_labels = target.task == "multi_label"
        spec = trainer_pb2.TrainingSpec(
            dataset_version=self.dataset_version,
            model=self.model,
            target="" if has_labels else target.name,
            targets=target.classes if has_labels else (),
            features=self.preprocessing.features,
            task=_TASKS[target.task],
            network=to_proto(network),
            epochs=epochs,
            batch_size=examples.batch,
            seed=seed,
            weight_column=self.weight_column,
            parent_model_version=self.original,
            starting_weights=weights,
            monitor=trainer_pb2.MONITORED_METRIC_NONE,
        )
        spec.schedule.cosine_decay = True
        spec.optimizer.kind = trainer_pb2.OPTIMIZER_KIND_ADAMW
        spec.optimizer.learning_rate = examples.rate
        spec.optimizer.weight_decay = WEIGHT_DECAY
        spec.optimizer.clip_norm = CLIP_NORM
        spec.distillation.teacher_model_version = self.original
        spec.distillation.weight = TAUGHT
        if target.has_probabilities:
            spec.distillation.temperature = TEMPERATURE
        spec.workers.min = 1
        spec.workers.max = self.workers
        spec.workers.wait_timeout.FromSeconds(_WAIT_SECONDS)
        return spec

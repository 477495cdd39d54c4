"""Stands in for the trainer, for tests of those who have it train."""

from dataclasses import dataclass, field
from typing import Any

from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import run_pb2
from common.calls.trainings import TrainerError


@dataclass
class FakeTrainer:
    """Trains at once, unless it is told otherwise."""

    slots: int = 1
    error: str = ""
    state: Any = run_pb2.RUN_STATE_SUCCEEDED
    left_over: list[str] = field(default_factory=list)
    created: list[trainer_pb2.TrainingRun] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)

    def idle_slots(self) -> int:
        """Returns how many workers could begin."""
        if self.error:
            raise TrainerError(self.error)
        return self.slots

    def runs(self, filtered: str) -> list[trainer_pb2.TrainingRun]:
        """Returns what was left running."""
        self.filters.append(filtered)
        running = run_pb2.RunStatus(state=run_pb2.RUN_STATE_RUNNING)
        return [trainer_pb2.TrainingRun(name=each, status=running) for each in self.left_over]

    def estimate(self, run: trainer_pb2.TrainingRun) -> float:
        """Returns a tenth of a second for an epoch."""
        return 0.1 * run.spec.epochs

    def create(
        self, run: trainer_pb2.TrainingRun, name: str, request_id: str
    ) -> trainer_pb2.TrainingRun:
        """Trains, as it is told to."""
        made = trainer_pb2.TrainingRun(name=f"trainingRuns/{name}", spec=run.spec)
        made.labels.update(run.labels)
        made.status.state = self.state
        made.model_version = f"models/m/versions/{len(self.created) + 1}"
        made.best_epoch = run.spec.epochs
        self.created.append(made)
        return made

    def get(self, name: str) -> trainer_pb2.TrainingRun:
        """Returns the newest run."""
        return self.created[-1]

    def cancel(self, name: str) -> None:
        """Notes it."""
        self.cancelled.append(name)

"""Training runs as a kind of run."""

from aimass.trainer.v1 import trainer_pb2
from common.runs.kind import RunKind

TRAINING_RUNS = RunKind("trainingRuns", trainer_pb2.TrainingRun, "train")

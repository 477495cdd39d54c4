"""Searches as a kind of run."""

from aimass.tuner.v1 import tuner_pb2
from common.runs.kind import RunKind

TUNING_RUNS = RunKind("tuningRuns", tuner_pb2.TuningRun, "tune")

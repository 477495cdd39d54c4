"""Prunings as a kind of run."""

from aimass.pruner.v1 import pruner_pb2
from common.runs.kind import RunKind

PRUNING_RUNS = RunKind("pruningRuns", pruner_pb2.PruningRun, "prune")

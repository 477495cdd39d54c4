"""Analyses as a kind of run."""

from aimass.analyzer.v1 import analyzer_pb2
from common.runs.kind import RunKind

ANALYSES = RunKind("analyses", analyzer_pb2.Analysis, "analysis")

"""Outlier scans as a kind of run."""

from aimass.outlier.v1 import outlier_pb2
from common.runs.kind import RunKind

OUTLIER_SCANS = RunKind("outlierScans", outlier_pb2.OutlierScan, "scan")

"""Asks the outlier service for a scan."""

import grpc

from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.type.v1 import run_pb2
from common.artifacts.reference import ArtifactReference
from common.data.scans import Scan, unknown_scan
from common.errors import UnavailableError
from common.names import OutlierScanName
from common.protobuf import enum_short_name, to_plain

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def get_scan(
    scans: "outlier_pb2_grpc.OutlierServiceAsyncStub", name: str, field: str
) -> Scan:
    """Returns a scan.

    Args:
        scans: Stub of the outlier service.
        name: Of the scan.
        field: That names it: `training_run.spec.outliers.scan` for instance.

    Raises:
        InvalidFieldError: It is no name of a scan, or there is none of that name.
        UnavailableError: The outlier service is away.
    """
    name = OutlierScanName.from_name(name, field).name
    try:
        found = await scans.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise unknown_scan(name, field) from None
        if error.code() in _AWAY:
            raise UnavailableError(
                f"The outlier service, which knows {name}, cannot be reached now; try again, or "
                "leave `outliers` out."
            ) from None
        raise
    scores = None
    if found.HasField("scores"):
        scores = ArtifactReference.model_validate(to_plain(found.scores))
    state = enum_short_name(run_pb2.RunState.DESCRIPTOR, found.status.state)
    return Scan(found.name, found.spec.dataset_version, state, scores)

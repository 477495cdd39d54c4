"""MaintenanceService: housekeeping of the service that it is part of."""

import asyncio
from datetime import timedelta
from functools import partial

import grpc

from aimass.maintenance.v1 import maintenance_pb2, maintenance_pb2_grpc
from common.errors import InvalidFieldError
from common.maintenance.sweeping import Garbage, Sweeps
from common.protobuf import timedelta_of
from common.serving.server import Service

_MAX_ITEMS = 1_000
_LEAST = timedelta(minutes=1)
_Context = grpc.aio.ServicerContext[maintenance_pb2.SweepRequest, maintenance_pb2.SweepResponse]


class MaintenanceServicer(maintenance_pb2_grpc.MaintenanceServiceServicer):
    """Answers for one service's sweeps."""

    def __init__(self, sweeps: Sweeps) -> None:
        self._sweeps = sweeps

    async def Sweep(
        self, request: maintenance_pb2.SweepRequest, context: _Context
    ) -> maintenance_pb2.SweepResponse:
        """Removes what nothing needs, or says what would go."""
        older_than = _older_than(request)
        work = self._sweeps.find if request.dry_run else self._sweeps.sweep
        return _response(await asyncio.to_thread(work, older_than))


def maintenance_service(sweeps: Sweeps) -> Service:
    """Returns the service to register."""
    add = maintenance_pb2_grpc.add_MaintenanceServiceServicer_to_server
    return Service(
        "aimass.maintenance.v1.MaintenanceService", partial(add, MaintenanceServicer(sweeps))
    )


def _older_than(request: maintenance_pb2.SweepRequest) -> timedelta | None:
    if not request.HasField("older_than"):
        return None
    older_than = timedelta_of(request.older_than, "older_than")
    if older_than < _LEAST:
        raise InvalidFieldError(
            "older_than", f"must be at least 60 s, not {older_than.total_seconds():g} s"
        )
    return older_than


def _response(found: list[Garbage]) -> maintenance_pb2.SweepResponse:
    response = maintenance_pb2.SweepResponse(
        item_count=len(found), size_bytes=sum(garbage.size_bytes for garbage in found)
    )
    for garbage in found[:_MAX_ITEMS]:
        item = response.items.add(
            name=garbage.name,
            kind=garbage.kind,
            reason=garbage.reason,
            object_count=garbage.object_count,
            size_bytes=garbage.size_bytes,
        )
        item.age.FromTimedelta(garbage.age)
    return response

"""The RPC of lineage: check, convert, call, return."""

import asyncio
from functools import partial

from aimass.catalog.v1 import lineage_pb2, lineage_pb2_grpc
from common.errors import InvalidFieldError
from common.records import RecordStore
from services.catalog.domain.lineage import Trace, Tracer
from services.catalog.domain.models import Models
from services.catalog.domain.resources import Datasets, numbered_name

_MAX_DEPTH = 100
_DEFAULT_DEPTH = 20


class LineageServicer(lineage_pb2_grpc.LineageServiceServicer):
    """What came from what."""

    def __init__(self, records: RecordStore, models: Models, datasets: Datasets) -> None:
        """Serves from these parts."""
        self._tracer = Tracer(records)
        self._resolve = partial(numbered_name, datasets, models)

    async def Trace(
        self, request: lineage_pb2.TraceRequest, context: object
    ) -> lineage_pb2.TraceResponse:
        """Walks the graph around a resource."""
        if not 0 <= request.depth <= _MAX_DEPTH:
            raise InvalidFieldError(
                "depth", f"must be 1 to {_MAX_DEPTH}, or 0 for the default; it is {request.depth}"
            )
        if request.direction not in lineage_pb2.TraceDirection.values():
            known = ", ".join(lineage_pb2.TraceDirection.keys())
            raise InvalidFieldError("direction", f"must be one of {known}, not {request.direction}")
        depth = request.depth or _DEFAULT_DEPTH
        name = await asyncio.to_thread(self._resolve, request.name, "name")
        trace = await asyncio.to_thread(
            self._tracer.trace,
            name,
            up=request.direction != lineage_pb2.TRACE_DIRECTION_DOWNSTREAM,
            down=request.direction != lineage_pb2.TRACE_DIRECTION_UPSTREAM,
            depth=depth,
        )
        return _response(name, trace)


def _response(name: str, trace: Trace) -> lineage_pb2.TraceResponse:
    return lineage_pb2.TraceResponse(
        name=name,
        nodes=[
            lineage_pb2.LineageNode(
                name=node.name,
                kind=node.kind,
                state=node.state,
                summary=node.summary,
                deleted=node.deleted,
            )
            for node in trace.nodes.values()
        ],
        edges=[
            lineage_pb2.LineageEdge(input=source, output=target)
            for source, target in sorted(trace.edges)
        ],
        truncated=trace.truncated,
    )

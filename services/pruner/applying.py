"""Makes points of prunings model versions."""

import asyncio
import uuid

from aimass.catalog.v1 import model_pb2, model_pb2_grpc
from aimass.pruner.v1 import pruner_pb2
from common.artifacts import ObjectStore
from common.errors import InvalidFieldError
from common.runs.publishing import run_uuid
from services.pruner.points import PointPages, read_version


class Applying:
    """Registers points in the catalog.

    Args:
        store: Where their files are.
        models: Stub of the catalog's models.
    """

    def __init__(self, store: ObjectStore, models: "model_pb2_grpc.ModelServiceAsyncStub") -> None:
        self._store = store
        self._models = models
        self._points = PointPages(store)

    async def apply(self, run: pruner_pb2.PruningRun, name: str) -> pruner_pb2.ApplyPointResponse:
        """Returns the model version of a point, which is made where there is none.

        Args:
            run: The pruning; it must have points.
            name: Of the point.

        Raises:
            FailedPreconditionError: It has no points yet.
            NotFoundError: It has no such point.
            InvalidFieldError: The point is the original.
        """
        point = await asyncio.to_thread(self._points.point, run, name)
        if not point.parent:
            raise InvalidFieldError(
                "point", f"`{name}` is the model as it was, {run.spec.model_version}."
            )
        if point.model_version:
            return pruner_pb2.ApplyPointResponse(model_version=point.model_version)
        version = await asyncio.to_thread(read_version, self._store, run.name, name)
        request = model_pb2.CreateModelVersionRequest(
            parent=run.spec.model,
            model_version=version,
            request_id=str(uuid.uuid5(uuid.UUID(run_uuid(run)), name)),
        )
        made = await self._models.CreateModelVersion(request)
        return pruner_pb2.ApplyPointResponse(model_version=made.name)

"""What a run asks of the catalog. A catalog that is away is waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from common.calls import client
from common.calls.patience import AwayError, patiently
from common.config import ClientSettings
from common.errors import FailedPreconditionError, UnavailableError
from common.runs.kind import M
from common.runs.owner import RunOwner
from common.runs.publishing import settle_request

_PATIENCE_SECONDS = 300.0
_Answer = TypeVar("_Answer")


class Catalog:
    """The catalog's RPCs that runs need.

    Each raises `FailedPreconditionError` where the catalog refuses, and `UnavailableError` where it
    is away for more than five minutes.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Wraps a channel.

        Args:
            channel: To the catalog.
        """
        self._datasets = dataset_pb2_grpc.DatasetServiceStub(channel)
        self._models = model_pb2_grpc.ModelServiceStub(channel)

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns a data set version."""
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        return await _patiently(lambda: self._datasets.GetDatasetVersion(request))

    async def model_version(self, name: str) -> model_pb2.ModelVersion:
        """Returns a model version."""
        request = model_pb2.GetModelVersionRequest(name=name)
        return await _patiently(lambda: self._models.GetModelVersion(request))

    async def newest_versions(self, model: str, most: int) -> list[model_pb2.ModelVersion]:
        """Returns the newest versions of a model, newest first.

        Args:
            model: Name of the model: `models/{model}`.
            most: At most so many, up to 1,000.
        """
        request = model_pb2.ListModelVersionsRequest(parent=model, page_size=most)
        page = await _patiently(lambda: self._models.ListModelVersions(request))
        return list(page.model_versions)

    async def register(
        self,
        owner: RunOwner[M],
        model: str,
        version: model_pb2.ModelVersion,
        *,
        despite_cancel: bool = False,
    ) -> model_pb2.ModelVersion:
        """Registers the one model version that a run makes, over all its attempts.

        Args:
            owner: The run.
            model: Name of the model: `models/{model}`.
            version: What this attempt made; its artifacts are in the store.
            despite_cancel: Whether a run that was cancelled keeps what it has made by then.

        Returns:
            The version that the run made, which may be an earlier attempt's.

        Raises:
            FencedError: The run may have been taken over.
            RunCancelledError: The run was cancelled, and keeps nothing.
        """
        request = await asyncio.to_thread(settle_request, owner.store, owner.run, model, version)
        owner.check()
        if not despite_cancel:
            owner.check_cancelled()
        return await _patiently(lambda: self._models.CreateModelVersion(request))


@asynccontextmanager
async def open_catalog(reach: ClientSettings) -> AsyncIterator[Catalog]:
    """Connects to the catalog.

    Args:
        reach: Where it is, and the token to show.
    """
    async with client.connect(reach.catalog_address, reach.token) as channel:
        yield Catalog(channel)


def ask_catalog(question: Callable[[Catalog], Awaitable[_Answer]]) -> _Answer:
    """Asks the catalog from a job without an event loop.

    The connection lasts for the question: none is open while a job computes, or forks.

    Args:
        question: For example `lambda catalog: catalog.dataset_version(name)`.
    """

    async def ask() -> _Answer:
        async with open_catalog(ClientSettings()) as catalog:
            return await question(catalog)

    return asyncio.run(ask())


async def _patiently(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    try:
        return await patiently(call, _PATIENCE_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise FailedPreconditionError(
            f"The catalog refuses: {error.details()}", reason="CATALOG_REFUSES"
        ) from None
    except AwayError:
        raise UnavailableError("The catalog cannot be reached.") from None

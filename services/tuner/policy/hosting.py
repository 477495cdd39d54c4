"""Wires policies together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc

from aimass.catalog.v1 import dataset_pb2_grpc, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.tuner.v1 import policy_pb2_grpc, tuner_pb2
from common.records import RecordStore
from common.runs.service import RunService
from common.serving.server import Service
from services.tuner.policy.acting import Actor
from services.tuner.policy.book import PolicyBook
from services.tuner.policy.checking import PolicyCheck
from services.tuner.policy.looking import Lookout
from services.tuner.policy.loop import PolicyLoop
from services.tuner.policy.servicer import PolicyServicer
from services.tuner.validation import Validator


@asynccontextmanager
async def hosted_policies(
    catalog: grpc.aio.Channel,
    outlier: grpc.aio.Channel,
    records: RecordStore,
    runs: RunService[tuner_pb2.TuningRun],
    validator: Validator,
    seconds: float,
) -> AsyncIterator[Service]:
    """Looks after policies until it is left.

    Args:
        catalog: Channel to the catalog.
        outlier: Channel to the outlier service.
        records: The suite's resources.
        runs: The generic part of searches.
        validator: Resolves their specifications.
        seconds: Between two looks, about.

    Yields:
        The service that answers for them.
    """
    models = model_pb2_grpc.ModelServiceStub(catalog)
    lookout = Lookout(
        dataset_pb2_grpc.DatasetServiceStub(catalog),
        models,
        outlier_pb2_grpc.OutlierServiceStub(outlier),
    )
    book = PolicyBook(records)
    actor = Actor(book, lookout, validator, runs, models)
    loop = PolicyLoop(book, actor, seconds)
    async with loop.running():
        servicer = PolicyServicer(book, PolicyCheck(validator, lookout), actor, loop)
        yield Service(
            "aimass.tuner.v1.PolicyService",
            partial(policy_pb2_grpc.add_PolicyServiceServicer_to_server, servicer),
        )

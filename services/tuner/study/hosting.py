"""Studies as a service of a process."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aimass.tuner.v1 import study_pb2_grpc
from common.artifacts import ObjectStore
from common.host.helper import HelperProcess
from common.records import RecordStore
from common.serving.server import Service
from services.tuner.study.desks import Desks
from services.tuner.study.servicer import StudyServicer

_SUGGESTER = (sys.executable, "-m", "services.tuner.study.suggester")
_LONGEST_SECONDS = 60.0
_IDLE_SECONDS = 600.0


@asynccontextmanager
async def hosted_studies(store: ObjectStore, records: RecordStore) -> AsyncIterator[Service]:
    """Answers for studies until it is left.

    Args:
        store: The object store.
        records: The suite's resources.

    Yields:
        What is served.
    """
    process = HelperProcess(_SUGGESTER, timeout=_LONGEST_SECONDS, idle_seconds=_IDLE_SECONDS)
    async with process, Desks(store, records, process).following() as desks:
        yield study_service(records, desks)


def study_service(records: RecordStore, desks: Desks) -> Service:
    """Returns the service of the studies that desks answer for."""
    servicer = StudyServicer(records, desks)
    return Service(
        "aimass.tuner.v1.StudyService",
        partial(study_pb2_grpc.add_StudyServiceServicer_to_server, servicer),
    )

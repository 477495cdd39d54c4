"""A study service on a store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf import json_format

from aimass.tuner.v1 import study_pb2, study_pb2_grpc
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.interceptors.roles import Role
from common.records import RecordStore
from common.testing.server import channel_to, running_server
from services.tuner.study.hosting import hosted_studies

Stub = "study_pb2_grpc.StudyServiceAsyncStub"


def spec(**more: Any) -> study_pb2.StudySpec:
    """Returns a specification of two parameters and a loss; `more` as in JSON."""
    plain = {
        "parameters": [
            {"name": "depth", "integer": {"low": 1, "high": 50}},
            {"name": "rate", "number": {"low": 0.001, "high": 1, "log": True}},
        ],
        "objectives": [{"name": "loss"}],
        **more,
    }
    return json_format.ParseDict(plain, study_pb2.StudySpec())


def creation(study_id: str = "s", **more: Any) -> study_pb2.CreateStudyRequest:
    """Returns a request for a study; `more` as in the JSON of its specification."""
    return study_pb2.CreateStudyRequest(study=study_pb2.Study(spec=spec(**more)), study_id=study_id)


@asynccontextmanager
async def serving(
    store: ObjectStore | None = None, role: Role = Role.EDITOR
) -> AsyncIterator["study_pb2_grpc.StudyServiceAsyncStub"]:
    """Serves studies of a store, and yields a stub."""
    store = store or MemoryStore()
    async with (
        hosted_studies(store, RecordStore(store)) as service,
        running_server([service]) as address,
        channel_to(address, role) as channel,
    ):
        yield study_pb2_grpc.StudyServiceStub(channel)

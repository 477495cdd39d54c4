"""Study services on a store in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from google.protobuf import json_format

from aimass.tuner.v1 import study_pb2, study_pb2_grpc, suggester_pb2
from common.artifacts import ObjectStore
from common.artifacts.memory import MemoryStore
from common.identity import Role
from common.records import RecordStore
from common.testing.server import channel_to, running_server
from services.tuner.study.desks import Desks
from services.tuner.study.hosting import study_service
from services.tuner.study.suggester.answering import Answering


class InProcess:
    """Chooses trials in this process."""

    def __init__(self) -> None:
        self.answering = Answering()
        self.questions: list[suggester_pb2.SuggestQuestion] = []

    async def ask(self, question: bytes) -> bytes:
        """Answers a question."""
        self.questions.append(suggester_pb2.SuggestQuestion.FromString(question))
        return await asyncio.to_thread(self.answering.answer, question)


def spec(**more: Any) -> study_pb2.StudySpec:
    """Returns a specification of two parameters and a loss; `more` as in JSON."""
    plain = {
        "parameters": [
            {"name": "depth", "integer": {"low": 1, "high": 50}},
            {"name": "rate", "number": {"low": 0.001, "high": 1, "log": True}},
        ],
        "objectives": [{"name": "loss"}],
        "sampler": "STUDY_SAMPLER_RANDOM",
        **more,
    }
    return json_format.ParseDict(plain, study_pb2.StudySpec())


def few(count: int) -> dict[str, Any]:
    """Returns parameters of so many settings."""
    return {"parameters": [{"name": "depth", "integer": {"low": 1, "high": count}}]}


def creation(study_id: str = "s", **more: Any) -> study_pb2.CreateStudyRequest:
    """Returns a request for a study; `more` as in the JSON of its specification."""
    return study_pb2.CreateStudyRequest(study=study_pb2.Study(spec=spec(**more)), study_id=study_id)


def asking(count: int = 1, study: str = "s", **more: Any) -> study_pb2.AskTrialsRequest:
    """Returns a request for trials."""
    return study_pb2.AskTrialsRequest(parent=f"studies/{study}", count=count, **more)


def telling(trial: study_pb2.Trial, loss: float = 1.0, **more: Any) -> study_pb2.TellTrialRequest:
    """Returns a request that tells a loss."""
    return study_pb2.TellTrialRequest(name=trial.name, values={"loss": loss}, **more)


@asynccontextmanager
async def serving(
    store: ObjectStore | None = None,
    role: Role = Role.EDITOR,
    replicas: int = 1,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Any]:
    """Serves studies of a store, and yields a stub; of several replicas as many."""
    store = store or MemoryStore()
    async with AsyncExitStack() as stack:
        stubs = []
        for _ in range(replicas):
            records = RecordStore(store)
            desks = Desks(store, records, InProcess(), clock)
            await stack.enter_async_context(desks.following())
            server = running_server([study_service(records, desks)])
            address = await stack.enter_async_context(server)
            channel = await stack.enter_async_context(channel_to(address, role))
            stubs.append(study_pb2_grpc.StudyServiceStub(channel))
        yield stubs[0] if replicas == 1 else stubs

"""The tuner over the wire: a search is checked, accepted once, followed, cancelled and deleted."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from aimass.catalog.v1 import dataset_pb2
from aimass.tuner.v1 import tuner_pb2, tuner_pb2_grpc
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.identity import Role
from common.records import RecordStore
from common.runs.service import RunService
from common.runs.tail import Tails
from common.serving.server import Service
from common.testing.run_server import Kicks
from common.testing.server import channel_to, running_server
from services.tuner.champion.checking import Champions
from services.tuner.kind import TUNING_RUNS
from services.tuner.portfolio import OwnPortfolio
from services.tuner.results import CandidatePages
from services.tuner.servicer import TunerServicer
from services.tuner.validation import Validator

DATA = "datasets/d/versions/1"


class Catalog:
    """Has one data set."""

    def __init__(self) -> None:
        self.version = dataset_pb2.DatasetVersion(name=DATA)
        self.version.split_counts.train = 50
        self.version.schema.task = dataset_pb2.TASK_REGRESSION
        self.version.schema.target = "y"
        for name in ("x", "y"):
            column = self.version.schema.columns.add(name=name)
            column.type, column.distinct_count = dataset_pb2.COLUMN_TYPE_NUMERIC, 40
            column.numeric.max = 3.5

    async def GetDatasetVersion(  # noqa: N802
        self, request: dataset_pb2.GetDatasetVersionRequest
    ) -> dataset_pb2.DatasetVersion:
        return self.version


@asynccontextmanager
async def tuner(
    kicks: Kicks, role: Role = Role.EDITOR
) -> AsyncIterator["tuner_pb2_grpc.TunerServiceAsyncStub"]:
    """Yields a stub of a tuner whose searches nobody works on."""
    store, catalog = MemoryStore(), Catalog()
    stub: Any = catalog
    records = RecordStore(store)
    records.create(catalog.version)
    tails = Tails(TUNING_RUNS, store, records)
    runs = RunService(TUNING_RUNS, records, tails, kicks)
    validator = Validator(stub, stub, Champions(stub, store, records), runs.get)
    servicer = TunerServicer(runs, validator, CandidatePages(store), OwnPortfolio(store))
    service = Service(
        "aimass.tuner.v1.TunerService",
        lambda server: tuner_pb2_grpc.add_TunerServiceServicer_to_server(servicer, server),
    )
    async with running_server([service]) as address, channel_to(address, role) as channel:
        try:
            yield tuner_pb2_grpc.TunerServiceStub(channel)
        finally:
            await tails.close()


def request(**more: Any) -> tuner_pb2.CreateTuningRunRequest:
    run = tuner_pb2.TuningRun(spec=tuner_pb2.TuningSpec(dataset_version=DATA))
    return tuner_pb2.CreateTuningRunRequest(tuning_run=run, **more)


async def test_a_search_lives_from_its_creation_to_its_deletion() -> None:
    kicks = Kicks()
    async with tuner(kicks) as stub:
        wanted = request(request_id=str(uuid.uuid4()), tuning_run_id="t")
        wanted.tuning_run.labels["team"] = "vision"
        created = await stub.CreateTuningRun(wanted)
        assert created == await stub.CreateTuningRun(wanted), "a repeat makes no second search"
        assert set(kicks.names) == {"tuningRuns/t"}
        assert created.spec.metric == "rmse" and created.estimate.fold_count == 8
        assert list(created.status.lineage.inputs) == [DATA]
        page = await stub.ListTuningRuns(
            tuner_pb2.ListTuningRunsRequest(filter=f'spec.dataset_version="{DATA}"')
        )
        assert list(page.tuning_runs) == [created]
        name = created.name
        cancelled = await stub.CancelTuningRun(tuner_pb2.CancelTuningRunRequest(name=name))
        assert cancelled.status.state == run_pb2.RUN_STATE_CANCELLED
        watch = stub.WatchTuningRun(tuner_pb2.WatchTuningRunRequest(name=name))
        states = [each.state_change.state async for each in watch if each.HasField("state_change")]
        assert states[-1] == run_pb2.RUN_STATE_CANCELLED
        await stub.DeleteTuningRun(tuner_pb2.DeleteTuningRunRequest(name=name))
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await stub.GetTuningRun(tuner_pb2.GetTuningRunRequest(name=name))
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_checking_only_stores_nothing() -> None:
    kicks = Kicks()
    async with tuner(kicks) as stub:
        checked = await stub.CreateTuningRun(request(validate_only=True))
        assert checked.spec.model == "models/d" and checked.estimate.memory_bytes > 2**31
        page = await stub.ListTuningRuns(tuner_pb2.ListTuningRunsRequest())
        assert not page.tuning_runs and not kicks.names


async def test_what_is_wrong_is_named_by_field() -> None:
    async with tuner(Kicks()) as stub:
        wrong = request()
        wrong.tuning_run.spec.families.append("forest")
        for wanted, field in (
            (wrong, "tuning_run.spec.families[0]"),
            (tuner_pb2.CreateTuningRunRequest(), "tuning_run.spec"),
            (request(tuning_run_id="T"), "tuning_run_id"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.CreateTuningRun(wanted)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert fields_of(raised.value) == [field]


async def test_candidates_come_once_there_is_a_model() -> None:
    async with tuner(Kicks()) as stub:
        created = await stub.CreateTuningRun(request())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListCandidates(tuner_pb2.ListCandidatesRequest(name=created.name))
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_viewers_look_and_start_nothing() -> None:
    async with tuner(Kicks(), Role.VIEWER) as stub:
        assert (await stub.ListFamilies(tuner_pb2.ListFamiliesRequest())).families
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CreateTuningRun(request())
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


def fields_of(error: grpc.aio.AioRpcError) -> list[str]:
    """Returns the fields that an error names."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    found = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        detail.Unpack(found)
    return [each.field for each in found.field_violations]

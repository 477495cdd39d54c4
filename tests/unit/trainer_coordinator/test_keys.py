"""Which keys to the store the workers of a run get, and when they get others."""

import asyncio
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from common.artifacts.settings import StoreSettings
from common.artifacts.temporary_keys import LONGEST_SECONDS, Grant, KeysRefusedError
from common.data.schema import Task
from common.testing.minio import MinioServer
from services.trainer.coordinator.keys import WorkerKeys
from services.trainer.domain.job import Job
from services.trainer.domain.own_code import OwnCode
from tests.support.plain_store import store_without_keys
from tests.support.training import Desk, split_parts

OWN = OwnCode(files={"a.py": ""}, network="a:build")
GRANT = Grant(("runs/trainingRuns/own/",), ("runs/trainingRuns/own/attempts/1/",))
NAME = "AIMASS_S3_ACCESS_KEY"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A run of the suite's own code."""
    desk = Desk(tmp_path)
    values = np.arange(20.0)
    data = desk.dataset({"x": values, "y": values}, split_parts(20), "y", Task.REGRESSION)
    return desk.job(data, {})


def with_code(job: Job) -> Job:
    """Returns the same run with code of others."""
    specification = job.specification.model_copy(update={"code": OWN})
    return job.model_copy(update={"specification": specification})


def of_many_imports(job: Job, count: int) -> Job:
    """Returns the same run on data of so many imports."""
    shards = [
        {"artifact": {"uri": f"s3://b/runs/datasetImports/import-{number:010d}/attempts/1/x"}}
        for number in range(count)
    ]
    return job.model_copy(update={"dataset_version": {**job.dataset_version, "shards": shards}})


def keys_of(settings: StoreSettings, job: Job) -> WorkerKeys:
    return WorkerKeys.of_job(settings, job, LONGEST_SECONDS)


def test_workers_never_see_the_keys_of_the_suite(minio_server: MinioServer, job: Job) -> None:
    """With or without code of others, where the store can give others."""
    for each in (job, with_code(job), with_code(of_many_imports(job, 20))):
        keys = keys_of(minio_server.settings, each).environment()
        assert keys[NAME] != minio_server.settings.access_key
        assert keys["AIMASS_S3_SESSION_TOKEN"]


def test_code_of_others_gets_no_keys_where_the_store_gives_none(
    minio_server: MinioServer, job: Job
) -> None:
    """The run ends before its code starts, and says what to do; other runs go on."""
    with store_without_keys(HTTPStatus.NOT_IMPLEMENTED, "") as endpoint:
        plain = minio_server.settings.model_copy(update={"endpoint": endpoint})
        with pytest.raises(KeysRefusedError, match="take MinIO") as caught:
            keys_of(plain, with_code(job))
        assert caught.value.reason == "NO_TEMPORARY_KEYS"
        assert keys_of(plain, job).environment()[NAME] == plain.access_key


def test_code_of_others_gets_no_keys_to_more_places_than_can_be_named(
    minio_server: MinioServer, job: Job
) -> None:
    """Data of many imports: refused with the cure; other runs go on with the suite's keys."""
    many = of_many_imports(job, 60)
    with pytest.raises(KeysRefusedError, match="import them again as one") as caught:
        keys_of(minio_server.settings, with_code(many))
    assert caught.value.reason == "TOO_MANY_PLACES"
    found = keys_of(minio_server.settings, many).environment()
    assert found[NAME] == minio_server.settings.access_key


async def test_keys_are_renewed_after_half_of_their_time(minio_server: MinioServer) -> None:
    """In the background; a world that began with the old ones is told once."""
    now = 0.0
    keys = WorkerKeys(minio_server.settings, GRANT, seconds=7_200, clock=lambda: now)
    keys.begin_world()
    first = keys.environment()[NAME]
    now = 3_599.0
    assert not keys.want_world()
    now = 3_600.0
    async with asyncio.timeout(30):
        while not keys.want_world():  # noqa: ASYNC110  # they tell nobody of it
            await asyncio.sleep(0.01)
    assert keys.environment()[NAME] != first
    keys.begin_world()
    assert not keys.want_world()

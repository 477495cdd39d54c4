"""Temporary keys open what they are given for, and nothing else."""

from http import HTTPStatus

import pytest

from common.artifacts import ObjectStore
from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.artifacts.temporary_keys import Grant, KeysRefusedError, temporary_keys
from common.errors import AimassError, UnavailableError
from common.testing.minio import MinioServer
from tests.support.plain_store import store_without_keys

OWN, DATA, OTHER = "runs/trainingRuns/own/", "runs/datasetImports/data/", "runs/trainingRuns/other/"
REFUSED = r"AccessDenied|refused|denied"
SHARD = f"{DATA}attempts/1/shards/0.parquet"
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"


def opened_with_keys(settings: StoreSettings, grant: Grant) -> ObjectStore:
    """Returns the store as it is to whoever has the grant's keys."""
    keys = temporary_keys(settings, grant)
    found = {
        "access_key": keys.access_key,
        "secret_key": keys.secret_key,
        "session_token": keys.session_token,
    }
    return open_store(settings.model_copy(update=found))


def test_keys_of_a_run_open_its_own_prefix_and_its_data(minio_server: MinioServer) -> None:
    """Code of others can neither read nor write what is not its run's."""
    full = minio_server.new_store()
    for key in (SHARD, f"{OTHER}lease.json", f"{OWN}lease.json"):
        full.write(key, b"full")
    settings = minio_server.settings.model_copy(update={"bucket": full.bucket})
    grant = Grant.of_files([f"s3://{full.bucket}/{SHARD}"], [OWN], [f"{OWN}attempts/1/"])
    narrow = opened_with_keys(settings, grant)
    assert narrow.read(SHARD)[0] == b"full"
    assert narrow.read(f"{OWN}lease.json")[0] == b"full"
    narrow.write(f"{OWN}attempts/1/out", b"own")
    narrow.upload(f"{OWN}attempts/1/large", [bytes(6_000_000)] * 2)
    assert full.read(f"{OWN}attempts/1/out")[0] == b"own"
    with pytest.raises(AimassError, match=REFUSED):
        narrow.read(f"{OTHER}lease.json")
    for key in (SHARD, f"{OTHER}lease.json", f"{OWN}lease.json", "anything"):
        with pytest.raises(AimassError, match=REFUSED):
            narrow.write(key, b"stolen")
    with pytest.raises(AimassError, match=REFUSED):
        list(narrow.list(""))
    assert full.read(SHARD)[0] == b"full"


def test_keys_to_data_of_many_imports_are_cut_to_these_imports(minio_server: MinioServer) -> None:
    """Two dozen imports with many folders each: whatever is cut, no other import is opened."""
    full = minio_server.new_store()
    folders = [
        f"runs/datasetImports/import-{n:010d}/attempts/1/part-{p}"
        for n in range(20)
        for p in (0, 1)
    ]
    shards = [f"{folder}/shard.parquet" for folder in folders]
    foreign = "runs/datasetImports/import-0000000020/attempts/1/part-0/shard.parquet"
    for key in (*shards, foreign):
        full.write(key, b"rows")
    settings = minio_server.settings.model_copy(update={"bucket": full.bucket})
    grant = Grant.of_files([f"s3://{full.bucket}/{key}" for key in shards], [OWN], [OWN])
    assert "part-0" not in grant.policy(full.bucket), "it had to be cut"
    narrow = opened_with_keys(settings, grant)
    assert all(narrow.read(key)[0] == b"rows" for key in shards)
    with pytest.raises(AimassError, match=REFUSED):
        narrow.read(foreign)


def test_policies_stay_within_what_the_service_takes() -> None:
    """Folders are cut to resources of their own, never to what others have as well."""
    deep = [f"s3://b/runs/datasetImports/i{n // 3}/attempts/1/shards/{n}/x" for n in range(40)]
    policy = Grant.of_files(deep, [], [OWN]).policy("b")
    assert len(policy) <= 2048
    assert "runs/datasetImports/i1/" in policy
    assert "runs/datasetImports/*" not in policy
    many = [f"s3://b/runs/datasetImports/import-{n:020d}/x" for n in range(60)]
    with pytest.raises(KeysRefusedError, match="import them again"):
        Grant.of_files(many, [], [OWN]).policy("b")


def test_who_cannot_give_keys_is_told_from_who_is_away(minio_server: MinioServer) -> None:
    """Wrong keys are refused; a store that is away is waited for by its callers."""
    grant = Grant((OWN,), (OWN,))
    wrong = minio_server.settings.model_copy(update={"secret_key": "not-the-secret"})
    with pytest.raises(KeysRefusedError, match="AssumeRole"):
        temporary_keys(wrong, grant)
    away = minio_server.settings.model_copy(update={"endpoint": "127.0.0.1:9"})
    with pytest.raises(UnavailableError):
        temporary_keys(away, grant)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (HTTPStatus.METHOD_NOT_ALLOWED, ERROR.format(code="MethodNotAllowed")),
        (HTTPStatus.NOT_IMPLEMENTED, ERROR.format(code="NotImplemented")),
        (HTTPStatus.FORBIDDEN, ERROR.format(code="AccessDenied")),
        (HTTPStatus.NOT_FOUND, ""),
        (HTTPStatus.OK, "<html>Welcome</html>"),
        (HTTPStatus.OK, "welcome"),
        (HTTPStatus.OK, ""),
    ],
)
def test_a_store_without_such_a_service_is_named_as_that(
    minio_server: MinioServer, status: HTTPStatus, body: str
) -> None:
    """However it says no: nobody waits for what will never come."""
    with store_without_keys(status, body) as endpoint:
        settings = minio_server.settings.model_copy(update={"endpoint": endpoint})
        with pytest.raises(KeysRefusedError, match="gives no temporary keys"):
            temporary_keys(settings, Grant((OWN,), (OWN,)))


@pytest.mark.parametrize("status", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY])
def test_a_store_that_is_busy_is_waited_for(minio_server: MinioServer, status: HTTPStatus) -> None:
    """What may pass by itself is no refusal."""
    with store_without_keys(status, "") as endpoint:
        settings = minio_server.settings.model_copy(update={"endpoint": endpoint})
        with pytest.raises(UnavailableError):
            temporary_keys(settings, Grant((OWN,), (OWN,)))

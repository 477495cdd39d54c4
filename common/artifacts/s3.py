"""The object store on an S3 server, by the `minio` SDK."""

import base64
import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import SplitResult, quote, urlencode
from xml.etree import ElementTree

import minio
import minio.time
import urllib3
from minio.credentials.credentials import Credentials
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.signer import presign_v4
from urllib3.exceptions import HTTPError

from common.artifacts import multipart
from common.artifacts.answers import bare, from_http, info_of, listed, next_page
from common.artifacts.protocol import (
    Chunk,
    ObjectChangedError,
    ObjectInfo,
    ObjectMissingError,
    check_key,
)
from common.artifacts.settings import StoreSettings
from common.errors import AimassError, FailedPreconditionError, StoreFullError, UnavailableError
from common.telemetry import metrics

_CONNECT_SECONDS = 2.0
_MIN_READ_SECONDS = 2.0
_MAX_READ_SECONDS = 30.0
_CONNECTIONS = 32
_CHUNK_BYTES = 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_URL_LIFETIME = timedelta(hours=1)

_MISSING = frozenset({"NoSuchKey", "NoSuchObject"})
_CHANGED = frozenset({"PreconditionFailed"})
# The server is there but cannot answer now; `ConditionalRequestConflict` is AWS's way to say that
# two conditional writes met.
_BUSY = frozenset(
    {
        "ConditionalRequestConflict",
        # MinIO gives up reading when its disk is full.
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "XMinioServerNotInitialized",
    }
)
_FULL = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})
_INSUFFICIENT_STORAGE, _FORBIDDEN = 507, 403
# From how far apart a refusal is put down to the clocks; servers bear 15 minutes.
_SKEW = timedelta(minutes=5)
_CODE = re.compile(rb"<Code>([A-Za-z]+)</Code>")


class _Pool(urllib3.PoolManager):
    """Connections to the store that remember when it answered last, by its own clock."""

    def __init__(self, timeout: float) -> None:
        read = min(max(timeout, _MIN_READ_SECONDS), _MAX_READ_SECONDS)
        super().__init__(
            timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, read), read=read),
            maxsize=_CONNECTIONS,
            retries=False,  # `RetryingStore` is the one place that retries.
        )
        self._answers = threading.local()

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **kw: object
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request and notes the Date of the answer for the calling thread."""
        began, status = time.perf_counter(), "none"
        try:
            response = super().urlopen(method, url, redirect=redirect, **kw)
            status = str(response.status)
        finally:
            labels = {"method": method, "status": status}
            metrics.store_duration.record(time.perf_counter() - began, labels)
        self._answers.date = response.headers.get("Date", "")
        return response

    def answered(self) -> datetime:
        """Returns the Date of the calling thread's last answer."""
        return from_http(self._answers.date)


class S3Store:
    """A bucket on an S3 server. See `ObjectStore` for what its methods promise."""

    def __init__(self, settings: StoreSettings, timeout: float = _MAX_READ_SECONDS) -> None:
        """Makes a client; nothing is sent yet.

        Args:
            settings: Where the server is.
            timeout: How long to wait for an answer, in seconds; taken as 2 to 30.
        """
        self._settings = settings
        self._bucket = settings.bucket
        self._pool = _Pool(timeout)
        self._client = minio.Minio(
            settings.endpoint,
            access_key=settings.access_key or None,
            secret_key=settings.secret_key or None,
            session_token=settings.session_token or None,
            secure=settings.secure,
            region=settings.region,
            http_client=self._pool,
        )

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._bucket

    def ensure_bucket(self) -> None:
        """Makes the bucket where it does not exist."""
        with self._translated():
            if self._client.bucket_exists(self._bucket):
                return
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def read(self, key: str) -> tuple[bytes, ObjectInfo]:
        """See `ObjectStore`."""
        with self._translated(key), self._opened(key) as response:
            data = response.read()
            return data, info_of(key, response.headers, len(data))

    def stat(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        with self._translated(key):
            found = self._client.stat_object(self._bucket, check_key(key))
            return info_of(key, cast(Mapping[str, str], found.metadata), found.size or 0)

    def write(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._put(key, data, {})

    def create(self, key: str, data: bytes) -> str:
        """See `ObjectStore`."""
        return self._put(key, data, {"If-None-Match": "*"})

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `ObjectStore`."""
        return self._put(key, data, {"If-Match": f'"{etag}"'})

    def list(self, prefix: str, after: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        query |= {} if recursive else {"delimiter": "/"}
        token = {"start-after": after} if after else {}
        while True:
            with self._translated():
                page = self._list_page(query | token)
                now = self._pool.answered()
            yield from listed(page, now)
            next_token = next_page(page)
            if not next_token:
                return
            token = {"continuation-token": next_token}

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        with self._translated(key):
            self._client.remove_object(self._bucket, check_key(key))

    def upload(self, key: str, chunks: Iterable[Chunk]) -> int:
        """See `ObjectStore`."""

        def send(
            method: str, query: Mapping[str, str], body: multipart.Body = b""
        ) -> urllib3.BaseHTTPResponse:
            with self._translated(key):
                return self._send(method, key, query, body, {})

        return multipart.upload(send, chunks)

    def download(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ObjectStore`."""
        if length == 0:
            self.stat(key)
            return
        with self._translated(key):
            try:
                with self._opened(key, offset, length) as response:
                    yield from response.stream(_CHUNK_BYTES)
            except S3Error as error:
                if error.code != "InvalidRange":
                    raise

    @contextlib.contextmanager
    def _opened(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._client.get_object(
            self._bucket, check_key(key), offset=offset, length=length or 0
        )
        try:
            yield response
        except BaseException:
            response.close()  # Half-read: the connection is of no further use.
            raise
        finally:
            response.release_conn()

    def _put(self, key: str, data: bytes, condition: Mapping[str, str]) -> str:
        """Writes an object in one request. Returns its etag."""
        with self._translated(key):
            response = self._send("PUT", key, {}, data, {**_md5(data), **condition})
        return bare(response.headers.get("ETag", ""))

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        body: multipart.Body,
        headers: Mapping[str, str],
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request about an object. Returns the answer, which is a success.

        The SDK's `put_object` cannot carry a condition, and its threads for several parts are never
        joined after an error; a presigned URL can be sent with anything, and is public API.
        """
        url = self._client.get_presigned_url(
            method,
            self._bucket,
            check_key(key),
            expires=_URL_LIFETIME,
            extra_query_params=dict(query),
        )
        sent = {"Content-Type": "application/octet-stream", **self._guard(body), **headers}
        response = self._pool.urlopen(method, url, body=body, headers=sent)
        if response.status < 300:
            return response
        code = _code(response)
        if "If-Match" in headers and code in _MISSING:
            code = "PreconditionFailed"
        raise self._error(code, response.status, key)

    def _guard(self, body: multipart.Body) -> dict[str, str]:
        """Returns what guards a large body on an open network; elsewhere hashing costs for nothing.

        TLS guards bytes itself, and no network lies between the processes of one machine.
        """
        host = self._settings.endpoint.rpartition(":")[0]
        return {} if self._settings.secure or host in _LOOPBACK or not body else _md5(body)

    def _list_page(self, query: Mapping[str, str]) -> ElementTree.Element:
        """Sends one ListObjectsV2.

        The SDK's `list_objects` takes five times as long to read an answer: it searches for each of
        ten fields and parses times by a format.
        """
        scheme = "https" if self._settings.secure else "http"
        text = urlencode(sorted(query.items()), quote_via=quote)
        url = SplitResult(scheme, self._settings.endpoint, f"/{self._bucket}", text, "")
        if self._settings.access_key:
            url = presign_v4(
                method="GET",
                url=url,
                region=self._settings.region,
                credentials=Credentials(self._settings.access_key, self._settings.secret_key),
                date=minio.time.utcnow(),
                expires=int(_URL_LIFETIME.total_seconds()),
            )
        response = self._pool.urlopen("GET", url.geturl())
        if response.status != 200:
            raise self._error(_code(response), response.status, query["prefix"])
        return ElementTree.fromstring(response.data)

    @contextlib.contextmanager
    def _translated(self, key: str = "") -> Iterator[None]:
        """Turns the errors of SDK and connection into the store's."""
        try:
            yield
        except S3Error as error:
            status = getattr(error.response, "status", 0)
            code = _told_full(error.message or "") or error.code or ""
            raise self._error(code, status, key) from error
        except (HTTPError, ServerError, InvalidResponseError, ElementTree.ParseError) as error:
            raise self._unavailable(type(error).__name__) from error

    def _error(self, code: str, status: int, key: str) -> Exception:
        if code in _MISSING:
            return ObjectMissingError(key)
        if code in _CHANGED:
            return ObjectChangedError(key)
        if code in _FULL or status == _INSUFFICIENT_STORAGE:
            return self._full(code)
        if status == _FORBIDDEN and (skew := self._skew()):
            return skew
        if code in _BUSY or status >= 500:
            return self._unavailable(code)
        if code == "NoSuchBucket":
            return FailedPreconditionError(
                f"The bucket {self._bucket} does not exist on {self._settings.endpoint}."
            )
        private = f"{code} (HTTP {status}) from {self._settings.endpoint} for {key!r}"
        return AimassError("The object store refused a request.", private=private)

    def _full(self, code: str) -> StoreFullError:
        return StoreFullError(
            f"The object store at {self._settings.endpoint} has no room left; make room on its "
            "disk, then try again.",
            help_command="aimass sweep --dry-run",
            private=code,
        )

    def _skew(self) -> UnavailableError | None:
        """Returns the error where the clocks are too far apart for a signed request."""
        try:
            apart = minio.time.utcnow() - self._pool.answered()
        except ValueError:  # something between us and the store answered, without a Date
            return None
        if abs(apart) < _SKEW:
            return None
        minutes = round(abs(apart) / timedelta(minutes=1))
        side = "ahead of" if apart > timedelta() else "behind"
        return UnavailableError(
            f"The service's clock is {minutes} minutes {side} the object store's, which refuses "
            "its requests for that; set both clocks by NTP.",
            reason="CLOCKS_DIFFER",
            help_command="timedatectl set-ntp true",
        )

    def _unavailable(self, cause: str) -> UnavailableError:
        return UnavailableError(
            "The object store cannot be reached now; try again.",
            reason="STORE_UNAVAILABLE",
            private=f"{cause} from {self._settings.endpoint}",
        )


def _told_full(text: str) -> str:
    """Returns the code of a full store where MinIO tells of it as an internal error."""
    return "XMinioStorageFull" if "no space left on device" in text else ""


def _code(response: urllib3.BaseHTTPResponse) -> str:
    if full := _told_full(response.data.decode(errors="replace")):
        return full
    found = _CODE.search(response.data)
    return found[1].decode() if found else f"HTTP {response.status}"


def _md5(data: multipart.Body) -> dict[str, str]:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"Content-MD5": base64.b64encode(digest).decode()}

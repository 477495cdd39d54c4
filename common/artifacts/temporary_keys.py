"""Keys to a part of the store, for a while: AssumeRole of the security token service of S3."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials.providers import AssumeRoleProvider
from urllib3.exceptions import HTTPError

from common.artifacts.settings import StoreSettings
from common.errors import FailedPreconditionError, UnavailableError

LONGEST_SECONDS = 7 * 86_400.0
_SECONDS = 10.0
_READ = ("s3:GetObject",)
_WRITE = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_VERSION = "2012-10-17"
# 501 is the answer of stores that know no such service.
_NOT_NOW = re.compile(r"status code 5(?!01)\d\d")
# What the service takes at most, in characters.
_LONGEST_POLICY = 2_048
# `runs/<kind>/<id>/`: a prefix of fewer segments holds what belongs to others.
_OWN_SEGMENTS = 3


class KeysRefusedError(FailedPreconditionError):
    """The store gives no temporary keys, or none for so many places."""


@dataclass(frozen=True)
class Grant:
    """What keys open.

    Attributes:
        reads: Prefixes of keys that may be read, each with a `/` at its end.
        writes: Prefixes of keys that may be written.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @classmethod
    def of_files(cls, uris: Iterable[str], reads: Iterable[str], writes: Iterable[str]) -> "Grant":
        """Returns a grant for the folders of files, and for prefixes.

        Args:
            uris: Addresses of files that may be read, `s3://bucket/key`.
            reads: More prefixes that may be read.
            writes: Prefixes that may be written.
        """
        keys = (urlsplit(uri).path.lstrip("/") for uri in uris)
        folders = {f"{key.rpartition('/')[0]}/" for key in keys if "/" in key}
        return cls(tuple(sorted({*folders, *reads})), tuple(writes))

    def policy(self, bucket: str) -> str:
        """Returns the grant as a policy.

        Folders are named by fewer segments where the policy would be too long, but never by so few
        that what belongs to other resources is opened.

        Raises:
            KeysRefusedError: It has too many places.
        """
        deepest = max((prefix.count("/") for prefix in self.reads), default=_OWN_SEGMENTS)
        for segments in range(max(deepest, _OWN_SEGMENTS), _OWN_SEGMENTS - 1, -1):
            found = self._policy(bucket, segments)
            if len(found) <= _LONGEST_POLICY:
                return found
        raise KeysRefusedError(
            f"The data come from {len(self.reads)} places, more than the store gives keys for at "
            "once; import them again as one data set version.",
            reason="TOO_MANY_PLACES",
        )

    def _policy(self, bucket: str, segments: int) -> str:
        reads = sorted({_cut(prefix, segments) for prefix in self.reads})
        statements = [_allowed(bucket, _READ, reads), _allowed(bucket, _WRITE, self.writes)]
        plain = {"Version": _VERSION, "Statement": statements}
        return json.dumps(plain, separators=(",", ":"))


@dataclass(frozen=True)
class TemporaryKeys:
    """Keys that end by themselves.

    Attributes:
        access_key: Name to sign with.
        secret_key: Secret to sign with.
        session_token: Goes with both.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """Returns the settings of a process that uses them; see `StoreSettings`."""
        return {
            "AIMASS_S3_ACCESS_KEY": self.access_key,
            "AIMASS_S3_SECRET_KEY": self.secret_key,
            "AIMASS_S3_SESSION_TOKEN": self.session_token,
        }


def temporary_keys(
    settings: StoreSettings, grant: Grant, seconds: float = LONGEST_SECONDS
) -> TemporaryKeys:
    """Asks the store for keys that open no more than a grant.

    Args:
        settings: The store, with keys that open at least as much.
        grant: What they are to open.
        seconds: How long they are good.

    Raises:
        KeysRefusedError: The store gives none: it has no such service, or these keys may not.
        UnavailableError: It cannot be reached.
    """
    scheme = "https" if settings.secure else "http"
    provider = AssumeRoleProvider(
        sts_endpoint=f"{scheme}://{settings.endpoint}",
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        duration_seconds=round(seconds),
        policy=grant.policy(settings.bucket),
        region=settings.region,
        http_client=urllib3.PoolManager(timeout=_SECONDS, retries=False),
    )
    try:
        found = provider.retrieve()
    except HTTPError as error:
        raise UnavailableError(f"The store at {settings.endpoint} cannot be reached.") from error
    except (ValueError, AttributeError, ParseError) as error:  # another answer than one with keys
        if _NOT_NOW.search(str(error)):
            raise UnavailableError(f"The store at {settings.endpoint} is busy.") from error
        raise KeysRefusedError(
            f"The store at {settings.endpoint} gives no temporary keys (AssumeRole); take MinIO, "
            "or keys of a user.",
            reason="NO_TEMPORARY_KEYS",
        ) from error
    return TemporaryKeys(found.access_key, found.secret_key, found.session_token or "")


def _cut(prefix: str, segments: int) -> str:
    return "".join(f"{segment}/" for segment in prefix.rstrip("/").split("/")[:segments])


def _allowed(bucket: str, actions: Iterable[str], prefixes: Iterable[str]) -> dict[str, object]:
    resources = [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}

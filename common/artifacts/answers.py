"""What an S3 server says of objects."""

import email.utils
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from common.artifacts.protocol import ObjectInfo

_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_CONTENTS, _KEY, _ETAG, _SIZE, _MODIFIED = (
    f"{_XML}{tag}" for tag in ("Contents", "Key", "ETag", "Size", "LastModified")
)
_WHOLE_SECONDS = len("2026-11-24T00:00:00")


def info_of(key: str, headers: Mapping[str, str], size: int) -> ObjectInfo:
    """Returns what the headers of an answer say of an object."""
    return ObjectInfo(
        key=key,
        etag=bare(headers.get("ETag", "")),
        size=size,
        modified=from_http(headers["Last-Modified"]),
        now=from_http(headers["Date"]),
    )


def listed(page: ElementTree.Element, now: datetime) -> Iterator[ObjectInfo]:
    """Yields the objects of a page of a list.

    Args:
        page: Answer to ListObjectsV2.
        now: The server's time.
    """
    # Thousands of times: hence no names made anew, and no time read that is cut afterwards.
    for item in page.iterfind(_CONTENTS):
        key = unquote_plus(item.findtext(_KEY, ""))
        if key.endswith("/"):
            continue
        yield ObjectInfo(
            key=key,
            etag=bare(item.findtext(_ETAG, "")),
            size=int(item.findtext(_SIZE, "0")),
            modified=datetime.fromisoformat(f"{item.findtext(_MODIFIED, '')[:_WHOLE_SECONDS]}Z"),
            now=now,
        )


def next_page(page: ElementTree.Element) -> str:
    """Returns the token of the page after this one; empty where there is none."""
    return page.findtext(f"{_XML}NextContinuationToken") or ""


def bare(etag: str) -> str:
    """Returns an entity tag without its quotes."""
    return etag.removeprefix("W/").strip('"')


def from_http(text: str) -> datetime:
    """Returns the time of a header."""
    return email.utils.parsedate_to_datetime(text).astimezone(UTC)

"""Addresses from which objects can be downloaded without a key."""

from datetime import timedelta
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import minio

from common.artifacts.protocol import check_key
from common.artifacts.settings import StoreSettings

# What a browser shows; all else it saves, whatever its content may be.
_SHOWN = {".html": "text/html; charset=utf-8"}


def presigned_url(settings: StoreSettings, key: str, lifetime: timedelta) -> str:
    """Returns an address of an object; pages (`.html`) open in a browser, all else is saved.

    Sends nothing: whether the object exists is not looked at.

    Args:
        settings: The store; `public_url` is where clients see it.
        key: Object key.
        lifetime: How long the address works, at most 7 days.
    """
    scheme = "https" if settings.secure else "http"
    seen = urlsplit(settings.public_url or f"{scheme}://{settings.endpoint}")
    client = minio.Minio(
        seen.netloc,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        secure=seen.scheme == "https",
        region=settings.region,  # Else the SDK asks the store for it.
    )
    media_type = _SHOWN.get(PurePosixPath(key).suffix)
    query = {"response-content-type": media_type} if media_type else {}
    return client.presigned_get_object(
        settings.bucket, check_key(key), expires=lifetime, extra_query_params={**query}
    )
